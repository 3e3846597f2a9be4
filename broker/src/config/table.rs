//! The table of all keys: what Kafka 4.4 knows, and ours. Everything that has to do with names, types, defaults,
//! legal values, documentation and schema reads it.

mod balancer;
mod cleaner;
mod groups;
mod identity;
mod log;
mod network;
mod newer_groups;
mod process;
mod replication;
mod security;
mod tiering;
mod topic;
mod topics;
mod transactions;

use super::key::Key;

const BY_FEATURE: &str = "Which group protocols are served follows from the finalized features (group.version, \
    share.version, streams.version), not from this key.";
const BY_HAND: &str = "It would lose acknowledged records without anybody having decided so. Where a partition cannot be led \
    otherwise, look at `goatq cluster unclean` and elect a leader by hand: kafka-leader-election --election-type unclean.";
const NO_2PC: &str = "Two-phase commit (KIP-939) is not served.";
const NO_AUTHORIZER: &str = "Authorisation is not part of this version: every client may do everything. Leave it empty \
    and keep the listeners on loopback.";
const NO_CONSUMER_PROTOCOL: &str = "The consumer group protocol of KIP-848 is not served; groups use the classic one.";
const OWN_DIRECTORY_FAILURE: &str = "A failed log directory is told to the active controller at once, and again with every heartbeat; nothing is waited for.";
const NO_JAVA: &str = "Names a Java class, which this broker cannot load.";
const NO_PROVIDERS: &str = "Config providers are Java classes, which this broker cannot load. Give values by file, \
    environment (GOATQ_...) or --set.";
const NO_QUOTAS: &str = "Quotas are not served.";
const NO_REPORTERS: &str = "Metrics reporters are Java classes, which this broker cannot load. Metrics are at /metrics \
    of the HTTP listener.";
const NO_SECURITY: &str = "TLS, SASL and delegation tokens are not part of this version; only PLAINTEXT listeners are \
    served.";
const NO_SHARE: &str = "Share groups (KIP-932) are not served.";
const NO_STREAMS: &str = "Streams groups (KIP-1071) are not served.";
const NO_TELEMETRY: &str = "Client telemetry (KIP-714) is not served.";
const NO_TIERING: &str = "Tiered storage is not served: all data stays on local disks.";
const NO_TRANSACTIONS: &str = "Transactions are not served; idempotent producers are.";
const NO_UNSTABLE: &str = "Unstable versions are not served.";
const OWN_BUFFERS: &str = "Compaction works with small buffers of a fixed size.";
const OWN_CHECKPOINTS: &str = "Checkpoints are written within a second once 16 MiB or a minute of unproven data is there, \
    and whenever the start of a log moves.";
const OWN_METADATA_LOG: &str = "The metadata log decides on its own segments and snapshots.";
const OWN_METRICS: &str =
    "Metrics are counted since the start and read at /metrics; there are no samples to configure.";
const OWN_LEADERS: &str = "A leader that may lack records is elected when somebody asks for it only.";
const OWN_FETCHERS: &str = "Each follower has one connection to each leader, for all partitions.";
const OWN_PURGATORY: &str = "Finished operations leave the purgatory at once; there is nothing to purge.";
const OWN_RAFT: &str = "The active controller sends what the others need as soon as it is there; there is no fetching, lingering \
    or sampling to configure.";
const OWN_RUNTIME: &str = "Groups run on the threads that serve connections, with group commit of the log instead of a \
    linger and buffers of their own.";
const OWN_SOCKETS: &str =
    "Sockets between brokers are made as the system makes them, within replica.socket.timeout.ms.";
const OWN_START: &str = "Every listener is opened at the start; what comes before the node is ready waits.";
const OWN_THREADS: &str = "There is no pool of this kind: the thread that reads a request also does its work (see \
    num.network.threads), bounded by queued.max.request.bytes and max.in.flight.requests.per.connection.";

/// The value of `replica.selector.class` with which consumers read in their own rack.
pub(super) const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// All keys of a broker, by area.
const BROKER: &[&[Key]] = &[
    identity::KEYS,
    network::KEYS,
    topics::KEYS,
    log::KEYS,
    cleaner::KEYS,
    groups::KEYS,
    transactions::KEYS,
    replication::KEYS,
    balancer::KEYS,
    newer_groups::KEYS,
    security::KEYS,
    tiering::KEYS,
    process::KEYS,
];

/// Groups of broker keys that say the same in different units; the first one that is set counts.
const UNITS: &[&[&str]] = &[
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
];

/// Keys that other versions of Kafka know (or that belong to its plug-ins), with what to do about them.
const FORMER: &[(&str, &str)] = &[
    ("zookeeper.connect", "There is no ZooKeeper; remove the line."),
    ("inter.broker.protocol.version", "Versions are agreed on by features; remove the line."),
    ("log.message.format.version", "There is one record format; remove the line."),
    ("log.message.downconversion.enable", "Old record formats are not served; remove the line."),
    (
        "log.message.timestamp.difference.max.ms",
        "Use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms.",
    ),
    ("broker.id.generation.enable", "Ids are given by node.id; remove the line."),
    ("reserved.broker.max.id", "Ids are given by node.id; remove the line."),
    ("advertised.host.name", "Use advertised.listeners."),
    ("advertised.port", "Use advertised.listeners."),
    ("host.name", "Use listeners."),
    ("port", "Use listeners."),
    ("auto.include.jmx.reporter", "Metrics are at /metrics of the HTTP listener; remove the line."),
    ("super.users", NO_AUTHORIZER),
    ("allow.everyone.if.no.acl.found", NO_AUTHORIZER),
    ("group.coordinator.new.enable", BY_FEATURE),
    ("group.share.enable", NO_SHARE),
];

/// All keys of a broker.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER.iter().copied().flatten()
}

/// The broker key with this name.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER.iter().find_map(|keys| keys.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &keys[at]))
}

/// All keys of a topic, by name.
pub fn topic_keys() -> impl Iterator<Item = &'static Key> {
    topic::KEYS.iter()
}

/// The topic key with this name.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    topic::KEYS.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &topic::KEYS[at])
}

/// Broker keys that give a topic key its default, first one first, each with the factor into the topic's unit.
pub fn topic_synonyms(name: &str) -> &'static [(&'static str, i64)] {
    topic::SYNONYMS.iter().find(|(topic, _)| *topic == name).map_or(&[], |(_, synonyms)| synonyms)
}

/// The keys that say the same as this one in other units, itself among them, first one first.
pub fn broker_synonyms(name: &'static str) -> Vec<&'static str> {
    UNITS.iter().find(|units| units.contains(&name)).map_or_else(|| vec![name], |units| units.to_vec())
}

/// What to do about a name that is not in the table but was seen in configurations of Kafka.
pub fn former_key(name: &str) -> Option<&'static str> {
    FORMER.iter().find(|(former, _)| *former == name).map(|(_, advice)| *advice)
}

/// The known name that is most like an unknown one, when one is like it at all.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
