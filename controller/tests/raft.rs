//! The log store, the running controller and a quorum of three, on simulated and real disks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "raft/calls.rs"]
mod calls;
#[path = "raft/log_store.rs"]
mod log_store;
#[path = "raft/losses.rs"]
mod losses;
#[path = "raft/quorum.rs"]
mod quorum;
#[path = "raft/service.rs"]
mod service;
#[path = "raft/support.rs"]
mod support;
#[path = "raft/voters.rs"]
mod voters;
