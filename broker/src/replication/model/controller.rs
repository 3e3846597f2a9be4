//! The controller of the model: one partition and its brokers, decided by the controller's own rules.

use goatq_controller::decide::alter_partition::{AlterPartitionError, NewIsr, check_isr};
use goatq_controller::election::{Change, Returning};
use goatq_controller::image::PartitionImage;
use goatq_controller::record::NO_LEADER_CHANGE;
use goatq_protocol::Uuid;

use super::super::leader::{IsrAnswer, IsrProposal};
use super::world::{Fault, Scope};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Broker {
    pub(super) epoch: i64,
    pub(super) fenced: bool,
}

/// The metadata: what nodes learn, whole, when they learn it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Metadata {
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    pub(super) partition_epoch: i32,
    pub(super) isr: Vec<i32>,
    pub(super) elr: Vec<i32>,
    pub(super) brokers: Vec<Broker>,
}

pub(super) fn index(id: i32) -> usize {
    usize::try_from(id).expect("ids of the model are small")
}

impl Metadata {
    pub(super) fn new(nodes: i32) -> Self {
        let isr: Vec<i32> = (0..nodes).collect();
        let brokers = isr.iter().map(|id| Broker { epoch: i64::from(*id), fenced: false }).collect();
        Self { leader: 0, leader_epoch: 1, partition_epoch: 1, isr, elr: Vec::new(), brokers }
    }

    pub(super) fn replicas(&self) -> Vec<i32> {
        (0..).take(self.brokers.len()).collect()
    }

    fn image(&self) -> PartitionImage {
        PartitionImage {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            replicas: self.replicas(),
            isr: self.isr.clone(),
            elr: self.elr.clone(),
            last_known_elr: Vec::new(),
            unclean_epoch: -1,
            directories: Vec::new(),
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
        }
    }

    /// Decides a change, and replays it.
    fn change(&mut self, scope: &Scope, change: impl FnOnce(Change<'_>) -> Change<'_>) {
        let image = self.image();
        let Some(record) = change(Change::of(&image, scope.min_insync)).record(Uuid::ZERO, 0) else { return };
        self.partition_epoch += 1;
        if record.leader != NO_LEADER_CHANGE {
            self.leader = record.leader;
            self.leader_epoch += 1;
        }
        self.isr = record.isr.unwrap_or_else(|| self.isr.clone());
        self.elr = record.elr.unwrap_or_else(|| self.elr.clone());
    }

    fn alive(&self) -> impl Fn(i32) -> bool + use<> {
        let fenced: Vec<bool> = self.brokers.iter().map(|broker| broker.fenced).collect();
        move |id| !fenced[index(id)]
    }

    pub(super) fn fence(&mut self, id: i32, scope: &Scope) {
        self.brokers[index(id)].fenced = true;
        let alive = self.alive();
        self.change(scope, |change| change.gone(id, alive));
    }

    pub(super) fn unfence(&mut self, id: i32, scope: &Scope) {
        self.brokers[index(id)].fenced = false;
        let alive = self.alive();
        self.change(scope, |change| change.ready(alive));
    }

    /// A process was started anew.
    pub(super) fn register(&mut self, id: i32, scope: &Scope) {
        let newest = self.brokers.iter().map(|broker| broker.epoch).max().unwrap_or(0);
        self.brokers[index(id)] = Broker { epoch: newest + 1, fenced: false };
        let alive = self.alive();
        let others = |other| other != id && alive(other);
        let trusted = scope.fault == Some(Fault::LossyStaysEligible);
        let returning = if trusted { Returning::Complete } else { scope.disks.returning() };
        self.change(scope, |change| change.restarted(id, returning, others).ready(&alive));
    }

    /// Decides a leader's proposal.
    pub(super) fn alter(&mut self, from: i32, proposal: &IsrProposal, scope: &Scope) -> IsrAnswer {
        let mut new = NewIsr {
            topic_id: Uuid::ZERO,
            partition: 0,
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: proposal.isr.clone(),
        };
        match scope.fault {
            Some(Fault::PartitionEpochNotChecked) if from == self.leader => {
                new.partition_epoch = self.partition_epoch;
            }
            Some(Fault::BrokerEpochNotChecked) => new.isr.iter_mut().for_each(|(_, epoch)| *epoch = -1),
            _ => {}
        }
        let epoch_of = |id: i32| self.brokers.get(index(id)).filter(|broker| !broker.fenced).map(|broker| broker.epoch);
        match check_isr(&self.image(), from, &new, epoch_of) {
            Ok(()) => {
                let isr: Vec<i32> = new.isr.iter().map(|(id, _)| *id).collect();
                let before = self.partition_epoch;
                let alive = self.alive();
                self.change(scope, |change| change.in_sync(isr.clone(), alive));
                self.partition_epoch = before + 1;
                IsrAnswer::Altered { partition_epoch: self.partition_epoch, isr }
            }
            Err(AlterPartitionError::Ineligible(_)) => IsrAnswer::Ineligible,
            Err(_) => IsrAnswer::Superseded,
        }
    }
}
