//! Topics that come into being because somebody asked for them: on first use by a client, and internal ones.

use std::sync::Arc;

use goatq_protocol::ErrorCode;
use goatq_protocol::Uuid;

use crate::node::Node;

/// A topic that the broker keeps its own records in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InternalTopic {
    /// `__consumer_offsets`.
    ConsumerOffsets,
}

impl InternalTopic {
    /// The topic's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConsumerOffsets => "__consumer_offsets",
        }
    }
}

/// Creates topics on demand through the controller.
pub(crate) struct AutoCreate;

impl AutoCreate {
    /// Creates a topic that a client named, with the broker's defaults, unless it exists already. Waits until this
    /// node's image has it and its partitions are open (or a few seconds are over), so that the client's next request
    /// finds it. Whether the client may (`auto.create.topics.enable`, its own flag) is the caller's question.
    ///
    /// # Errors
    /// The code for the client: INVALID_TOPIC_EXCEPTION for a bad name, INVALID_REPLICATION_FACTOR and so on; a
    /// controller that cannot be reached gives UNKNOWN_TOPIC_OR_PARTITION, which clients retry.
    pub(crate) async fn topic(&self, node: &Arc<Node>, name: &str) -> Result<Uuid, ErrorCode> {
        let _ = (node, name);
        todo!()
    }

    /// Creates an internal topic unless it exists, with the partitions, replication factor and configuration that
    /// its own keys ask for, and waits as [`Self::topic`] does.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE, which clients retry.
    pub(crate) async fn internal(&self, node: &Arc<Node>, topic: InternalTopic) -> Result<Uuid, ErrorCode> {
        let _ = (node, topic);
        todo!()
    }
}
