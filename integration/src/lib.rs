//! Everything together: real nodes as processes, real clients against them.
//!
//! - [`node`]: starts, kills and restarts a `goatq` of its own, with its own port and its own folder.
//! - [`cluster`]: several of them that form a cluster.
//! - [`client`]: librdkafka as the tests use it.
//! - [`diary`]: what librdkafka says of itself.
//! - [`workload`]: load on a topic, and what was acknowledged of it.
//! - [`peer`]: one raw connection.
//! - [`ledger`]: what a client was told, against what the log says afterwards.
//! - [`crash_image`]: power cuts, on real file systems.
//! - [`traffic`]: clients with a history, and what must be true of it: for simulated worlds and real processes.
//! - [`faults`]: the fault matrix on real processes.
//! - [`sim`]: the whole node in a simulated world.
//!
//! `tests/` uses them; `clients/` holds the programs of the foreign-client matrix.

#![allow(clippy::disallowed_methods, reason = "a harness of real processes reads files and waits in real time")]

pub mod client;
pub mod cluster;
pub mod crash_image;
pub mod diary;
pub mod faults;
pub mod ledger;
pub mod node;
pub mod peer;
pub mod sim;
pub mod traffic;
pub mod workload;
