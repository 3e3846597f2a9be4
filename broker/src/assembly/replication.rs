//! What keeps replicas together: who is in sync, and fetching from leaders on other brokers.

use std::sync::Arc;
use std::time::Duration;

use goatq_controller::decide::directories::PlacedReplica;
use goatq_controller::entropy::Entropy;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::start::Starting;
use crate::config::{BrokerConfig, LiveConfig};
use crate::fetcher::peers::{PeerConfig, Peers, TcpPeers};
use crate::fetcher::{FetcherConfig, FetcherParts, ReplicaFetchers};
use crate::healing::{Damage, Healer};
use crate::in_sync::InSync;
use crate::moves::Mover;
use crate::node::Node;
use crate::partition::{PartitionContext, PartitionProposal};
use crate::replication::throttle::Throttles;

/// How long a leader may be silent beyond the time that it was asked to wait. After a network that lost everything for a while, a connection
/// sends again only after as long a while; a new one does at once.
const OVERDUE: Duration = Duration::from_secs(3);

/// What partitions share.
pub(super) fn context(
    starting: &Starting,
    config: &BrokerConfig,
    (proposals, damages): (UnboundedSender<PartitionProposal>, UnboundedSender<Damage>),
) -> PartitionContext {
    PartitionContext {
        node_id: config.identity.node_id,
        commits: starting.waiting.clone(),
        max_lag: config.replication.max_lag,
        fetch_backoff: config.replication.fetch_backoff,
        proposals,
        damages,
        planted: starting.planted,
        counts: starting.metrics.replication.clone(),
    }
}

/// Starts the tasks of replication.
pub(super) fn start(
    starting: &Starting,
    node: &Arc<Node>,
    (proposed, damaged): (UnboundedReceiver<PartitionProposal>, UnboundedReceiver<Damage>),
) {
    let (tracker, cancel) = (&starting.tracker, &starting.cancel);
    let in_sync = InSync::new(node, node.config.current().replication.max_lag, starting.planted);
    tracker.spawn(in_sync.run(proposed, cancel.clone()));
    let peers = peers(node);
    tracker.spawn(fetchers(node, peers.clone()).run(cancel.clone()));
    let healer = Healer {
        partitions: node.partitions.clone(),
        peers,
        clock: node.clock.clone(),
        offload: node.offload,
        counts: node.metrics.replication.clone(),
    };
    tracker.spawn(healer.run(damaged, cancel.clone()));
    tracker.spawn(throttle(node.config.clone(), node.throttles.clone(), cancel.clone()));
}

/// Starts what moves replicas between log directories. `misplaced` is told where they have gone.
pub(super) fn start_moves(starting: &mut Starting, node: &Node, misplaced: UnboundedSender<PlacedReplica>) {
    let mover = Mover {
        directories: node.directories.clone(),
        partitions: node.partitions.clone(),
        throttles: node.throttles.clone(),
        clock: node.clock.clone(),
        offload: node.offload,
        misplaced,
        entropy: Mutex::new(Entropy::from_seed(starting.seed())),
        at_once: node.config.current().replication.moves_at_once,
    };
    starting.tracker.spawn(mover.run(starting.cancel.clone()));
}

/// Follows changes of the rates.
async fn throttle(config: Arc<LiveConfig>, throttles: Arc<Throttles>, cancel: CancellationToken) {
    let mut changes = config.changes();
    loop {
        let replication = &config.current().replication;
        throttles.leader().set_rate(replication.leader_throttle.rate);
        throttles.follower().set_rate(replication.follower_throttle.rate);
        throttles.moves().set_rate(replication.move_throttle.rate);
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Connections to other brokers.
fn peers(node: &Node) -> Arc<dyn Peers> {
    let config = node.config.current();
    let replication = &config.replication;
    let batch = config.network.request_max_bytes;
    let peers = PeerConfig {
        listener: config.network.inter_broker_listener.clone(),
        timeout: replication.socket_timeout.min(replication.fetch_max_wait + OVERDUE),
        max_answer: usize::try_from(replication.fetch_response_bytes).unwrap_or(0).saturating_add(batch),
        client_id: format!("broker-{}-fetcher", node.id).into(),
    };
    let (transport, applied, lost) = (node.transport.clone(), node.applied.clone(), node.lost.clone());
    Arc::new(TcpPeers { transport, applied, lost, config: peers })
}

fn fetchers(node: &Node, peers: Arc<dyn Peers>) -> ReplicaFetchers {
    let replication = &node.config.current().replication;
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
        peers,
        clock: node.clock.clone(),
        offload: node.offload,
        throttles: node.throttles.clone(),
        counts: node.metrics.replication.clone(),
    })
}
