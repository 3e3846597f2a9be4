//! The controller as the rest of the node sees it.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_storage::{
    group_commit::GroupCommit,
    io::Disk,
    log::{Log, LogResources},
};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

pub use crate::raft::QuorumNode;
use crate::{
    balance::BalanceSettings,
    decide::{Command, ConfigValidator, TopicDefaults},
    feature::SupportedFeatures,
    image::{Endpoint, MetadataImage, SharedImage},
    liveness::{BrokerSessions, LostNodes},
    planted::Planted,
    raft::{
        MetadataRaft,
        admission::Refusal,
        network::{Members, NoTransport, QuorumRequest, QuorumResponse, QuorumTransport},
        state_machine::StateMachine,
    },
};

mod balance;
pub mod calls;
#[cfg(feature = "planted")]
mod deposed;
mod lead;
mod losses;
mod start;
mod status;
pub mod voters;
mod writer;

pub use balance::BrokerReport;
use calls::LeaderRequest;
use writer::{Job, Submission};

/// Who this node is and with whom it forms a quorum.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// `node.id`.
    pub node_id: i32,
    /// Id of the log directory that holds the metadata log.
    pub directory_id: Uuid,
    /// The cluster's id, if it is known: from `meta.properties` or configured. Otherwise the log's, or a new one.
    pub cluster_id: Option<ByteString>,
    /// The voters of a new quorum by node id, with the zero id for directories, so that all of them begin with the same; without any,
    /// and without `servers`, a quorum of this node alone. An existing quorum knows its own.
    pub voters: BTreeMap<i32, QuorumNode>,
    /// Where a node that has no vote finds the quorum: `controller.quorum.bootstrap.servers`, whose ids are not known.
    pub servers: Vec<Endpoint>,
    /// Where other nodes of the quorum reach this one.
    pub endpoints: Vec<Endpoint>,
    /// Whether a node that has no vote gets itself one (`controller.quorum.auto.join.enable`, KIP-1186).
    pub auto_join: bool,
    /// How long a request waits for a leader.
    pub patience: Duration,
    /// `broker.session.timeout.ms`: a broker that is not heard for this long is fenced.
    pub session_timeout: Duration,
    /// Counts for topics that leave them open.
    pub topic_defaults: TopicDefaults,
    /// Feature levels that can be finalized.
    pub features: SupportedFeatures,
    /// Times of the quorum.
    pub timing: QuorumTiming,
    /// What keeps brokers even, where the cluster has no values set at run time.
    pub balance: BalanceSettings,
    /// From the operating system: ids that are made here must not meet others'.
    pub seed: [u8; 32],
    /// What is wrong on purpose: nothing, outside simulations.
    pub planted: Option<Planted>,
}

impl ClusterConfig {
    /// A quorum of one, with defaults.
    pub fn single(node_id: i32, directory_id: Uuid, seed: [u8; 32]) -> Self {
        ClusterConfig {
            node_id,
            directory_id,
            cluster_id: None,
            voters: BTreeMap::new(),
            servers: Vec::new(),
            endpoints: Vec::new(),
            auto_join: false,
            patience: Duration::from_secs(15),
            session_timeout: Duration::from_secs(9),
            topic_defaults: TopicDefaults::default(),
            features: SupportedFeatures::current(),
            timing: QuorumTiming::ALONE,
            balance: BalanceSettings::default(),
            seed,
            planted: None,
        }
    }
}

/// Times of the quorum. They matter to quorums of several voters only: one voter elects itself at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumTiming {
    /// How often a leader shows that it is alive.
    pub heartbeat: Duration,
    /// A follower that hears nothing for this long, and up to twice as long, calls an election (`controller.quorum.election.timeout.ms`).
    pub election_timeout: Duration,
    /// A node whose connections break off is taken for gone when it is not heard for this long; longer than a heartbeat.
    pub lost_after: Duration,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
}

impl QuorumTiming {
    /// For a quorum of one: nobody waits for its heartbeats, so the timers may sleep (a tick is a fifth of a heartbeat).
    pub const ALONE: QuorumTiming = QuorumTiming {
        heartbeat: Duration::from_secs(20),
        election_timeout: Duration::from_secs(60),
        lost_after: Duration::from_secs(30),
        snapshot_every: 5_000,
    };
}

impl Default for QuorumTiming {
    fn default() -> Self {
        QuorumTiming {
            heartbeat: Duration::from_millis(250),
            election_timeout: Duration::from_millis(1_000),
            lost_after: Duration::from_millis(300),
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
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
    /// The decision contradicts the image it was made against: a defect of this program. Nothing was changed.
    #[error("the decision contradicts the metadata: {0}")]
    Defect(String),
    /// The controller has stopped, by request or because its disk failed.
    #[error("the controller has stopped")]
    Stopped,
}

/// How the quorum is, for DescribeQuorum, health checks and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// On the leader: milliseconds since each node was heard; nodes that never were are not in it.
    pub heard_ms: BTreeMap<i32, u64>,
    /// Why the controller has stopped, if it has.
    pub failure: Option<String>,
}

/// The controller of this node. Clones are handles to the same one.
#[derive(Clone)]
pub struct Controller {
    running: Arc<Running>,
}

/// How long a shutdown waits for the entry that is being written.
const GRACE: Duration = Duration::from_secs(2);

/// What the handles share.
struct Running {
    raft: MetadataQuorum,
    queue: mpsc::Sender<Box<dyn Job>>,
    images: watch::Receiver<SharedImage>,
    stop: watch::Sender<bool>,
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    log: Arc<Log>,
    offload: bool,
    transport: Arc<dyn QuorumTransport>,
    members: Members,
    /// Nodes to ask when the leader is not known.
    servers: Vec<(u64, QuorumNode)>,
    next_server: AtomicUsize,
    patience: Duration,
    started: Instant,
    sessions: Mutex<BrokerSessions>,
    /// Taken after `sessions` where both are.
    lost: Mutex<LostNodes>,
    /// Counts what changes about `lost`.
    losses: watch::Sender<u64>,
    /// When a leader sent something last, or this node made itself known.
    heard: Mutex<Instant>,
    /// Who led last, as far as this node knows.
    last_leader: Mutex<Option<i32>>,
    /// Counts how often this node was asked for a heartbeat.
    beats_wanted: watch::Sender<u64>,
    /// How far the metadata is in effect on this node, as its broker said last.
    own_applied: AtomicI64,
    election_timeout: Duration,
    refused: watch::Sender<Option<Refusal>>,
    /// On the leader: what brokers said of their disks and partitions.
    reports: Mutex<balance::Reports>,
    /// Held while the membership changes.
    admitting: tokio::sync::Mutex<()>,
}

/// Nodes whose ids are not known yet are asked under numbers from here on.
pub const UNKNOWN_NODE: u64 = 1 << 40;

impl Running {
    /// Whether there are, or could be, other nodes to ask.
    fn in_quorum(&self) -> bool {
        let others = || {
            let now = self.server();
            now.membership_config.voter_ids().any(|voter| voter != now.id)
        };
        !self.servers.is_empty() || others()
    }

    fn leader(&self) -> Option<u64> {
        self.raft.server_metrics().borrow_watched().current_leader
    }

    fn leads(&self) -> bool {
        self.raft.server_metrics().borrow_watched().state.is_leader()
    }

    /// What Raft says of itself, copied: while somebody looks at a watch, and a writer waits for that, nobody else may look. Who looks again
    /// waits for the writer, and the writer for the first look: for ever.
    fn server(&self) -> RaftServerMetrics<MetadataRaft> {
        self.raft.server_metrics().borrow_watched().clone()
    }

    fn next_server(&self) -> Option<(u64, QuorumNode)> {
        let at = self.next_server.fetch_add(1, Ordering::Relaxed).checked_rem(self.servers.len())?;
        self.servers.get(at).cloned()
    }
}

/// Openraft with the state machine of this crate.
pub(crate) type MetadataQuorum = openraft::Raft<MetadataRaft, StateMachine>;

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("node_id", self.running.raft.node_id()).finish_non_exhaustive()
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
        Controller::start_in_quorum(config, storage, validator, Arc::new(NoTransport)).await
    }

    /// As [`Controller::start`], with a way to reach the other voters. In a quorum of several it returns before a leader is known.
    pub async fn start_in_quorum(
        config: ClusterConfig,
        storage: MetadataStorage,
        validator: Arc<dyn ConfigValidator>,
        transport: Arc<dyn QuorumTransport>,
    ) -> Result<Controller, StartError> {
        start::start(config, storage, validator, transport).await
    }

    /// The newest image: everything that is applied.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.running.images.borrow().clone()
    }

    /// Tells of every new image. Who is slow sees only the newest; [`crate::image::MetadataDelta::between`] finds what changed
    /// since the one he saw last.
    pub fn watch(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.running.images.clone()
    }

    /// Decides a command against the newest state, writes what it changes, and answers when the change is in the image.
    ///
    /// Waits while the queue is full. Dropping the future does not take the command back.
    /// On a node that does not lead, the leader is asked; the change is in this node's image as well when the answer is there.
    ///
    /// # Errors
    /// [`SubmitError::NotLeader`] when no leader was found in time, [`SubmitError::Unknown`] when it was lost meanwhile.
    pub async fn submit<C: LeaderRequest>(&self, command: C) -> Result<C::Answer, SubmitError> {
        self.call(command).await
    }

    /// As [`Controller::submit`], but only if this node leads.
    pub async fn submit_here<C: Command>(&self, command: C) -> Result<C::Response, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let job = Submission::new(command, reply);
        self.running.queue.send(Box::new(job)).await.map_err(|_| SubmitError::Stopped)?;
        answer.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// Handles a request of another node of the quorum. Who sent it has been made sure of by the caller.
    pub async fn handle(&self, request: QuorumRequest) -> Result<QuorumResponse, SubmitError> {
        let raft = &self.running.raft;
        let stopped = |_| SubmitError::Stopped;
        Ok(match request {
            QuorumRequest::Append(request) => {
                self.heard_leader(Some(request.vote.leader_id().voted_for));
                QuorumResponse::Append(raft.append_entries(request).await.map_err(|_| SubmitError::Stopped)?)
            }
            QuorumRequest::Vote(request) => {
                QuorumResponse::Vote(raft.vote(request).await.map_err(|_| SubmitError::Stopped)?)
            }
            QuorumRequest::PreVote(request) => {
                QuorumResponse::Vote(raft.pre_vote(request).await.map_err(|_| SubmitError::Stopped)?)
            }
            QuorumRequest::Snapshot { vote, meta, data } => {
                let snapshot = openraft::Snapshot { meta, snapshot: data };
                QuorumResponse::Snapshot(raft.install_full_snapshot(vote, snapshot).await.map_err(stopped)?)
            }
            QuorumRequest::TransferLeader(request) => {
                QuorumResponse::TransferLeader(raft.handle_transfer_leader(request).await.map_err(stopped)?)
            }
            QuorumRequest::Call(call) => QuorumResponse::Call(self.answer_call(call).await),
        })
    }

    /// What the quorum knows of a node: its disk, and where it is. And whether it has a vote.
    pub fn member(&self, id: i32) -> Option<(QuorumNode, bool)> {
        let id = u64::try_from(id).ok()?;
        let node = self.running.members.get(id)?;
        let voter = self.running.server().membership_config.voter_ids().any(|voter| voter == id);
        Some((node, voter))
    }

    /// Ends when the quorum refuses this node, with the reason.
    pub async fn refused(&self) -> Refusal {
        let mut refused = self.running.refused.subscribe();
        loop {
            if let Some(refusal) = refused.borrow_and_update().clone() {
                return refusal;
            }
            if refused.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How the quorum is, as this node sees it.
    pub fn status(&self) -> QuorumStatus {
        let applied = self.running.images.borrow().applied_index;
        status::status(&self.running.raft.metrics().borrow_watched(), applied)
    }

    /// Bytes of the metadata log on disk.
    pub fn log_size(&self) -> u64 {
        self.running.log.size()
    }

    /// Stops: what is queued is answered with [`SubmitError::Stopped`]; everything acknowledged is durable. Idempotent.
    pub async fn shutdown(&self) {
        self.running.stop.send_replace(true);
        if let Some(mut writer) = self.running.writer.lock().await.take() {
            // Without a quorum nothing is ever written: then Raft is stopped under the writer. One that panicked has stopped too.
            let stopped = tokio::time::timeout(GRACE, &mut writer).await.is_ok();
            self.running.raft.shutdown().await.ok();
            if !stopped {
                writer.await.ok();
            }
            let log = self.running.log.clone();
            let closed = match self.running.offload {
                true => tokio::task::spawn_blocking(move || log.close(0)).await.map_err(|error| error.to_string()),
                false => Ok(log.close(0)),
            };
            if let Err(error) = closed.and_then(|closed| closed.map_err(|error| error.to_string())) {
                tracing::warn!(%error, "the metadata log was not closed cleanly");
            }
        }
    }
}
