//! A node as a whole: put together, running, and taken down again.
//!
//! [`start`] puts the parts together, [`RunningNode::shutdown`] takes them apart in reverse order.

mod cluster;
pub mod error;
mod listeners;
mod network;
mod replication;
pub mod start;
mod storage;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use goatq_storage::log_dir::LogDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::health::{Health, Phase};
use crate::lifecycle::{Registration, give_up_leadership};
use crate::node::Node;
use crate::partition::LastAppend;
use crate::tasks::high_watermarks::note;
pub use error::StartError;
use listeners::Servers;
pub use start::NodeOptions;

/// How long requests under way may take when the node stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long followers in sync may take to have all that this node has, before others lead them: longer, and producers would wait for a slow disk.
const LEVEL: Duration = Duration::from_millis(50);
/// How long clients may have nobody to send to because others are to lead.
const TAKEN_OVER: Duration = Duration::from_millis(100);
/// How long another voter may take to become the leader of the quorum in place of this one.
const HAND_OVER: Duration = Duration::from_secs(1);

/// A node that serves, with what it takes to stop it.
pub struct RunningNode {
    node: Arc<Node>,
    servers: Servers,
    dirs: Vec<Arc<LogDir>>,
    registration: Option<Registration>,
    addresses: BTreeMap<String, SocketAddr>,
    quorum_addresses: BTreeMap<String, SocketAddr>,
    http_address: Option<SocketAddr>,
    health: Arc<Health>,
    tracker: TaskTracker,
    commits: TaskTracker,
    cancel: CancellationToken,
}

impl RunningNode {
    /// Starts a node. Must be called within a runtime, which its tasks stay on.
    ///
    /// # Errors
    /// See [`StartError`]. What was started until then is stopped; the directories count as not shut down cleanly.
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        start::start(options).await
    }

    /// The part that requests see.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where each listener of controllers is bound, by its name.
    pub fn quorum_addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.quorum_addresses
    }

    /// Where each listener of clients is bound, by its name.
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// Where metrics and health are served, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The epoch of the broker's registration, -1 on a node that is only a controller.
    fn broker_epoch(&self) -> i64 {
        self.registration.as_ref().map_or(-1, Registration::epoch)
    }

    /// How the node is.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Stops in order: no more connections and requests, those under way are answered, everything is made durable, and the
    /// directories are marked as shut down cleanly.
    pub async fn shutdown(self) {
        self.health.enter(Phase::Stopping);
        self.leave_cluster().await;
        self.node.fetch.stopping.cancel();
        // Members that wait for a rebalance would keep their connections open.
        let drained = self.servers.clients.drain(DRAIN);
        let parked = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.node.groups.shut_down();
        };
        let (cut, ()) = tokio::join!(drained, parked);
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut with requests unanswered");
        }
        if let Some(nodes) = &self.servers.nodes {
            // Other nodes find another way at once, they need not be waited for.
            nodes.drain(Duration::from_millis(200)).await;
        }
        self.node.controller.shutdown().await;
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.close_directories().await;
        self.commits.close();
        self.commits.wait().await;
    }

    /// Hands over what this node leads: partitions to other brokers, the quorum to another voter.
    async fn leave_cluster(&self) {
        let config = self.node.config.current();
        if self.node.controller.votes_alone() {
            return;
        }
        if self.dirs.iter().any(|dir| dir.health().is_poisoned()) {
            // Its metadata may stand still: it would not learn who coordinates its groups next, and go on telling what they had.
            self.node.groups.shut_down();
        }
        if let Some(registration) = self.registration.as_ref().filter(|_| config.quorum.controlled_shutdown) {
            self.level_followers().await;
            let given_up = give_up_leadership(registration);
            tokio::pin!(given_up);
            if tokio::time::timeout(TAKEN_OVER, &mut given_up).await.is_err() {
                // The quorum has no leader, say: producers need not wait for that.
                self.node.partitions.all().iter().for_each(|partition| partition.lead_on_after_all());
                given_up.await;
            }
        }
        self.node.controller.resign(HAND_OVER).await;
    }

    /// Takes nothing more from clients, and lets those that are to lead next have everything: who lacks nothing makes nobody cut a log.
    async fn level_followers(&self) {
        let partitions = self.node.partitions.all();
        let left: Vec<_> =
            partitions.iter().filter_map(|partition| Some((partition, partition.hand_over()?))).collect();
        let level = async {
            for (partition, LastAppend { offset, leader_epoch }) in left {
                // Who does not lead any more has nothing to hand over.
                let _ = partition.wait_committed(offset, leader_epoch).await;
            }
        };
        if tokio::time::timeout(LEVEL, level).await.is_err() {
            tracing::debug!("followers do not have everything yet: some may have to cut what the next leader lacks");
        }
    }

    async fn close_directories(&self) {
        note(&self.node.partitions, self.dirs.iter().map(|dir| &**dir));
        for partition in self.node.partitions.all() {
            partition.close();
        }
        let (dirs, now_ms, epoch) = (self.dirs.clone(), self.node.clock.wall_ms(), self.broker_epoch());
        let close = move || {
            for dir in &dirs {
                if let Err(error) = dir.close_clean(epoch, now_ms) {
                    tracing::error!(dir = %dir.path().display(), %error, "the directory is not marked as shut down cleanly");
                }
            }
        };
        self.node.offload.run(close).await;
    }
}
