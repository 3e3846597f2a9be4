//! Handing out producer ids in blocks.

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision, brokers::UnknownBroker};
use crate::record::ProducerIdsRecord;

/// Ids in a block, as in Kafka.
pub const PRODUCER_ID_BLOCK: u32 = 1_000;

/// Asks for a block of producer ids that nobody else will get. What a broker does not use of it is lost when it stops.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AllocateProducerIds {
    /// The broker that asks.
    pub broker_id: i32,
    /// The epoch of its registration.
    pub broker_epoch: i64,
    /// How many; [`PRODUCER_ID_BLOCK`] is usual.
    pub count: u32,
}

/// A block of producer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: i64,
    /// How many follow one another from it.
    pub count: u32,
}

/// Why no ids were given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AllocateProducerIdsError {
    /// The broker is not registered like that.
    #[error(transparent)]
    Broker(#[from] UnknownBroker),
    /// All are given out.
    #[error("All producer ids have been given out: {0} are left.")]
    Exhausted(i64),
}

impl Command for AllocateProducerIds {
    type Response = Result<ProducerIdBlock, AllocateProducerIdsError>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        if let Err(unknown) = super::brokers::registered(cx.image, self.broker_id, self.broker_epoch) {
            return Decision::unchanged(Err(unknown.into()));
        }
        let first = cx.image.next_producer_id;
        let Some(next_producer_id) = first.checked_add(i64::from(self.count)) else {
            return Decision::unchanged(Err(AllocateProducerIdsError::Exhausted(i64::MAX - first)));
        };
        let record = ProducerIdsRecord { broker_id: self.broker_id, broker_epoch: self.broker_epoch, next_producer_id };
        Decision { records: vec![record.into()], response: Ok(ProducerIdBlock { first, count: self.count }) }
    }
}
