//! Compaction: of all records with one key only the newest stays (`cleanup.policy=compact`).
//!
//! A run has two passes. The first fills a bounded [`map`] with the newest offset of every key in the dirty part of the log. The
//! second ([`cleaner`]) writes the segments anew without the records that the map shows to be superseded. [`transactions`] tells
//! both which batches were aborted and which markers are still needed. How the result takes the place of the segments is in
//! `log/compaction`.
//!
//! What stays keeps its offset. Records without a key go. Tombstones and markers get a delete horizon the first time they are met,
//! and go when it has passed (KIP-534). The last batch of every live producer stays, without its records if need be, and so does
//! the last batch of each segment written, so that no offset is ever given out twice and segments touch each other.

pub(crate) mod cleaner;
pub(crate) mod map;
pub(crate) mod transactions;
