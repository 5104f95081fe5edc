//! Clients that connect and do not complete their request.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use facefleet::queue::memory::MemoryQueue;
use serde_json::Value;

use super::*;
use crate::support::job;
use crate::support::stack::{Database, program};

async fn worker() -> (Running, Arc<MemoryQueue>, TempDir) {
    let (folder, store) = embedded_store().await;
    let queue = Arc::new(MemoryQueue::new(100));
    (Running::start(queue.clone(), store).await, queue, folder)
}

async fn incomplete(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: te").await.unwrap();
    stream
}

/// Whether the listener closes the connection.
async fn is_closed(stream: &mut TcpStream) -> bool {
    // A reset closes it too.
    matches!(timeout(Duration::from_secs(3), stream.read(&mut [0; 64])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_at_once_despite_three_hundred_incomplete_ones() {
    let (worker, queue, _folder) = worker().await;
    worker.answers("/health/ready", 200, "ready").await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        slow.push(incomplete(worker.address).await);
    }
    let asked = Instant::now();
    assert_eq!(get(worker.address, "/health/live").await.0, 200);
    assert_eq!(get(worker.address, "/health/ready").await.0, 200);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    // Most of the incomplete ones were closed, the oldest first.
    for stream in &mut slow[..200] {
        assert!(is_closed(stream).await, "the listener should close it");
    }
    // The worker still processes jobs.
    queue
        .publish((0..20).map(|number| job(Lane::Scan, &number.to_string())).collect())
        .await
        .unwrap();
    let give_up = Instant::now() + PATIENCE;
    while worker.scorer.calls.load(Ordering::SeqCst) < 20 {
        assert!(Instant::now() < give_up, "the jobs should be processed");
        sleep(Duration::from_millis(20)).await;
    }
    let scorer = worker.scorer.clone();
    worker.stop().await;
    assert_eq!(scorer.calls.load(Ordering::SeqCst), 20, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_request_and_an_idle_connection_are_closed() {
    let (worker, _queue, _folder) = worker().await;
    let mut half = incomplete(worker.address).await;
    let mut idle = TcpStream::connect(worker.address).await.unwrap();
    let mut endless = TcpStream::connect(worker.address).await.unwrap();
    endless
        .write_all(b"POST /health/live HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nx")
        .await
        .unwrap();
    for stream in [&mut half, &mut idle, &mut endless] {
        let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "the listener should close it");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_request_does_not_delay_the_end() {
    let (worker, _queue, _folder) = worker().await;
    let _half = incomplete(worker.address).await;
    assert_eq!(get(worker.address, "/health/live").await.0, 200);
    worker.stop().await;
}

/// A worker process, killed on drop.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The address that a worker prints once it takes jobs.
async fn listener_of(worker: &mut Child) -> SocketAddr {
    let out = BufReader::new(worker.stdout.take().unwrap());
    let reading = tokio::task::spawn_blocking(move || {
        let mut reports = out.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()));
        let report = reports.find_map(Result::ok).expect("a worker prints what it does");
        report["listener"].as_str().unwrap().parse().unwrap()
    });
    timeout(PATIENCE, reading).await.expect("the worker should start").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_stops_within_its_drain_time_despite_open_connections() {
    let (broker, database) = (TestBroker::new(), Database::new().await);
    let mut command = program(broker.url.as_str(), &broker.prefix, &database.url);
    command.args(["worker", "--aligned"]).envs([
        ("FACEFLEET__RUNTIME__DEVICE", "cpu"),
        ("FACEFLEET__SERVER__LISTEN", "127.0.0.1:0"),
        ("FACEFLEET__LOG__FORMAT", "json"),
        ("FACEFLEET__WORKER__DRAIN_SECONDS", "8"),
    ]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let address = listener_of(&mut program.0).await;
    let give_up = Instant::now() + PATIENCE;
    while get(address, "/health/ready").await.0 != 200 {
        assert!(Instant::now() < give_up, "the worker should become ready");
        sleep(Duration::from_millis(100)).await;
    }
    let _half = incomplete(address).await;
    let _idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(get(address, "/health/live").await.0, 200, "the connections before it are accepted");
    let asked = Instant::now();
    assert!(
        Command::new("kill")
            .args(["-TERM", &program.0.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let status = loop {
        if let Some(status) = program.0.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < PATIENCE, "the program should end");
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    broker.remove().await;
}
