//! An idempotent producer on one partition: a batch is sent until it is acknowledged by all replicas in sync, and only then the next.

use std::rc::Rc;

use bytes::Bytes;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::init_producer_id::InitProducerIdRequest;
use goatq_protocol::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use rand::RngExt;

use super::client::Client;
use super::history::{Place, Value};
use super::{Shared, Task, rest};

const INIT_PRODUCER_ID: i16 = 4;
const PRODUCE: i16 = 9;
/// What `base_offset` is where the answer does not say it.
const UNKNOWN: i64 = -1;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::once_ready(&shared, task.rng).await;
    let mut producer = Producer { id: new_id(&mut client).await, name: task.number, place: task.place, next: 0 };
    loop {
        let last = shared.draining();
        let count = client.rng.random_range(1..=4);
        producer.send(&shared, &mut client, count).await;
        if last {
            break;
        }
        rest(&mut client.rng, shared.manner.rest_ms).await;
    }
    shared.producing.set(shared.producing.get() - 1);
}

async fn new_id(client: &mut Client) -> (i64, i16) {
    let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..InitProducerIdRequest::default() };
    loop {
        let node = client.any();
        if let Ok(given) = client.ask(node, &request, INIT_PRODUCER_ID).await
            && given.error_code == 0
        {
            return (given.producer_id, given.producer_epoch);
        }
        rest(&mut client.rng, 200).await;
    }
}

struct Producer {
    id: (i64, i16),
    name: u32,
    place: Place,
    /// Number of the next value; sequences are the same numbers.
    next: u32,
}

impl Producer {
    /// Sends records until they are acknowledged.
    async fn send(&mut self, shared: &Shared, client: &mut Client, count: u32) {
        let values: Vec<_> = (self.next..self.next + count).map(|number| self.value(number)).collect();
        shared.history.borrow_mut().sent.entry(self.place.clone()).or_default().extend(values.iter().copied());
        let padding = client.rng.random_range(0..=shared.manner.padding);
        let batch = self.batch(&values, shared.reach.wall_ms(), padding);
        self.next += count;
        loop {
            let Some(leader) = client.leader(&self.place).await else {
                rest(&mut client.rng, 200).await;
                continue;
            };
            let answer = client.ask(leader.node, &self.request(batch.clone()), PRODUCE).await;
            let answer = answer.ok().and_then(|answer| answer.responses.into_iter().next());
            let answer = answer.and_then(|topic| topic.partition_responses.into_iter().next());
            let code = answer.as_ref().and_then(|answer| ErrorCode::from_code(answer.error_code));
            let offset = answer.map_or(UNKNOWN, |answer| answer.base_offset);
            if self.settled(shared, &values, code, offset) {
                return;
            }
            client.forget(&self.place);
            rest(&mut client.rng, 100).await;
        }
    }

    /// Notes what a node said; whether that was the last word.
    fn settled(&self, shared: &Shared, values: &[Value], code: Option<ErrorCode>, offset: i64) -> bool {
        let mut history = shared.history.borrow_mut();
        match code {
            Some(ErrorCode::None) if offset >= 0 => history.acknowledged(shared.now(), &self.place, offset, values),
            Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => {
                let what = format!("acknowledgements: {:?} {values:?} {code:?} without an offset", self.place);
                history.violation(shared.now(), what);
            }
            // Each batch is acknowledged before the next is sent: whoever leads knows all earlier ones.
            Some(
                ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerEpoch,
            ) => {
                let what = format!("producers are remembered: {:?} {values:?} is refused: {code:?}", self.place);
                history.violation(shared.now(), what);
            }
            code => {
                history.trace.note(shared.now(), format_args!("sent {:?} {values:?}: {code:?}", self.place));
                return false;
            }
        }
        true
    }

    fn value(&self, number: u32) -> Value {
        Value { producer: self.name, number }
    }

    fn batch(&self, values: &[Value], wall_ms: i64, padding: usize) -> Bytes {
        let first = values.first().map_or(0, |value| value.number);
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: self.id.0,
            producer_epoch: self.id.1,
            base_sequence: i32::try_from(first).unwrap_or(0),
            ..BatchOptions::default()
        });
        for value in values {
            let mut bytes = value.to_bytes().to_vec();
            bytes.resize(bytes.len() + padding, 0);
            let record = NewRecord { timestamp: wall_ms, value: Some(&bytes), ..NewRecord::default() };
            builder.push(record).expect("a small record");
        }
        builder.build().expect("a small batch")
    }

    fn request(&self, batch: Bytes) -> ProduceRequest {
        let data = PartitionProduceData { index: self.place.1, records: Some(batch.into()) };
        let topic = TopicProduceData {
            name: self.place.0.as_str().into(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        ProduceRequest { acks: -1, timeout_ms: 1_000, topic_data: vec![topic], ..ProduceRequest::default() }
    }
}
