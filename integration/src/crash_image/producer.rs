//! An idempotent producer with a few requests under way, that sends again what was not answered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use bytes::Bytes;
use goatq_protocol::message::init_producer_id::InitProducerIdRequest;
use goatq_protocol::message::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use goatq_protocol::record::Compression;
use goatq_protocol::{ErrorCode, Uuid};
use rand::RngExt;
use rand::rngs::StdRng;

use super::book::{Acked, Place};
use super::load::{Load, Target};
use super::record::{self, Id, Stamp};
use crate::peer::Peer;

const PRODUCE: i16 = 13;
const INIT_PRODUCER_ID: i16 = 4;
/// A producer's state remembers five batches: with four under way the last acknowledged one is always among them.
const WINDOW: usize = 4;
/// How often a request is sent again before the test gives up.
const ATTEMPTS: u32 = 2_000;
const PAUSE: Duration = Duration::from_millis(5);

/// A batch for one partition.
struct Part {
    place: Place,
    batch: u32,
    records: u32,
    bytes: Bytes,
}

struct Flight {
    parts: Vec<Part>,
    /// Its number on the connection it was sent on, if it was sent on the one that is open.
    sent: Option<i32>,
    attempts: u32,
}

/// A producer.
pub struct Producer<'a> {
    load: &'a Load,
    number: u32,
    id: i64,
    epoch: i16,
    /// Next sequence, next number of a batch.
    next: HashMap<Place, (i32, u32)>,
    window: VecDeque<Flight>,
    connection: Option<Peer>,
    correlation: i32,
    last_error: Option<(Place, i16)>,
}

impl<'a> Producer<'a> {
    /// A producer with an id of its own.
    ///
    /// # Errors
    /// The node gives none.
    pub fn new(load: &'a Load, number: u32) -> anyhow::Result<Self> {
        let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
        let given = load.ask(&request, INIT_PRODUCER_ID)?;
        anyhow::ensure!(given.error_code == 0, "no producer id: {}", given.error_code);
        let (id, epoch) = (given.producer_id, given.producer_epoch);
        let (next, window) = (HashMap::new(), VecDeque::new());
        Ok(Self { load, number, id, epoch, next, window, connection: None, correlation: 0, last_error: None })
    }

    /// Sends one request of batches for `targets`, with the sizes of their records. Waits for answers only if too many requests
    /// are under way.
    ///
    /// # Errors
    /// The node refuses for good.
    pub fn send(&mut self, targets: &[(Target, Vec<u32>)], rng: &mut StdRng) -> anyhow::Result<()> {
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let mut parts = Vec::with_capacity(targets.len());
        for (target, sizes) in targets {
            let place = (target.topic, target.partition);
            let (sequence, batch) = self.next.entry(place).or_default();
            let codec = if rng.random_bool(0.2) { Compression::Lz4 } else { Compression::None };
            let stamp = Stamp { id: self.id, epoch: self.epoch, sequence: *sequence, now_ms, codec };
            let partition = target.partition;
            let first = Id { topic: target.serial, partition, producer: self.number, batch: *batch, index: 0, size: 0 };
            let bytes = record::batch(first, sizes, target.keyed, stamp)?;
            let records = u32::try_from(sizes.len())?;
            parts.push(Part { place, batch: *batch, records, bytes });
            *sequence += i32::try_from(records)?;
            *batch += 1;
        }
        self.window.push_back(Flight { parts, sent: None, attempts: 0 });
        let limit = rng.random_range(1..=WINDOW);
        self.settle(limit)
    }

    /// Waits until everything sent is acknowledged.
    ///
    /// # Errors
    /// The node refuses for good.
    pub fn drain(&mut self) -> anyhow::Result<()> {
        self.settle(1)
    }

    /// Sends what waits, and takes answers until less than `limit` requests are under way.
    fn settle(&mut self, limit: usize) -> anyhow::Result<()> {
        loop {
            let usable = self.transmit()?;
            if usable && self.window.len() < limit {
                return Ok(());
            }
            if usable && self.take_answer()? {
                continue;
            }
            // The connection is of no use any more: everything under way goes again, in order, on the next one.
            self.connection = None;
            self.window.iter_mut().for_each(|flight| flight.sent = None);
            if self.load.gave_up() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether all requests are on their way.
    fn transmit(&mut self) -> anyhow::Result<bool> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => match Peer::connect(self.load.address()) {
                Ok(connection) => self.connection.insert(connection),
                Err(_) => return Ok(false),
            },
        };
        for flight in self.window.iter_mut().filter(|flight| flight.sent.is_none()) {
            flight.attempts += 1;
            if flight.attempts > ATTEMPTS {
                let places: Vec<_> = flight.parts.iter().map(|part| (part.place, part.batch)).collect();
                bail!("no success with {places:?} after {ATTEMPTS} attempts; the last error is {:?}", self.last_error);
            }
            let correlation = self.correlation;
            self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
            connection.send(correlation, &request(&flight.parts), PRODUCE)?;
            flight.sent = Some(correlation);
        }
        Ok(true)
    }

    /// Takes the answer to the oldest request; whether the connection can be used further.
    fn take_answer(&mut self) -> anyhow::Result<bool> {
        let (Some(flight), Some(connection)) = (self.window.front(), &mut self.connection) else { return Ok(true) };
        let correlation = flight.sent.context("sent before its answer is awaited")?;
        // A node that is killed closes between frames, or within one.
        let Ok(Some(response)) = connection.answer::<ProduceResponse>(correlation, PRODUCE) else { return Ok(false) };
        let answers = response
            .responses
            .iter()
            .flat_map(|topic| topic.partition_responses.iter().map(|answer| ((topic.topic_id, answer.index), answer)));
        let answers: HashMap<Place, _> = answers.collect();
        let mut book = self.load.book();
        let mut again = false;
        for part in &flight.parts {
            let answer = answers.get(&part.place).with_context(|| format!("no answer for {:?}", part.place))?;
            match answer.error_code {
                0 => {
                    let at = book.now();
                    let (producer, batch, records) = (self.number, part.batch, part.records);
                    let acked = Acked { producer, batch, records, at };
                    book.acked(part.place, answer.base_offset, acked, &part.bytes)?;
                }
                code if passes(code) => {
                    self.last_error = Some((part.place, code));
                    again = true;
                }
                code => bail!("{:?}: error {code}: {:?}", part.place, answer.error_message),
            }
        }
        drop(book);
        if !again {
            self.window.pop_front();
        }
        Ok(!again)
    }
}

/// Errors of a node that is starting or ending.
fn passes(code: i16) -> bool {
    let passing = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::RequestTimedOut,
        ErrorCode::BrokerNotAvailable,
        ErrorCode::KafkaStorageError,
    ];
    passing.iter().any(|error| error.code() == code)
}

/// A request for these batches.
fn request(parts: &[Part]) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for part in parts {
        push(&mut topics, part.place, part.bytes.clone());
    }
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: topics, ..ProduceRequest::default() }
}

fn push(topics: &mut Vec<TopicProduceData>, (topic_id, index): Place, bytes: Bytes) {
    let records = Some(bytes.into());
    let data = PartitionProduceData { index, records };
    match topics.iter_mut().find(|topic| topic.topic_id == topic_id) {
        Some(topic) => topic.partition_data.push(data),
        None => {
            topics.push(TopicProduceData { topic_id, partition_data: vec![data], ..TopicProduceData::default() });
        }
    }
}

/// Sends one batch on a connection that nothing else uses; error code and first offset.
///
/// # Errors
/// No answer.
pub fn send_once(peer: &mut Peer, (topic, partition): (Uuid, i32), bytes: Bytes) -> anyhow::Result<(i16, i64)> {
    let mut topics = Vec::new();
    push(&mut topics, (topic, partition), bytes);
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: topics, ..ProduceRequest::default() };
    let response = peer.ask(&request, PRODUCE)?.context("closed")?;
    let answer = response.responses.first().and_then(|topic| topic.partition_responses.first()).context("no answer")?;
    Ok((answer.error_code, answer.base_offset))
}
