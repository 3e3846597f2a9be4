//! Commits offsets of a group without members, each greater than the last, and asks for the last one at the end.

use std::rc::Rc;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::find_coordinator::FindCoordinatorRequest;
use goatq_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use goatq_protocol::message::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::{LOAD, Shared, Task, now, rest};
use crate::sim::client::Client;

const GROUP: &str = "group";
const FIND_COORDINATOR: i16 = 4;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 8;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::new(shared.shape.machines, task.rng);
    while !shared.ready.get() {
        rest(&mut client.rng, 100).await;
    }
    let mut offset = 0;
    loop {
        let last = shared.draining();
        offset += 1;
        commit(&shared, &mut client, offset).await;
        if last {
            return check(&shared, &mut client).await;
        }
        rest(&mut client.rng, 500).await;
    }
}

async fn coordinator(client: &mut Client) -> i32 {
    let request = FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..FindCoordinatorRequest::default() };
    loop {
        let node = client.any();
        if let Ok(answer) = client.ask(node, &request, FIND_COORDINATOR).await
            && let Some(found) = answer.coordinators.first().filter(|found| found.error_code == 0)
        {
            return found.node_id;
        }
        rest(&mut client.rng, 200).await;
    }
}

/// Tries until it is acknowledged.
async fn commit(shared: &Shared, client: &mut Client, offset: i64) {
    let partition =
        OffsetCommitRequestPartition { committed_offset: offset, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic {
        name: LOAD.into(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest { group_id: GROUP.into(), topics: vec![topic], ..OffsetCommitRequest::default() };
    loop {
        let node = coordinator(client).await;
        let answer = client.ask(node, &request, OFFSET_COMMIT).await;
        let partition = answer.ok().and_then(|answer| answer.topics.into_iter().next());
        let partition = partition.and_then(|topic| topic.partitions.into_iter().next());
        let code = partition.and_then(|partition| ErrorCode::from_code(partition.error_code));
        {
            let mut history = shared.history.borrow_mut();
            history.trace.note(now(), format_args!("commit {offset} at {node}: {code:?}"));
            match code {
                Some(ErrorCode::None) => {
                    history.committed = offset;
                    return;
                }
                Some(_) => {}
                None => {
                    history.doubted.insert(offset);
                }
            }
        }
        rest(&mut client.rng, 200).await;
    }
}

/// The group has the last offset that was acknowledged.
async fn check(shared: &Shared, client: &mut Client) {
    let topic = OffsetFetchRequestTopics {
        name: LOAD.into(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    loop {
        let node = coordinator(client).await;
        let answer = client.ask(node, &request, OFFSET_FETCH).await;
        let group = answer.ok().and_then(|answer| answer.groups.into_iter().next());
        let partition = group
            .filter(|group| group.error_code == 0)
            .and_then(|group| group.topics.into_iter().next()?.partitions.into_iter().next())
            .filter(|partition| partition.error_code == 0);
        if let Some(partition) = partition {
            let mut history = shared.history.borrow_mut();
            let (acked, found) = (history.committed, partition.committed_offset);
            history.trace.note(now(), format_args!("committed {found}"));
            if found != acked && !history.doubted.contains(&found) {
                history.violation(now(), format!("committed offsets: {acked} was acknowledged, {found} is there"));
            }
            return;
        }
        rest(&mut client.rng, 200).await;
    }
}
