//! Where work runs.
//!
//! - [`workers`]: the threads that serve connections.
//! - [`balance`]: how many of them do, and which connections each has.
//! - [`pace`]: when one of them rests so that requests come together.
//! - `idle`: whether the machine has cores to spare.
//! - [`offload`]: work that blocks.

pub mod balance;
pub(crate) mod idle;
pub mod offload;
pub mod pace;
pub mod workers;
