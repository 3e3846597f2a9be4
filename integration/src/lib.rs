//! Everything together: real nodes as processes, real clients against them.
//!
//! - [`node`]: starts, kills and restarts a `goatq` of its own, with its own port and its own folder.
//! - [`client`]: librdkafka as the tests use it.
//! - [`ledger`]: what a client was told, against what the log says afterwards.
//!
//! `tests/` uses them; `clients/` holds the programs of the foreign-client matrix.

#![allow(clippy::disallowed_methods, reason = "a harness of real processes reads files and waits in real time")]

pub mod client;
pub mod ledger;
pub mod node;
