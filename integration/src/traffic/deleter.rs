//! Deletes records of a partition from its begin, again and again, as far as they were acknowledged.

use std::rc::Rc;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use rand::RngExt;

use super::client::Client;
use super::{Shared, Task, rest};

const DELETE_RECORDS: i16 = 2;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let place = task.place;
    let mut client = Client::once_ready(&shared, task.rng).await;
    loop {
        let last = shared.draining();
        rest(&mut client.rng, 1_500).await;
        let end = shared.history.borrow().acked_end(&place);
        let offset = client.rng.random_range(0..=end);
        {
            let mut history = shared.history.borrow_mut();
            let deleted = history.deleted.entry(place.clone()).or_default();
            *deleted = (*deleted).max(offset);
        }
        let partition = DeleteRecordsPartition { partition_index: place.1, offset };
        let topic = DeleteRecordsTopic { name: place.0.as_str().into(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1_000 };
        loop {
            let code = match client.leader(&place).await {
                Some(leader) => {
                    let answer = client.ask(leader.node, &request, DELETE_RECORDS).await;
                    let topic = answer.ok().and_then(|answer| answer.topics.into_iter().next());
                    let partition = topic.and_then(|topic| topic.partitions.into_iter().next());
                    partition.and_then(|partition| ErrorCode::from_code(partition.error_code))
                }
                None => None,
            };
            let what = format_args!("delete {place:?} below {offset}: {code:?}");
            shared.history.borrow_mut().trace.note(shared.now(), what);
            // Before the begin of the log, or above what a new leader knows to be committed.
            let settled = code == Some(ErrorCode::None) || (code == Some(ErrorCode::OffsetOutOfRange) && !last);
            if settled || (!last && shared.draining()) {
                break;
            }
            client.forget(&place);
            rest(&mut client.rng, 200).await;
        }
        if last {
            return;
        }
    }
}
