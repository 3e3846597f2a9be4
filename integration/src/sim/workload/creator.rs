//! Makes topics: first that of the load, then one after the other.

use std::rc::Rc;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::create_topics::{CreatableTopic, CreateTopicsRequest};

use super::{LOAD, PARTITIONS, Shared, Task, now, rest};
use crate::sim::client::Client;

const CREATE_TOPICS: i16 = 7;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::new(shared.shape.machines, task.rng);
    create(&shared, &mut client, LOAD, PARTITIONS).await;
    shared.ready.set(true);
    let mut number = 0;
    loop {
        let last = shared.draining();
        number += 1;
        create(&shared, &mut client, &format!("other-{number}"), 1).await;
        if last {
            return;
        }
        rest(&mut client.rng, 1_500).await;
    }
}

/// Tries until the topic is there.
async fn create(shared: &Shared, client: &mut Client, name: &str, partitions: i32) {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: shared.shape.replication,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..CreateTopicsRequest::default() };
    loop {
        let node = client.any();
        let answer = client.ask(node, &request, CREATE_TOPICS).await;
        let result = answer.ok().and_then(|answer| answer.topics.into_iter().next());
        let code = result.as_ref().and_then(|result| ErrorCode::from_code(result.error_code));
        {
            let mut history = shared.history.borrow_mut();
            history.trace.note(now(), format_args!("create {name} at {node}: {code:?}"));
            match (code, result) {
                (Some(ErrorCode::None), Some(result)) => {
                    history.topics.insert(name.to_owned(), result.topic_id);
                    return;
                }
                // An earlier attempt was served and its answer lost.
                (Some(ErrorCode::TopicAlreadyExists), _) => return,
                _ => {}
            }
        }
        rest(&mut client.rng, 200).await;
    }
}
