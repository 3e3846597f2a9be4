//! InitProducerId (key 22): getting a producer id and epoch.
//!
//! Version 3 raises the epoch of a given id (KIP-360), 6 is two-phase commit (KIP-939), not stable yet.

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for a producer id, or fences a transactional one.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = InitProducerId, versions = "0-6", flexible = "2+")]
pub struct InitProducerIdRequest {
    /// The transactional id; null without transactions.
    pub transactional_id: Option<ByteString>,
    /// How long a transaction may stay open, ms.
    pub transaction_timeout_ms: i32,
    /// The id to go on with, -1 for a new one.
    #[field(versions = "3+", default = "-1")]
    pub producer_id: i64,
    /// The epoch to go on from, -1 for none.
    #[field(versions = "3+", default = "-1")]
    pub producer_epoch: i16,
    /// Whether the producer takes part in a two-phase commit (KIP-939).
    #[field(versions = "6+")]
    pub enable_2pc: bool,
    /// Whether a prepared transaction is to be kept instead of aborted (KIP-939).
    #[field(versions = "6+")]
    pub keep_prepared_txn: bool,
}

/// The producer id and epoch.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = InitProducerId, versions = "0-6", flexible = "2+")]
pub struct InitProducerIdResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// Id of the producer, -1 for none.
    #[field(default = "-1")]
    pub producer_id: i64,
    /// Epoch of the producer, -1 for none.
    pub producer_epoch: i16,
    /// Producer id of a transaction that is kept, -1 if there is none.
    #[field(versions = "6+", default = "-1")]
    pub ongoing_txn_producer_id: i64,
    /// Producer epoch of a transaction that is kept, -1 if there is none.
    #[field(versions = "6+", default = "-1")]
    pub ongoing_txn_producer_epoch: i16,
}
