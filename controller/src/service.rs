//! The controller as the rest of the node sees it.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_storage::{group_commit::GroupCommit, io::Disk, log::LogResources};
use tokio::sync::watch;

use crate::{
    decide::{Command, ConfigValidator, TopicDefaults},
    feature::SupportedFeatures,
    image::{Endpoint, MetadataImage},
};

/// Who this node is and with whom it forms a quorum.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// `node.id`.
    pub node_id: i32,
    /// Id of the log directory that holds the metadata log.
    pub directory_id: Uuid,
    /// The cluster's id, if it is known: from `meta.properties` or configured. Otherwise the log's, or a new one.
    pub cluster_id: Option<ByteString>,
    /// The voters of a new quorum by node id; empty for a quorum of this node alone. An existing quorum knows its own.
    pub voters: BTreeMap<i32, QuorumNode>,
    /// Counts for topics that leave them open.
    pub topic_defaults: TopicDefaults,
    /// Feature levels that can be finalized.
    pub features: SupportedFeatures,
    /// Times of the quorum.
    pub timing: QuorumTiming,
    /// From the operating system: ids that are made here must not meet others'.
    pub seed: [u8; 32],
}

impl ClusterConfig {
    /// A quorum of one, with defaults.
    pub fn single(node_id: i32, directory_id: Uuid, seed: [u8; 32]) -> Self {
        ClusterConfig {
            node_id,
            directory_id,
            cluster_id: None,
            voters: BTreeMap::new(),
            topic_defaults: TopicDefaults::default(),
            features: SupportedFeatures::current(),
            timing: QuorumTiming::default(),
            seed,
        }
    }
}

/// A node of the quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumNode {
    /// Id of the log directory that holds its metadata log; zero when it is not known yet.
    pub directory_id: Uuid,
    /// Where its controller listener is.
    pub endpoints: Vec<Endpoint>,
}

/// Times of the quorum. They matter to quorums of several voters only: one voter elects itself at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumTiming {
    /// How often a leader shows that it is alive.
    pub heartbeat: Duration,
    /// A follower that hears nothing for this long, and up to twice as long, calls an election (`controller.quorum.election.timeout.ms`).
    pub election_timeout: Duration,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
}

impl Default for QuorumTiming {
    fn default() -> Self {
        QuorumTiming {
            heartbeat: Duration::from_millis(150),
            election_timeout: Duration::from_millis(1_000),
            snapshot_every: 5_000,
        }
    }
}

/// Where the metadata log lives: `<log_dir>/__cluster_metadata-0`, with its snapshots and the state of the quorum.
#[derive(Clone, Debug)]
pub struct MetadataStorage {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The log directory; its lock is held by the caller.
    pub log_dir: PathBuf,
    /// What the logs of that directory share.
    pub resources: Arc<LogResources>,
    /// The directory's group commit, which the caller runs.
    pub commit: GroupCommit,
    /// Whether calls that block on the disk (start-up, snapshots, cutting the log) are moved to tokio's threads for blocking
    /// calls. Simulations say no, to be repeatable.
    pub offload: bool,
}

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The metadata log, the snapshot or the state of the quorum cannot be read or written.
    #[error("metadata storage: {0}")]
    Storage(String),
    /// The log belongs to another cluster.
    #[error(transparent)]
    WrongCluster(#[from] crate::decide::cluster::WrongCluster),
    /// The configuration contradicts itself.
    #[error("quorum configuration: {0}")]
    Config(String),
    /// Raft stopped.
    #[error("raft: {0}")]
    Raft(String),
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Another node leads the quorum, or none at the moment. Nothing was changed.
    #[error("this node does not lead the quorum")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<i32>,
    },
    /// Leadership was lost while the change was under way: it may or may not happen.
    #[error("leadership of the quorum was lost, the change may or may not happen")]
    Unknown,
    /// The change cannot be written.
    #[error("the change does not fit the metadata log: {0}")]
    TooLarge(String),
    /// The controller has stopped, by request or because its disk failed.
    #[error("the controller has stopped")]
    Stopped,
}

/// How the quorum is, for DescribeQuorum, health checks and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumStatus {
    /// This node.
    pub node_id: i32,
    /// Who leads, if anyone.
    pub leader: Option<i32>,
    /// The term, which is the leader epoch of the metadata log.
    pub term: i32,
    /// Voters with what is known of them.
    pub voters: BTreeMap<i32, QuorumNode>,
    /// Nodes that follow without a vote.
    pub learners: BTreeMap<i32, QuorumNode>,
    /// Index of the last entry in this node's log, -1 for none.
    pub last_index: i64,
    /// Index of the last entry known to be committed, -1 for none.
    pub committed_index: i64,
    /// Index of the last entry that is in the image, -1 for none.
    pub applied_index: i64,
    /// Last index in the newest snapshot, -1 for none.
    pub snapshot_index: i64,
    /// On the leader: the last index that each node is known to have.
    pub replicated: BTreeMap<i32, i64>,
    /// Why the controller has stopped, if it has.
    pub failure: Option<String>,
}

/// The controller of this node. Clones are handles to the same one.
#[derive(Clone)]
pub struct Controller {
    _private: (),
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}

impl Controller {
    /// Opens the metadata log, forms the quorum if it is new, and when it returns on a quorum of one, leads it with everything
    /// applied. `storage.commit` must be running. Call it within a tokio runtime; its tasks live there.
    pub async fn start(
        config: ClusterConfig,
        storage: MetadataStorage,
        validator: Arc<dyn ConfigValidator>,
    ) -> Result<Controller, StartError> {
        let _ = (config, storage, validator);
        todo!()
    }

    /// The newest image: everything that is applied.
    pub fn image(&self) -> Arc<MetadataImage> {
        todo!()
    }

    /// Tells of every new image. Who is slow sees only the newest; [`crate::image::MetadataDelta::between`] finds what changed
    /// since the one he saw last.
    pub fn watch(&self) -> watch::Receiver<Arc<MetadataImage>> {
        todo!()
    }

    /// Decides a command against the newest state, writes what it changes, and answers when the change is in the image.
    ///
    /// Waits while the queue is full. Dropping the future does not take the command back.
    pub async fn submit<C: Command>(&self, command: C) -> Result<C::Response, SubmitError> {
        let _ = command;
        todo!()
    }

    /// How the quorum is.
    pub fn status(&self) -> QuorumStatus {
        todo!()
    }

    /// Stops: what is queued is answered with [`SubmitError::Stopped`]; everything acknowledged is durable. Idempotent.
    pub async fn shutdown(&self) {
        todo!()
    }
}
