//! A running node: the parts that a request can reach, how they are started and how they are taken down.

pub mod workers;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::LiveConfig;
use crate::metrics::Metrics;
use crate::partition::PartitionRegistry;
use crate::topics::auto_create::AutoCreate;
use workers::Workers;

/// One node. Handlers and tasks share it by `Arc`.
pub struct Node {
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) partitions: Arc<PartitionRegistry>,
    pub(crate) workers: Workers,
    pub(crate) auto_create: AutoCreate,
}

impl Node {
    /// `node.id`.
    pub fn id(&self) -> i32 {
        self.config.current().identity.node_id
    }
}
