//! The partition log from outside: scripts, a model, files of a real Kafka.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "log/bench.rs"]
#[allow(dead_code, reason = "lives under power cuts use what the scripts do not")]
mod bench;
#[path = "log/compaction.rs"]
mod compaction;
#[path = "log/hooked_disk.rs"]
mod hooked_disk;
#[path = "log/ranges.rs"]
mod ranges;
#[path = "log/scripts.rs"]
mod scripts;
#[path = "log/start_reads.rs"]
mod start_reads;
