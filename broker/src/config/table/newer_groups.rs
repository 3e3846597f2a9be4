//! The newer group protocols: consumer (KIP-848), share (KIP-932), streams (KIP-1071).

use super::{NO_CONSUMER_PROTOCOL, NO_JAVA, NO_SHARE, NO_STREAMS};
use crate::config::key::Valid::{Any, AtLeast, Between, OneOfIgnoringCase};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "errors.deadletterqueue.auto.create.topics.enable" Boolean Some("false"), Medium ReadOnly Any, Inert NO_SHARE;
    "errors.deadletterqueue.topic.name.prefix" Text Some("dlq."), Medium ReadOnly Any, Inert NO_SHARE;
    "group.consumer.assignment.interval.ms" Int Some("1000"), Medium ReadOnly AtLeast(0), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.assignor.offload.enable" Boolean Some("true"), Medium ReadOnly Any, Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.assignors" List Some("uniform,range"), Medium ReadOnly Any, Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.heartbeat.interval.ms" Int Some("5000"), Medium ReadOnly AtLeast(1), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.max.assignment.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(0),
        Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.max.heartbeat.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(1),
        Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.max.session.timeout.ms" Int Some("60000"), Medium ReadOnly AtLeast(1), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.max.size" Int Some("2147483647"), Medium ReadOnly AtLeast(1), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.migration.policy" Text Some("bidirectional"),
        Medium ReadOnly OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.min.assignment.interval.ms" Int Some("0"), Medium ReadOnly AtLeast(0), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.min.heartbeat.interval.ms" Int Some("5000"), Medium ReadOnly AtLeast(1), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.min.session.timeout.ms" Int Some("45000"), Medium ReadOnly AtLeast(1), Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.regex.refresh.interval.ms" Int Some("600000"), Medium ReadOnly AtLeast(10000),
        Inert NO_CONSUMER_PROTOCOL;
    "group.consumer.session.timeout.ms" Int Some("45000"), Medium ReadOnly AtLeast(1), Inert NO_CONSUMER_PROTOCOL;
    "group.share.assignment.interval.ms" Int Some("1000"), Medium ReadOnly AtLeast(0), Inert NO_SHARE;
    "group.share.assignor.offload.enable" Boolean Some("true"), Medium ReadOnly Any, Inert NO_SHARE;
    "group.share.assignors" List Some("simple"), Medium ReadOnly Any, Inert NO_SHARE;
    "group.share.delivery.count.limit" Int Some("5"), Medium ReadOnly Between(2, 10), Inert NO_SHARE;
    "group.share.dlq.manager.class.name" Text None, Medium ReadOnly Any, Refused NO_JAVA;
    "group.share.heartbeat.interval.ms" Int Some("5000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.initialize.retry.interval.ms" Int Some("30000"), Low ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.max.assignment.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(0), Inert NO_SHARE;
    "group.share.max.delivery.count.limit" Int Some("10"), Medium ReadOnly Between(5, 25), Inert NO_SHARE;
    "group.share.max.heartbeat.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.max.partition.max.record.locks" Int Some("4000"), Medium ReadOnly Between(2000, 10000), Inert NO_SHARE;
    "group.share.max.record.lock.duration.ms" Int Some("60000"), Medium ReadOnly Between(30000, 3600000),
        Inert NO_SHARE;
    "group.share.max.session.timeout.ms" Int Some("60000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.max.share.sessions" Int Some("2000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.max.size" Int Some("200"), Medium ReadOnly Between(1, 1000), Inert NO_SHARE;
    "group.share.min.assignment.interval.ms" Int Some("0"), Medium ReadOnly AtLeast(0), Inert NO_SHARE;
    "group.share.min.delivery.count.limit" Int Some("2"), Medium ReadOnly Between(2, 5), Inert NO_SHARE;
    "group.share.min.heartbeat.interval.ms" Int Some("5000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.min.partition.max.record.locks" Int Some("100"), Medium ReadOnly Between(100, 2000), Inert NO_SHARE;
    "group.share.min.record.lock.duration.ms" Int Some("15000"), Medium ReadOnly Between(1000, 30000), Inert NO_SHARE;
    "group.share.min.session.timeout.ms" Int Some("45000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.share.partition.max.record.locks" Int Some("2000"), Medium ReadOnly Between(100, 10000), Inert NO_SHARE;
    "group.share.persister.class.name" Text None, Medium ReadOnly Any, Refused NO_JAVA;
    "group.share.record.lock.duration.ms" Int Some("30000"), Medium ReadOnly Between(1000, 3600000), Inert NO_SHARE;
    "group.share.session.timeout.ms" Int Some("45000"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "group.streams.acceptable.recovery.lag" Long Some("10000"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.assignment.interval.ms" Int Some("1000"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.assignor.offload.enable" Boolean Some("true"), Medium ReadOnly Any, Inert NO_STREAMS;
    "group.streams.assignors" List Some("sticky"), Medium ReadOnly Any, Inert NO_STREAMS;
    "group.streams.heartbeat.interval.ms" Int Some("5000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.initial.rebalance.delay.ms" Int Some("3000"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.max.assignment.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.max.heartbeat.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.max.session.timeout.ms" Int Some("60000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.max.size" Int Some("2147483647"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.max.standby.replicas" Int Some("2"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.max.warmup.replicas" Int Some("20"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.min.assignment.interval.ms" Int Some("0"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.min.heartbeat.interval.ms" Int Some("5000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.min.session.timeout.ms" Int Some("45000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.min.task.offset.interval.ms" Int Some("15000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.num.standby.replicas" Int Some("0"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.num.warmup.replicas" Int Some("2"), Medium ReadOnly AtLeast(0), Inert NO_STREAMS;
    "group.streams.rack.aware.assignment.tags" List Some(""), Low ReadOnly Any, Inert NO_STREAMS;
    "group.streams.session.timeout.ms" Int Some("45000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.task.offset.interval.ms" Int Some("60000"), Medium ReadOnly AtLeast(1), Inert NO_STREAMS;
    "group.streams.topology.description.plugin.class" Class None, Medium ReadOnly Any, Refused NO_JAVA;
    "share.coordinator.append.linger.ms" Int Some("-1"), Medium ReadOnly AtLeast(-1), Inert NO_SHARE;
    "share.coordinator.cached.buffer.max.bytes" Int Some("1048588"), Medium ReadOnly AtLeast(524288), Inert NO_SHARE;
    "share.coordinator.cold.partition.snapshot.interval.ms" Int Some("300000"), Low ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.load.buffer.size" Int Some("5242880"), High ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.snapshot.update.records.per.snapshot" Int Some("500"), Medium ReadOnly Between(0, 500),
        Inert NO_SHARE;
    "share.coordinator.state.topic.compression.codec" Int Some("0"), High ReadOnly Any, Inert NO_SHARE;
    "share.coordinator.state.topic.min.isr" Short Some("2"), High ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.state.topic.num.partitions" Int Some("50"), High ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.state.topic.prune.interval.ms" Int Some("300000"), Low ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.state.topic.replication.factor" Short Some("3"), High ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.state.topic.segment.bytes" Int Some("104857600"), High ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.threads" Int Some("1"), Medium ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.coordinator.write.timeout.ms" Int Some("5000"), High ReadOnly AtLeast(1), Inert NO_SHARE;
    "share.fetch.purgatory.purge.interval.requests" Int Some("1000"), Medium ReadOnly Any, Inert NO_SHARE;
}
