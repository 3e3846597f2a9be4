//! A defect that is planted on purpose: what a deposed controller decided is put into effect by the next one, as it is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Controller, SubmitError, calls::LeaderRequest};
use crate::{
    decide::{Command, Context, Decision},
    record::MetadataRecord,
};

/// Records that were decided somewhere else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Decree(Vec<u8>);

impl Command for Decree {
    type Response = ();

    fn decide(self, _: &mut Context<'_>) -> Decision<()> {
        let records = MetadataRecord::decode_all(self.0.into()).unwrap_or_default();
        Decision { records, response: () }
    }
}

impl LeaderRequest for Decree {
    const NAME: &'static str = "Decree";
    type Answer = ();

    async fn answer(self, controller: &Controller) -> Result<(), SubmitError> {
        controller.submit_here(self).await
    }
}

/// Has the next controller carry out what comes.
pub(super) fn insist(controller: Controller, mut decided: mpsc::UnboundedReceiver<Bytes>) {
    tokio::spawn(async move {
        while let Some(records) = decided.recv().await {
            let sent = controller.submit(Decree(records.to_vec())).await;
            tracing::warn!(?sent, "decided before another controller was elected, and insisted on");
        }
    });
}
