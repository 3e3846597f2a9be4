//! Partitions with several replicas on real processes: what was acknowledged survives kill -9, replicas that come back catch up, and
//! in the end all of them have the same bytes.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

mod groups;
mod kills;
mod min_insync;
mod racks;
mod rolling;
mod rot;
mod support;
