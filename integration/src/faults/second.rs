//! Clients that are not ours, on a topic of their own: a producer of librdkafka with several requests under way, and a group's member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message};

use crate::client;
use crate::diary::Diary;
use crate::ledger::{Ledger, Place};
use crate::workload::{Writer, read_all, value};

/// The topic.
pub const TOPIC: &str = "copies";
/// Its partitions.
pub const PARTITIONS: i32 = 3;
/// How long a reader may take to the end.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// A member that says nothing of itself for so long, heartbeats included, stands still in itself.
const SILENCE: Duration = Duration::from_secs(30);

/// What a reader saw, how far it is, and what cannot be.
#[derive(Debug, Default)]
struct Seen {
    content: BTreeMap<Place, u64>,
    next: BTreeMap<i32, i64>,
    wrong: Vec<String>,
}

/// Clients of librdkafka at work.
pub struct Second {
    bootstrap: String,
    writer: Writer,
    until: Arc<AtomicBool>,
    goal: Arc<parking_lot::Mutex<BTreeMap<i32, i64>>>,
    reader: JoinHandle<anyhow::Result<Seen>>,
}

impl Second {
    /// Starts them.
    ///
    /// # Errors
    /// A client does not start.
    pub fn start(bootstrap: &str) -> anyhow::Result<Self> {
        let (until, goal) = (Arc::<AtomicBool>::default(), Arc::<parking_lot::Mutex<BTreeMap<i32, i64>>>::default());
        let (consumer, diary) = member(bootstrap)?;
        let reader = std::thread::spawn({
            let (bootstrap, until, goal) = (bootstrap.to_owned(), until.clone(), goal.clone());
            move || read_all_the_time(&bootstrap, (consumer, diary), &until, &goal)
        });
        let mut config = producer(bootstrap);
        let diary = Diary::of("producer", &mut config, "eos,topic,metadata,broker");
        let writer = Writer::start_with(config, TOPIC, PARTITIONS, Some(diary))?;
        Ok(Self { bootstrap: bootstrap.to_owned(), writer, until, goal, reader })
    }

    /// How many records were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writer.acknowledged()
    }

    /// Ends them, and reads everything once more.
    ///
    /// # Errors
    /// A client gave up, something is lost, there twice, in another order or missed by the reader.
    pub fn finish(self) -> anyhow::Result<usize> {
        let acknowledged = self.writer.finish()?;
        let mut ends = BTreeMap::new();
        for (_, (partition, offset)) in &acknowledged {
            let end = ends.entry(*partition).or_insert(0);
            *end = (*end).max(offset + 1);
        }
        *self.goal.lock() = ends;
        self.until.store(true, Ordering::Relaxed);
        let seen = self.reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        ensure!(seen.wrong.is_empty(), "the reader saw what cannot be: {:?}", seen.wrong);
        let all = read_all(&client::config_at(&self.bootstrap), TOPIC, PARTITIONS)?;
        let there: BTreeSet<_> = all.iter().map(|((partition, _), value)| (*partition, *value)).collect();
        let mut ledger = Ledger::default();
        for &(value, place) in &acknowledged {
            // An answer that was lost, and then that to a later batch: librdkafka knows that the record is there, and not where.
            if place.1 < 0 {
                ensure!(there.contains(&(place.0, value)), "{value} was acknowledged in {}, and is not there", place.0);
                continue;
            }
            let found = seen.content.get(&place);
            ensure!(found == Some(&value), "{value} was acknowledged at {place:?}, the reader saw {found:?} there");
            ledger.acknowledge(value, place);
        }
        ledger.read_all(all).context("librdkafka's records")?;
        Ok(acknowledged.len())
    }
}

fn producer(bootstrap: &str) -> ClientConfig {
    let mut config = client::config_at(bootstrap);
    config.set("socket.timeout.ms", "5000").set("request.timeout.ms", "5000");
    config
}

fn member(bootstrap: &str) -> anyhow::Result<(BaseConsumer<Diary>, Diary)> {
    let mut config = client::config_at(bootstrap);
    config.set("group.id", "readers").set("auto.offset.reset", "earliest").set("session.timeout.ms", "10000");
    config.set("auto.commit.interval.ms", "500");
    let diary = Diary::of("reader", &mut config, "cgrp,topic,fetch");
    let consumer: BaseConsumer<Diary> = config.create_with_context(diary.clone())?;
    consumer.subscribe(&[TOPIC])?;
    Ok((consumer, diary))
}

/// Reads with one member, or, where that stands still in itself, with another one from where the group is. librdkafka 2.12 locks a
/// partition and itself in both orders when it takes down a broker while OffsetForLeaderEpoch fails (librdkafka#5476): with any broker its threads
/// then wait for each other for good, and closing it never ends.
fn read_all_the_time(
    bootstrap: &str,
    (consumer, diary): (BaseConsumer<Diary>, Diary),
    until: &AtomicBool,
    goal: &parking_lot::Mutex<BTreeMap<i32, i64>>,
) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let Err(error) = read(&consumer, until, goal, &mut seen) else { return Ok(seen) };
    diary.print();
    let stands_still = diary.main_is_silent_for() >= SILENCE;
    std::mem::forget(consumer);
    ensure!(stands_still, error);
    println!("reader: stands still in itself, another one takes its place: {error:#}");
    let (consumer, diary) = member(bootstrap)?;
    let read = read(&consumer, until, goal, &mut seen);
    if read.is_err() {
        diary.print();
        std::mem::forget(consumer);
    }
    read.map(|()| seen)
}

/// Reads until it is told where the end is and has got there.
fn read(
    consumer: &BaseConsumer<Diary>,
    until: &AtomicBool,
    goal: &parking_lot::Mutex<BTreeMap<i32, i64>>,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut ending = None;
    loop {
        let next = &mut seen.next;
        if until.load(Ordering::Relaxed) {
            let goal = goal.lock();
            if goal.iter().all(|(partition, end)| next.get(partition).is_some_and(|next| next >= end)) {
                return Ok(());
            }
            let since = *ending.get_or_insert_with(Instant::now);
            ensure!(since.elapsed() < PATIENCE, "the reader is at {next:?}, the end is {goal:?}");
        }
        // What librdkafka reports besides records it recovers from by itself, or the reader does not get to the end.
        let Some(Ok(message)) = consumer.poll(POLL) else { continue };
        let (place, value) = ((message.partition(), message.offset()), value(&message)?);
        if let Some(before) = seen.content.insert(place, value).filter(|before| *before != value) {
            seen.wrong.push(format!("{place:?} was {before} and is {value}"));
        }
        let next = next.entry(place.0).or_insert(0);
        if place.1 > *next {
            seen.wrong.push(format!("partition {} goes from {next} to {}", place.0, place.1));
        }
        *next = (*next).max(place.1 + 1);
    }
}
