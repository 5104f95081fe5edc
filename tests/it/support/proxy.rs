//! A TCP proxy between a worker and its broker or database. Tests cut and restore its connections.
//! It parses AMQP frames, so it can cut a connection exactly when a given method passes.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// An AMQP 0-9-1 method that a client sends: class and method number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method(pub u16, pub u16);

/// `basic.ack`, sent by a consumer.
pub const ACK: Method = Method(60, 80);
/// `basic.publish`.
pub const PUBLISH: Method = Method(60, 40);

struct Shared {
    target: SocketAddr,
    /// Whether connections are refused, and how often open ones were cut.
    down: watch::Sender<(bool, u64)>,
    /// How often open connections were stalled.
    stalls: watch::Sender<u64>,
    /// The method before which a connection is cut, once.
    trap: watch::Sender<Option<Method>>,
    /// How often a connection was cut before a method.
    sprung: watch::Sender<u32>,
}

/// A proxy on a free port. It stops when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: CancellationToken,
}

impl Proxy {
    /// A proxy to `target` that lets connections through.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            down: watch::Sender::new((false, 0)),
            stalls: watch::Sender::new(0),
            trap: watch::Sender::new(None),
            sprung: watch::Sender::new(0),
        });
        let end = CancellationToken::new();
        tokio::spawn({
            let (shared, end) = (shared.clone(), end.clone());
            async move {
                while let Some(Ok((client, _))) = end.run_until_cancelled(listener.accept()).await {
                    tokio::spawn(
                        end.clone().run_until_cancelled_owned(serve(client, shared.clone())),
                    );
                }
            }
        });
        Self { address, shared, end }
    }

    /// `url` with the proxy's address instead of its host and port.
    pub fn through(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_ip_host(self.address.ip()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Cuts every connection and refuses new ones.
    pub fn cut(&self) {
        self.shared.down.send_modify(|(down, cuts)| (*down, *cuts) = (true, *cuts + 1));
    }

    /// Lets connections through again.
    pub fn restore(&self) {
        self.shared.down.send_modify(|(down, _)| *down = false);
    }

    /// Stops all traffic on open connections without closing them. New connections work.
    pub fn stall(&self) {
        self.shared.stalls.send_modify(|stalls| *stalls += 1);
    }

    /// Cuts the connection on which a client next sends `method`, before the broker receives it.
    /// Other connections stay open.
    pub fn cut_before(&self, method: Method) {
        self.shared.trap.send_replace(Some(method));
    }

    /// Waits until connections were cut before a method `times` times in total.
    pub async fn sprung(&self, times: u32) {
        self.shared.sprung.subscribe().wait_for(|sprung| *sprung >= times).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut down = shared.down.subscribe();
    let (refused, cuts) = *down.borrow_and_update();
    if refused {
        return;
    }
    let Ok(server) = TcpStream::connect(shared.target).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let mut stalls = shared.stalls.subscribe();
    let before = *stalls.borrow_and_update();
    // Pin both directions here, so that a stalled connection stays open.
    let (mut up, mut back) =
        (pin!(up(from_client, to_server, &shared)), pin!(copy(from_server, to_client)));
    let both = async {
        tokio::select! {
            () = &mut up => {}
            () = &mut back => {}
            () = async { drop(stalls.wait_for(|now| *now != before).await) } => {
                std::future::pending().await
            }
        }
    };
    // The first of these ends the connection on both sides.
    tokio::select! {
        () = both => {}
        _ = down.wait_for(|(_, now)| *now != cuts) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    tokio::io::copy(&mut from, &mut to).await.ok();
}

/// Copies from the client to the server; complete frames if the protocol is AMQP.
async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut header = [0; 8];
    let Ok(read) = from.read(&mut header).await else { return };
    if to.write_all(&header[..read]).await.is_err() {
        return;
    }
    if &header[..4] != b"AMQP" || read < 8 {
        tokio::io::copy(&mut from, &mut to).await.ok();
        return;
    }
    let mut frame = vec![0; 7];
    loop {
        frame.resize(7, 0);
        if from.read_exact(&mut frame).await.is_err() {
            return;
        }
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        frame.resize(7 + size + 1, 0);
        if from.read_exact(&mut frame[7..]).await.is_err() {
            return;
        }
        let method = (frame[0] == 1 && size >= 4).then(|| {
            Method(
                u16::from_be_bytes([frame[7], frame[8]]),
                u16::from_be_bytes([frame[9], frame[10]]),
            )
        });
        let trapped = shared.trap.send_if_modified(|trap| {
            let trapped = trap.is_some() && *trap == method;
            if trapped {
                *trap = None;
            }
            trapped
        });
        if trapped {
            shared.sprung.send_modify(|sprung| *sprung += 1);
            return;
        }
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}
