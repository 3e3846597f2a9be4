//! Keys of topics.

use super::{BY_HAND, NO_SHARE, NO_TIERING};
use crate::config::key::Valid::{Any, AtLeast, Between, GzipLevel, ListOf, OneOf, Ratio, ThrottledReplicas};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "cleanup.policy" List Some("delete"), Medium Cluster ListOf(&["compact", "delete"]), Honoured
        "What happens to old segments: delete by age and size, compact to the last record of each key, or both.";
    "compression.gzip.level" Int Some("-1"), Medium Cluster GzipLevel, Honoured
        "Level of gzip when compression.type is gzip; -1 is the library's default.";
    "compression.lz4.level" Int Some("9"), Medium Cluster Between(1, 17), Honoured
        "Level of lz4 when compression.type is lz4.";
    "compression.type" Text Some("producer"),
        Medium Cluster OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Honoured
        "How batches are stored: producer keeps what was sent, anything else compresses again what was sent \
         otherwise.";
    "compression.zstd.level" Int Some("3"), Medium Cluster Between(-131072, 22), Honoured
        "Level of zstd when compression.type is zstd.";
    "delete.retention.ms" Long Some("86400000"), Medium Cluster AtLeast(0), Honoured
        "How long a tombstone stays visible after it was compacted.";
    "durability" Text Some("fsync"), Medium Cluster OneOf(&["fsync", "page-cache"]), Honoured
        "What an acknowledged record can survive. fsync: a power cut, because it is synced to disk (in groups) \
         before the acknowledgement. page-cache: the death of the process only; then flush.messages and flush.ms \
         apply.";
    "errors.deadletterqueue.group.enable" Boolean Some("false"), Medium Cluster Any, Refused NO_SHARE;
    "file.delete.delay.ms" Long Some("60000"), Medium Cluster AtLeast(0), Honoured
        "How long files of deleted segments stay on disk before they are removed.";
    "flush.messages" Long Some("9223372036854775807"), Medium Cluster AtLeast(1), Honoured
        "Records after which the log is synced when durability is page-cache.";
    "flush.ms" Long Some("9223372036854775807"), Medium Cluster AtLeast(0), Honoured
        "Time after which unsynced records are synced when durability is page-cache.";
    "follower.replication.throttled.replicas" List Some(""), Medium Cluster ThrottledReplicas, Honoured
        "Replicas that follower.replication.throttled.rate holds for, as partition:broker, or * for all.";
    "index.interval.bytes" Int Some("4096"), Medium Cluster AtLeast(0), Honoured
        "Bytes of records between two entries of the offset index.";
    "leader.replication.throttled.replicas" List Some(""), Medium Cluster ThrottledReplicas, Honoured
        "Replicas that leader.replication.throttled.rate holds for, as partition:broker, or * for all.";
    "local.retention.bytes" Long Some("-2"), Medium Cluster AtLeast(-2), Inert NO_TIERING;
    "local.retention.ms" Long Some("-2"), Medium Cluster AtLeast(-2), Inert NO_TIERING;
    "max.compaction.lag.ms" Long Some("9223372036854775807"), Medium Cluster AtLeast(1), Honoured
        "Time after which a record is compacted even if the log is mostly clean.";
    "max.decompressed.message.bytes" Int Some("2147483639"), Medium Cluster Between(1, 2147483639), Honoured
        "Most bytes that a compressed batch may inflate to wherever the broker has to look inside.";
    "max.message.bytes" Int Some("1048588"), Medium Cluster AtLeast(0), Honoured
        "Largest batch of records that is accepted, after compression, bytes.";
    "message.timestamp.after.max.ms" Long Some("3600000"), Medium Cluster AtLeast(0), Honoured
        "How far a record's time may lie ahead of that of the broker; CreateTime only.";
    "message.timestamp.before.max.ms" Long Some("9223372036854775807"), Medium Cluster AtLeast(0), Honoured
        "How far a record's time may lie before that of the broker; CreateTime only.";
    "message.timestamp.type" Text Some("CreateTime"), Medium Cluster OneOf(&["CreateTime", "LogAppendTime"]), Honoured
        "Whether records keep the time their producer gave (CreateTime) or get the time of the append \
         (LogAppendTime).";
    "min.cleanable.dirty.ratio" Double Some("0.5"), Medium Cluster Ratio(0.0, 1.0), Honoured
        "Share of the log that must be uncompacted before it is compacted again.";
    "min.compaction.lag.ms" Long Some("0"), Medium Cluster AtLeast(0), Honoured
        "Time that a record stays uncompacted at least.";
    "min.insync.replicas" Int Some("1"), Medium Cluster AtLeast(1), Honoured
        "Replicas that must have a record before a write with acks=all is acknowledged; with fewer in sync it is \
         refused.";
    "preallocate" Boolean Some("false"), Medium Cluster Any, Honoured
        "Whether a new segment file takes its whole size on disk at once.";
    "remote.copy.lag.bytes" Long Some("-1"), Medium Cluster AtLeast(-1), Inert NO_TIERING;
    "remote.copy.lag.ms" Long Some("0"), Medium Cluster AtLeast(-1), Inert NO_TIERING;
    "remote.log.copy.disable" Boolean Some("false"), Medium Cluster Any, Inert NO_TIERING;
    "remote.log.delete.on.disable" Boolean Some("false"), Medium Cluster Any, Inert NO_TIERING;
    "remote.storage.enable" Boolean Some("false"), Medium Cluster Any, Refused NO_TIERING;
    "retention.bytes" Long Some("-1"), Medium Cluster Any, Honoured
        "Size of a partition above which its oldest segments are deleted; -1 for no limit.";
    "retention.ms" Long Some("604800000"), Medium Cluster AtLeast(-1), Honoured
        "How long records are kept under the policy delete; -1 for ever.";
    "segment.bytes" Int Some("1073741824"), Medium Cluster AtLeast(1048576), Honoured
        "Size at which a segment file is closed and the next one begins.";
    "segment.index.bytes" Int Some("10485760"), Medium Cluster AtLeast(4), Honoured
        "Largest size of an index file; a segment whose index is full is closed.";
    "segment.jitter.ms" Long Some("0"), Medium Cluster AtLeast(0), Honoured
        "Random part by which segment.ms is shortened, so that segments do not roll all at once.";
    "segment.ms" Long Some("604800000"), Medium Cluster AtLeast(1), Honoured
        "Age at which a segment is closed even if it is not full.";
    "unclean.leader.election.enable" Boolean Some("false"), Medium Cluster Any, Refused BY_HAND;
}

/// Broker keys that give a topic key its default, first one first, each with the factor into the topic's unit.
pub(super) const SYNONYMS: &[(&str, &[(&str, i64)])] = &[
    ("cleanup.policy", &[("log.cleanup.policy", 1)]),
    ("compression.gzip.level", &[("compression.gzip.level", 1)]),
    ("compression.lz4.level", &[("compression.lz4.level", 1)]),
    ("compression.type", &[("compression.type", 1)]),
    ("compression.zstd.level", &[("compression.zstd.level", 1)]),
    ("delete.retention.ms", &[("log.cleaner.delete.retention.ms", 1)]),
    ("durability", &[("log.durability", 1)]),
    ("file.delete.delay.ms", &[("log.segment.delete.delay.ms", 1)]),
    ("flush.messages", &[("log.flush.interval.messages", 1)]),
    ("flush.ms", &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)]),
    ("index.interval.bytes", &[("log.index.interval.bytes", 1)]),
    ("local.retention.bytes", &[("log.local.retention.bytes", 1)]),
    ("local.retention.ms", &[("log.local.retention.ms", 1)]),
    ("max.compaction.lag.ms", &[("log.cleaner.max.compaction.lag.ms", 1)]),
    ("max.decompressed.message.bytes", &[("max.decompressed.message.bytes", 1)]),
    ("max.message.bytes", &[("message.max.bytes", 1)]),
    ("message.timestamp.after.max.ms", &[("log.message.timestamp.after.max.ms", 1)]),
    ("message.timestamp.before.max.ms", &[("log.message.timestamp.before.max.ms", 1)]),
    ("message.timestamp.type", &[("log.message.timestamp.type", 1)]),
    ("min.cleanable.dirty.ratio", &[("log.cleaner.min.cleanable.ratio", 1)]),
    ("min.compaction.lag.ms", &[("log.cleaner.min.compaction.lag.ms", 1)]),
    ("min.insync.replicas", &[("min.insync.replicas", 1)]),
    ("preallocate", &[("log.preallocate", 1)]),
    ("remote.copy.lag.bytes", &[("log.remote.copy.lag.bytes", 1)]),
    ("remote.copy.lag.ms", &[("log.remote.copy.lag.ms", 1)]),
    ("retention.bytes", &[("log.retention.bytes", 1)]),
    ("retention.ms", &[("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)]),
    ("segment.bytes", &[("log.segment.bytes", 1)]),
    ("segment.index.bytes", &[("log.index.size.max.bytes", 1)]),
    ("segment.jitter.ms", &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)]),
    ("segment.ms", &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)]),
    ("unclean.leader.election.enable", &[("unclean.leader.election.enable", 1)]),
];
