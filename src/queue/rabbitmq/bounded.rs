//! The stream under the AMQP client: what comes from the broker, with the bodies of messages
//! bounded before anything holds them.
//!
//! AMQP has no bound on messages for a consumer, and a prefetch of 48 lets the broker send 48 of
//! them, of up to 512 MiB each. So the frames are looked at as they are read: a content header that
//! announces more than [`MOST_BODY`] bytes announces as many instead, and what comes after them is
//! dropped. The message ends with a note of its true length ([`crate::queue::cut`]), is too long to
//! be a job, and becomes a dead letter. A frame of which nothing is left becomes a heartbeat: the
//! client knows then that the broker is there.
//!
//! The frames are those of AMQP 0-9-1, section 4.2: type, channel, length, content, end.

use std::collections::HashMap;
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

use super::transport::{self, Transport};
use crate::queue::cut;

/// The longest body that is let through, bytes: more than a job has, or an event, which names the
/// image twice.
const MOST_BODY: u64 = 1 << 18;

const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, END];
const END: u8 = 0xCE;
/// Bytes before a frame's content.
const BEFORE: usize = 7;
/// Bytes of a content header's content up to the end of the body's length: class, weight, length.
const UP_TO_LENGTH: usize = 12;

/// Bytes that are read at a time.
const AT_ONCE: usize = 1 << 15;

/// The client's own runtime, but for its connections.
#[derive(Debug, Clone)]
pub(super) struct Connections(Tokio);

/// Connects to the broker; `authorities` as for [`transport::open`].
///
/// # Errors
/// As the client.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    authorities: Option<String>,
) -> lapin::Result<Connection> {
    let tokio = Tokio::current();
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), Connections(tokio)));
    let connect = async move |uri: AMQPUri, _: Runtime<_>| {
        let stream = transport::open(&uri, authorities.as_deref()).await?;
        Ok(AsyncTcpStream::Plain(Bounded::new(stream)))
    };
    Connection::connector(uri, runtime, connect, properties).await
}

impl Reactor for Connections {
    type TcpStream = Bounded<Box<dyn Transport>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// The client does not ask for this.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Bounded<Box<dyn Transport>>, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(Bounded::new(Box::new(connecting.await?) as Box<dyn Transport>)) }
    }
}

/// A stream from the broker in which no message is longer than [`MOST_BODY`].
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    frames: Frames,
    /// As read.
    buffer: Box<[u8]>,
    /// To be handed on, from `handed` on.
    ready: Vec<u8>,
    handed: usize,
}

impl<S> Bounded<S> {
    fn new(stream: S) -> Self {
        let buffer = vec![0; AT_ONCE].into();
        Self { stream, frames: Frames::default(), buffer, ready: Vec::new(), handed: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.handed == this.ready.len() {
            let count = ready!(Pin::new(&mut this.stream).poll_read(context, &mut this.buffer))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.ready.clear();
            this.handed = 0;
            this.frames.pass(&this.buffer[..count], &mut this.ready);
        }
        let rest = &this.ready[this.handed..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        this.handed += count;
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
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

/// Where in the frames the stream is.
#[derive(Debug, Default)]
struct Frames {
    /// The start of the frame, until enough of it is there to decide about it.
    start: Vec<u8>,
    /// Of the frame's content and end: bytes to hand on, to drop, and to hand on.
    pass: u64,
    drop: u64,
    /// What to write once these are through.
    after: Vec<u8>,
    /// The messages that are cut, by channel.
    cut: HashMap<u16, Cut>,
    /// What comes is no frames: the broker's way to say that it speaks another protocol.
    is_foreign: bool,
}

/// A message that is cut.
#[derive(Debug)]
struct Cut {
    /// Bytes of its body that are still to come.
    coming: u64,
    /// Those of them that are handed on.
    kept: u64,
    /// What its body ends with.
    note: Vec<u8>,
}

impl Frames {
    /// Hands on what may be of `bytes`.
    fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.is_foreign {
                out.extend(bytes);
                return;
            }
            if self.pass > 0 {
                let (now, rest) = bytes
                    .split_at(bytes.len().min(usize::try_from(self.pass).unwrap_or(usize::MAX)));
                out.extend(now);
                self.pass -= now.len() as u64;
                bytes = rest;
            } else if self.drop > 0 {
                let (now, rest) = bytes
                    .split_at(bytes.len().min(usize::try_from(self.drop).unwrap_or(usize::MAX)));
                self.drop -= now.len() as u64;
                bytes = rest;
            } else {
                self.start.push(bytes[0]);
                bytes = &bytes[1..];
                self.decide(out);
            }
            if self.pass == 0 && self.drop == 0 {
                out.append(&mut self.after);
            }
        }
    }

    /// Decides about a frame, once enough of it is there.
    fn decide(&mut self, out: &mut Vec<u8>) {
        let &[kind, channel_high, channel_low, ref rest @ ..] = self.start.as_slice() else {
            self.is_foreign = self.start == [b'A'];
            if self.is_foreign {
                out.append(&mut self.start);
            }
            return;
        };
        let Some(length) =
            rest.first_chunk::<4>().map(|length| u64::from(u32::from_be_bytes(*length)))
        else {
            return;
        };
        let channel = u16::from_be_bytes([channel_high, channel_low]);
        match kind {
            HEADER if length >= UP_TO_LENGTH as u64 => {
                let Some(body) = self.start.get(BEFORE + 4..BEFORE + UP_TO_LENGTH) else { return };
                let body = body.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
                self.cut.remove(&channel);
                if body > MOST_BODY {
                    self.start[BEFORE + 4..].copy_from_slice(&MOST_BODY.to_be_bytes());
                    let note = cut::note(body);
                    self.cut.insert(
                        channel,
                        Cut { coming: body, kept: MOST_BODY - note.len() as u64, note },
                    );
                }
                self.pass = length - UP_TO_LENGTH as u64 + 1;
                out.append(&mut self.start);
            }
            BODY if self.cut.contains_key(&channel) => self.shorten(channel, length, out),
            _ => {
                self.pass = length + 1;
                out.append(&mut self.start);
            }
        }
    }

    /// Decides about a frame of `length` bytes of the body of a message that is cut.
    fn shorten(&mut self, channel: u16, length: u64, out: &mut Vec<u8>) {
        let Some(cut) = self.cut.get_mut(&channel) else { return };
        let kept = length.min(cut.kept);
        cut.kept -= kept;
        cut.coming = cut.coming.saturating_sub(length);
        // In a frame of its own: the last one may be full.
        let note = if cut.kept == 0 { std::mem::take(&mut cut.note) } else { Vec::new() };
        if cut.coming == 0 {
            self.cut.remove(&channel);
        }
        if kept == 0 {
            out.extend(HEARTBEAT);
            self.drop = length + 1;
        } else {
            out.extend(&self.start[..3]);
            out.extend((kept as u32).to_be_bytes());
            (self.pass, self.drop) = (kept, length - kept + 1);
            self.after = vec![END];
        }
        if !note.is_empty() {
            self.after.extend(&self.start[..3]);
            self.after.extend((note.len() as u32).to_be_bytes());
            self.after.extend(note);
            self.after.push(END);
        }
        self.start.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, channel: u16, content: &[u8]) -> Vec<u8> {
        [
            &[kind][..],
            &channel.to_be_bytes(),
            &(content.len() as u32).to_be_bytes(),
            content,
            &[END],
        ]
        .concat()
    }

    fn message(channel: u16, body: &[u8], of_a_frame: usize) -> Vec<Vec<u8>> {
        let header = [
            &[0, 60, 0, 0][..],
            &(body.len() as u64).to_be_bytes(),
            &[0x80, 0, 3, b'a', b'/', b'b'],
        ]
        .concat();
        let bodies = body.chunks(of_a_frame).map(|part| frame(BODY, channel, part));
        [frame(1, channel, b"deliver"), frame(HEADER, channel, &header)]
            .into_iter()
            .chain(bodies)
            .collect()
    }

    /// What comes through, read in pieces of `piece` bytes.
    fn through(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        bytes.chunks(piece).for_each(|piece| frames.pass(piece, &mut out));
        out
    }

    /// The body in `frames`, whose header and frames must agree on its length.
    fn body_of(mut frames: &[u8], channel: u16, longest: usize) -> Vec<u8> {
        let (mut announced, mut body) = (0, Vec::new());
        while !frames.is_empty() {
            let length = u32::from_be_bytes(*frames[3..].first_chunk().unwrap()) as usize;
            let content = &frames[BEFORE..BEFORE + length];
            assert_eq!(frames[BEFORE + length], END);
            assert!(length <= longest, "a frame is longer than agreed");
            match (frames[0], u16::from_be_bytes([frames[1], frames[2]])) {
                (HEADER, of) if of == channel => {
                    announced = u64::from_be_bytes(*content[4..].first_chunk().unwrap())
                }
                (BODY, of) if of == channel => body.extend(content),
                _ => {}
            }
            frames = &frames[BEFORE + length + 1..];
        }
        assert_eq!(announced, body.len() as u64);
        body
    }

    #[test]
    fn what_is_short_enough_comes_through_as_it_is() {
        let all = [
            message(1, &[7; 1000], 300).concat(),
            HEARTBEAT.to_vec(),
            message(2, &vec![8; MOST_BODY as usize], 50_000).concat(),
        ];
        for piece in [1, 7, 64, 1 << 20] {
            assert_eq!(through(&all.concat(), piece), all.concat());
        }
        // A broker of another version answers with its own header.
        assert_eq!(through(b"AMQP\x00\x00\x09\x01", 3), b"AMQP\x00\x00\x09\x01");
    }

    #[test]
    fn a_long_body_is_cut_and_ends_with_its_true_length() {
        let long: Vec<u8> = (0..3 * MOST_BODY).map(|at| at as u8).collect();
        let frames = message(1, &long, 50_000);
        // Between two of its frames come those of another channel; after it, another message of its
        // own.
        let (mut mixed, other, next) =
            (frames.clone(), message(2, b"other", 3), message(1, b"next", 100));
        mixed.splice(3..3, other);
        for piece in [1, 1000, 1 << 20] {
            let out = through(&mixed.concat(), piece);
            let body = body_of(&out, 1, 50_000);
            assert_eq!(body.len() as u64, MOST_BODY);
            assert_eq!(cut::true_length(&body), Some(long.len() as u64));
            assert_eq!(body[..1000], long[..1000]);
            assert_eq!(body_of(&out, 2, 50_000), b"other");
            assert!(out.ends_with(&HEARTBEAT));
            let both = through(&[mixed.concat(), next.concat()].concat(), piece);
            assert_eq!(both[out.len()..], next.concat());
        }
    }

    #[test]
    fn a_body_is_cut_wherever_its_frames_end() {
        for more in [1, 30, 50, 100, 40_000] {
            let long = vec![1; (MOST_BODY + more) as usize];
            for of_a_frame in
                [4096, MOST_BODY as usize, MOST_BODY as usize - 20, MOST_BODY as usize + 10]
            {
                let body =
                    body_of(&through(&message(9, &long, of_a_frame).concat(), 999), 9, of_a_frame);
                assert_eq!(
                    (body.len() as u64, cut::true_length(&body)),
                    (MOST_BODY, Some(MOST_BODY + more))
                );
            }
        }
    }
}
