//! Producer ids: taken from the controller in blocks, given out one by one.

use goatq_controller::Controller;
use goatq_controller::decide::producer_ids::{AllocateProducerIds, AllocateProducerIdsError, PRODUCER_ID_BLOCK};
use goatq_controller::service::SubmitError;
use tokio::sync::Mutex;

/// Gives out producer ids that no other producer of the cluster gets.
pub(crate) struct ProducerIds {
    controller: Controller,
    node_id: i32,
    /// Next id and end of the block at hand. The lock is held while a new block is asked for, so that one is asked for.
    block: Mutex<(i64, i64)>,
}

/// Why there is no id now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProducerIdError {
    /// The controller cannot act.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The controller refuses.
    #[error(transparent)]
    Refused(#[from] AllocateProducerIdsError),
    /// This node is not registered (yet).
    #[error("this node is not registered with the controller")]
    NotRegistered,
}

impl ProducerIds {
    /// Ids for the producers that ask node `node_id`.
    pub(crate) fn new(controller: Controller, node_id: i32) -> Self {
        Self { controller, node_id, block: Mutex::new((0, 0)) }
    }

    /// An id that was never given out.
    ///
    /// # Errors
    /// See [`ProducerIdError`]; later it may work.
    pub(crate) async fn next(&self) -> Result<i64, ProducerIdError> {
        let mut block = self.block.lock().await;
        if block.0 >= block.1 {
            let image = self.controller.image();
            let broker_epoch = image.brokers.get(self.node_id).ok_or(ProducerIdError::NotRegistered)?.epoch;
            let count = PRODUCER_ID_BLOCK;
            let command = AllocateProducerIds { broker_id: self.node_id, broker_epoch, count };
            let fresh = self.controller.submit(command).await??;
            *block = (fresh.first, fresh.first.saturating_add(i64::from(fresh.count)));
        }
        let id = block.0;
        block.0 += 1;
        Ok(id)
    }
}
