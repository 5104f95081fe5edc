//! Binds the address of the setting `server.listen`.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// The setting that binds [`DEFAULT`], or a free port if another process has that.
const AUTO: &str = "auto";
const DEFAULT: &str = "127.0.0.1:9464";
const ANY_PORT: &str = "127.0.0.1:0";

/// Why the address of `server.listen` cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "server.listen = {0}: another process uses this address, such as a second worker on this \
            host. Set FACEFLEET__SERVER__LISTEN to an address with another port, with port 0 for \
            any free port, or to nothing for no listener"
    )]
    InUse(String),
    /// The address is invalid, or not one of this machine.
    #[error("server.listen = {address} cannot be listened on: {error}. Use ADDRESS:PORT")]
    Other {
        /// The address.
        address: String,
        /// The system's message.
        #[source]
        error: Error,
    },
}

/// A listener on the address of the setting; none if the setting is empty.
///
/// # Errors
/// If the address is in use or cannot be bound.
pub async fn bind(setting: &str) -> Result<Option<TcpListener>, BindError> {
    let address = match setting {
        "" => return Ok(None),
        AUTO => DEFAULT,
        address => address,
    };
    let mut bound = TcpListener::bind(address).await;
    if setting == AUTO && bound.as_ref().is_err_and(is_in_use) {
        bound = TcpListener::bind(ANY_PORT).await;
    }
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_in_use(&error) => Err(BindError::InUse(address.to_owned())),
        Err(error) => Err(BindError::Other { address: address.to_owned(), error }),
    }
}

fn is_in_use(error: &Error) -> bool {
    error.kind() == ErrorKind::AddrInUse
}

/// A warning if this process is in a pod of Kubernetes and `address` cannot be reached from
/// outside of it: probes would fail.
pub fn unreachable_from_pod(address: SocketAddr) -> Option<String> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    (in_pod && address.ip().is_loopback()).then(|| {
        format!(
            "probes and Prometheus cannot reach {address} of this pod: set \
                FACEFLEET__SERVER__LISTEN=0.0.0.0:9464 (the container images do)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_listener_gets_a_free_port_or_hears_which_setting() {
        let first = bind("127.0.0.1:0").await.unwrap().unwrap();
        let taken = first.local_addr().unwrap().to_string();
        let error = bind(&taken).await.unwrap_err().to_string();
        assert!(error.contains(&taken) && error.contains("FACEFLEET__SERVER__LISTEN"), "{error}");
        // Of these two, one gets the default port at most.
        let [one, two] = [bind(AUTO).await.unwrap(), bind(AUTO).await.unwrap()].map(Option::unwrap);
        assert_ne!(one.local_addr().unwrap(), two.local_addr().unwrap());
        assert!(two.local_addr().unwrap().ip().is_loopback());
        assert!(bind("").await.unwrap().is_none());
        let error = bind("9464").await.unwrap_err().to_string();
        assert!(error.contains("ADDRESS:PORT"), "{error}");
    }
}
