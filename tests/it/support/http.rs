//! A web server with scripted answers. It is hand-written, so that it can violate HTTP as a hostile
//! server does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The answer to a request.
#[derive(Clone)]
pub enum Answer {
    /// Sends this and closes the connection.
    Close(Vec<u8>),
    /// Sends these bytes and then nothing; keeps the connection open until the client closes it.
    Silence(Vec<u8>),
    /// Sends the first bytes, then repeats the second with a pause in between.
    Repeat(Vec<u8>, Vec<u8>, Duration),
}

impl Answer {
    /// A correct answer.
    pub fn of(status: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        Self::Close([head.as_bytes(), body].concat())
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::of("302 Found", &format!("Location: {to}\r\n"), b"")
    }
}

/// A server on a free port. It stops when dropped.
pub struct HttpServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Starts a server. `answer` maps the path of a request (with its query) to the answer.
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    // Clients that disconnect are part of the tests.
                    serve(stream, &*answer, &log).await.ok();
                });
            }
        });
        Self { address, requests, task }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path on this server, by IP address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The request lines and headers received so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&str) -> Answer + Send + Sync),
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(request);
    match answer(&path) {
        Answer::Close(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Answer::Silence(bytes) => {
            stream.write_all(&bytes).await?;
            stream.read_u8().await.map(drop)
        }
        Answer::Repeat(head, part, pause) => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&part).await?;
                tokio::time::sleep(pause).await;
            }
        }
    }
}
