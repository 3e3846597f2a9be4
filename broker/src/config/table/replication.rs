//! Replication and quotas.

use super::{NO_JAVA, NO_QUOTAS, OWN_FETCHERS, OWN_LEADERS, OWN_SOCKETS};
use crate::config::key::Valid::{Any, AtLeast, OneOf};
use crate::config::key::keys;
use crate::config::table::RACK_AWARE_SELECTOR;

/// Classes of Kafka that have a counterpart here.
const REPLICA_SELECTORS: &[&str] = &["", RACK_AWARE_SELECTOR, "org.apache.kafka.common.replica.LeaderSelector"];

keys! { pub(super) KEYS:
    "alter.log.dirs.replication.quota.window.num" Int Some("11"), Low ReadOnly AtLeast(1), Honoured
        "Windows over which the rate of moves between log directories is an average.";
    "alter.log.dirs.replication.quota.window.size.seconds" Int Some("1"), Low ReadOnly AtLeast(1), Honoured
        "Length of each of them.";
    "auto.leader.rebalance.enable" Boolean Some("true"), High ReadOnly Any, Honoured
        "Whether preferred leaders that serve and are in sync get back what they led.";
    "client.quota.callback.class" Class None, Low ReadOnly Any, Refused NO_JAVA;
    "controlled.shutdown.enable" Boolean Some("true"), Medium ReadOnly Any, Honoured
        "Whether a broker gives up what it leads before it stops.";
    "follower.replication.throttled.rate" Long Some("9223372036854775807"), Medium Cluster AtLeast(0), Honoured
        "Bytes a second that this broker asks for as a follower, of replicas that follower.replication.throttled.replicas names.";
    "leader.imbalance.check.interval.seconds" Long Some("300"), High ReadOnly AtLeast(1), Honoured
        "How often preferred leaders get back what they led, see auto.leader.rebalance.enable.";
    "leader.replication.throttled.rate" Long Some("9223372036854775807"), Medium Cluster AtLeast(0), Honoured
        "Bytes a second that this broker sends as a leader to replicas out of sync, of those that leader.replication.throttled.replicas names.";
    "num.replica.alter.log.dirs.threads" Int None, High ReadOnly AtLeast(1), Honoured
        "Replicas that move between log directories at a time; by default as many as there are directories.";
    "num.replica.fetchers" Int Some("1"), High ReadOnly AtLeast(1), Inert OWN_FETCHERS;
    "quota.window.num" Int Some("11"), Low ReadOnly AtLeast(1), Inert NO_QUOTAS;
    "quota.window.size.seconds" Int Some("1"), Low ReadOnly AtLeast(1), Inert NO_QUOTAS;
    "replica.alter.log.dirs.io.max.bytes.per.second" Long Some("9223372036854775807"), Medium Cluster AtLeast(0), Honoured
        "Bytes a second that are copied for replicas that move between log directories.";
    "replica.fetch.backoff.ms" Int Some("1000"), Medium ReadOnly AtLeast(0), Honoured
        "Longest pause of a follower after an error; the first ones are shorter.";
    "replica.fetch.max.bytes" Int Some("1048576"), Medium ReadOnly AtLeast(0), Honoured
        "Bytes of one partition that a follower asks for at a time.";
    "replica.fetch.min.bytes" Int Some("1"), High ReadOnly Any, Honoured
        "Bytes that are worth an answer to a follower.";
    "replica.fetch.response.max.bytes" Int Some("10485760"), Medium ReadOnly AtLeast(0), Honoured
        "Bytes that a follower asks for at a time, all partitions together.";
    "replica.fetch.wait.max.ms" Int Some("500"), High ReadOnly Any, Honoured
        "How long a leader waits for something to answer a follower.";
    "replica.high.watermark.checkpoint.interval.ms" Long Some("5000"), High ReadOnly Any, Honoured
        "How often high watermarks are written down, for the next start.";
    "replica.lag.time.max.ms" Long Some("30000"), High ReadOnly AtLeast(1), Honoured
        "A follower that has not caught up with its leader for so long is not in sync.";
    "replica.selector.class" Text None, Medium ReadOnly OneOf(REPLICA_SELECTORS), Honoured
        "From which replicas consumers read: with RackAwareReplicaSelector from one in the rack of the consumer (client.rack), by default \
        from the leader. Other classes cannot be loaded.";
    "replica.socket.receive.buffer.bytes" Int Some("65536"), High ReadOnly Any, Inert OWN_SOCKETS;
    "replica.socket.timeout.ms" Int Some("30000"), High ReadOnly Any, Honoured
        "How long a follower waits for an answer before it connects anew.";
    "replication.quota.window.num" Int Some("11"), Low ReadOnly AtLeast(1), Honoured
        "Windows over which the rate of throttled replication is an average.";
    "replication.quota.window.size.seconds" Int Some("1"), Low ReadOnly AtLeast(1), Honoured
        "Length of each of them.";
    "unclean.leader.election.interval.ms" Long Some("300000"), Medium ReadOnly AtLeast(1), Inert OWN_LEADERS;
}
