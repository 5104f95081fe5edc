//! The task behind a consumer: receives what the broker sends, buries what is no job, sets apart
//! what may kill, and starts again on a new connection when the last one is lost.
//!
//! **Jobs that kill.** When a worker dies, the broker takes back all it had and counts a delivery
//! for each, the killer's batch-mates too. A job that came back [`SUSPECT`] times is therefore
//! moved to its lane's solo queue, and from there it is handled alone: the feeder gives back what
//! was sent ahead, waits until the worker has settled what it holds, takes one job, and lets
//! nothing else out until that is settled. If the worker dies of it, nobody else is counted. The
//! attempts of the killer go on being counted, and the worker gives it up, unprocessed, once they
//! are spent; the broker's own delivery limit is only the last resort. Its innocent mates end as if
//! nothing had been. To tell them apart takes at least `SUSPECT + 1` attempts.
//!
//! **Places.** Beside its lanes' queues it takes from those of the places it is told, as long as it
//! is told so. A campaign's place that is not there is looked for again.
//!
//! **Lost connections.** The jobs of a lost connection come again, from the broker. What a worker
//! still holds of it settles as `Ok(false)`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SelectAll, StreamExt};
use lapin::Channel;
use lapin::message::Delivery as Incoming;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{ANSWER, NOT_FOUND, answer, explain, has_code, silent};
use super::connection::{Backoff, random};
use super::counter::Counter;
use super::hands::Hands;
use super::message::{self, Arrived, Outgoing, Way};
use super::session::{Lost, Origin, Session};
use super::settle::{acknowledge, give_up};
use super::shelf::{Mode, Parcel};
use super::topology::Topology;
use super::{Broker, count, publisher};
use crate::domain::{Lane, SubQueue};
use crate::queue::QueueError;
use crate::queue::wire::InvalidJob;

/// Deliveries that never ended after which a job is handled alone.
const SUSPECT: u32 = 2;

/// How long a session that ends waits for what is about to take from places.
const JOINING: Duration = Duration::from_secs(3);

/// Longest time between looks into the solo queues. The shortest is half of it: a fleet need not
/// stop as one.
const LOOK: Duration = Duration::from_secs(2);

/// Feeds one consumer.
pub(super) struct Feeder {
    broker: Arc<Broker>,
    lanes: Vec<Lane>,
    hands: Arc<Hands>,
    /// From where to take beside the lanes.
    places: watch::Receiver<BTreeSet<SubQueue>>,
    /// Messages that are being buried.
    burying: Counter,
    stop: CancellationToken,
}

impl Feeder {
    /// Starts feeding.
    ///
    /// # Errors
    /// If the broker cannot be reached.
    pub(super) async fn start(
        broker: Arc<Broker>,
        lanes: Vec<Lane>,
        hands: Arc<Hands>,
        places: watch::Receiver<BTreeSet<SubQueue>>,
        stop: CancellationToken,
    ) -> Result<(), QueueError> {
        let feeder = Self { broker, lanes, hands, places, burying: Counter::new(), stop };
        let session = feeder.open().await?;
        let feeding = feeder.broker.feeders.one();
        tokio::spawn(async move {
            let session = feeder.run(session).await;
            feeder.hands.update(|shelf| shelf.mode = Mode::Closed);
            if let Some(session) = session {
                feeder.put_all_back(session).await;
            }
            drop(feeding);
        });
        Ok(())
    }

    /// Feeds until it is told to stop. The session, if there is one then, is still needed to settle
    /// what is held.
    async fn run(&self, mut session: Session) -> Option<Session> {
        loop {
            let error = match self.feed(&mut session).await {
                Ok(()) => return Some(session),
                Err(Lost::Connection(error)) => error,
                Err(Lost::Queue(lane)) => {
                    // What is missing is declared again; an error shows when the next session is
                    // opened.
                    self.broker.consumers.repair().await.ok();
                    QueueError::Unavailable(format!(
                        "the queue of lane {lane} was deleted, or its leader moved"
                    ))
                }
            };
            tracing::warn!(%error, "no jobs come from the broker; connecting again");
            self.broker.set_trouble(Some(error.to_string()));
            drop(session);
            self.hands.update(|shelf| {
                shelf.take_solo();
                shelf.clear();
                shelf.mode = Mode::Lanes;
            });
            session = self.reopen().await?;
            tracing::info!("jobs come from the broker again");
        }
    }

    async fn reopen(&self) -> Option<Session> {
        let mut backoff = Backoff::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = backoff.wait() => {}
            }
            match self.open().await {
                Ok(session) => {
                    self.broker.set_trouble(None);
                    return Some(session);
                }
                Err(error) => {
                    tracing::warn!(%error, "the broker cannot be used; trying again");
                    self.broker.set_trouble(Some(error.to_string()));
                }
            }
        }
    }

    async fn open(&self) -> Result<Session, QueueError> {
        let channel = self.broker.consumers.channel().await?;
        let mut session = Session::new(channel);
        self.consume(&mut session).await?;
        Ok(session)
    }

    /// The most urgent lane first: its jobs are then the first to be here.
    async fn consume(&self, session: &mut Session) -> Result<(), QueueError> {
        session.incoming = SelectAll::new();
        answer(session.channel.basic_qos(self.hands.prefetch(), BasicQosOptions::default()))
            .await?;
        for &lane in &self.lanes {
            let origin = Origin { lane, tag: None };
            self.listen(session, &self.broker.topology.lane(lane), lane.as_str(), origin).await?;
        }
        session.attach(&self.broker, self.wanted(), self.hands.prefetch()).await;
        Ok(())
    }

    /// The places of its lanes from which to take.
    fn wanted(&self) -> BTreeSet<SubQueue> {
        self.places
            .borrow()
            .iter()
            .filter(|place| self.lanes.contains(&place.lane))
            .cloned()
            .collect()
    }

    /// Lets the broker send what is in `queue`.
    async fn listen(
        &self,
        session: &mut Session,
        queue: &str,
        tag: &str,
        origin: Origin,
    ) -> Result<(), QueueError> {
        let options = BasicConsumeOptions::default();
        let consumer = answer(session.channel.basic_consume(
            queue.into(),
            tag.into(),
            options,
            FieldTable::default(),
        ))
        .await?;
        session.hear(consumer, origin);
        Ok(())
    }

    /// # Errors
    /// If the connection is lost.
    async fn feed(&self, session: &mut Session) -> Result<(), Lost> {
        let mut places = self.places.clone();
        let mut next_look = Instant::now() + LOOK.mul_f64(1.0 - 0.5 * random());
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                Ok(()) = places.changed() => session.attach(&self.broker, self.wanted(), self.hands.prefetch()).await,
                () = sleep_until(session.places.next_look()) => {
                    session.attach(&self.broker, self.wanted(), self.hands.prefetch()).await;
                }
                Some(Ok(joined)) = session.joining.join_next() => session.joined(joined, &self.wanted()).await,
                () = sleep_until(next_look) => {
                    self.look_after_lanes(session).await?;
                    if self.somebody_waits_alone(&session.channel).await? {
                        self.handle_alone(session).await?;
                    }
                    next_look = Instant::now() + LOOK.mul_f64(1.0 - 0.5 * random());
                }
                incoming = session.incoming.next() => {
                    let ended = || QueueError::Unavailable("the broker ended all consumers".into());
                    match incoming.ok_or_else(ended)? {
                        (origin, Some(incoming)) => {
                            session.heard.extend(origin.tag.is_none().then_some(origin.lane));
                            if self.accept(&origin, incoming.map_err(|error| explain(&error))?).await? {
                                next_look = Instant::now();
                            }
                        }
                        (Origin { tag: Some(tag), .. }, None) => session.places.end(&tag),
                        (Origin { lane, tag: None }, None) => return Err(Lost::Queue(lane)),
                    }
                }
            }
        }
    }

    /// Puts a job on the shelf; true if it was set apart instead.
    async fn accept(&self, origin: &Origin, incoming: Incoming) -> Result<bool, QueueError> {
        let arrived = match self.read(&incoming) {
            Ok(Arrived { job, .. }) if origin.lane != job.lane => {
                self.bury(
                    incoming,
                    format!(
                        "invalid job message: its lane is '{}', and it came through the queue \
                        of another",
                        job.lane
                    ),
                );
                return Ok(false);
            }
            Ok(arrived) => arrived,
            Err(invalid) => {
                self.bury(incoming, invalid.to_string());
                return Ok(false);
            }
        };
        let parcel = Parcel { arrived, acker: incoming.acker };
        if parcel.arrived.returned < SUSPECT {
            self.hands.update(|shelf| shelf.put(parcel));
            return Ok(false);
        }
        let Parcel { arrived: Arrived { job, history, .. }, acker } = parcel;
        tracing::warn!(job = %job.id, attempt = job.attempt, "came back without an end too often; \
            it will be handled alone");
        let apart =
            Outgoing::later(&self.broker.topology, Topology::solo_key(job.lane), &job, &history)?;
        match self
            .broker
            .publisher
            .publish(vec![apart], publisher::PATIENCE, Some(&self.stop))
            .await
        {
            Ok(()) => acknowledge(&acker).await,
            Err(_) => {
                give_up(&acker).await;
                false
            }
        };
        Ok(true)
    }

    fn read(&self, incoming: &Incoming) -> Result<Arrived, InvalidJob> {
        let way = Way {
            key: incoming.routing_key.as_str(),
            of_worker: self.broker.topology.is_workers(incoming.exchange.as_str()),
            redelivered: incoming.redelivered,
        };
        message::read(&incoming.properties, &incoming.data, way)
    }

    /// Buries a message that is no job, as it is. In a task of its own: the dead letters may be
    /// full, and the jobs should come.
    fn bury(&self, incoming: Incoming, reason: String) {
        let (broker, burying) = (Arc::clone(&self.broker), self.burying.one());
        tokio::spawn(async move {
            let _burying = burying;
            let Incoming { properties, data, acker, .. } = incoming;
            tracing::warn!(reason, "a message is no job and is buried");
            let letter =
                Outgoing::dead(&broker.topology, &message::id(&properties), data, &reason, 1, &[]);
            match broker.publisher.publish(vec![letter], publisher::PATIENCE, None).await {
                Ok(()) => acknowledge(&acker).await,
                Err(error) => {
                    tracing::warn!(%error, "a message that is no job could not be buried; it will \
                        come again");
                    give_up(&acker).await;
                    false
                }
            }
        });
    }

    /// Sees that the lanes' queues are there and that jobs come from them. A broker does not always
    /// tell that a queue was deleted: not if somebody declares it again at once.
    async fn look_after_lanes(&self, session: &mut Session) -> Result<(), Lost> {
        let heard = std::mem::take(&mut session.heard);
        let before = std::mem::take(&mut session.silent);
        for &lane in &self.lanes {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let asked = session.channel.queue_declare(
                self.broker.topology.lane(lane).into(),
                options,
                FieldTable::default(),
            );
            match timeout(ANSWER, asked).await.map_err(|_| silent())? {
                Ok(queue) => {
                    // What is being buried takes room too.
                    let room = self.hands.has_room(lane) && self.burying.is_zero();
                    let silent = queue.message_count() > 0 && !heard.contains(&lane) && room;
                    if queue.consumer_count() == 0 || (silent && before.contains(&lane)) {
                        return Err(Lost::Queue(lane));
                    }
                    session.silent.extend(silent.then_some(lane));
                }
                Err(error) if has_code(&error, NOT_FOUND) => return Err(Lost::Queue(lane)),
                Err(error) => return Err(explain(&error).into()),
            }
        }
        Ok(())
    }

    async fn somebody_waits_alone(&self, channel: &Channel) -> Result<bool, QueueError> {
        for &lane in &self.lanes {
            if count(channel, &self.broker.topology.solo(lane)).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Handles what is in the solo queues, one by one and with nothing beside it; then goes on as
    /// before.
    async fn handle_alone(&self, session: &mut Session) -> Result<(), QueueError> {
        self.hands.update(|shelf| shelf.mode = Mode::Solo);
        self.empty_hands(session).await?;
        let until_idle = async || {
            tokio::select! {
                () = self.stop.cancelled() => false,
                () = self.hands.until_idle() => true,
            }
        };
        if !until_idle().await {
            return Ok(());
        }
        for &lane in &self.lanes {
            let queue = self.broker.topology.solo(lane);
            loop {
                let got =
                    session.channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
                let Some(got) = answer(got).await? else { break };
                match self.read(&got.delivery) {
                    Ok(arrived) => self.hands.update(|shelf| {
                        shelf.put_solo(Parcel { arrived, acker: got.delivery.acker })
                    }),
                    Err(invalid) => self.bury(got.delivery, invalid.to_string()),
                }
                if !until_idle().await {
                    return Ok(());
                }
            }
        }
        self.consume(session).await?;
        self.hands.update(|shelf| shelf.mode = Mode::Lanes);
        Ok(())
    }

    /// Lets the broker send nothing more, and puts back what it sent ahead.
    async fn empty_hands(&self, session: &mut Session) -> Result<(), QueueError> {
        for lane in &self.lanes {
            answer(
                session.channel.basic_cancel(lane.as_str().into(), BasicCancelOptions::default()),
            )
            .await?;
        }
        // What is about to be taken from is left as soon as it is.
        while let Ok(Some(Ok(joined))) = timeout(JOINING, session.joining.join_next()).await {
            session.joined(joined, &BTreeSet::new()).await;
        }
        session.leave(&BTreeSet::new()).await;
        while let Some((origin, incoming)) = session.incoming.next().await {
            if let Some(incoming) = incoming {
                self.accept(&origin, incoming.map_err(|error| explain(&error))?).await?;
            }
        }
        self.put_back().await;
        Ok(())
    }

    /// Publishes what was sent ahead anew: a job that no worker had in hand was not delivered. If
    /// that fails, the broker takes it back and counts it.
    async fn put_back(&self) {
        let (solo, parcels) = self.hands.update(|shelf| (shelf.take_solo(), shelf.clear()));
        if let Some(solo) = solo {
            give_up(&solo.acker).await;
        }
        let topology = &self.broker.topology;
        let messages = parcels
            .iter()
            .map(|parcel| Outgoing::back(topology, &parcel.arrived))
            .collect::<Result<Vec<_>, _>>();
        let published = match messages {
            Ok(messages) => {
                self.broker.publisher.publish(messages, Duration::from_secs(5), None).await
            }
            Err(error) => Err(error),
        };
        match published {
            Ok(()) => {
                for parcel in parcels {
                    acknowledge(&parcel.acker).await;
                }
            }
            Err(error) => {
                tracing::warn!(jobs = parcels.len(), %error, "jobs could not be put back; the \
                    broker will deliver them again")
            }
        }
    }

    /// Puts back what was sent ahead, and ends the session once what is held of it is settled.
    async fn put_all_back(&self, mut session: Session) {
        if let Err(error) = self.empty_hands(&mut session).await {
            tracing::debug!(%error, "nothing could be put back: the connection is lost");
        }
        let (hands, channel) = (Arc::clone(&self.hands), session.channel);
        let channels: Vec<Channel> = session.places.into_channels().chain([channel]).collect();
        // The broker's answer: it has read every acknowledgement. What a process wrote just before
        // its end may be lost with it. (A quorum queue may still drop a few behind the 32 that it
        // passes on at once; those jobs come twice and are recorded once.)
        let ended = async move {
            hands.until_idle().await;
            for channel in channels {
                channel.close(200, "done".into()).await.ok();
            }
        };
        if self.hands.is_idle() {
            ended.await;
        } else {
            tokio::spawn(ended);
        }
    }
}
