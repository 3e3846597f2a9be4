//! Coordinators: state that lives in Kafka's internal topics.
//!
//! - [`runtime`]: one state machine per partition of an internal topic, its log, its timers, its waiting calls.
//! - [`group`]: groups and committed offsets in `__consumer_offsets`.

pub(crate) mod group;
mod placement;
pub(crate) mod runtime;
