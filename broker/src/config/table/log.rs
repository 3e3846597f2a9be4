//! Logs and the directories they lie in.

use super::{OWN_CHECKPOINTS, OWN_DIRECTORY_FAILURE};
use crate::config::key::Valid::{Any, AtLeast, Between, GzipLevel, OneOf};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "compression.gzip.level" Int Some("-1"), Medium Cluster GzipLevel, Honoured
        "Level of gzip when the broker compresses; -1 is the library's default.";
    "compression.lz4.level" Int Some("9"), Medium Cluster Between(1, 17), Honoured
        "Level of lz4 when the broker compresses.";
    "compression.type" Text Some("producer"),
        High Cluster OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Honoured
        "How batches are stored: producer keeps what was sent, anything else compresses again what was sent \
         otherwise.";
    "compression.zstd.level" Int Some("3"), Medium Cluster Between(-131072, 22), Honoured
        "Level of zstd when the broker compresses.";
    "cordoned.log.dirs" List Some(""), Medium Cluster Any, Honoured
        "Those of log.dirs that get no new partitions; * for all of them, and then other brokers get new partitions in the place of \
         this one (KIP-1066).";
    "log.dir" List Some("goatq-data"), High ReadOnly Any, Honoured
        "Directory of the data, when log.dirs is not set.";
    "log.dir.failure.timeout.ms" Long Some("30000"), Low ReadOnly AtLeast(1), Inert OWN_DIRECTORY_FAILURE;
    "log.dir.reserve.bytes" Long Some("1073741824"), Medium ReadOnly AtLeast(0), Honoured
        "Free space in bytes below which a log directory refuses records from producers, so that deletion, offsets \
         and metadata can go on. Ends by itself when space is back.";
    "log.dir.reserve.percent" Int Some("5"), Medium ReadOnly Between(0, 50), Honoured
        "Same as log.dir.reserve.bytes as a share of the disk, counted up to that many bytes at most.";
    "log.dirs" List None, High ReadOnly Any, Honoured
        "Directories of the data, comma separated; each partition lies in one of them.";
    "log.durability" Text Some("fsync"), High Cluster OneOf(&["fsync", "page-cache"]), Honoured
        "What an acknowledged record can survive. fsync: a power cut, because it is synced to disk (in groups) \
         before the acknowledgement. page-cache: the death of the process only, as with Apache Kafka's defaults; then \
         log.flush.interval.messages and .ms apply.";
    "log.flush.interval.messages" Long Some("9223372036854775807"), High Cluster AtLeast(1), Honoured
        "Records after which a page-cache log is synced. Durable logs (log.durability=fsync) are synced before every \
         acknowledgement anyway.";
    "log.flush.interval.ms" Long None, High Cluster Any, Honoured
        "Time after which unsynced records of a page-cache log are synced. Unset: log.flush.scheduler.interval.ms.";
    "log.flush.offset.checkpoint.interval.ms" Int Some("60000"), High ReadOnly AtLeast(0), Inert OWN_CHECKPOINTS;
    "log.flush.scheduler.interval.ms" Long Some("9223372036854775807"), High ReadOnly Any, Honoured
        "How often logs are looked at for log.flush.interval.ms; also its value when that is unset.";
    "log.flush.start.offset.checkpoint.interval.ms" Int Some("60000"), High ReadOnly AtLeast(0),
        Inert OWN_CHECKPOINTS;
    "log.index.interval.bytes" Int Some("4096"), Medium Cluster AtLeast(0), Honoured
        "Bytes of records between two entries of the offset index.";
    "log.index.size.max.bytes" Int Some("10485760"), Medium Cluster AtLeast(4), Honoured
        "Largest size of an index file; a segment whose index is full is closed.";
    "log.initial.task.delay.ms" Long Some("30000"), Low ReadOnly AtLeast(0), Honoured
        "Pause after the start before work in the background begins.";
    "log.message.timestamp.after.max.ms" Long Some("3600000"), Medium Cluster AtLeast(0), Honoured
        "How far a record's time may lie ahead of that of the broker; CreateTime only.";
    "log.message.timestamp.before.max.ms" Long Some("9223372036854775807"), Medium Cluster AtLeast(0), Honoured
        "How far a record's time may lie before that of the broker; CreateTime only.";
    "log.message.timestamp.type" Text Some("CreateTime"),
        Medium Cluster OneOf(&["CreateTime", "LogAppendTime"]), Honoured
        "Whether records keep the time their producer gave (CreateTime) or get the time of the append \
         (LogAppendTime).";
    "log.preallocate" Boolean Some("false"), Medium Cluster Any, Honoured
        "Whether a new segment file takes its whole size on disk at once.";
    "log.retention.bytes" Long Some("-1"), High Cluster Any, Honoured
        "Size of a partition above which its oldest segments are deleted; -1 for no limit.";
    "log.retention.check.interval.ms" Long Some("300000"), Medium ReadOnly AtLeast(1), Honoured
        "How often logs are checked for segments that retention lets go.";
    "log.retention.hours" Int Some("168"), High ReadOnly Any, Honoured
        "Same as log.retention.ms, in hours; used when the other two are unset.";
    "log.retention.minutes" Int None, High ReadOnly Any, Honoured
        "Same as log.retention.ms, in minutes; used when that is unset. Unset: log.retention.hours.";
    "log.retention.ms" Long None, High Cluster Any, Honoured
        "How long records are kept under the policy delete; -1 for ever. Unset: log.retention.minutes.";
    "log.roll.hours" Int Some("168"), High ReadOnly AtLeast(1), Honoured
        "Same as log.roll.ms, in hours; used when that is unset.";
    "log.roll.jitter.hours" Int Some("0"), High ReadOnly AtLeast(0), Honoured
        "Same as log.roll.jitter.ms, in hours; used when that is unset.";
    "log.roll.jitter.ms" Long None, High Cluster Any, Honoured
        "Random part by which log.roll.ms is shortened, so that segments do not roll all at once. Unset: \
         log.roll.jitter.hours.";
    "log.roll.ms" Long None, High Cluster Any, Honoured
        "Age at which a segment is closed even if it is not full. Unset: log.roll.hours.";
    "log.segment.bytes" Int Some("1073741824"), High Cluster AtLeast(1048576), Honoured
        "Size at which a segment file is closed and the next one begins.";
    "log.segment.delete.delay.ms" Long Some("60000"), High Cluster AtLeast(0), Honoured
        "How long files of deleted segments and partitions stay on disk before they are removed.";
    "max.decompressed.message.bytes" Int Some("2147483639"), Medium Cluster Between(1, 2147483639), Honoured
        "Most bytes that a compressed batch may inflate to wherever the broker has to look inside.";
    "message.max.bytes" Int Some("1048588"), High Cluster AtLeast(0), Honoured
        "Largest batch of records that is accepted, after compression, bytes.";
    "num.recovery.threads.per.data.dir" Int Some("2"), High ReadOnly AtLeast(1), Honoured
        "At start, eight times so many logs of one directory are opened in parallel: they wait for the disk most of the time.";
}
