//! Coordinators: state that lives in Kafka's internal topics.
//!
//! - [`runtime`]: one state machine per partition of an internal topic, its log, its timers, its waiting calls.
//! - [`group`]: groups and committed offsets in `__consumer_offsets`.
//! - [`placement`]: which partitions of internal topics this node coordinates.

pub(crate) mod group;
pub(crate) mod placement;
pub(crate) mod runtime;
