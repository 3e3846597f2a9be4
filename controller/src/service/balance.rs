//! What the leader does to keep brokers even: it looks now and then, and when something changes, plans ([`crate::balance`]), and carries out
//! what was planned as anybody would who moves replicas.

use std::{collections::BTreeMap, time::Duration};

use bytestring::ByteString;
use goatq_protocol::Uuid;
use openraft::async_runtime::watch::WatchReceiver;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Controller, SubmitError};
use crate::{
    balance::{BalanceSettings, Goals, Limits, Load, Look, Plan, ReplicaChange, Turns, plan},
    decide::{
        elect_leaders::{ElectLeaders, Election},
        reassign::{AlterPartitionReassignments, Target},
    },
    image::SharedImage,
};

/// Changes of one plan that are written to the log of the process; of the others there is a count.
const TOLD: usize = 20;

/// What a broker says now and then of its disks and of the partitions that it leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerReport {
    /// `node.id`.
    pub id: i32,
    /// Bytes that its disks can take.
    pub free_bytes: u64,
    /// Topics with numbers and bytes of partitions that it leads; small ones may be left out.
    pub partitions: Vec<(Uuid, Vec<(i32, u64)>)>,
}

/// What brokers have said last.
#[derive(Debug, Default)]
pub(super) struct Reports {
    free_bytes: BTreeMap<i32, u64>,
    /// By topic, the size of partitions by their leaders' word.
    sizes: BTreeMap<i32, BTreeMap<(Uuid, i32), u64>>,
}

impl Reports {
    fn take(&mut self, report: BrokerReport) {
        self.free_bytes.insert(report.id, report.free_bytes);
        let sizes = report.partitions.into_iter().flat_map(|(topic, partitions)| {
            partitions.into_iter().map(move |(number, bytes)| ((topic, number), bytes))
        });
        self.sizes.insert(report.id, sizes.collect());
    }
}

impl Controller {
    /// Tells the leader how large the partitions are that this node's broker leads.
    ///
    /// # Errors
    /// The leader was not reached; nothing is lost, the next report says all of it again.
    pub async fn report(&self, report: BrokerReport) -> Result<(), SubmitError> {
        self.call(report).await
    }

    /// Takes a report, if this node leads.
    pub(super) fn take_report(&self, report: BrokerReport) -> Result<(), SubmitError> {
        if !self.running.leads() {
            return Err(self.not_leader());
        }
        self.running.reports.lock().take(report);
        Ok(())
    }

    /// Keeps brokers even while this node leads.
    pub(super) async fn keep_even(self, settings: BalanceSettings) {
        let mut stop = self.running.stop.subscribe();
        let (mut images, mut metrics) = (self.watch(), self.running.raft.server_metrics());
        let mut turns = None;
        loop {
            let image = images.borrow_and_update().clone();
            let mut wake = Duration::MAX;
            if self.running.leads() && !image.cluster_id.is_empty() {
                let turns = turns.get_or_insert_with(Turns::default);
                let settings = settings.at_run_time(&image.configs);
                self.take_turn(turns, &image, &settings).await;
                wake = turns.wake(&settings, self.running.started.elapsed());
            } else if turns.take().is_some() {
                *self.running.reports.lock() = Reports::default();
            }
            let until = self.running.started.checked_add(wake);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = images.changed() => if changed.is_err() { return },
                changed = metrics.changed() => if changed.is_err() { return },
                () = sleep_until(until) => {}
            }
            // What changes in quick succession is looked at once.
            if turns.is_some() {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(Turns::PACE) => {}
                }
            }
        }
    }

    async fn take_turn(&self, turns: &mut Turns, image: &SharedImage, settings: &BalanceSettings) {
        let look = turns.look(image, settings, self.running.started.elapsed());
        if look.leaders {
            self.restore_leaders(None).await;
        }
        let Some(goals) = look.goals else { return };
        let (planned, moving) = self.make_plan(image, settings, look, goals).await;
        let carried_out = self.carry_out(&planned).await;
        turns.planned(image, settings, carried_out, moving, self.running.started.elapsed());
    }

    /// A plan, and whether replicas are being moved already. Large clusters take a while: that is nothing for the thread that serves.
    async fn make_plan(
        &self,
        image: &SharedImage,
        settings: &BalanceSettings,
        look: Look,
        goals: Goals,
    ) -> (Plan, bool) {
        let (running, image, settings) = (self.running.clone(), image.clone(), settings.clone());
        let work = move || {
            let load = {
                let reports = running.reports.lock();
                let size = |topic: &Uuid, number| {
                    let of = reports.sizes.values().filter_map(|sizes| sizes.get(&(*topic, number)));
                    of.copied().max().unwrap_or(0)
                };
                Load::of(&image, &settings, &look.lost, size, |id| reports.free_bytes.get(&id).copied())
            };
            let limits = Limits { per_broker: settings.moves_per_broker, ..Limits::default() };
            (plan(&load, goals, &limits), load.is_moving())
        };
        match self.running.offload {
            true => tokio::task::spawn_blocking(work).await.unwrap_or_default(),
            false => work(),
        }
    }

    /// How many changes were made.
    async fn carry_out(&self, plan: &Plan) -> usize {
        if plan.changes.is_empty() {
            return 0;
        }
        for change in plan.changes.iter().take(TOLD) {
            let ReplicaChange { topic, partition, from, to, reason, .. } = change;
            tracing::info!(%topic, partition, ?from, ?to, %reason, "balancer: replicas change");
        }
        if plan.changes.len() > TOLD {
            tracing::info!(more = plan.changes.len() - TOLD, "balancer: and others");
        }
        let mut topics: BTreeMap<ByteString, Vec<Target>> = BTreeMap::new();
        for change in &plan.changes {
            topics.entry(change.topic.clone()).or_default().push((change.partition, Some(change.to.clone())));
        }
        let command = AlterPartitionReassignments { topics: topics.into_iter().collect(), allow_factor_change: false };
        let answers = match self.submit_here(command).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(%error, "balancer: nothing was changed");
                return 0;
            }
        };
        let mut done = 0;
        for (topic, partitions) in answers {
            for (partition, answer) in partitions {
                match answer {
                    Ok(()) => done += 1,
                    Err(error) => tracing::warn!(%topic, partition, %error, "balancer: the replicas stay"),
                }
            }
        }
        self.restore_leaders(Some(reordered(plan))).await;
        done
    }

    /// Preferred leaders get back what they led: of these partitions, or of all.
    async fn restore_leaders(&self, partitions: Option<Vec<(ByteString, Vec<i32>)>>) {
        if partitions.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        match self.submit_here(ElectLeaders { election: Election::Preferred, partitions }).await {
            Ok(answers) => {
                let elected = answers.iter().filter(|(_, _, answer)| answer.is_ok()).count();
                if elected > 0 {
                    tracing::info!(partitions = elected, "preferred leaders lead again");
                }
            }
            Err(error) => tracing::debug!(%error, "no leader was elected"),
        }
    }
}

/// Partitions of which only the order of replicas changes: they can be led by another one at once.
fn reordered(plan: &Plan) -> Vec<(ByteString, Vec<i32>)> {
    let mut topics: BTreeMap<ByteString, Vec<i32>> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.is_order()) {
        topics.entry(change.topic.clone()).or_default().push(change.partition);
    }
    topics.into_iter().collect()
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
