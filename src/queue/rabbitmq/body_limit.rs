//! The limit of message bodies: the stream below the AMQP client truncates longer bodies as they
//! are received.
//!
//! AMQP lets a consumer set no limit, and with a prefetch of 48 the broker may send 48 messages of
//! up to 512 MiB each. A truncated message is too long to be a job, and becomes a dead letter.

mod frames;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures::Stream;
use futures::io::{AsyncRead, AsyncWrite};
use lapin::tcp::AsyncTcpStream;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use self::frames::BodyTruncation;
use super::transport::{self, Transport};

/// Bytes that are read at a time.
const READ: usize = 1 << 15;

/// lapin's default runtime, except that its connections limit message bodies.
#[derive(Debug, Clone)]
pub(super) struct LimitedRuntime(Tokio);

/// Connects to the broker; `authorities` as for [`transport::open`].
///
/// # Errors
/// As [`transport::open`] and lapin.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    authorities: Option<String>,
) -> lapin::Result<Connection> {
    let tokio = Tokio::current();
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), LimitedRuntime(tokio)));
    let connect = async move |uri: AMQPUri, _: Runtime<_>| {
        let stream = transport::open(&uri, authorities.as_deref()).await?;
        Ok(AsyncTcpStream::Plain(LimitedStream::new(stream)))
    };
    Connection::connector(uri, runtime, connect, properties).await
}

impl Reactor for LimitedRuntime {
    type TcpStream = LimitedStream<Box<dyn Transport>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Not used by lapin.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<LimitedStream<Box<dyn Transport>>, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// Not used by lapin: [`connect`] opens the stream.
    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// A stream from the broker in which no message body is longer than [`frames::MOST_BODY`].
#[derive(Debug)]
pub(super) struct LimitedStream<S> {
    stream: S,
    truncation: BodyTruncation,
    /// Bytes as they were read.
    buffer: Box<[u8]>,
    /// Bytes for the client; the first `consumed` of them were already passed on.
    ready: Vec<u8>,
    consumed: usize,
}

impl<S> LimitedStream<S> {
    fn new(stream: S) -> Self {
        let buffer = vec![0; READ].into();
        Self {
            stream,
            truncation: BodyTruncation::default(),
            buffer,
            ready: Vec::new(),
            consumed: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.consumed == this.ready.len() {
            let count = ready!(Pin::new(&mut this.stream).poll_read(context, &mut this.buffer))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.ready.clear();
            this.consumed = 0;
            this.truncation.process(&this.buffer[..count], &mut this.ready);
        }
        let rest = &this.ready[this.consumed..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        this.consumed += count;
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(context)
    }
}
