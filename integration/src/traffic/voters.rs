//! Gives controllers a vote and takes it from others, where there are more of them than voters.

use std::rc::Rc;

use goatq_protocol::message::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequestPartition, DescribeQuorumRequestTopic,
};
use goatq_protocol::message::{
    AddRaftVoterRequest, DescribeQuorumRequest, RemoveRaftVoterRequest, add_raft_voter::Listener,
};
use rand::RngExt;

use super::client::Client;
use super::{Shared, Task, rest};

const DESCRIBE_QUORUM: i16 = 2;
const ADD_RAFT_VOTER: i16 = 0;
const REMOVE_RAFT_VOTER: i16 = 0;
/// As many votes as there are in the long run.
const VOTERS: usize = 3;
/// Who may lose a vote beside the newcomer: a node whose configuration names three voters of which two have no vote does not start.
const FREE_TO_GO: i32 = 1;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::new(&shared, task.rng);
    while !shared.draining() {
        rest(&mut client.rng, 1_500).await;
        let node = client.any();
        if let Some(quorum) = describe(&mut client, node).await {
            change(&shared, &mut client, node, &quorum).await;
        }
    }
}

async fn describe(client: &mut Client, node: i32) -> Option<DescribeQuorumPartition> {
    let partitions = vec![DescribeQuorumRequestPartition { partition_index: 0 }];
    let topics = vec![DescribeQuorumRequestTopic { topic_name: "__cluster_metadata".into(), partitions }];
    let answer = client.ask(node, &DescribeQuorumRequest { topics }, DESCRIBE_QUORUM).await.ok()?;
    let partition = answer.topics.into_iter().next()?.partitions.into_iter().next()?;
    (answer.error_code == 0 && partition.error_code == 0).then_some(partition)
}

/// One vote more where there are few, one less where there are many.
async fn change(shared: &Shared, client: &mut Client, node: i32, quorum: &DescribeQuorumPartition) {
    let voters = &quorum.current_voters;
    let gives = voters.len() <= VOTERS;
    let may_lose = |id: i32| id == FREE_TO_GO || shared.manner.newcomer == Some(id);
    let of: Vec<_> = if gives {
        quorum.observers.iter().collect()
    } else {
        voters.iter().filter(|voter| may_lose(voter.replica_id)).collect()
    };
    if of.is_empty() {
        return;
    }
    let chosen = of[client.rng.random_range(0..of.len())];
    let (voter_id, voter_directory_id) = (chosen.replica_id, chosen.replica_directory_id);
    let answer = if gives {
        let listener = Listener { name: "CONTROLLER".into(), host: "it says itself".into(), port: 9093 };
        let request = AddRaftVoterRequest {
            timeout_ms: 1_000,
            voter_id,
            voter_directory_id,
            listeners: vec![listener],
            ..AddRaftVoterRequest::default()
        };
        client.ask(node, &request, ADD_RAFT_VOTER).await.map(|answer| answer.error_code)
    } else {
        let request = RemoveRaftVoterRequest { voter_id, voter_directory_id, ..RemoveRaftVoterRequest::default() };
        client.ask(node, &request, REMOVE_RAFT_VOTER).await.map(|answer| answer.error_code)
    };
    let what = if gives { "is given" } else { "loses" };
    let line = format_args!("{voter_id} {what} a vote, {} have one: {:?}", voters.len(), answer.ok());
    shared.history.borrow_mut().trace.note(shared.now(), line);
}
