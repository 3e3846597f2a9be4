//! Rules of replication: pure state machines.

pub mod leader;
