//! What openraft says of itself, in this project's terms. Its figures come a little late; `applied_index` is the image's.

use std::collections::BTreeMap;

use openraft::{Instant, RaftMetrics};

use super::QuorumStatus;
use crate::raft::{LogId, MetadataRaft};

fn node(id: u64) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}

fn index(index: Option<u64>) -> i64 {
    index.map_or(-1, |index| i64::try_from(index).unwrap_or(i64::MAX))
}

pub(super) fn status(metrics: &RaftMetrics<MetadataRaft>, applied_index: i64) -> QuorumStatus {
    let of = |id: Option<LogId>| index(id.map(|id| id.index));
    let membership = metrics.membership_config.membership();
    let known = |ids: Vec<u64>| -> BTreeMap<i32, _> {
        ids.into_iter().map(|id| (node(id), membership.get_node(&id).cloned().unwrap_or_default())).collect()
    };
    let replicated = metrics.replication.iter().flatten().map(|(id, matched)| (node(*id), of(*matched)));
    let heard = metrics.heartbeat.iter().flatten().filter_map(|(id, heard)| {
        let elapsed = heard.as_ref()?.elapsed();
        Some((node(*id), u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
    });
    QuorumStatus {
        node_id: node(metrics.id),
        leader: metrics.current_leader.map(node),
        term: i32::try_from(metrics.current_term).unwrap_or(i32::MAX),
        voters: known(membership.voter_ids().collect()),
        learners: known(membership.learner_ids().collect()),
        last_index: index(metrics.last_log_index),
        committed_index: of(metrics.cluster_committed.max(metrics.local_committed)),
        applied_index,
        snapshot_index: of(metrics.snapshot),
        replicated: replicated.collect(),
        heard_ms: heard.collect(),
        failure: metrics.running_state.as_ref().err().map(|fatal| fatal.to_string()),
    }
}
