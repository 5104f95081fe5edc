//! `amqps:`: a broker whose certificate a private authority signed is trusted where the settings
//! name that authority, and not elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use facefleet::domain::Disposition;
use facefleet::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::support::job;

/// An authority and a certificate for `localhost` that it signed: the authority's in PEM, and what
/// a server needs.
fn certificates() -> (String, ServerConfig) {
    let (key, mut authority) = (KeyPair::generate().unwrap(), CertificateParams::default());
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (
        pem,
        config
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap(),
    )
}

/// Ends TLS in front of the broker, as its own TLS port or a load balancer does.
async fn in_front_of(broker: &TestBroker, config: ServerConfig) -> SocketAddr {
    let target: SocketAddr = format!("127.0.0.1:{}", broker.url.port().unwrap()).parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, acceptor) = (listener.local_addr().unwrap(), TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away here.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(target).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_where_the_settings_name_it() {
    let broker = TestBroker::new();
    let (authority, config) = certificates();
    let address = in_front_of(&broker, config).await;
    let mut url = broker.url.clone();
    url.set_scheme("amqps").unwrap();
    url.set_host(Some("localhost")).unwrap();
    url.set_port(Some(address.port())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let settings = RabbitSettings {
        url: url.as_str().to_owned().into(),
        ca_file: Some(file),
        ..broker.settings()
    };

    let queue = RabbitQueue::connect(&settings).await.unwrap();
    let sent = job(Lane::Enrol, "one");
    queue.publish(vec![sent.clone()]).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.job(), &sent);
    assert!(delivery.settle(Disposition::Done).await.unwrap());

    let refused =
        RabbitQueue::connect(&RabbitSettings { ca_file: None, ..settings }).await.err().unwrap();
    assert!(matches!(refused, QueueError::Unusable(_)), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("queue.ca_file") && text.contains(&format!("localhost:{}", address.port())),
        "{text}"
    );
    assert!(!text.contains(broker.url.password().unwrap()), "{text}");
    broker.remove().await;
}
