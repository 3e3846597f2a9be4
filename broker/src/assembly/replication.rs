//! What keeps replicas together: who is in sync, and fetching from leaders on other brokers.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::BrokerConfig;
use crate::fetcher::peers::{PeerConfig, TcpPeers};
use crate::fetcher::{FetcherConfig, FetcherParts, ReplicaFetchers};
use crate::in_sync::InSync;
use crate::node::Node;
use crate::partition::{PartitionContext, PartitionProposal};
use crate::planted::Planted;
use crate::purgatory::Purgatory;

/// What partitions share.
pub(super) fn context(
    config: &BrokerConfig,
    commits: Arc<Purgatory>,
    proposals: UnboundedSender<PartitionProposal>,
    planted: Option<Planted>,
) -> PartitionContext {
    PartitionContext {
        node_id: config.identity.node_id,
        commits,
        max_lag: config.replication.max_lag,
        fetch_backoff: config.replication.fetch_backoff,
        proposals,
        planted,
    }
}

/// Starts the tasks of replication.
pub(super) fn start(
    node: &Arc<Node>,
    proposed: UnboundedReceiver<PartitionProposal>,
    tracker: &TaskTracker,
    cancel: &CancellationToken,
) {
    let in_sync = InSync::new(node, node.config.current().replication.max_lag);
    tracker.spawn(in_sync.run(proposed, cancel.clone()));
    tracker.spawn(fetchers(node).run(cancel.clone()));
}

fn fetchers(node: &Node) -> ReplicaFetchers {
    let config = node.config.current();
    let replication = &config.replication;
    let batch = config.network.request_max_bytes;
    let peers = PeerConfig {
        listener: config.network.inter_broker_listener.clone(),
        timeout: replication.socket_timeout,
        max_answer: usize::try_from(replication.fetch_response_bytes).unwrap_or(0).saturating_add(batch),
        client_id: format!("broker-{}-fetcher", node.id).into(),
    };
    ReplicaFetchers::new(FetcherParts {
        config: FetcherConfig {
            node_id: node.id,
            max_wait: replication.fetch_max_wait,
            min_bytes: replication.fetch_min_bytes,
            partition_bytes: replication.fetch_partition_bytes,
            response_bytes: replication.fetch_response_bytes,
            max_pause: replication.fetch_backoff,
        },
        partitions: node.partitions.clone(),
        applied: node.applied.clone(),
        peers: Arc::new(TcpPeers { transport: node.transport.clone(), applied: node.applied.clone(), config: peers }),
        clock: node.clock.clone(),
        offload: node.offload,
    })
}
