//! `https:` and `http:` URIs: images on web servers, which may be hostile, while the network of
//! this machine has private servers.
//!
//! The client connects to exactly the address that was checked: [`PublicNames`] resolves names
//! inside the client, so a name cannot be public at the check and private at the connection.
//! Redirects are followed here, one by one; each must pass the allow-list and the address check
//! like the first URL. No proxy, no cookies, no referrer, no decompression.

use std::collections::HashSet;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use url::{Host, Url};

use super::address::is_public;
use super::{Body, FetchError, FetchLimits, fault, innermost};

/// Fetches images from web servers.
pub(super) struct Web {
    client: Client,
    limits: FetchLimits,
    private_hosts: Arc<HashSet<String>>,
}

impl Web {
    /// A client that trusts the certificate authorities of the system and those in `authorities`
    /// (PEM), and connects to private addresses only for `private_hosts`.
    pub(super) fn new(
        private_hosts: &[String],
        authorities: Option<&[u8]>,
        limits: FetchLimits,
    ) -> Result<Self, reqwest::Error> {
        let private_hosts =
            Arc::new(private_hosts.iter().map(|host| bare(host)).collect::<HashSet<_>>());
        let certificates =
            authorities.map(Certificate::from_pem_bundle).transpose()?.unwrap_or_default();
        let client = Client::builder()
            .user_agent(concat!("facefleet/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            // No retries here: the worker counts its own.
            .retry(reqwest::retry::never())
            .connect_timeout(limits.connect)
            .read_timeout(limits.idle)
            .dns_resolver(PublicNames { private_hosts: private_hosts.clone() })
            .tls_certs_merge(certificates)
            .build()?;
        Ok(Self { client, limits, private_hosts })
    }

    /// Fetches the bytes at `url` through `body`. `allowed` decides about `url` and the target of
    /// every redirect.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        allowed: impl Fn(&Url) -> bool,
        body: Body<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        let mut url = url.clone();
        for redirects in 0.. {
            let after = if redirects == 0 { "" } else { " after a redirect" };
            self.check(&url, after, &allowed)?;
            let response = self.client.get(url.clone()).send().await.map_err(failed)?;
            let target =
                response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
            let Some(target) = target else { return read(response, body).await };
            if redirects == self.limits.redirects {
                break;
            }
            let target = target.to_str().ok().and_then(|target| url.join(target).ok());
            url = target.ok_or_else(|| {
                FetchError::Unreadable("the server redirects to an invalid URL".into())
            })?;
        }
        Err(FetchError::Refused(format!(
            "the server sends more than {} redirects (setting images.redirects)",
            self.limits.redirects
        )))
    }

    fn check(
        &self,
        url: &Url,
        after: &str,
        allowed: impl Fn(&Url) -> bool,
    ) -> Result<(), FetchError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Refused(format!(
                "the URI{after} contains credentials, which are not supported"
            )));
        }
        if !allowed(url) {
            return Err(FetchError::Refused(format!(
                "the URI{after} is outside the allowed locations (setting images.allow)"
            )));
        }
        // The client does not use the resolver for literal addresses, so check them here.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(FetchError::Refused(format!("the URI{after} has no host"))),
        };
        if is_public(address) || self.private_hosts.contains(&address.to_string()) {
            return Ok(());
        }
        Err(FetchError::Refused(format!("the URI{after} leads to an {NotPublic}")))
    }
}

/// Resolves names to public addresses, and those of `private_hosts` to any address.
struct PublicNames {
    private_hosts: Arc<HashSet<String>>,
}

#[derive(Debug, thiserror::Error)]
#[error("address that is not public (setting images.allow_private_hosts)")]
struct NotPublic;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let private_hosts = self.private_hosts.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if private_hosts.contains(name.as_str()) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let public: Vec<SocketAddr> =
                found.iter().copied().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() && !found.is_empty() {
                Err(NotPublic.into())
            } else {
                Ok(Box::new(public.into_iter()) as Addrs)
            }
        })
    }
}

/// A host in the form that URLs and the resolver use.
fn bare(host: &str) -> String {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host.parse::<IpAddr>().map_or(host, |address| address.to_string())
}

async fn read(mut response: Response, mut body: Body<'_>) -> Result<Vec<u8>, FetchError> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Err(FetchError::NotFound("the server has no such image".into()));
        }
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let reason = format!(
                "the server denies access (HTTP {}); if the URI was signed, it may have expired",
                status.as_u16()
            );
            return Err(FetchError::Denied(reason));
        }
        status => {
            let reason = format!("the server answered HTTP {}", status.as_u16());
            let passing = matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
            let passing = passing || status.is_server_error();
            return Err(if passing {
                FetchError::Outage(reason)
            } else {
                FetchError::Unreadable(reason)
            });
        }
    }
    body.begin(response.content_length()).await?;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.push(&chunk)?;
    }
    body.end().await
}

/// Classifies a failed request. The client's own texts contain the URL; the innermost cause does
/// not.
fn failed(error: reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return FetchError::Refused(format!("the host's name leads to an {NotPublic}"));
        }
        cause = inner.source();
    }
    if let Some(fault) =
        fault::shortage(&error).or_else(|| error.is_connect().then(fault::no_descriptors).flatten())
    {
        return fault;
    }
    let error = error.without_url();
    FetchError::Outage(match () {
        () if error.is_timeout() && error.is_connect() => {
            "the server did not accept a connection in time (setting images.connect_timeout_ms)"
                .into()
        }
        () if error.is_timeout() => {
            "the server was silent for too long (setting images.idle_timeout_ms)".into()
        }
        () if error.is_connect() => format!("no connection to the server: {}", innermost(&error)),
        () => format!("the connection broke: {}", innermost(&error)),
    })
}
