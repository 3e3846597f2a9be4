//! A running node: the parts that a request can reach, how they are started and how they are taken down.
//!
//! [`start`] puts the parts together, [`RunningNode::shutdown`] takes them apart in reverse order; [`workers`] are the threads
//! that serve connections, [`offload`] says where blocking work runs, [`health`] what probes are told.

pub mod health;
mod network;
pub mod offload;
pub mod start;
mod storage;
pub mod workers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use goatq_controller::Controller;
use goatq_controller::image::MetadataImage;
use goatq_storage::log_dir::LogDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::LiveConfig;
use crate::coordinator::group::GroupCoordinator;
use crate::fetch::FetchState;
use crate::loggers::Loggers;
use crate::metadata::applied::Applied;
use crate::metrics::Metrics;
use crate::net::server::Server;
use crate::partition::PartitionRegistry;
use crate::producer_ids::ProducerIds;
use crate::purgatory::Purgatory;
use crate::topics::auto_create::AutoCreate;
use health::{Health, Phase};
use offload::Offload;
pub use start::{NodeOptions, StartError};

/// How long requests under way may take when the node stops.
const DRAIN: Duration = Duration::from_secs(10);

/// What handlers work with. Shared by `Arc`.
pub struct Node {
    id: i32,
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) controller: Controller,
    pub(crate) dirs: Vec<Arc<LogDir>>,
    pub(crate) partitions: Arc<PartitionRegistry>,
    pub(crate) fetch: FetchState,
    /// Producers and coordinators that wait until what they wrote is committed.
    pub(crate) waiting: Arc<Purgatory>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) groups: Arc<GroupCoordinator>,
    pub(crate) auto_create: AutoCreate,
    pub(crate) applied: Applied,
    pub(crate) loggers: Loggers,
    pub(crate) offload: Offload,
}

impl Node {
    /// `node.id`.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The metadata that is in effect on this node. Requests that need several looks at it keep one image, so that they see
    /// one state.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.applied.image()
    }
}

/// A node that serves, with what it takes to stop it.
pub struct RunningNode {
    node: Arc<Node>,
    server: Arc<Server>,
    dirs: Vec<Arc<LogDir>>,
    broker_epoch: i64,
    addresses: BTreeMap<String, SocketAddr>,
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

    /// Where each listener is bound, by its name.
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// Where metrics and health are served, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// How the node is.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Stops in order: no more connections and requests, those under way are answered, everything is made durable, and the
    /// directories are marked as shut down cleanly.
    pub async fn shutdown(self) {
        self.health.enter(Phase::Stopping);
        self.node.fetch.stopping.cancel();
        // Members that wait for a rebalance would keep their connections open.
        let drained = self.server.drain(DRAIN);
        let parked = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.node.groups.shut_down();
        };
        let (cut, ()) = tokio::join!(drained, parked);
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut with requests unanswered");
        }
        self.node.controller.shutdown().await;
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.close_directories().await;
        self.commits.close();
        self.commits.wait().await;
    }

    async fn close_directories(&self) {
        for partition in self.node.partitions.all() {
            partition.close();
        }
        let (dirs, now_ms, epoch) = (self.dirs.clone(), self.node.clock.wall_ms(), self.broker_epoch);
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
