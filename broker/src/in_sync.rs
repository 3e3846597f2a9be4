//! Who is in sync: takes what leaders propose to the controller and brings the answers back, and reminds leaders of the time.
//!
//! What has gathered goes in one request. A proposal without an answer is made again after a pause; what the leader makes of
//! an answer is its affair ([`crate::replication::leader`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use goatq_controller::Controller;
use goatq_controller::decide::alter_partition::{AlterPartition, AlterPartitionError, AlteredPartition, NewIsr};
use goatq_controller::planted::Planted;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metadata::applied::Applied;
use crate::node::Node;
use crate::partition::{PartitionProposal, PartitionRegistry};
use crate::replication::leader::{IsrAnswer, Standing, UNKNOWN_EPOCH};

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
    planted: Option<Planted>,
}

impl InSync {
    /// For the partitions that a node leads.
    pub(crate) fn new(node: &Node, max_lag: Duration, planted: Option<Planted>) -> Self {
        Self {
            node_id: node.id,
            controller: node.controller.clone(),
            partitions: node.partitions.clone(),
            applied: node.applied.clone(),
            clock: node.clock.clone(),
            max_lag,
            planted,
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

    /// Twelve times in `replica.lag.time.max.ms` leaders look for who lags, and whose disk is slow.
    async fn remind(&self) {
        let mut ticks = interval((self.max_lag / 12).max(Duration::from_millis(1)));
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
            keep_newest(&mut batch);
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
        let nameless = self.planted.is_some_and(Planted::leaves_out_broker_epochs);
        let partitions = batch.iter().map(|of| NewIsr {
            topic_id: of.topic_id,
            partition: of.index,
            leader_epoch: of.proposal.leader_epoch,
            partition_epoch: of.proposal.partition_epoch,
            isr: of
                .proposal
                .isr
                .iter()
                .map(|(id, epoch)| (*id, if nameless { UNKNOWN_EPOCH } else { *epoch }))
                .collect(),
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

/// Leaves the newest proposal of each partition. What was decided meanwhile outdates an earlier one, of which nobody waits for an answer;
/// and a request that names a partition twice is refused for the second time, which its leader would take for news that are on their way.
fn keep_newest(batch: &mut Vec<PartitionProposal>) {
    let under = |of: &PartitionProposal| (of.proposal.leader_epoch, of.proposal.partition_epoch);
    let mut newest = BTreeMap::new();
    for of in batch.iter() {
        let known = newest.entry((of.topic_id, of.index)).or_insert(under(of));
        *known = (*known).max(under(of));
    }
    batch.retain(|of| newest.get(&(of.topic_id, of.index)) == Some(&under(of)));
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

#[cfg(test)]
mod tests {
    use goatq_protocol::Uuid;

    use super::*;
    use crate::replication::leader::IsrProposal;

    fn proposal(topic: u128, index: i32, (leader_epoch, partition_epoch): (i32, i32)) -> PartitionProposal {
        let proposal = IsrProposal { leader_epoch, partition_epoch, isr: vec![(1, -1)], attempt: 1 };
        PartitionProposal { topic_id: Uuid::from_u128(topic), index, proposal }
    }

    #[test]
    fn a_request_names_a_partition_once() {
        let (first, other, newest) = (proposal(1, 0, (3, 5)), proposal(1, 1, (3, 5)), proposal(1, 0, (4, 4)));
        let mut batch = vec![first.clone(), other.clone(), newest.clone()];
        keep_newest(&mut batch);
        assert_eq!(batch, [other.clone(), newest.clone()]);
        // In whatever order they come.
        let mut batch = vec![newest.clone(), proposal(2, 0, (0, 0)), first, other.clone()];
        keep_newest(&mut batch);
        assert_eq!(batch, [newest, proposal(2, 0, (0, 0)), other]);
    }
}
