//! Reads a partition from its begin to its end, as it grows.

use std::rc::Rc;

use bytes::Bytes;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use goatq_protocol::record::{Limits, split};

use super::client::{Client, Leader};
use super::history::{Place, Value};
use super::{Shared, Task, rest};

const FETCH: i16 = 12;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::new(&shared, task.rng);
    let mut reader = Reader { place: task.place, position: 0 };
    loop {
        let finished = shared.ready.get() && shared.draining() && shared.producing.get() == 0;
        if finished && reader.position >= shared.history.borrow().acked_end(&reader.place) {
            return;
        }
        let Some(leader) = client.leader(&reader.place).await else {
            rest(&mut client.rng, 200).await;
            continue;
        };
        let answer = client.ask(leader.node, &reader.request(leader), FETCH).await;
        let data = answer.ok().filter(|answer| answer.error_code == 0);
        let data = data.and_then(|answer| answer.responses.into_iter().next());
        let data = data.and_then(|topic| topic.partitions.into_iter().next());
        if !data.is_some_and(|data| reader.take(&shared, data)) {
            client.forget(&reader.place);
            rest(&mut client.rng, 150).await;
        }
    }
}

struct Reader {
    place: Place,
    position: i64,
}

impl Reader {
    fn request(&self, leader: Leader) -> FetchRequest {
        let partition = FetchPartition {
            partition: self.place.1,
            current_leader_epoch: leader.epoch,
            fetch_offset: self.position,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic =
            FetchTopic { topic: self.place.0.as_str().into(), partitions: vec![partition], ..FetchTopic::default() };
        FetchRequest { max_wait_ms: 300, min_bytes: 1, topics: vec![topic], ..FetchRequest::default() }
    }

    /// Takes what came; whether it was an answer.
    fn take(&mut self, shared: &Shared, data: PartitionData) -> bool {
        let mut history = shared.history.borrow_mut();
        let code = ErrorCode::from_code(data.error_code);
        let start = if data.log_start_offset < 0 { history.deleted_to(&self.place) } else { data.log_start_offset };
        if code == Some(ErrorCode::OffsetOutOfRange)
            && (self.position + 1..=history.deleted_to(&self.place)).contains(&start)
        {
            history.trace.note(shared.now(), format_args!("read {:?} goes on at {start}", self.place));
            self.position = start;
            return true;
        }
        if code == Some(ErrorCode::OffsetOutOfRange) {
            let what = format!("nothing visible goes: {:?} has no offset {} any more", self.place, self.position);
            history.violation(shared.now(), what);
        }
        if code != Some(ErrorCode::None) {
            history.trace.note(shared.now(), format_args!("read {:?} {}: {code:?}", self.place, self.position));
            return false;
        }
        let bytes: Bytes = data.records.unwrap_or_default().into_bytes();
        let from = self.position;
        for batch in split(&bytes) {
            let Ok(batch) = batch else { break };
            for record in batch.records(Limits::default()) {
                let Ok(record) = record else {
                    history
                        .violation(shared.now(), format!("records are whole: {:?} at {}", self.place, self.position));
                    return false;
                };
                if record.offset < self.position {
                    continue;
                }
                if record.offset >= data.high_watermark {
                    let what = format!("only what is committed: {:?} {} is visible", self.place, record.offset);
                    history.violation(shared.now(), what);
                }
                match record.value.as_deref().and_then(Value::from_bytes) {
                    Some(value) => history.seen(shared.now(), &self.place, record.offset, value),
                    None => {
                        history.violation(shared.now(), format!("strange record: {:?} {}", self.place, record.offset))
                    }
                }
                self.position = record.offset + 1;
            }
        }
        if self.position > from {
            history.trace.note(shared.now(), format_args!("read {:?} {from}..{}", self.place, self.position));
        }
        true
    }
}
