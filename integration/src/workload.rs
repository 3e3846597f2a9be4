//! Load on a topic: a producer that writes down what was acknowledged and when, and a full reading of the topic.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::client::{self, PATIENCE};
use crate::diary::Diary;
use crate::ledger::Place;

/// Records under way at most.
const IN_FLIGHT: i32 = 500;

/// What was acknowledged, and when the last one was.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<(u64, Place)>,
    failed: Vec<String>,
    last: Option<Instant>,
    longest: Duration,
}

#[derive(Clone, Default)]
struct Acknowledgements {
    told: Arc<Mutex<Told>>,
    diary: Option<Diary>,
}

impl Acknowledgements {
    fn with<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, subject: &str, text: &str) {
        if let Some(diary) = &self.diary {
            diary.log(level, subject, text);
        }
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.with(|told| match result {
            Ok(message) => {
                let now = Instant::now();
                let gap = told.last.replace(now).map_or(Duration::ZERO, |last| now - last);
                told.longest = told.longest.max(gap);
                let place = (message.partition(), message.offset());
                match value(message) {
                    Ok(value) => told.acknowledged.push((value, place)),
                    Err(error) => told.failed.push(error.to_string()),
                }
            }
            Err((error, _)) => told.failed.push(error.to_string()),
        });
    }
}

/// The number that a record of a [`Writer`] begins with.
///
/// # Errors
/// It is no such record.
pub fn value(message: &impl Message) -> anyhow::Result<u64> {
    let text = std::str::from_utf8(message.payload().context("no payload")?)?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// An idempotent producer with `acks=all` that sends one record a millisecond, round the partitions, until it is stopped.
pub struct Writer {
    told: Acknowledgements,
    producer: Arc<ThreadedProducer<Acknowledgements>>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins to send; `partitions` are those of the topic.
    ///
    /// # Errors
    /// The client does not start.
    pub fn start(config: ClientConfig, topic: &str, partitions: i32) -> anyhow::Result<Self> {
        Self::start_with(config, topic, partitions, None)
    }

    /// The same, with a diary that is printed if the producer gives up.
    ///
    /// # Errors
    /// As above.
    pub fn start_with(
        mut config: ClientConfig,
        topic: &str,
        partitions: i32,
        diary: Option<Diary>,
    ) -> anyhow::Result<Self> {
        config.set("enable.idempotence", "true").set("linger.ms", "1").set("message.timeout.ms", "60000");
        let told = Acknowledgements { diary, ..Acknowledgements::default() };
        let producer: Arc<ThreadedProducer<Acknowledgements>> = Arc::new(config.create_with_context(told.clone())?);
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::spawn({
            let (producer, stop, sent, topic) = (producer.clone(), stop.clone(), sent.clone(), topic.to_owned());
            move || send(&producer, &stop, &sent, &topic, partitions)
        });
        Ok(Self { told, producer, stop, sent, thread: Some(thread) })
    }

    /// How many records were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.told.with(|told| told.acknowledged.len())
    }

    /// Waits until as many more records were acknowledged.
    ///
    /// # Errors
    /// They never are.
    pub fn until_more(&self, records: usize) -> anyhow::Result<()> {
        let (begun, goal) = (Instant::now(), self.acknowledged() + records);
        while self.acknowledged() < goal {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "nothing is acknowledged: {:?}", self.failures());
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The longest time from one acknowledgement to the next since this was asked last.
    pub fn longest_gap(&self) -> Duration {
        self.told.with(|told| std::mem::take(&mut told.longest))
    }

    /// What clients were told that had to give up.
    pub fn failures(&self) -> Vec<String> {
        self.told.with(|told| told.failed.clone())
    }

    /// Sends no more, and waits for what is under way: everything that was acknowledged.
    ///
    /// # Errors
    /// Something was not acknowledged in time.
    pub fn finish(mut self) -> anyhow::Result<Vec<(u64, Place)>> {
        self.halt();
        let flushed = self.producer.flush(PATIENCE);
        let failed = self.failures();
        if flushed.is_err() || !failed.is_empty() {
            self.told.diary.iter().for_each(Diary::print);
        }
        flushed?;
        let first = failed.first();
        anyhow::ensure!(first.is_none(), "the producer gave up {} records: {first:?}", failed.len());
        let acknowledged = self.told.with(|told| std::mem::take(&mut told.acknowledged));
        let sent = self.sent.load(Ordering::Relaxed);
        anyhow::ensure!(acknowledged.len() as u64 == sent, "{} of {sent} acknowledged", acknowledged.len());
        Ok(acknowledged)
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it panicked about is on standard error; `finish` finds what is missing.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.halt();
    }
}

fn send(
    producer: &ThreadedProducer<Acknowledgements>,
    stop: &AtomicBool,
    sent: &AtomicU64,
    topic: &str,
    partitions: i32,
) {
    let padding = "x".repeat(100);
    for (value, partition) in (0_u64..).zip((0..partitions).cycle()) {
        while producer.in_flight_count() > IN_FLIGHT && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let payload = format!("{value} {padding}");
        let record = BaseRecord::<(), str>::to(topic).payload(&payload).partition(partition);
        producer.send(record).unwrap_or_else(|(error, _)| panic!("not taken: {error}"));
        sent.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every record of a topic: from where it begins to the end that it had when asked.
///
/// # Errors
/// It cannot be read.
pub fn read_all(config: &ClientConfig, topic: &str, partitions: i32) -> anyhow::Result<Vec<(Place, u64)>> {
    let mut config = config.clone();
    let consumer: BaseConsumer = config.set("group.id", "reader").set("enable.auto.commit", "false").create()?;
    let mut places = Vec::new();
    for partition in 0..partitions {
        let (start, end) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        consumer.assign(&list)?;
        let mut next = start;
        while next < end {
            let message = client::next(&consumer)?;
            next = message.offset() + 1;
            places.push(((partition, message.offset()), value(&message)?));
        }
    }
    Ok(places)
}
