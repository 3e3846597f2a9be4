//! The broker: network, APIs, partitions, fetch sessions and coordinators.
//!
//! - [`config`]: the table of keys, where values come from, typed views of them.
//! - [`node`]: puts a running node together from its parts, and takes it down again.
//! - [`cli`]: what the `goatq` command can do.
//! - [`clock`]: the source of time that everything is given.
//!
//! The crate's `README.md` draws the picture.

pub mod clock;
pub mod config;
pub mod metrics;
pub mod node;
pub(crate) mod topics;
