//! The broker: network, APIs, partitions, fetch sessions and coordinators.
//!
//! - [`net`]: listeners, connections, frames.
//! - [`api`]: one file per API, found through one table.
//! - [`partition`]: the partitions of this node: log and leader state.
//! - [`replication`]: what the leader of a partition knows of its replicas.
//! - [`purgatory`]: where requests wait for offsets.
//! - [`fetch`]: what Fetch remembers and how much it reads.
//! - `quorum`: how the nodes of a cluster reach one another; `lifecycle`: a broker's registration and heartbeats.
//! - [`config`]: the table of keys, where values come from, typed views of them.
//! - [`node`]: what a request can reach.
//! - [`assembly`]: puts a running node together from its parts, and takes it down again.
//! - [`threads`], [`health`]: where work runs; how the node is.
//! - [`cli`]: what the `goatq` command can do.
//! - [`clock`]: the source of time that everything is given.
//!
//! The crate's `README.md` draws the picture.

pub mod api;
pub mod assembly;
pub mod cli;
pub mod clock;
pub mod config;
pub(crate) mod coordinator;
pub(crate) mod directories;
pub mod fetch;
pub(crate) mod fetcher;
mod healing;
pub mod health;
pub mod http;
pub(crate) mod in_sync;
pub(crate) mod lifecycle;
pub mod loggers;
pub(crate) mod metadata;
pub mod metrics;
pub(crate) mod moves;
pub mod net;
pub mod node;
pub mod partition;
pub(crate) mod producer_ids;
pub mod purgatory;
pub(crate) mod quorum;
pub mod replication;
mod report;
pub(crate) mod scrape;
#[cfg(test)]
pub(crate) mod script_args;
pub(crate) mod tasks;
pub mod threads;
pub(crate) mod topics;
