//! A running node: the parts that a request can reach, how they are started and how they are taken down.

pub mod workers;

use std::sync::Arc;

use goatq_controller::Controller;
use goatq_controller::image::MetadataImage;

use crate::clock::Clock;
use crate::config::LiveConfig;
use crate::coordinator::group::GroupCoordinator;
use crate::fetch::FetchState;
use crate::loggers::Loggers;
use crate::metadata::applied::Applied;
use crate::metrics::Metrics;
use crate::partition::PartitionRegistry;
use crate::producer_ids::ProducerIds;
use crate::topics::auto_create::AutoCreate;
use workers::Workers;

/// One node. Handlers and tasks share it by `Arc`.
pub struct Node {
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) controller: Controller,
    pub(crate) partitions: Arc<PartitionRegistry>,
    pub(crate) fetch: FetchState,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) groups: Arc<GroupCoordinator>,
    pub(crate) auto_create: AutoCreate,
    pub(crate) applied: Applied,
    pub(crate) loggers: Loggers,
    pub(crate) workers: Arc<Workers>,
}

impl Node {
    /// `node.id`.
    pub fn id(&self) -> i32 {
        self.config.current().identity.node_id
    }

    /// The newest metadata. Requests that need several looks at it keep one image, so that they see one state.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.controller.image()
    }
}
