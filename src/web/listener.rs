//! An HTTP/1 server with limits, which axum's own server does not have: one request for each
//! connection, a bounded number of connections, and timeouts. A slow or silent client can neither
//! use up the worker's file descriptors nor delay its shutdown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Open connections, at most. A further one closes the oldest that has not sent a complete request
/// header.
const MAX_CONNECTIONS: usize = 64;
/// Time to send a complete request header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Lifetime of a connection: request header, body and answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// Time at shutdown for answers that are being sent.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// Pause after `accept` failed, usually because there are no file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// An open connection.
struct OpenConnection {
    /// Whether its request header is complete.
    requested: Arc<AtomicBool>,
    /// Cancelled to close it, and once it is closed.
    close: CancellationToken,
}

/// Serves `router` on `listener` until `until` is cancelled, then for [`SHUTDOWN_GRACE`] at most.
pub(super) async fn serve(listener: TcpListener, router: Router, until: CancellationToken) {
    let mut connections = JoinSet::new();
    let mut open: VecDeque<OpenConnection> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = until.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "failed to accept a connection");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        open.retain(|connection| !connection.close.is_cancelled());
        if open.len() >= MAX_CONNECTIONS {
            let slowest = open
                .iter()
                .position(|connection| !connection.requested.load(Ordering::Relaxed))
                .unwrap_or(0);
            if let Some(slowest) = open.remove(slowest) {
                slowest.close.cancel();
            }
        }
        let connection =
            OpenConnection { requested: Arc::default(), close: CancellationToken::new() };
        let (requested, close) = (connection.requested.clone(), connection.close.clone());
        connections.spawn(serve_one(stream, router.clone(), requested, close, until.clone()));
        open.push_back(connection);
    }
    drop(listener);
    timeout(SHUTDOWN_GRACE, async { while connections.join_next().await.is_some() {} }).await.ok();
    connections.shutdown().await;
}

/// Answers one request, then cancels `close`.
async fn serve_one(
    stream: TcpStream,
    router: Router,
    requested: Arc<AtomicBool>,
    close: CancellationToken,
    until: CancellationToken,
) {
    let _closed = close.clone().drop_guard();
    let answers = TowerToHyperService::new(router);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        requested.store(true, Ordering::Relaxed);
        answers.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        // A client that disconnects is not an error.
        _ = connection.as_mut() => return,
        () = close.cancelled() => return,
        () = sleep(CONNECTION_TIMEOUT) => return,
        () = until.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // A complete request is still answered; the caller bounds the time.
    connection.await.ok();
}
