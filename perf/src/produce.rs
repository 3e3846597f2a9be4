//! The `produce` command, and the sending half of everything that produces.

mod sending;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use goatq_protocol::message::ProduceRequest;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, mpsc};

use crate::args::{LoadArgs, ProduceArgs, RunArgs};
use crate::clock::Alarm;
use crate::cluster::{self, Partition, TopicSpec};
use crate::open_loop::Pacer;
use crate::payload::{Payloads, Pool, Templates};
use crate::produce::sending::{Pending, Schedule, Sending, Source};
use crate::report::Report;
use crate::run::Run;
use crate::wire::{Connection, Receiver};

/// Runs the command.
pub(crate) async fn run(args: &ProduceArgs) -> Result<Report> {
    let partitions = prepare(&args.run, &args.load).await?;
    let hands = hands(&partitions, usize::from(args.run.connections));
    let lanes = lanes(&hands, &args.load, args.rate, false).await?;
    let run = Run::new(&args.run);
    let sent = Cell::new(0);
    let work = all(lanes, &run, &sent);
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

/// Sends over all lanes until the run is over; `sent` counts the records that the broker took.
pub(crate) async fn all(mut lanes: Vec<Lane>, run: &Run, sent: &Cell<u64>) -> Result<()> {
    for lane in &mut lanes {
        lane.start_at(run.begin);
    }
    try_join_all(lanes.into_iter().map(|lane| lane.run(run, sent))).await.map(drop)
}

/// The partitions that one connection sends to, and the one that it starts with.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    partitions: Vec<Partition>,
    first: usize,
}

/// `connections` connections to every leader, each of which sends to all partitions of that leader. They start at different
/// partitions.
pub(crate) fn hands(partitions: &[Partition], connections: usize) -> Vec<Hand> {
    let groups = cluster::by_leader(partitions);
    let hands = groups.iter().flat_map(|group| {
        (0..connections).map(|index| Hand { partitions: group.clone(), first: index * group.len() / connections })
    });
    hands.collect()
}

/// One connection that sends.
pub(crate) struct Lane {
    receiver: Receiver,
    sending: Sending,
    in_flight: usize,
}

/// Opens the connections. With a rate, all of them share one schedule; stamped values start with the time at which they are to
/// be sent.
pub(crate) async fn lanes(hands: &[Hand], load: &LoadArgs, rate: Option<f64>, stamped: bool) -> Result<Vec<Lane>> {
    let pool = Rc::new(Pool::new(load));
    let mut lanes = Vec::with_capacity(hands.len());
    for (index, hand) in hands.iter().enumerate() {
        let leader = hand.partitions.first().context("a leader without partitions")?;
        let Connection { sender, receiver, versions } = Connection::open(&leader.leader).await?;
        let payloads = Payloads::new(load, Rc::clone(&pool), index as u64);
        let schedule = match rate {
            None => None,
            Some(rate) => {
                let pacer = Pacer::new(rate, Duration::ZERO, index, hands.len());
                Some(Schedule { rate, index, senders: hands.len(), pacer, alarm: Alarm::new()?, sent: 0 })
            }
        };
        // Batches of any size are not kept: there would be too many.
        let any_size = load.scatter || !load.linger.is_zero();
        let sending = Sending {
            sender,
            version: versions.of::<ProduceRequest>()?,
            partitions: hand.partitions.clone(),
            next_partition: hand.first,
            scatter: load.scatter.then(|| StdRng::seed_from_u64(load.seed.wrapping_add(index as u64))),
            source: if stamped || any_size {
                Source::Stamped(payloads)
            } else {
                Source::Templates(Templates::new(payloads))
            },
            acks: load.acks,
            full: load.records_per_batch(),
            linger: load.linger,
            schedule,
        };
        lanes.push(Lane { receiver, sending, in_flight: usize::from(load.in_flight) });
    }
    Ok(lanes)
}

impl Lane {
    fn start_at(&mut self, begin: Duration) {
        if let Some(schedule) = &mut self.sending.schedule {
            schedule.pacer = Pacer::new(schedule.rate, begin, schedule.index, schedule.senders);
        }
    }

    /// Sends until the run is over and all answers are there; `sent` counts the records that the broker took.
    async fn run(self, run: &Run, sent: &Cell<u64>) -> Result<()> {
        let slots = Semaphore::new(self.in_flight);
        let (pending, mut answers) = mpsc::channel::<Pending>(self.in_flight);
        let pacer = self.sending.schedule.as_ref().map(|schedule| schedule.pacer);
        let version = self.sending.version;
        let Self { mut receiver, sending, .. } = self;
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
        tokio::try_join!(sending.run(run, &slots, pending, &account), receiving).map(drop)
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

#[cfg(test)]
mod tests {
    use goatq_protocol::Uuid;

    use super::*;

    #[test]
    fn connections_start_at_different_partitions() {
        let partition = |index| Partition { topic: "t".into(), topic_id: Uuid::ZERO, index, leader: "a".to_owned() };
        let partitions: Vec<Partition> = (0..12).map(partition).collect();
        let first: Vec<usize> = hands(&partitions, 4).iter().map(|hand| hand.first).collect();
        assert_eq!(first, [0, 3, 6, 9]);
        assert_eq!(hands(&partitions, 50).len(), 50);
    }
}
