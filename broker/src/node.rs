//! What a request can reach: the parts of a running node. [`crate::assembly`] puts them together.

use std::sync::Arc;

use goatq_controller::Controller;
use goatq_controller::image::MetadataImage;

use crate::clock::Clock;
use crate::config::LiveConfig;
use crate::coordinator::group::GroupCoordinator;
use crate::directories::Directories;
use crate::fetch::FetchState;
use crate::fetcher::lost::LostBrokers;
use crate::loggers::Loggers;
use crate::metadata::applied::Applied;
use crate::metrics::Metrics;
use crate::net::Transport;
use crate::partition::PartitionRegistry;
use crate::producer_ids::ProducerIds;
use crate::purgatory::Purgatory;
use crate::replication::throttle::Throttles;
use crate::threads::offload::Offload;
use crate::topics::auto_create::AutoCreate;

/// What handlers work with. Shared by `Arc`.
pub struct Node {
    pub(crate) id: i32,
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) controller: Controller,
    pub(crate) directories: Arc<Directories>,
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
    pub(crate) transport: Transport,
    /// Leaders that may be gone, whatever the metadata says.
    pub(crate) lost: LostBrokers,
    /// How fast replicas may be copied.
    pub(crate) throttles: Arc<Throttles>,
}

impl Node {
    /// `node.id`.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The controller of this node.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The partitions that this node holds.
    pub fn partitions(&self) -> &Arc<PartitionRegistry> {
        &self.partitions
    }

    /// Reads the logs of the group coordinators of this node once more: partition and leader epoch of each that has nothing under way, and
    /// whether what it knows is the replay of its log. For tests of whole clusters.
    pub async fn audit_groups(&self) -> Vec<(i32, i32, bool)> {
        self.groups.audit().await
    }

    /// The metadata that is in effect on this node. Requests that need several looks at it keep one image, so that they see
    /// one state.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.applied.image()
    }
}
