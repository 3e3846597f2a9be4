//! What a log knows of its producers: sequences for idempotence, open transactions for the last stable offset.
//!
//! The state is a function of the log: [`state`] is pure and is driven the same way by appends, by recovery and by truncation.
//! [`snapshot`] is its shortcut on disk, in Kafka's format.

pub(crate) mod snapshot;
pub(crate) mod state;
