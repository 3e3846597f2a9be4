//! Makes topics: first that of the load, then one after the other.

use std::rc::Rc;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use goatq_protocol::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use goatq_protocol::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use goatq_protocol::wire::Request;
use rand::RngExt;

use super::client::Client;
use super::{CARELESS, LOAD, PARTITIONS, Shared, Task, rest};

const CREATE_TOPICS: i16 = 7;
const CREATE_PARTITIONS: i16 = 3;
const DELETE_TOPICS: i16 = 6;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::new(&shared, task.rng);
    create(&shared, &mut client, (LOAD, &shared.manner.load), PARTITIONS).await;
    if shared.manner.pastimes {
        create(&shared, &mut client, (CARELESS, &[]), 1).await;
    }
    shared.ready.set(true);
    let mut number = 0;
    loop {
        let last = shared.draining();
        number += 1;
        create(&shared, &mut client, (&format!("other-{number}"), &[]), 1).await;
        if last {
            return;
        }
        if shared.manner.pastimes {
            let earlier = format!("other-{}", client.rng.random_range(1..=number));
            match client.rng.random_range(0..4) {
                0 => delete(&shared, &mut client, &earlier).await,
                1 => grow(&shared, &mut client, &earlier).await,
                _ => {}
            }
        }
        rest(&mut client.rng, 1_500).await;
    }
}

/// Tries until the topic is there.
async fn create(
    shared: &Shared,
    client: &mut Client,
    (name, configs): (&str, &[(&'static str, String)]),
    partitions: i32,
) {
    let config = |(name, value): &(&str, String)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some(value.as_str().into()),
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: shared.manner.replication,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..CreateTopicsRequest::default() };
    insist(client, &request, CREATE_TOPICS, |node, answer| {
        let result = answer.and_then(|answer| answer.topics.into_iter().next());
        let code = result.as_ref().and_then(|result| ErrorCode::from_code(result.error_code));
        let mut history = shared.history.borrow_mut();
        history.trace.note(shared.now(), format_args!("create {name} at {node}: {code:?}"));
        match (code, result) {
            (Some(ErrorCode::None), Some(result)) => {
                history.topics.insert(name.to_owned(), result.topic_id);
                true
            }
            // An earlier attempt was served and its answer lost.
            (Some(ErrorCode::TopicAlreadyExists), _) => true,
            // Who did not wait for the outcome does not know it: it may still come about, as in Kafka.
            (None | Some(ErrorCode::RequestTimedOut), _) => {
                history.doubted_topics.insert(name.to_owned());
                false
            }
            (Some(_), _) => false,
        }
    })
    .await;
}

/// Asks one node after the other until `is_done` with what it answered, if it did.
async fn insist<R: Request>(
    client: &mut Client,
    request: &R,
    version: i16,
    is_done: impl Fn(i32, Option<R::Response>) -> bool,
) {
    loop {
        let node = client.any();
        let answer = client.ask(node, request, version).await.ok();
        if is_done(node, answer) {
            return;
        }
        rest(&mut client.rng, 200).await;
    }
}

/// Tries until the topic is gone.
async fn delete(shared: &Shared, client: &mut Client, name: &str) {
    {
        // From now on it may be gone.
        let mut history = shared.history.borrow_mut();
        history.topics.remove(name);
        history.grown.remove(name);
    }
    let topic = DeleteTopicState { name: Some(name.into()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..DeleteTopicsRequest::default() };
    insist(client, &request, DELETE_TOPICS, |node, answer| {
        let result = answer.and_then(|answer| answer.responses.into_iter().next());
        let code = result.and_then(|result| ErrorCode::from_code(result.error_code));
        let mut history = shared.history.borrow_mut();
        history.trace.note(shared.now(), format_args!("delete {name} at {node}: {code:?}"));
        let is_gone = matches!(code, Some(ErrorCode::None | ErrorCode::UnknownTopicOrPartition));
        // A request to make it that was never answered, or not in time, may still come into effect.
        if is_gone && !history.doubted_topics.contains(name) {
            history.gone.insert(name.to_owned());
        }
        is_gone
    })
    .await;
}

/// Tries until the topic has a partition more, if it is there.
async fn grow(shared: &Shared, client: &mut Client, name: &str) {
    const COUNT: u8 = 2;
    if !shared.history.borrow().topics.contains_key(name) {
        return;
    }
    let topic = CreatePartitionsTopic { name: name.into(), count: COUNT.into(), assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1_000, ..CreatePartitionsRequest::default() };
    insist(client, &request, CREATE_PARTITIONS, |node, answer| {
        let result = answer.and_then(|answer| answer.results.into_iter().next());
        let code = result.and_then(|result| ErrorCode::from_code(result.error_code));
        let mut history = shared.history.borrow_mut();
        history.trace.note(shared.now(), format_args!("grow {name} at {node}: {code:?}"));
        // It has as many already after an attempt whose answer was lost.
        let has_grown = matches!(code, Some(ErrorCode::None | ErrorCode::InvalidPartitions));
        if has_grown {
            history.grown.insert(name.to_owned(), COUNT.into());
        }
        has_grown
    })
    .await;
}
