//! Moves replicas and leaders of the load about, and has all replicas back on every node at the end.

use std::rc::Rc;

use goatq_protocol::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use goatq_protocol::message::elect_leaders::ElectLeadersRequest;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::client::Client;
use super::{LOAD, PARTITIONS, Shared, Task, rest};

const REASSIGN: i16 = 1;
const ELECT_LEADERS: i16 = 2;
/// `min.insync.replicas`.
const LEAST_REPLICAS: usize = 2;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::once_ready(&shared, task.rng).await;
    while !shared.draining() {
        rest(&mut client.rng, 2_500).await;
        if client.rng.random_bool(0.5) {
            elect(&shared, &mut client).await;
        } else {
            let partition = client.rng.random_range(0..PARTITIONS);
            let replicas = chosen(&shared, &mut client);
            move_to(&shared, &mut client, partition, replicas).await;
        }
    }
    for partition in 0..PARTITIONS {
        while !move_to(&shared, &mut client, partition, shared.manner.nodes.clone()).await {
            rest(&mut client.rng, 200).await;
        }
    }
}

/// As many nodes as have to be in sync at least, or one more.
fn chosen(shared: &Shared, client: &mut Client) -> Vec<i32> {
    let mut nodes = shared.manner.nodes.clone();
    nodes.extend(shared.manner.newcomer.filter(|_| shared.joined.get()));
    nodes.shuffle(&mut client.rng);
    nodes.truncate(client.rng.random_range(LEAST_REPLICAS..=LEAST_REPLICAS + 1));
    nodes
}

/// Preferred replicas shall lead, where they can.
async fn elect(shared: &Shared, client: &mut Client) {
    let request = ElectLeadersRequest { timeout_ms: 1_000, ..ElectLeadersRequest::default() };
    let node = client.any();
    let answer = client.ask(node, &request, ELECT_LEADERS).await;
    let code = answer.ok().map(|answer| answer.error_code);
    shared.history.borrow_mut().trace.note(shared.now(), format_args!("elect at {node}: {code:?}"));
}

/// Whether a partition is on its way to these replicas.
async fn move_to(shared: &Shared, client: &mut Client, partition: i32, replicas: Vec<i32>) -> bool {
    let part = ReassignablePartition { partition_index: partition, replicas: Some(replicas.clone()) };
    let topic = ReassignableTopic { name: LOAD.into(), partitions: vec![part] };
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: 1_000,
        topics: vec![topic],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let node = client.any();
    let answer = client.ask(node, &request, REASSIGN).await.ok().filter(|answer| answer.error_code == 0);
    let answer = answer.and_then(|answer| answer.responses.into_iter().next()?.partitions.into_iter().next());
    let code = answer.map(|answer| answer.error_code);
    let mut history = shared.history.borrow_mut();
    history.trace.note(shared.now(), format_args!("move {partition} to {replicas:?} at {node}: {code:?}"));
    code == Some(0)
}
