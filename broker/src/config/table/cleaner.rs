//! Compaction.

use super::OWN_BUFFERS;
use crate::config::key::Valid::{Any, AtLeast, ListOf, Ratio};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "log.cleaner.backoff.ms" Long Some("15000"), Medium Cluster AtLeast(0), Honoured
        "Pause of compaction when no log needs it.";
    "log.cleaner.dedupe.buffer.size" Long Some("134217728"), Medium Cluster Any, Honoured
        "Memory for the keys of logs under compaction, bytes, over all threads.";
    "log.cleaner.delete.retention.ms" Long Some("86400000"), Medium Cluster AtLeast(0), Honoured
        "How long a tombstone stays visible after it was compacted.";
    "log.cleaner.enable" Boolean Some("true"), Medium ReadOnly Any, Honoured
        "Whether compaction runs at all.";
    "log.cleaner.io.buffer.load.factor" Double Some("0.9"), Medium Cluster Any, Honoured
        "How full the map of keys may get, 0 to 1.";
    "log.cleaner.io.buffer.size" Int Some("524288"), Medium ReadOnly AtLeast(0), Inert OWN_BUFFERS;
    "log.cleaner.io.max.bytes.per.second" Double Some("1.7976931348623157E308"), Medium Cluster Any, Honoured
        "Bytes a second that compaction reads and writes together.";
    "log.cleaner.max.compaction.lag.ms" Long Some("9223372036854775807"), Medium Cluster AtLeast(1), Honoured
        "Time after which a record is compacted even if the log is mostly clean.";
    "log.cleaner.min.cleanable.ratio" Double Some("0.5"), Medium Cluster Ratio(0.0, 1.0), Honoured
        "Share of a log that must be uncompacted before it is compacted again.";
    "log.cleaner.min.compaction.lag.ms" Long Some("0"), Medium Cluster AtLeast(0), Honoured
        "Time that a record stays uncompacted at least.";
    "log.cleaner.threads" Int Some("1"), Medium Cluster AtLeast(0), Honoured
        "Logs that are compacted at the same time.";
    "log.cleanup.policy" List Some("delete"), Medium Cluster ListOf(&["compact", "delete"]), Honoured
        "What happens to old segments: delete by age and size, compact to the last record of each key, or both.";
}
