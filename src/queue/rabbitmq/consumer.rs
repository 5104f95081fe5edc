//! Consumers on the broker. [`super::receive`] fills a consumer's buffer, and [`super::settle`]
//! settles its deliveries.
//!
//! **Prefetch.** The broker sends each lane's consumer at most `prefetch` jobs ahead of their
//! settlement. Of these the worker has at most `prefetch` enrolments, and as many jobs of the other
//! lanes, at a time. So an enrolment that arrives while a scan uses all slots is already here, and
//! is handed out at once. (The broker has no single limit for several quorum queues.)

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::Broker;
use super::buffer::Buffer;
use super::receive::ReceiveLoop;
use super::settle::deliver;
use crate::domain::{Lane, SubQueue};
use crate::queue::{Consumer, Delivery, QueueError};

/// A consumer.
pub(super) struct RabbitConsumer {
    broker: Arc<Broker>,
    buffer: Arc<Buffer>,
    sub_queues: watch::Sender<BTreeSet<SubQueue>>,
    /// Stops the receive loop when the consumer is dropped.
    _stop: DropGuard,
}

impl RabbitConsumer {
    /// Starts a consumer of `lanes`.
    ///
    /// # Errors
    /// If the broker cannot be reached. A connection that is lost later is restored.
    pub(super) async fn start(
        broker: &Arc<Broker>,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Self, QueueError> {
        let lanes: Vec<Lane> = Lane::ALL.into_iter().filter(|lane| lanes.contains(lane)).collect();
        // AMQP's prefetch count has 16 bits.
        let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
        let buffer = Arc::new(Buffer::new(&lanes, prefetch));
        let stop = broker.closed.child_token();
        let (sub_queues, wanted) = watch::channel(BTreeSet::new());
        let broker = Arc::clone(broker);
        ReceiveLoop::new(Arc::clone(&broker), lanes, Arc::clone(&buffer), wanted, stop.clone())
            .start()
            .await?;
        Ok(Self { broker, buffer, sub_queues, _stop: stop.drop_guard() })
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            biased;
            () = self.broker.closed.cancelled() => None,
            job = self.buffer.next() => Some(deliver(&self.broker, &self.buffer, job?)),
        }
    }

    fn take_from(&mut self, sub_queues: BTreeSet<SubQueue>) {
        self.broker.take_from(&sub_queues);
        self.sub_queues.send_if_modified(|current| {
            let modified = *current != sub_queues;
            *current = sub_queues;
            modified
        });
    }
}
