//! The life of a broker in its cluster: it registers, says again and again that it is alive, and gives up what it leads before it stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use goatq_controller::Controller;
use goatq_controller::decide::brokers::{RegisterBroker, RegisterBrokerError, UnknownBroker};
use goatq_controller::decide::directories::{AssignDirectories, PlacedReplica};
use goatq_controller::decide::losses::{ReportLosses, ShortReplica};
use goatq_controller::liveness::{BrokerHeartbeat, HeartbeatAnswer};
use goatq_controller::service::SubmitError;
use goatq_storage::log::Log;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::directories::Directories;
use crate::health::{Health, Phase};
use crate::metadata::applied::Applied;
use crate::threads::offload::Offload;

/// Between two attempts while the quorum is not reached.
const AGAIN: Duration = Duration::from_millis(250);
/// Replicas whose directories are told at once.
const TOLD_AT_ONCE: usize = 1_000;
/// How many attempts pass between two lines about it.
const QUIET: u32 = 40;
/// How long a heartbeat that was asked for waits for metadata that is about to be in effect.
const IN_EFFECT: Duration = Duration::from_millis(100);
/// Between two heartbeats of a broker that stops.
const LEAVING: Duration = Duration::from_millis(20);
/// How long a broker tries to give up what it leads.
const ORDERLY: Duration = Duration::from_secs(5);

/// A broker's registration, shared by all who need its epoch.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    controller: Controller,
    applied: Applied,
    command: RegisterBroker,
    interval: Duration,
    directories: Arc<Directories>,
    epoch: Arc<AtomicI64>,
    /// Set for good when the broker begins to stop: from then on no heartbeat says anything else.
    leaving: Arc<AtomicBool>,
}

/// A replica that has less than it had acknowledged, and its log, which remembers that until the controller knows.
#[derive(Debug)]
pub(crate) struct FoundLoss {
    /// What the controller is told.
    pub(crate) replica: ShortReplica,
    /// The log.
    pub(crate) log: Arc<Log>,
}

/// Why a broker is not in the cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterFailure {
    /// The controller refuses it.
    #[error(transparent)]
    Refused(#[from] RegisterBrokerError),
    /// This node's part of the quorum has stopped.
    #[error(transparent)]
    Stopped(SubmitError),
}

impl Registration {
    /// Not registered yet. `applied` tells how far the metadata is in effect, `interval` is `broker.heartbeat.interval.ms`.
    pub(crate) fn new(
        controller: Controller,
        applied: Applied,
        command: RegisterBroker,
        interval: Duration,
        directories: Arc<Directories>,
    ) -> Self {
        let (epoch, leaving) = (Arc::new(AtomicI64::new(-1)), Arc::default());
        Self { controller, applied, command, interval, directories, epoch, leaving }
    }

    /// The epoch of the registration, -1 before.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Waits a little until the metadata that this node has is in effect: who asks for a heartbeat may wait for that.
    async fn until_in_effect(&self) {
        let index = self.controller.image().applied_index;
        tokio::time::timeout(IN_EFFECT, self.applied.until(index)).await.ok();
    }

    async fn beat(&self) -> Result<Result<HeartbeatAnswer, UnknownBroker>, SubmitError> {
        let want_shut_down = self.leaving.load(Ordering::Acquire);
        let applied = self.applied.image().applied_index;
        let beat = BrokerHeartbeat {
            id: self.command.id,
            epoch: self.epoch(),
            ready: true,
            want_shut_down,
            applied,
            directories: Some(self.directories.online()),
            cordoned: self.directories.cordoned(),
        };
        self.controller.heartbeat(beat).await
    }
}

/// Registers, however long it takes. When this returns, this node's metadata has the registration.
///
/// # Errors
/// It never will: see [`RegisterFailure`].
pub(crate) async fn register(registration: &Registration) -> Result<(), RegisterFailure> {
    let mut attempts: u32 = 0;
    let mut command = registration.command.clone();
    let known = registration.controller.image().brokers.get(command.id).map_or(-1, |broker| broker.epoch);
    command.replaces = Some(known);
    loop {
        match registration.controller.submit(command.clone()).await {
            Ok(Ok(epoch)) => {
                registration.epoch.store(epoch, Ordering::Release);
                break;
            }
            // The metadata of this node is older than its last life.
            Ok(Err(RegisterBrokerError::Duplicate { current, .. })) => command.replaces = Some(current),
            Ok(Err(refused)) => return Err(refused.into()),
            Err(SubmitError::Stopped) => return Err(RegisterFailure::Stopped(SubmitError::Stopped)),
            Err(error) => {
                if attempts.is_multiple_of(QUIET) {
                    tracing::warn!(%error, "the metadata quorum is not reached, this broker goes on trying");
                }
                attempts = attempts.wrapping_add(1);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    let (mut images, id, epoch) = (registration.controller.watch(), registration.command.id, registration.epoch());
    let has = images.wait_for(|image| image.brokers.get(id).is_some_and(|broker| broker.epoch >= epoch)).await;
    has.map(drop).map_err(|_| RegisterFailure::Stopped(SubmitError::Stopped))
}

/// Says that the broker is ready, until it may serve.
pub(crate) async fn until_unfenced(registration: &Registration) {
    loop {
        if registration.beat().await.is_ok_and(|answer| answer.is_ok_and(|answer| !answer.fenced)) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Says that the broker is alive, until cancelled. Another process under its id ends it.
pub(crate) async fn keep_alive(registration: Registration, health: Arc<Health>, cancel: CancellationToken) {
    let mut wait = registration.interval;
    let mut wanted = registration.controller.heartbeats_wanted();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            Ok(()) = wanted.changed() => registration.until_in_effect().await,
        }
        let answer = tokio::select! {
            () = cancel.cancelled() => return,
            answer = registration.beat() => answer,
        };
        wait = registration.interval;
        match answer {
            Ok(Ok(answer)) if answer.fenced && !answer.may_shut_down => tracing::warn!("this broker is fenced"),
            Ok(Ok(_)) => {}
            Ok(Err(UnknownBroker::StaleEpoch { id, given, current })) => {
                let why = format!("another process has registered as broker {id}: its epoch is {current}, not {given}");
                return health.enter(Phase::Failed(why));
            }
            Ok(Err(UnknownBroker::NotRegistered(_))) => {
                if let Err(error) = register(&registration).await {
                    return health.enter(Phase::Failed(error.to_string()));
                }
            }
            Err(SubmitError::Stopped) => return,
            Err(error) => {
                tracing::debug!(%error, "the active controller was not reached");
                wait = wait.min(AGAIN);
            }
        }
    }
}

/// Tells the controller in which directories the replicas are that it has elsewhere, or nowhere, until cancelled.
pub(crate) async fn tell_directories(
    registration: Registration,
    mut misplaced: UnboundedReceiver<PlacedReplica>,
    cancel: CancellationToken,
) {
    let mut batch: Vec<PlacedReplica> = Vec::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            received = misplaced.recv_many(&mut batch, TOLD_AT_ONCE) => if received == 0 { return },
        }
        loop {
            let (id, epoch, replicas) = (registration.command.id, registration.epoch(), batch.clone());
            let told = tokio::select! {
                () = cancel.cancelled() => return,
                told = registration.controller.submit(AssignDirectories { id, epoch, replicas }) => told,
            };
            match told {
                Ok(Ok(())) => break,
                Err(SubmitError::Stopped) => return,
                // The controller is not reached, or the broker is about to register anew.
                Ok(Err(_)) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
        batch.clear();
    }
}

/// What was found so far of replicas that are short.
pub(crate) fn found_losses(losses: &mut UnboundedReceiver<FoundLoss>) -> Vec<FoundLoss> {
    std::iter::from_fn(|| losses.try_recv().ok()).collect()
}

/// Tells the controller of replicas that are short, until it knows. They may not lead before that.
pub(crate) async fn tell_losses(registration: &Registration, found: Vec<FoundLoss>, offload: Offload) {
    for some in found.chunks(TOLD_AT_ONCE) {
        loop {
            let (id, epoch) = (registration.command.id, registration.epoch());
            let replicas = some.iter().map(|found| found.replica).collect();
            match registration.controller.submit(ReportLosses { id, epoch, replicas }).await {
                Ok(Ok(())) => break,
                Err(SubmitError::Stopped) => return,
                // The controller is not reached, or the broker is about to register anew.
                Ok(Err(_)) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
    losses_are_known(found, offload).await;
}

/// The controller knows of these: their logs need not remember them any more.
pub(crate) async fn losses_are_known(found: Vec<FoundLoss>, offload: Offload) {
    let forget = move || {
        for FoundLoss { log, .. } in found {
            if let Err(error) = log.forget_loss() {
                tracing::warn!(log = log.name(), %error, "a note stays: the next start tells again that the log is short");
            }
        }
    };
    offload.run(forget).await;
}

/// Tells of those that are found while the node runs, until cancelled.
pub(crate) async fn tell_later_losses(
    registration: Registration,
    mut losses: UnboundedReceiver<FoundLoss>,
    offload: Offload,
    cancel: CancellationToken,
) {
    loop {
        let found = tokio::select! {
            () = cancel.cancelled() => return,
            found = losses.recv() => found,
        };
        let Some(found) = found else { return };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tell_losses(&registration, vec![found], offload) => {}
        }
    }
}

/// Gives up what the broker leads, as far as others can take it over, so that nobody waits for a broker that has gone.
pub(crate) async fn give_up_leadership(registration: &Registration) {
    registration.leaving.store(true, Ordering::Release);
    let given_up = async {
        while !registration.beat().await.is_ok_and(|answer| answer.is_ok_and(|answer| answer.may_shut_down)) {
            tokio::time::sleep(LEAVING).await;
        }
    };
    if tokio::time::timeout(ORDERLY, given_up).await.is_err() {
        tracing::warn!("the active controller did not take over what this broker leads: it stops all the same");
    }
}
