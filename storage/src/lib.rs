//! The partition log in Kafka's on-disk format, its indexes and its disks.
//!
//! - [`log`]: one partition's log: append, read, truncate, retention, compaction, recovery; its [`config`] and [`error`]s.
//! - [`io`]: the seam to the operating system: [`io::Disk`] and its twins.
//! - [`group_commit`]: what turns appended bytes into durable ones, many logs at a time.
//! - [`journal`]: one write that makes the small appends of many logs durable.
//! - [`log_dir`]: one directory of partition logs: its lock, identity, health, checkpoints.
//!
//! The crate's `README.md` describes the byte formats, the crash model and the invariants.

mod block_on;
mod cache;
mod compact;
pub mod config;
pub mod error;
pub mod group_commit;
mod index;
pub mod io;
pub mod journal;
pub mod log;
pub mod log_dir;
mod producer;
mod segment;
