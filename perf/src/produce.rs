//! The `produce` command, and the sending half of `end-to-end`.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use goatq_protocol::message::ProduceRequest;
use goatq_protocol::message::produce::{PartitionProduceData, TopicProduceData};
use goatq_protocol::wire::Records;
use tokio::sync::{Semaphore, mpsc};

use crate::args::{LoadArgs, ProduceArgs, RunArgs};
use crate::clock::{Alarm, wall_ms};
use crate::cluster::{self, Partition, TopicSpec};
use crate::open_loop::Pacer;
use crate::payload::{Payloads, Templates, batch_size};
use crate::report::Report;
use crate::run::Run;
use crate::stats::Counts;
use crate::wire::{Connection, Receiver, Sender};

/// How long records that are due may still be sent after the end of the run.
const DRAIN: Duration = Duration::from_secs(10);
/// What the broker may take for a request.
const TIMEOUT_MS: i32 = 30_000;

/// Runs the command.
pub(crate) async fn run(args: &ProduceArgs) -> Result<Report> {
    let partitions = prepare(&args.run, &args.load).await?;
    let mut lanes = lanes(&partitions, &args.run, &args.load, args.rate, false).await?;
    let run = Run::new(&args.run);
    let sent = Cell::new(0);
    for lane in &mut lanes {
        lane.start_at(run.begin);
    }
    let work = async { try_join_all(lanes.into_iter().map(|lane| lane.run(&run, &sent))).await.map(drop) };
    let measured = run.measure(&args.run, work).await?;
    let mut report = Report::new("produce", &args.run, &run, &measured);
    report.payload(args.load.record_size);
    report.describe_load(&args.load, args.rate, partitions.len());
    Ok(report)
}

/// Creates topics if that is wanted, and finds their partitions.
pub(crate) async fn prepare(run: &RunArgs, load: &LoadArgs) -> Result<Vec<Partition>> {
    if let Some(partitions) = load.create {
        let spec = TopicSpec { partitions, replication_factor: -1, configs: Vec::new() };
        cluster::create(&run.bootstrap, &run.topic, &spec).await?;
    }
    cluster::partitions(&run.bootstrap, &run.topic).await
}

/// One connection that sends.
pub(crate) struct Lane {
    sender: Sender,
    receiver: Receiver,
    version: i16,
    partitions: Vec<Partition>,
    next_partition: usize,
    source: Source,
    acks: i16,
    in_flight: usize,
    full: usize,
    schedule: Option<Schedule>,
}

/// Sending at a rate.
struct Schedule {
    rate: f64,
    index: usize,
    senders: usize,
    pacer: Pacer,
    alarm: Alarm,
    /// Records sent so far.
    sent: u64,
}

/// Where batches come from.
enum Source {
    Templates(Templates),
    /// Each value starts with the time at which it was to be sent.
    Stamped(Payloads),
}

/// Opens `connections` connections to every leader. Each sends to all partitions of that leader in turn.
pub(crate) async fn lanes(
    partitions: &[Partition],
    run: &RunArgs,
    load: &LoadArgs,
    rate: Option<f64>,
    stamped: bool,
) -> Result<Vec<Lane>> {
    let groups = cluster::by_leader(partitions);
    let per_leader = usize::from(run.connections);
    let senders = groups.len() * per_leader;
    let mut lanes = Vec::with_capacity(senders);
    for (group, connection) in groups.iter().flat_map(|group| (0..per_leader).map(move |index| (group, index))) {
        let index = lanes.len();
        let leader = group.first().context("a leader without partitions")?;
        let Connection { sender, receiver, versions } = Connection::open(&leader.leader).await?;
        let payloads = Payloads::new(load, index as u64);
        let schedule = match rate {
            None => None,
            Some(rate) => {
                let pacer = Pacer::new(rate, Duration::ZERO, index, senders);
                Some(Schedule { rate, index, senders, pacer, alarm: Alarm::new()?, sent: 0 })
            }
        };
        lanes.push(Lane {
            sender,
            receiver,
            version: versions.of::<ProduceRequest>()?,
            partitions: group.clone(),
            // Connections start at different partitions.
            next_partition: connection * group.len() / per_leader,
            source: if stamped { Source::Stamped(payloads) } else { Source::Templates(Templates::new(payloads)) },
            acks: load.acks,
            in_flight: usize::from(load.in_flight),
            full: load.records_per_batch(),
            schedule,
        });
    }
    Ok(lanes)
}

/// A request whose answer is awaited.
struct Pending {
    correlation_id: i32,
    /// When it was written.
    began: Duration,
    /// Number of its first record in the schedule.
    first: u64,
    counts: Counts,
}

impl Lane {
    pub(crate) fn start_at(&mut self, begin: Duration) {
        if let Some(schedule) = &mut self.schedule {
            schedule.pacer = Pacer::new(schedule.rate, begin, schedule.index, schedule.senders);
        }
    }

    /// Sends until the run is over and all answers are there; `sent` counts the records that the broker took.
    pub(crate) async fn run(self, run: &Run, sent: &Cell<u64>) -> Result<()> {
        let slots = Semaphore::new(self.in_flight);
        let (pending, mut answers) = mpsc::channel::<Pending>(self.in_flight);
        let pacer = self.schedule.as_ref().map(|schedule| schedule.pacer);
        let version = self.version;
        let Self { sender, mut receiver, .. } = self;
        let sending = Sending {
            run,
            slots: &slots,
            sender,
            version,
            partitions: self.partitions,
            next_partition: self.next_partition,
            source: self.source,
            acks: self.acks,
            full: self.full,
            schedule: self.schedule,
        };
        let account = |request: &Pending| {
            sent.set(sent.get() + request.counts.records);
            record(run, pacer.as_ref(), request);
        };
        let receiving = async {
            while let Some(request) = answers.recv().await {
                let answer = receiver.receive::<ProduceRequest>(request.correlation_id, version).await?;
                let mut accepted = true;
                for partition in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
                    accepted &= run.stats.borrow_mut().check(partition.error_code)?;
                }
                if accepted {
                    account(&request);
                }
                slots.add_permits(1);
            }
            Ok(())
        };
        tokio::try_join!(sending.run(pending, &account), receiving).map(drop)
    }
}

/// Notes an accepted request. In an open loop each record counts from the time at which it was due.
fn record(run: &Run, pacer: Option<&Pacer>, request: &Pending) {
    let done = run.clock.now();
    let mut stats = run.stats.borrow_mut();
    match pacer {
        None => {
            stats.completed(done, done, request.counts);
            stats.latency(done, request.began, done);
        }
        Some(pacer) => {
            stats.completed(pacer.due_at(request.first), done, request.counts);
            for number in request.first..request.first + request.counts.records {
                let due = pacer.due_at(number);
                stats.latency(due, due, done);
            }
        }
    }
}

/// The half of a lane that writes.
struct Sending<'a> {
    run: &'a Run,
    slots: &'a Semaphore,
    sender: Sender,
    version: i16,
    partitions: Vec<Partition>,
    next_partition: usize,
    source: Source,
    acks: i16,
    full: usize,
    schedule: Option<Schedule>,
}

impl Sending<'_> {
    async fn run(mut self, pending: mpsc::Sender<Pending>, account: &impl Fn(&Pending)) -> Result<()> {
        if self.schedule.is_none() {
            self.run.begun().await;
        }
        loop {
            self.slots.acquire().await?.forget();
            let Some((first, count)) = self.next_batch().await? else { return Ok(()) };
            let records = self.batch(first, count)?;
            let counts = Counts { records: count as u64, requests: 1, batch_bytes: records.len() as u64 };
            let request = self.request(records);
            let began = self.run.clock.now();
            let correlation_id = self.sender.send(&request, self.version).await?;
            let sent = Pending { correlation_id, began, first, counts };
            if self.acks == 0 {
                account(&sent);
                self.slots.add_permits(1);
                // Nothing else would let other tasks run while the socket takes everything.
                tokio::task::yield_now().await;
            } else {
                pending.send(sent).await.context("the reading half is gone")?;
            }
        }
    }

    /// Waits until there is something to send. The number of the first record in the schedule, and how many.
    async fn next_batch(&mut self) -> Result<Option<(u64, usize)>> {
        let window = self.run.window;
        let Some(schedule) = &mut self.schedule else {
            let count = if self.run.clock.now() < window.end { self.run.take(self.full) } else { 0 };
            return Ok((count > 0).then_some((0, count)));
        };
        let due_at = schedule.pacer.due_at(schedule.sent);
        if due_at >= window.end {
            return Ok(None);
        }
        schedule.alarm.sleep_until(&self.run.clock, due_at).await?;
        let now = self.run.clock.now();
        let due = schedule.pacer.due(now.min(window.end.saturating_sub(Duration::from_nanos(1)))) - schedule.sent;
        if now > window.end.saturating_add(DRAIN) {
            self.run.stats.borrow_mut().missing += due;
            return Ok(None);
        }
        let count = self.run.take(batch_size(due, self.full));
        let first = schedule.sent;
        schedule.sent += count as u64;
        Ok((count > 0).then_some((first, count)))
    }

    fn batch(&mut self, first: u64, count: usize) -> Result<Records> {
        match &mut self.source {
            Source::Templates(templates) => templates.batch(count, wall_ms()),
            Source::Stamped(payloads) => {
                let pacer = self.schedule.as_ref().map(|schedule| schedule.pacer);
                let stamp = |position| pacer.map(|pacer| pacer.due_at(first + position));
                let batch = payloads.batch(count, wall_ms(), stamp)?;
                Ok(batch.to_chunks().into_iter().collect())
            }
        }
    }

    fn request(&mut self, records: Records) -> ProduceRequest {
        let partition = &self.partitions[self.next_partition];
        self.next_partition = (self.next_partition + 1) % self.partitions.len();
        ProduceRequest {
            transactional_id: None,
            acks: self.acks,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![TopicProduceData {
                topic_id: partition.topic_id,
                name: partition.topic.clone(),
                partition_data: vec![PartitionProduceData { index: partition.index, records: Some(records) }],
            }],
        }
    }
}
