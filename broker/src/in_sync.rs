//! Who is in sync: takes what leaders propose to the controller and brings the answers back, and reminds leaders of the time.
//!
//! What has gathered goes in one request. A proposal without an answer is made again after a pause; what the leader makes of
//! an answer is its affair ([`crate::replication::leader`]).

use std::sync::Arc;
use std::time::Duration;

use goatq_controller::Controller;
use goatq_controller::decide::alter_partition::{AlterPartition, AlterPartitionError, AlteredPartition, NewIsr};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metadata::applied::Applied;
use crate::node::Node;
use crate::partition::{PartitionProposal, PartitionRegistry};
use crate::replication::leader::{IsrAnswer, Standing};

/// Proposals in one request.
const MAX_PROPOSALS: usize = 1_000;
/// How long the controller may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause before a proposal is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
pub(crate) struct InSync {
    node_id: i32,
    controller: Controller,
    partitions: Arc<PartitionRegistry>,
    applied: Applied,
    clock: Arc<dyn Clock>,
    max_lag: Duration,
}

impl InSync {
    /// For the partitions that a node leads.
    pub(crate) fn new(node: &Node, max_lag: Duration) -> Self {
        Self {
            node_id: node.id,
            controller: node.controller.clone(),
            partitions: node.partitions.clone(),
            applied: node.applied.clone(),
            clock: node.clock.clone(),
            max_lag,
        }
    }

    /// Works until cancelled.
    pub(crate) async fn run(self, proposed: UnboundedReceiver<PartitionProposal>, cancel: CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.remind() => {}
            () = self.propose(proposed) => {}
        }
    }

    /// Twice in `replica.lag.time.max.ms` leaders look for who lags.
    async fn remind(&self) {
        let mut ticks = interval((self.max_lag / 2).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let image = self.applied.image();
            let standing = |id| standing(&image, id);
            for partition in self.partitions.all().iter().filter(|partition| partition.is_leader()) {
                partition.on_tick(standing, self.clock.monotonic());
            }
        }
    }

    async fn propose(&self, mut proposed: UnboundedReceiver<PartitionProposal>) {
        let mut batch = Vec::new();
        while proposed.recv_many(&mut batch, MAX_PROPOSALS).await > 0 {
            let answers = self.ask(&batch).await;
            if answers.contains(&IsrAnswer::Unanswered) {
                sleep(PAUSE).await;
            }
            for (of, answer) in batch.drain(..).zip(answers) {
                if let Some(partition) = self.partitions.get_by_id(of.topic_id, of.index) {
                    partition.on_isr_answer(&of.proposal, answer);
                }
            }
        }
    }

    /// The answers, in the order of the proposals.
    async fn ask(&self, batch: &[PartitionProposal]) -> Vec<IsrAnswer> {
        let unanswered = || vec![IsrAnswer::Unanswered; batch.len()];
        let Some(broker) = self.applied.image().brokers.get(self.node_id).cloned() else { return unanswered() };
        let partitions = batch.iter().map(|of| NewIsr {
            topic_id: of.topic_id,
            partition: of.index,
            leader_epoch: of.proposal.leader_epoch,
            partition_epoch: of.proposal.partition_epoch,
            isr: of.proposal.isr.clone(),
        });
        let command =
            AlterPartition { broker_id: self.node_id, broker_epoch: broker.epoch, partitions: partitions.collect() };
        match timeout(PATIENCE, self.controller.submit(command)).await {
            Ok(Ok(Ok(answers))) => answers.into_iter().map(|(_, _, result)| answer(result)).collect(),
            Ok(Ok(Err(unknown))) => {
                tracing::warn!(%unknown, "the controller does not know this broker: its ISR changes wait");
                unanswered()
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "ISR changes wait for a controller");
                unanswered()
            }
            Err(_) => unanswered(),
        }
    }
}

/// What the metadata says of a broker.
pub(crate) fn standing(image: &goatq_controller::image::MetadataImage, id: i32) -> Option<Standing> {
    let broker = image.brokers.get(id)?;
    Some(Standing { epoch: broker.epoch, may_join: broker.may_lead() })
}

fn answer(result: Result<AlteredPartition, AlterPartitionError>) -> IsrAnswer {
    match result {
        Ok(altered) => IsrAnswer::Altered { partition_epoch: altered.partition_epoch, isr: altered.isr },
        Err(AlterPartitionError::Ineligible(_)) => IsrAnswer::Ineligible,
        // It knows less than this node: another one is the controller.
        Err(AlterPartitionError::NewerEpoch) => IsrAnswer::Unanswered,
        Err(
            AlterPartitionError::UnknownTopic
            | AlterPartitionError::UnknownPartition
            | AlterPartitionError::FencedLeaderEpoch(_)
            | AlterPartitionError::InvalidUpdateVersion(_)
            | AlterPartitionError::NewLeaderElected
            | AlterPartitionError::Invalid(_),
        ) => IsrAnswer::Superseded,
    }
}
