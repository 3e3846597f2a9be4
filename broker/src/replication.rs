//! Rules of replication: pure state machines.
//!
//! [`leader`] knows how far each replica is and what follows for the high watermark and the in-sync replicas; [`follower`] knows
//! what to fetch and what an answer does to its log; [`throttle`] how fast replicas may be copied,
//! [`returning`] whether a log still has what its replica had acknowledged. Time, logs and the standing of brokers come in, effects go out. `model` (tests)
//! runs both against the controller's rules through every order of events in a small cluster.

pub mod follower;
pub mod leader;
pub mod returning;
pub mod throttle;

#[cfg(test)]
mod model;
#[cfg(test)]
mod scripts;
