//! A producer that does not care: no idempotence, and an acknowledgement of the leader alone, or none. What it sends may be lost or doubled
//! until somebody has seen it; from then on it stays.

use std::rc::Rc;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use rand::RngExt;

use super::client::Client;
use super::history::Value;
use super::{Shared, Task, rest};

const PRODUCE: i16 = 9;
/// Its values can be told from those of producers that care.
const FIRST_NAME: u32 = 1_000;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let place = task.place;
    let mut client = Client::once_ready(&shared, task.rng).await;
    for number in 0.. {
        let last = shared.draining();
        let value = Value { producer: FIRST_NAME + task.number, number };
        shared.history.borrow_mut().careless.entry(place.clone()).or_default().insert(value);
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let bytes = value.to_bytes();
        let record = NewRecord { timestamp: shared.reach.wall_ms(), value: Some(&bytes), ..NewRecord::default() };
        builder.push(record).expect("a small record");
        let records = builder.build().expect("a small batch");
        let data = PartitionProduceData { index: place.1, records: Some(records.into()) };
        let topic = TopicProduceData {
            name: place.0.as_str().into(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        // The last one has to arrive.
        let acks = i16::from(last || client.rng.random_bool(0.5));
        let request = ProduceRequest { acks, timeout_ms: 1_000, topic_data: vec![topic], ..ProduceRequest::default() };
        loop {
            let Some(leader) = client.leader(&place).await else {
                rest(&mut client.rng, 200).await;
                continue;
            };
            if acks == 0 {
                if client.tell(leader.node, &request, PRODUCE).await.is_err() {
                    client.forget(&place);
                }
                break;
            }
            let answer = client.ask(leader.node, &request, PRODUCE).await;
            let topic = answer.ok().and_then(|answer| answer.responses.into_iter().next());
            let partition = topic.and_then(|topic| topic.partition_responses.into_iter().next());
            let code = partition.and_then(|partition| ErrorCode::from_code(partition.error_code));
            shared.history.borrow_mut().trace.note(shared.now(), format_args!("careless {value:?}: {code:?}"));
            if code == Some(ErrorCode::None) {
                break;
            }
            client.forget(&place);
            rest(&mut client.rng, 200).await;
        }
        if last {
            return;
        }
        rest(&mut client.rng, 300).await;
    }
}
