//! Connections to the broker: made when one is needed, used until their first error, then replaced.
//!
//! lapin can recover connections by itself. It is not asked to: an acknowledgement must never meet
//! a delivery tag of the connection before, and a publisher must know exactly what was confirmed. A
//! connection that is lost is lost with its channels, and whoever used them starts again on new
//! ones.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::ConfirmSelectOptions;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::answer::answer;
use super::bounded;
use super::topology::Topology;
use crate::queue::QueueError;

/// Time for a connection to be made, name look-up, TLS and login included.
const CONNECT: Duration = Duration::from_secs(10);

/// Time for all queues to be declared: a cluster agrees on each of them.
const DECLARE: Duration = Duration::from_secs(60);

/// Seconds between heartbeats, unless the URL says otherwise: a peer that is silent for two of
/// these is gone.
const HEARTBEAT: u16 = 15;

/// How the broker is reached.
#[derive(Debug, Clone)]
pub struct RabbitSettings {
    /// `amqp://USER:PASSWORD@HOST:PORT/VHOST` or `amqps:`.
    pub url: SecretString,
    /// Before the name of every queue and exchange.
    pub prefix: String,
    /// Deliveries of a message, without ever being settled, before the broker gives it up.
    pub delivery_limit: u32,
    /// Certificates (PEM) to trust with `amqps:` beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// One connection to the broker, replaced when it is lost.
pub(super) struct Link {
    uri: AMQPUri,
    /// The certificates of the CA file.
    roots: Option<String>,
    /// What this connection is for, as the broker's own tools show it.
    purpose: &'static str,
    topology: Arc<Topology>,
    connection: Mutex<Option<Connection>>,
}

impl Link {
    /// A link that is not connected yet.
    pub(super) fn new(
        settings: &RabbitSettings,
        topology: Arc<Topology>,
        purpose: &'static str,
    ) -> Result<Self, QueueError> {
        let uri = parse(settings.url.expose_secret())?;
        let roots = settings.ca_file.as_ref().map(|file| {
            std::fs::read_to_string(file).map_err(|error| {
                QueueError::Unusable(format!(
                    "queue.ca_file: {} cannot be read: {error}",
                    file.display()
                ))
            })
        });
        Ok(Self { uri, roots: roots.transpose()?, purpose, topology, connection: Mutex::new(None) })
    }

    /// A new channel, on a new connection if the last one was lost. A new connection first sees
    /// that the topology is there.
    ///
    /// # Errors
    /// If the broker cannot be reached, refuses the user, or has other queues of these names.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        let mut connection = self.connection.lock().await;
        if let Some(connected) =
            connection.as_ref().filter(|connection| connection.status().connected())
        {
            match answer(connected.create_channel()).await {
                Ok(channel) => return Ok(channel),
                Err(error) => {
                    tracing::debug!(purpose = self.purpose, %error, "the connection to the broker \
                        is lost")
                }
            }
        }
        // Dropped before the next is made: the broker then sees one connection of this purpose.
        *connection = None;
        let connected = self.connect().await?;
        self.ensure(&connected).await?;
        let channel = answer(connected.create_channel()).await?;
        *connection = Some(connected);
        Ok(channel)
    }

    /// A new channel that confirms what is published on it.
    ///
    /// # Errors
    /// As [`Link::channel`].
    pub(super) async fn confirming_channel(&self) -> Result<Channel, QueueError> {
        let channel = self.channel().await?;
        answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Declares what is missing of the topology.
    ///
    /// # Errors
    /// As [`Link::channel`].
    pub(super) async fn repair(&self) -> Result<(), QueueError> {
        match self.connection.lock().await.as_ref() {
            Some(connection) => self.ensure(connection).await,
            // The next connection will.
            None => Ok(()),
        }
    }

    /// Declares the queues of places, by their routing keys, if they are not there.
    ///
    /// # Errors
    /// As [`Link::channel`], or if this user may not declare them.
    pub(super) async fn declare_places(&self, keys: &BTreeSet<String>) -> Result<(), QueueError> {
        let channel = self.channel().await?;
        let declared = timeout(DECLARE, self.topology.declare_places(&channel, keys))
            .await
            .map_err(|_| self.late())?;
        // A refusal has closed it.
        channel.close(200, "done".into()).await.ok();
        declared
    }

    fn late(&self) -> QueueError {
        QueueError::Unavailable(format!(
            "{} does not declare the queues within {} s",
            self.place(),
            DECLARE.as_secs()
        ))
    }

    async fn ensure(&self, connection: &Connection) -> Result<(), QueueError> {
        timeout(DECLARE, self.topology.ensure(connection)).await.map_err(|_| self.late())?
    }

    /// Whether the broker takes nothing from this connection because it is short of memory or disk.
    pub(super) async fn is_blocked(&self) -> bool {
        self.connection
            .lock()
            .await
            .as_ref()
            .is_some_and(|connection| connection.status().blocked())
    }

    async fn connect(&self) -> Result<Connection, QueueError> {
        let name = format!("facefleet {} {}", self.purpose, std::process::id());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = bounded::connect(self.uri.clone(), properties, self.roots.clone());
        match timeout(CONNECT, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.explain_refusal(&error)),
            Err(_) => Err(QueueError::Unavailable(format!(
                "{} does not answer within {} s",
                self.place(),
                CONNECT.as_secs()
            ))),
        }
    }

    /// Host and port: what of the URL may be shown.
    fn place(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    fn explain_refusal(&self, error: &lapin::Error) -> QueueError {
        let (place, user, vhost) =
            (self.place(), &self.uri.authority.userinfo.username, &self.uri.vhost);
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => {
                let text = amqp.get_message().as_str();
                match amqp.get_id() {
                    // A broker that is starting has vhosts that are not up yet.
                    _ if text.contains("is down") => {
                        QueueError::Unavailable(format!("{place}: {text}"))
                    }
                    403 => QueueError::Unusable(format!(
                        "{place} refuses user '{user}': check user and password in queue.url \
                            ({text})"
                    )),
                    530 => QueueError::Unusable(format!(
                        "{place} does not let user '{user}' into vhost '{vhost}': check the vhost \
                            in queue.url and the user's permissions ({text})"
                    )),
                    _ => QueueError::Unavailable(format!("{place}: {text}")),
                }
            }
            ErrorKind::IOError(io)
                if self.uri.scheme == AMQPScheme::AMQPS
                    && io.kind() == std::io::ErrorKind::InvalidData =>
            {
                QueueError::Unusable(format!(
                    "no TLS with {place}: {io}. Check that it is the broker's TLS port and that \
                        its certificate is signed by one in queue.ca_file"
                ))
            }
            _ => QueueError::Unavailable(format!("{place}: {error}")),
        }
    }
}

/// Parses `url`. lapin takes an IPv6 address for no host at all, and a URL that it cannot parse it
/// quotes in full.
fn parse(url: &str) -> Result<AMQPUri, QueueError> {
    let bad = || {
        QueueError::Unusable(
            "queue.url is no amqp://USER:PASSWORD@HOST:PORT/VHOST (special \
            characters percent-encoded)"
                .into(),
        )
    };
    let parsed = url::Url::parse(url).map_err(|_| bad())?;
    let mut uri: AMQPUri = url.parse().map_err(|_| bad())?;
    if let Some(url::Host::Ipv6(address)) = parsed.host() {
        uri.authority.host = address.to_string();
    }
    uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT));
    Ok(uri)
}

/// The wait before trying again: doubled from a quarter of a second up to ten, less a random share
/// of up to half, so that a fleet that lost its broker does not come back as one.
pub(super) struct Backoff(u32);

impl Backoff {
    /// The first wait.
    pub(super) fn new() -> Self {
        Self(0)
    }

    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = Duration::from_millis(250 << self.0.min(6)).min(Duration::from_secs(10));
        self.0 += 1;
        doubled.mul_f64(1.0 - 0.5 * random())
    }

    /// Waits.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

/// A number from 0 to 1 that differs from call to call: the random bits of a new UUID.
pub(super) fn random() -> f64 {
    let bytes = uuid::Uuid::now_v7().into_bytes();
    f64::from(u16::from_le_bytes([bytes[14], bytes[15]])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_parsed_is_not_quoted() {
        for url in [
            "amqp://user:hunter2@[::1",
            "http://user:hunter2@host",
            "amqp://user:hunter2@host:port/",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, QueueError::Unusable(_)));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn hosts_are_taken_as_they_are_given() {
        assert_eq!(parse("amqp://[::1]:5673/a").unwrap().authority.host, "::1");
        assert_eq!(parse("amqp://10.1.2.3").unwrap().authority.host, "10.1.2.3");
        assert_eq!(parse("amqps://rabbit.example?heartbeat=3").unwrap().query.heartbeat, Some(3));
    }

    #[test]
    fn waits_grow_to_ten_seconds_and_differ() {
        let mut backoff = Backoff::new();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] <= Duration::from_millis(250));
        assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(125) && *wait <= Duration::from_secs(10)));
        assert!(waits[30..].windows(2).any(|pair| pair[0] != pair[1]), "{waits:?}");
    }
}
