//! A model thread that hangs.

use std::sync::Mutex;
use std::sync::mpsc;

use facefleet::inference::batcher::{BatchModel, Batcher, Priority};
use facefleet::queue::memory::MemoryQueue;

use super::*;

/// Answers once the test permits it.
struct Hanging(Mutex<mpsc::Receiver<()>>);

impl BatchModel for Hanging {
    type Input = ();
    type Output = ();

    fn run(&mut self, batch: &[()]) -> Result<Vec<()>, String> {
        self.0.lock().unwrap().recv().map_err(|error| error.to_string())?;
        Ok(batch.to_vec())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_hangs_is_not_live() {
    let (_folder, store) = embedded_store().await;
    let limits = HealthLimits { batch: Duration::from_millis(300), ..HealthLimits::default() };
    let worker = Running::with(Arc::new(MemoryQueue::new(10)), store, limits).await;
    let (answer, permit) = mpsc::channel();
    let batcher = Batcher::start("recognise", vec![Hanging(Mutex::new(permit))], 4).unwrap();
    worker.vitals.watch(batcher.activity().iter().cloned());
    worker.answers("/health/live", 200, "live").await;
    let asked = tokio::spawn(async move { batcher.run(vec![()], Priority::Bulk).await });
    worker.answers("/health/live", 503, "thread recognise-0 has been busy with one batch").await;
    worker.answers("/health/ready", 503, "recognise-0").await;
    answer.send(()).unwrap();
    asked.await.unwrap().unwrap();
    worker.answers("/health/live", 200, "live").await;
    worker.stop().await;
}
