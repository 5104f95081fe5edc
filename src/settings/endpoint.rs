//! The URL of a backend, which may hold a password.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// The URL of a backend. Only [`Self::expose`] shows a password that it holds.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Endpoint(SecretString);

impl Endpoint {
    /// The whole URL, to connect.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The whole URL as a secret.
    pub fn secret(&self) -> SecretString {
        self.0.clone()
    }

    /// The scheme, without the colon.
    pub fn scheme(&self) -> &str {
        self.expose().split(':').next().unwrap_or_default()
    }
}

impl From<String> for Endpoint {
    fn from(url: String) -> Self {
        Self(url.into())
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// Without the password and without the query, which may hold one too.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::parse(self.expose()) {
            Ok(mut url) if url.has_host() => {
                url.set_query(None);
                if url.password().is_some() {
                    // Fails only for URLs that cannot have a password.
                    url.set_password(Some("***")).ok();
                }
                f.write_str(url.as_str())
            }
            // A path, or `memory:`.
            Ok(_) => f.write_str(self.expose()),
            Err(_) => write!(f, "{}:…", self.scheme()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "amqp://me:secret@host:5671/vhost",
            "postgres://me:secret@host/db?password=secret",
            "postgres://me:se@cret@[bad/secret",
        ] {
            let endpoint = Endpoint::from(url.to_owned());
            assert!(!format!("{endpoint} {endpoint:?}").contains("secret"), "{endpoint}");
            assert_eq!(endpoint.expose(), url);
        }
        assert_eq!(Endpoint::from("sqlite:a b.db".to_owned()).to_string(), "sqlite:a b.db");
        assert_eq!(
            Endpoint::from("postgres://me:p@host/db".to_owned()).to_string(),
            "postgres://me:***@host/db"
        );
    }
}
