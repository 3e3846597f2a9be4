//! The half of a connection that writes produce requests: when, how many records, and to which partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_protocol::message::ProduceRequest;
use goatq_protocol::message::produce::{PartitionProduceData, TopicProduceData};
use goatq_protocol::wire::Records;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, mpsc};

use crate::clock::{Alarm, wall_ms};
use crate::cluster::Partition;
use crate::open_loop::Pacer;
use crate::payload::{Payloads, Templates, batch_size};
use crate::run::Run;
use crate::stats::Counts;
use crate::wire::Sender;

/// How long records that are due may still be sent after the end of the run.
const DRAIN: Duration = Duration::from_secs(10);
/// What the broker may take for a request.
const TIMEOUT_MS: i32 = 30_000;
/// Small requests that may go at the same time go together up to this size, as those of librdkafka do.
const TOGETHER: usize = 64 << 10;

/// A request whose answer is awaited.
pub(super) struct Pending {
    pub(super) correlation_id: i32,
    /// When it was written.
    pub(super) began: Duration,
    /// Number of its first record in the schedule.
    pub(super) first: u64,
    pub(super) counts: Counts,
}

/// Sending at a rate.
pub(super) struct Schedule {
    pub(super) rate: f64,
    pub(super) index: usize,
    pub(super) senders: usize,
    pub(super) pacer: Pacer,
    pub(super) alarm: Alarm,
    /// Records sent so far.
    pub(super) sent: u64,
}

/// Where batches come from.
pub(super) enum Source {
    Templates(Templates),
    /// Each value starts with the time at which it was to be sent.
    Stamped(Payloads),
}

/// The half of a lane that writes.
pub(super) struct Sending {
    pub(super) sender: Sender,
    pub(super) version: i16,
    pub(super) partitions: Vec<Partition>,
    pub(super) next_partition: usize,
    /// Each record goes to a partition of its own chance, as with keys; else each request goes to one partition, in turn.
    pub(super) scatter: Option<StdRng>,
    pub(super) source: Source,
    pub(super) acks: i16,
    pub(super) full: usize,
    /// How long records that are due wait for more of them.
    pub(super) linger: Duration,
    pub(super) schedule: Option<Schedule>,
}

impl Sending {
    pub(super) async fn run(
        mut self,
        run: &Run,
        slots: &Semaphore,
        pending: mpsc::Sender<Pending>,
        account: &impl Fn(&Pending),
    ) -> Result<()> {
        if self.schedule.is_none() {
            run.begun().await;
        }
        loop {
            self.slot(slots).await?;
            let Some((first, count)) = self.next_batch(run).await? else { return self.sender.flush().await };
            let batches = self.batches(run, first, count)?;
            let batch_bytes = batches.iter().map(|(_, records)| records.len() as u64).sum();
            let counts = Counts { records: count as u64, requests: 1, batch_bytes };
            let request = self.request(batches);
            let began = run.clock.now();
            let correlation_id = self.sender.queue(&request, self.version)?;
            // With a schedule nobody knows when the next one goes.
            if self.acks == 0 || self.schedule.is_some() || self.sender.unsent_bytes() >= TOGETHER {
                self.sender.flush().await?;
            }
            let sent = Pending { correlation_id, began, first, counts };
            if self.acks == 0 {
                account(&sent);
                slots.add_permits(1);
                // Nothing else would let other tasks run while the socket takes everything.
                tokio::task::yield_now().await;
            } else {
                pending.send(sent).await.context("the reading half is gone")?;
            }
        }
    }

    /// Takes a place for one more request; what waits goes before this does.
    async fn slot(&mut self, slots: &Semaphore) -> Result<()> {
        match slots.try_acquire() {
            Ok(slot) => slot.forget(),
            Err(_) => {
                self.sender.flush().await?;
                slots.acquire().await?.forget();
            }
        }
        Ok(())
    }

    /// Waits until there is something to send. The number of the first record in the schedule, and how many.
    async fn next_batch(&mut self, run: &Run) -> Result<Option<(u64, usize)>> {
        let Some(schedule) = &mut self.schedule else {
            let count = if run.clock.now() < run.window().end { run.take(self.full) } else { 0 };
            return Ok((count > 0).then_some((0, count)));
        };
        let due_at = schedule.pacer.due_at(schedule.sent);
        if due_at >= run.window().end {
            return Ok(None);
        }
        let full_at = schedule.pacer.due_at(schedule.sent + self.full as u64 - 1);
        schedule.alarm.sleep_until(&run.clock, full_at.min(due_at + self.linger)).await?;
        let (now, end) = (run.clock.now(), run.window().end);
        let due = schedule.pacer.due(now.min(end.saturating_sub(Duration::from_nanos(1))));
        // None are, if the run was ended while this waited.
        let due = due.saturating_sub(schedule.sent);
        if now > end.saturating_add(DRAIN) {
            run.stats.borrow_mut().missing += due;
            return Ok(None);
        }
        let wanted = if self.linger.is_zero() { batch_size(due, self.full) } else { self.full.min(due as usize) };
        let count = run.take(wanted);
        let first = schedule.sent;
        schedule.sent += count as u64;
        Ok((count > 0).then_some((first, count)))
    }

    /// The batches of a request, by index into the partitions.
    fn batches(&mut self, run: &Run, first: u64, count: usize) -> Result<Vec<(usize, Records)>> {
        let Some(rng) = &mut self.scatter else {
            let partition = self.next_partition;
            self.next_partition = (self.next_partition + 1) % self.partitions.len();
            return Ok(vec![(partition, self.batch(run, count, |position| first + position)?)]);
        };
        let mut chosen: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for number in first..first + count as u64 {
            chosen.entry(rng.random_range(0..self.partitions.len())).or_default().push(number);
        }
        let mut batches = Vec::with_capacity(chosen.len());
        for (partition, numbers) in chosen {
            let number = |position: u64| numbers.get(position as usize).copied().unwrap_or(first);
            batches.push((partition, self.batch(run, numbers.len(), number)?));
        }
        Ok(batches)
    }

    /// A batch of records whose numbers in the schedule are known by their position.
    fn batch(&mut self, run: &Run, count: usize, number: impl Fn(u64) -> u64) -> Result<Records> {
        match &mut self.source {
            Source::Templates(templates) => templates.batch(count, wall_ms()),
            Source::Stamped(payloads) => {
                let now = run.clock.now();
                let pacer = self.schedule.as_ref().map(|schedule| schedule.pacer);
                let stamp = |position| Some(pacer.map_or(now, |pacer| pacer.due_at(number(position))));
                let batch = payloads.batch(count, wall_ms(), stamp)?;
                Ok(batch.to_chunks().into_iter().collect())
            }
        }
    }

    fn request(&self, batches: Vec<(usize, Records)>) -> ProduceRequest {
        let mut topics: Vec<TopicProduceData> = Vec::with_capacity(1);
        for (index, records) in batches {
            let Partition { topic, topic_id, index, .. } = &self.partitions[index];
            let data = PartitionProduceData { index: *index, records: Some(records) };
            match topics.last_mut() {
                Some(last) if last.name == *topic => last.partition_data.push(data),
                _ => topics.push(of_topic(topic, *topic_id, data)),
            }
        }
        ProduceRequest { transactional_id: None, acks: self.acks, timeout_ms: TIMEOUT_MS, topic_data: topics }
    }
}

fn of_topic(name: &ByteString, topic_id: Uuid, data: PartitionProduceData) -> TopicProduceData {
    TopicProduceData { topic_id, name: name.clone(), partition_data: vec![data] }
}
