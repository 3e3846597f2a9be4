//! How long clients of librdkafka miss a leader that is killed, or stops in order.
//!
//! A producer with `acks=all` sends a record a millisecond to the one partition of a topic with three replicas, and a consumer reads it.
//! The gap is the longest time from one acknowledgement to the next, and from one record that is read to the next, in the time from the
//! end of the leader until three seconds after the next one has acknowledged. Everything goes over loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::field::{self, ask_who_leads, until};
use super::site::Site;
use crate::client;
use crate::diary::Diary;
use crate::workload::Writer;

const TOPIC: &str = "gaps";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long is looked on once the next leader has acknowledged.
const AFTER: Duration = Duration::from_secs(3);

/// How a leader ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// kill -9.
    Kill,
    /// SIGTERM.
    Stop,
}

/// What clients noticed of one end of a leader.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// The producer.
    pub producer: Duration,
    /// The consumer.
    pub consumer: Duration,
    /// From the signal until a node told of another leader.
    pub elected: Duration,
    /// Whether the one that ended led the quorum, too.
    pub controller: bool,
}

/// A client's backoffs are the same for whoever is measured, and short: what is left is the cluster's.
fn config(sites: &[Site]) -> ClientConfig {
    let addresses: Vec<_> = sites.iter().map(|site| site.listener().to_string()).collect();
    let mut config = client::config_at(&addresses.join(","));
    config.set("retry.backoff.ms", "10").set("retry.backoff.max.ms", "50");
    config.set("topic.metadata.refresh.fast.interval.ms", "10");
    // A question that was about to go to a node that has just ended is asked there again and again: then this is when another is asked.
    config.set("topic.metadata.refresh.interval.ms", "100");
    config
}

/// Clients at work on a cluster that runs.
pub struct Gaps {
    writer: Writer,
    reader: Reader,
}

impl Gaps {
    /// Makes the topic and starts the clients. `loud`: what the consumer did about each end of a leader is printed.
    ///
    /// # Errors
    /// The cluster does not serve.
    pub fn start(sites: &[Site], loud: bool) -> anyhow::Result<Self> {
        let first = sites.first().context("no nodes")?;
        until("a topic", PATIENCE, || field::create_topic(first, TOPIC, 1).ok())?;
        until_whole(sites)?;
        let mut writing = config(sites);
        let diary = loud.then(|| Diary::of("writer", &mut writing, "broker,metadata,topic,msg"));
        let writer = Writer::start_with(writing, TOPIC, 1, diary)?;
        let reader = Reader::start(&config(sites), loud)?;
        writer.until_more(1_000)?;
        Ok(Self { writer, reader })
    }

    /// Ends the leader, and starts it again.
    ///
    /// # Errors
    /// Nobody takes its place.
    pub fn end(&mut self, sites: &mut [Site], how: End) -> anyhow::Result<Gap> {
        until_whole(sites)?;
        let leader = until("a leader", PATIENCE, || sites.iter().find_map(|site| ask_who_leads(site, TOPIC, 0)))?;
        self.writer.until_more(500)?;
        self.writer.longest_gap();
        self.reader.longest_gap();
        let controller = sites.iter().find_map(|site| field::quorum(site).ok()).is_some_and(|(id, _)| id == leader);
        let site = sites.iter_mut().find(|site| site.id == leader).context("a stranger leads")?;
        let note = |text: &str| self.reader.diary.iter().for_each(|diary| diary.note(text));
        note("the leader ends now");
        let begun = Instant::now();
        match how {
            End::Kill => site.kill()?,
            End::Stop => site.terminate()?,
        }
        let next = || {
            let mut others = sites.iter().filter(|site| site.id != leader);
            others.find_map(|site| ask_who_leads(site, TOPIC, 0)).filter(|next| *next != leader)
        };
        until("another leader", PATIENCE, next)?;
        let elected = begun.elapsed();
        self.writer.until_more(100)?;
        note("another one has acknowledged");
        std::thread::sleep(AFTER);
        let (producer, consumer) = (self.writer.longest_gap(), self.reader.longest_gap());
        let gap = Gap { producer, consumer, elected, controller };
        self.reader.diary.iter().for_each(Diary::print);
        sites.iter_mut().find(|site| site.id == leader).context("it was there")?.start()?;
        Ok(gap)
    }
}

/// Reads on, and notes the longest time from one record to the next.
struct Reader {
    told: Arc<Mutex<(Option<Instant>, Duration)>>,
    diary: Option<Diary>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(config: &ClientConfig, loud: bool) -> anyhow::Result<Self> {
        let mut config = config.clone();
        let diary = Diary::of("reader", &mut config, if loud { "broker,metadata,topic,fetch" } else { "" });
        config.set("group.id", "gaps").set("enable.auto.commit", "false").set("fetch.error.backoff.ms", "10");
        let consumer: BaseConsumer<Diary> = config.create_with_context(diary.clone())?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
        consumer.assign(&list)?;
        let (told, stop) = (Arc::<Mutex<(Option<Instant>, Duration)>>::default(), Arc::<AtomicBool>::default());
        let thread = std::thread::spawn({
            let (told, stop) = (told.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
                        let (now, mut told) = (Instant::now(), told.lock());
                        let gap = told.0.replace(now).map_or(Duration::ZERO, |last| now - last);
                        told.1 = told.1.max(gap);
                    }
                }
            }
        });
        Ok(Self { told, diary: loud.then_some(diary), stop, thread: Some(thread) })
    }

    fn longest_gap(&self) -> Duration {
        std::mem::take(&mut self.told.lock().1)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn until_whole(sites: &[Site]) -> anyhow::Result<()> {
    until("all replicas are in sync", PATIENCE, || sites.iter().all(field::is_whole).then_some(()))
}

/// The least time that so many of a hundred do not exceed.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or_default()
}
