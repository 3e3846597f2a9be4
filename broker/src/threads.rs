//! Where work runs.
//!
//! - [`workers`]: the threads that serve connections.
//! - [`offload`]: work that blocks.

pub mod offload;
pub mod workers;
