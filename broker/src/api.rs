//! The APIs: one file each in `api/`, found through one table.

pub(crate) mod alter_configs;
mod config_resource;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_topics;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod find_coordinator;
mod group_error;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
mod submit;
pub(crate) mod sync_group;
pub(crate) mod update_features;

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::future::BoxFuture;

use crate::net::{ConnectionInfo, Outcome, Service};
use crate::node::Node;

/// What a handler knows about the request it answers.
///
/// Handlers are `pub(crate) async fn handle(cx: &RequestContext, request: XRequest) -> XResponse` in `api/<name>.rs`;
/// they run on the thread of the connection and must not block it.
pub struct RequestContext {
    /// The node that answers.
    pub node: Arc<Node>,
    /// The connection the request came on.
    pub connection: Arc<ConnectionInfo>,
    /// Version of the request, within the range the table gives for its key.
    pub api_version: i16,
    /// Correlation id the client chose.
    pub correlation_id: i32,
    /// What the client calls itself; any text up to 32 KB, so never a metric label as it is.
    pub client_id: Option<ByteString>,
}

/// Answers the frames of all connections of a node: `listeners.serve(config, workers, Arc::new(Dispatcher::new(node)), ..)`.
pub struct Dispatcher {
    node: Arc<Node>,
}

impl Dispatcher {
    /// Answers for `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl Service for Dispatcher {
    fn is_pipelined(&self, frame: &[u8]) -> bool {
        let _ = frame;
        todo!()
    }

    fn call(&self, connection: &Arc<ConnectionInfo>, frame: Bytes) -> BoxFuture<'static, Outcome> {
        let _ = (connection, frame, &self.node);
        todo!()
    }
}
