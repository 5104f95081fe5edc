//! The transport to the broker: TCP, with TLS for `amqps:`.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use futures::io::{AsyncRead, AsyncWrite};
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::compat::TokioAsyncReadCompatExt;

/// A connected stream to the broker.
pub(super) trait Transport: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Transport for T {}

/// Connects to the host of `uri`. With `amqps:`, its certificate must be signed by an authority of
/// the system or one of `authorities` (PEM).
///
/// # Errors
/// If the host cannot be reached, or its certificate is not trusted.
pub(super) async fn open(
    uri: &AMQPUri,
    authorities: Option<&str>,
) -> io::Result<Box<dyn Transport>> {
    let host = uri.authority.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.authority.port)).await?;
    stream.set_nodelay(true)?;
    match uri.scheme {
        AMQPScheme::AMQP => Ok(Box::new(stream.compat())),
        AMQPScheme::AMQPS => {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            let connector = TlsConnector::from(Arc::new(client_config(authorities)?));
            Ok(Box::new(connector.connect(name, stream).await?.compat()))
        }
    }
}

fn client_config(authorities: Option<&str>) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Without the system's certificates those of the settings may be enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(authorities.unwrap_or_default().as_bytes()) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
