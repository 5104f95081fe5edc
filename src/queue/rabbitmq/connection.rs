//! Connections to the broker: opened when one is needed, used until their first error, then
//! replaced.
//!
//! lapin's own recovery is not used: an acknowledgement must never use a delivery tag of an earlier
//! connection, and a publisher must know exactly what was confirmed. When a connection is lost, its
//! channels are lost with it, and their users start again on new ones.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use lapin::options::ConfirmSelectOptions;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::body_limit;
use super::reply::{ACCESS_REFUSED, NOT_ALLOWED, REPLY_TIMEOUT, no_reply, queue_error, reply};
use super::topology::Topology;
use crate::queue::QueueError;

/// The time for opening a connection, including name resolution, TLS and login.
const CONNECT: Duration = Duration::from_secs(10);

/// The time for declaring all queues: a cluster has to agree on each of them.
const DECLARE: Duration = Duration::from_secs(60);

/// Seconds between heartbeats, unless the URL sets them. After two silent intervals the connection
/// is lost.
const HEARTBEAT: u16 = 15;

/// How to connect to the broker.
#[derive(Debug, Clone)]
pub struct RabbitSettings {
    /// `amqp://USER:PASSWORD@HOST:PORT/VHOST` or `amqps:`.
    pub url: SecretString,
    /// The prefix of the name of every queue and exchange.
    pub prefix: String,
    /// Deliveries of a message without a settlement before the broker dead-letters it.
    pub delivery_limit: u32,
    /// Certificates (PEM) to trust with `amqps:` in addition to the system's.
    pub ca_file: Option<PathBuf>,
}

/// A connection to the broker, replaced when it is lost.
pub(super) struct BrokerConnection {
    uri: AMQPUri,
    /// The certificates of the CA file.
    roots: Option<String>,
    /// The purpose of this connection, shown by the broker's tools.
    purpose: &'static str,
    topology: Arc<Topology>,
    connection: Mutex<Option<Connection>>,
}

impl BrokerConnection {
    /// A connection that is not open yet.
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

    /// A new channel, on a new connection if the last one was lost. A new connection first declares
    /// the topology.
    ///
    /// # Errors
    /// If the broker cannot be reached, refuses the user, or has different queues of these names.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        let mut connection = self.connection.lock().await;
        if let Some(connected) =
            connection.as_ref().filter(|connection| connection.status().connected())
        {
            match timeout(REPLY_TIMEOUT, connected.create_channel()).await {
                Ok(Ok(channel)) => return Ok(channel),
                // No reason to give up those that there are.
                Ok(Err(error)) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => {
                    let most = connected.configuration().channel_max();
                    let text = format!("all {most} channels of the connection are in use");
                    return Err(QueueError::Unavailable(text));
                }
                lost => {
                    let error = match lost {
                        Ok(Err(error)) => queue_error(&error),
                        _ => no_reply(),
                    };
                    tracing::debug!(purpose = self.purpose, %error, "the connection to the broker \
                        is lost")
                }
            }
        }
        // Dropped first, so that the broker never sees two connections of this purpose.
        *connection = None;
        let connected = self.connect().await?;
        self.ensure(&connected).await?;
        let channel = reply(connected.create_channel()).await?;
        *connection = Some(connected);
        Ok(channel)
    }

    /// The most channels at once.
    pub(super) async fn most_channels(&self) -> u16 {
        let connection = self.connection.lock().await;
        connection.as_ref().map_or(u16::MAX, |open| open.configuration().channel_max())
    }

    /// A new channel with publisher confirms.
    ///
    /// # Errors
    /// As [`BrokerConnection::channel`].
    pub(super) async fn confirming_channel(&self) -> Result<Channel, QueueError> {
        let channel = self.channel().await?;
        reply(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Declares what is missing of the topology.
    ///
    /// # Errors
    /// As [`BrokerConnection::channel`].
    pub(super) async fn declare_missing(&self) -> Result<(), QueueError> {
        match self.connection.lock().await.as_ref() {
            Some(connection) => self.ensure(connection).await,
            // The next connection does it.
            None => Ok(()),
        }
    }

    /// Declares the missing ones of these sub-queues, by their routing keys.
    ///
    /// # Errors
    /// As [`BrokerConnection::channel`], or if this user may not declare them.
    pub(super) async fn declare_sub_queues(
        &self,
        keys: &BTreeSet<String>,
    ) -> Result<(), QueueError> {
        let channel = self.channel().await?;
        let declared = timeout(DECLARE, self.topology.declare_sub_queues(&channel, keys))
            .await
            .map_err(|_| self.declare_timeout())?;
        // An error means that a refusal has closed it already.
        channel.close(200, "done".into()).await.ok();
        declared
    }

    fn declare_timeout(&self) -> QueueError {
        QueueError::Unavailable(format!(
            "{}: declaring the queues took more than {} s",
            self.address(),
            DECLARE.as_secs()
        ))
    }

    async fn ensure(&self, connection: &Connection) -> Result<(), QueueError> {
        timeout(DECLARE, self.topology.ensure(connection))
            .await
            .map_err(|_| self.declare_timeout())?
    }

    /// Whether the broker blocks this connection because it is short of memory or disk.
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
        let connecting = body_limit::connect(self.uri.clone(), properties, self.roots.clone());
        match timeout(CONNECT, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.connect_error(&error)),
            Err(_) => Err(QueueError::Unavailable(format!(
                "{} does not answer within {} s",
                self.address(),
                CONNECT.as_secs()
            ))),
        }
    }

    /// Host and port, the part of the URL that may be shown.
    fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    fn connect_error(&self, error: &lapin::Error) -> QueueError {
        let (address, user, vhost) =
            (self.address(), &self.uri.authority.userinfo.username, &self.uri.vhost);
        match error.kind() {
            ErrorKind::ProtocolError(amqp) => {
                let text = amqp.get_message().as_str();
                match amqp.get_id() {
                    // While a broker starts, some vhosts are not available yet.
                    _ if text.contains("is down") => {
                        QueueError::Unavailable(format!("{address}: {text}"))
                    }
                    ACCESS_REFUSED => QueueError::Unusable(format!(
                        "{address} refuses user '{user}': check user and password in queue.url \
                            ({text})"
                    )),
                    NOT_ALLOWED => QueueError::Unusable(format!(
                        "{address} refuses user '{user}' access to vhost '{vhost}': check the \
                            vhost in queue.url and the user's permissions ({text})"
                    )),
                    _ => QueueError::Unavailable(format!("{address}: {text}")),
                }
            }
            ErrorKind::IOError(io)
                if self.uri.scheme == AMQPScheme::AMQPS
                    && io.kind() == std::io::ErrorKind::InvalidData =>
            {
                QueueError::Unusable(format!(
                    "no TLS with {address}: {io}. Check that it is the broker's TLS port and that \
                        its certificate is signed by one in queue.ca_file"
                ))
            }
            _ => QueueError::Unavailable(format!("{address}: {error}")),
        }
    }
}

/// Parses `url`. Works around lapin, which ignores an IPv6 host, and whose error quotes the URL
/// with its password.
fn parse(url: &str) -> Result<AMQPUri, QueueError> {
    let bad = || {
        QueueError::Unusable(
            "invalid queue.url: use amqp://USER:PASSWORD@HOST:PORT/VHOST (special characters \
                percent-encoded)"
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

/// The waits between attempts to reach the broker, without end: doubled from a quarter of a second
/// up to ten seconds, less a random share of up to half, so that the workers of a fleet do not
/// reconnect at the same moment.
pub(super) fn reconnect_backoff() -> impl Iterator<Item = Duration> {
    // Jitter adds a random share of up to the whole wait.
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(125))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter()
        .build()
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
        let waits: Vec<Duration> = reconnect_backoff().take(40).collect();
        let (least, most) = (Duration::from_millis(125), Duration::from_secs(10));
        assert!(waits[0] <= Duration::from_millis(250));
        assert!(waits.iter().all(|wait| (least..=most).contains(wait)), "{waits:?}");
        assert!(waits[30..].windows(2).any(|pair| pair[0] != pair[1]), "{waits:?}");
    }
}
