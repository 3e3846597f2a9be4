//! The typed view of the configuration that running code reads: one plain struct per subsystem.
//!
//! A view is immutable: a change of a dynamic key makes a new one (see [`LiveConfig`](super::LiveConfig)), so whoever
//! works with one sees one consistent set of values.

use goatq_controller::balance::BalanceSettings;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::listener::Listener;
use crate::replication::throttle::ThrottleConfig;

/// Everything a node reads from its configuration while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// Who this node is.
    pub identity: IdentityConfig,
    /// With whom it forms a cluster.
    pub quorum: QuorumConfig,
    /// Listeners, connections, request sizes.
    pub network: NetworkConfig,
    /// What topics are made with, and who may make or delete them.
    pub topics: TopicDefaults,
    /// Log directories and the work done on them in the background.
    pub log: LogConfig,
    /// Compaction.
    pub cleaner: CleanerConfig,
    /// Limits of Fetch.
    pub fetch: FetchConfig,
    /// Replication between brokers.
    pub replication: ReplicationConfig,
    /// What keeps brokers even. Of what can change at run time, the active controller looks at the metadata itself.
    pub balance: BalanceSettings,
    /// Limits of classic groups.
    pub groups: GroupConfig,
    /// Committed offsets and the topic that holds them.
    pub offsets: OffsetsConfig,
    /// Producer ids and transactions.
    pub producers: ProducerConfig,
}

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityConfig {
    /// `node.id`, 0 or more.
    pub node_id: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `cluster.id`: the id a new cluster gets; an existing data directory must agree. None: made up on first start.
    pub cluster_id: Option<String>,
}

/// A controller that is configured with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumAddress {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// The metadata quorum and this node's part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `process.roles` has `broker`.
    pub is_broker: bool,
    /// `process.roles` has `controller`.
    pub is_controller: bool,
    /// Those of `listeners` that `controller.listener.names` names.
    pub listeners: Vec<Listener>,
    /// What other nodes are told of them, by listener name: from `advertised.listeners`, or as bound.
    pub advertised: BTreeMap<String, Listener>,
    /// `controller.listener.names`, in upper case; the first one is that by which controllers are reached.
    pub listener_names: Vec<String>,
    /// `controller.quorum.voters`, by node id.
    pub voters: BTreeMap<i32, QuorumAddress>,
    /// `controller.quorum.bootstrap.servers`, without this node itself.
    pub servers: Vec<QuorumAddress>,
    /// `controller.quorum.auto.join.enable`.
    pub auto_join: bool,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout: Duration,
    /// `controller.quorum.request.timeout.ms`: a connection on which nothing comes for this long while something is due is closed.
    pub request_timeout: Duration,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown: bool,
}

impl QuorumConfig {
    /// Whether the node is configured to form a quorum of its own. Others may have joined it since.
    pub fn votes_alone(&self, node_id: i32) -> bool {
        let others = self.voters.keys().any(|id| *id != node_id);
        self.is_controller && !others && self.servers.is_empty()
    }

    /// How many nodes like this one, broker and controller at once, it is configured to be one of.
    pub fn peers(&self) -> usize {
        match self.is_broker && self.is_controller {
            true => self.voters.len().max(self.servers.len() + 1),
            false => 0,
        }
    }

    /// Whether the node has the only vote, and no other node can come to it.
    pub fn is_closed(&self, node_id: i32) -> bool {
        self.votes_alone(node_id) && self.listeners.is_empty()
    }
}

/// Listeners, connections, request sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// `listeners` without those named by `controller.listener.names`.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`: what clients are told, by listener name; a listener without an entry is told as bound.
    pub advertised: BTreeMap<String, Listener>,
    /// `inter.broker.listener.name`, or the first PLAINTEXT listener.
    pub inter_broker_listener: String,
    /// `http.listener`: where metrics and health are served, as `host:port`; None switches it off.
    pub http_listener: Option<String>,
    /// `num.network.threads`: threads that serve connections, each with a runtime of its own. Default one per core.
    pub threads: usize,
    /// `socket.request.max.bytes`: largest request frame.
    pub request_max_bytes: usize,
    /// `queued.max.request.bytes`: memory that requests in flight may hold together; default a quarter of the machine's.
    pub request_memory_bytes: u64,
    /// `max.in.flight.requests.per.connection`: pipelined requests answered in parallel; reading stops above it.
    pub max_in_flight: usize,
    /// `max.connections`, at most what the process may open as files.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`; host names are resolved once, at start.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `max.connection.creation.rate`: new connections a second.
    pub max_connection_creation_rate: u32,
    /// `connections.max.idle.ms`: a connection without a request for this long is closed.
    pub idle_timeout: Duration,
    /// `request.frame.timeout.ms`: time from the first byte of a frame to its last.
    pub frame_timeout: Duration,
    /// `response.send.timeout.ms`: a client that does not read its replies for this long is cut off.
    pub send_timeout: Duration,
    /// `socket.send.buffer.bytes`; None leaves it to the system (-1).
    pub send_buffer: Option<usize>,
    /// `socket.receive.buffer.bytes`; None leaves it to the system (-1).
    pub receive_buffer: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub backlog: u32,
    /// `request.timeout.ms`: how long the controller may take for a request without a timeout of its own.
    pub controller_timeout: Duration,
}

/// What topics are made with, and who may make or delete them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDefaults {
    /// `auto.create.topics.enable`; the default is true on loopback and false as soon as a listener is reachable from
    /// outside.
    pub auto_create: bool,
    /// `delete.topic.enable`.
    pub delete_enable: bool,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`; None when it is not set: then as many as there are brokers, at most three.
    pub default_replication_factor: Option<i16>,
    /// `max.request.partition.size.limit`: partitions in one reply of DescribeTopicPartitions.
    pub max_request_partitions: usize,
}

/// Log directories and the work done on them in the background. Values that a topic can override are not here but in
/// [`TopicConfig`](super::TopicConfig).
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `log.dirs`, else `log.dir`.
    pub dirs: Vec<PathBuf>,
    /// Those that get no new partitions, as named; `*` for all.
    pub cordoned_dirs: Vec<String>,
    /// `metadata.log.dir`, else the first of `dirs`.
    pub metadata_dir: PathBuf,
    /// `log.dir.reserve.bytes` and `log.dir.reserve.percent`: below the smaller of the two, produce is refused.
    pub reserve_bytes: u64,
    /// See `reserve_bytes`.
    pub reserve_percent: u8,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `log.initial.task.delay.ms`: pause before background work starts.
    pub initial_task_delay: Duration,
    /// `log.flush.scheduler.interval.ms`: how often page-cache logs are checked for `flush.ms`.
    pub flush_scheduler_interval: Duration,
    /// Files that logs may hold open together: a share of what the process may open.
    pub open_files: usize,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
}

/// Compaction.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.threads`: logs compacted at the same time.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: memory for keys, bytes, over all threads.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full the map of keys may get.
    pub load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`: reads and writes together.
    pub max_bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`: pause when nothing needs compaction.
    pub backoff: Duration,
}

/// Limits of Fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchConfig {
    /// `fetch.max.bytes`: upper bound of one reply whatever the client asks for (one batch always fits).
    pub max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub session_slots: usize,
}

/// Replication between brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`: a follower that has not caught up for so long is not in sync.
    pub max_lag: Duration,
    /// `replica.fetch.backoff.ms`: the longest pause of a follower after an error.
    pub fetch_backoff: Duration,
    /// `replica.fetch.wait.max.ms`: how long a leader may wait for something to answer; less than `max_lag`.
    pub fetch_max_wait: Duration,
    /// `replica.fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`: of one partition in one answer.
    pub fetch_partition_bytes: i32,
    /// `replica.fetch.response.max.bytes`: of one answer.
    pub fetch_response_bytes: i32,
    /// `replica.socket.timeout.ms`.
    pub socket_timeout: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub checkpoint_interval: Duration,
    /// `replica.selector.class` is `RackAwareReplicaSelector`: consumers read in their own rack.
    pub rack_aware: bool,
    /// `leader.replication.throttled.rate`, with the windows it is measured over.
    pub leader_throttle: ThrottleConfig,
    /// `follower.replication.throttled.rate`, likewise.
    pub follower_throttle: ThrottleConfig,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, with the windows of `alter.log.dirs.replication.quota`.
    pub move_throttle: ThrottleConfig,
    /// `num.replica.alter.log.dirs.threads`.
    pub moves_at_once: usize,
}

/// Limits of classic groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`: how long the first join of an empty group waits for others.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of one group.
    pub max_size: usize,
}

/// Committed offsets and the topic that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsConfig {
    /// `offsets.topic.num.partitions`; fixed once `__consumer_offsets` exists.
    pub partitions: i32,
    /// `offsets.topic.replication.factor`; None when it is not set: then as many as there are brokers, at most three.
    pub replication_factor: Option<i16>,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
    /// `offsets.topic.compression.codec`: Kafka's codec id, 0 (none) to 4 (zstd).
    pub compression_codec: i8,
    /// `offsets.retention.minutes`: how long offsets outlive their group.
    pub retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `offset.metadata.max.bytes`.
    pub metadata_max_bytes: usize,
    /// `offsets.commit.timeout.ms`: how long a commit may wait to be durable.
    pub commit_timeout: Duration,
    /// `offsets.load.buffer.size`: bytes read at a time while a coordinator loads.
    pub load_buffer_bytes: usize,
}

/// Producer ids and transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    /// `producer.id.expiration.ms`: state of an idle producer is dropped after this time.
    pub id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub id_expiration_check_interval: Duration,
    /// `transaction.max.timeout.ms`: checked by InitProducerId.
    pub transaction_max_timeout: Duration,
}
