//! Tells the active controller now and then how large partitions are and how much more this node's disks can take, for the balancer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use goatq_controller::service::BrokerReport;
use goatq_protocol::Uuid;
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// Between two reports, at most and at least; otherwise half of `balancer.interval.ms`.
const LONGEST: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(1);
/// Smaller partitions are not told of: they make no difference.
const SMALLEST: u64 = 64 << 10;

/// Reports until cancelled.
pub(crate) async fn run(node: Arc<Node>, cancel: CancellationToken) {
    loop {
        let interval = (node.config.current().balance.interval / 2).clamp(SHORTEST, LONGEST);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let asked = node.clone();
        let report = node.offload.run(move || report(&asked)).await;
        let told = tokio::select! {
            () = cancel.cancelled() => return,
            told = node.controller.report(report) => told,
        };
        if let Err(error) = told {
            tracing::debug!(%error, "the active controller does not know how large partitions are");
        }
    }
}

fn report(node: &Node) -> BrokerReport {
    let free =
        |dir: &Arc<goatq_storage::log_dir::LogDir>| dir.disk().space(dir.path()).map_or(0, |space| space.available);
    let mut partitions: BTreeMap<Uuid, Vec<(i32, u64)>> = BTreeMap::new();
    for partition in node.partitions.all().into_iter().filter(|partition| partition.is_leader()) {
        let bytes = partition.log().size();
        if bytes >= SMALLEST {
            partitions.entry(partition.topic_id()).or_default().push((partition.index(), bytes));
        }
    }
    BrokerReport {
        id: node.id,
        free_bytes: node.directories.open().iter().map(free).sum(),
        partitions: partitions.into_iter().collect(),
    }
}
