//! DescribeQuorum (key 55, versions 0-2): who votes, who follows and how far each of them is (KIP-595, KIP-836, KIP-853).
//!
//! Only the leader of the quorum knows, so it is asked, whichever node the client reached. Where Kafka counts a follower's fetches, here
//! the leader pushes: the time of the last fetch is when it last heard an acknowledgement.

use bytestring::ByteString;
use goatq_controller::service::{QuorumNode, QuorumStatus};
use goatq_controller::topic_name::METADATA_TOPIC;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_quorum::{
    DescribeQuorumListener, DescribeQuorumNode, DescribeQuorumPartition, DescribeQuorumReplica, DescribeQuorumRequest,
    DescribeQuorumResponse, DescribeQuorumTopic,
};

use super::RequestContext;
use super::submit::submit_code;

pub(crate) async fn handle(cx: &RequestContext, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let is_quorum = |topic: &str, partition: i32| topic == METADATA_TOPIC && partition == 0;
    let names = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |partition| (topic.topic_name.clone(), partition.partition_index))
    });
    let asked: Vec<(ByteString, i32)> = names.collect();
    if let Some((topic, partition)) = asked.iter().find(|(topic, partition)| !is_quorum(topic, *partition)) {
        let message = format!("{topic}-{partition} is no quorum: there is one, {METADATA_TOPIC}-0.");
        return failed(ErrorCode::UnknownTopicOrPartition, message);
    }
    let patience = cx.node.config.current().network.controller_timeout;
    let status = match tokio::time::timeout(patience, cx.node.controller.describe()).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return failed(submit_code(&error), error.to_string()),
        Err(_) => {
            return failed(ErrorCode::RequestTimedOut, "The active controller did not answer in time.".to_owned());
        }
    };
    let now_ms = cx.node.clock.wall_ms();
    let topic = DescribeQuorumTopic { topic_name: METADATA_TOPIC.into(), partitions: vec![partition(&status, now_ms)] };
    let nodes = status.voters.iter().chain(&status.learners).map(|(id, node)| listeners(*id, node));
    DescribeQuorumResponse {
        error_code: ErrorCode::None.code(),
        error_message: None,
        topics: if asked.is_empty() { Vec::new() } else { vec![topic] },
        nodes: nodes.collect(),
    }
}

fn failed(error: ErrorCode, message: String) -> DescribeQuorumResponse {
    DescribeQuorumResponse {
        error_code: error.code(),
        error_message: Some(message.into()),
        ..DescribeQuorumResponse::default()
    }
}

fn partition(status: &QuorumStatus, now_ms: i64) -> DescribeQuorumPartition {
    let replicas = |nodes: &std::collections::BTreeMap<i32, QuorumNode>| {
        nodes.iter().map(|(id, node)| replica(status, *id, node, now_ms)).collect()
    };
    DescribeQuorumPartition {
        partition_index: 0,
        error_code: ErrorCode::None.code(),
        error_message: None,
        leader_id: status.leader.unwrap_or(-1),
        leader_epoch: status.term,
        high_watermark: status.committed_index.saturating_add(1),
        current_voters: replicas(&status.voters),
        observers: replicas(&status.learners),
    }
}

/// The end of a log is the offset behind its last entry.
fn replica(status: &QuorumStatus, id: i32, node: &QuorumNode, now_ms: i64) -> DescribeQuorumReplica {
    let leads = status.leader == Some(id);
    let last = if leads { Some(status.last_index) } else { status.replicated.get(&id).copied() };
    let heard = status.heard_ms.get(&id).map(|ago| now_ms.saturating_sub(i64::try_from(*ago).unwrap_or(i64::MAX)));
    let heard = if leads { Some(now_ms) } else { heard };
    let is_caught_up = last.is_some_and(|last| last >= status.committed_index);
    DescribeQuorumReplica {
        replica_id: id,
        replica_directory_id: node.directory_id,
        log_end_offset: last.map_or(-1, |last| last.saturating_add(1)),
        last_fetch_timestamp: heard.unwrap_or(-1),
        last_caught_up_timestamp: heard.filter(|_| is_caught_up).unwrap_or(-1),
    }
}

fn listeners(id: i32, node: &QuorumNode) -> DescribeQuorumNode {
    let listeners = node.endpoints.iter().map(|endpoint| DescribeQuorumListener {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    });
    DescribeQuorumNode { node_id: id, listeners: listeners.collect() }
}
