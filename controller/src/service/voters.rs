//! Voters that come and go while the quorum works (KIP-853): one change at a time, and only when the one before is committed.

use std::collections::BTreeSet;
use std::time::Duration;

use bytestring::ByteString;
use goatq_protocol::Uuid;
use openraft::{ChangeMembers, async_runtime::watch::WatchReceiver};
use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Controller, QuorumNode, SubmitError, calls::LeaderRequest, lead::HEARD_LATELY, writer::submit_error};
use crate::{
    feature::KRAFT_VERSION,
    raft::{
        Membership,
        voters::{self, VoterError},
    },
};

/// How long a change waits for the node, or for the change before it. Less than what a node may take to answer another.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a leader that is to lose its vote tries to hand over.
const HAND_OVER: Duration = Duration::from_secs(4);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Between two attempts of a node to get a vote for itself.
const JOIN_AGAIN: Duration = Duration::from_secs(1);

/// Gives a node a vote, once it follows the log and has all of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddVoter {
    /// The cluster that is meant, if that is said.
    pub cluster_id: Option<ByteString>,
    /// The node.
    pub id: i32,
    /// The directory of its metadata log.
    pub directory_id: Uuid,
}

/// Takes the vote of a node, which follows the log without one from then on if it still runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveVoter {
    /// The cluster that is meant, if that is said.
    pub cluster_id: Option<ByteString>,
    /// The node.
    pub id: i32,
    /// The directory of its metadata log.
    pub directory_id: Uuid,
}

/// Forgets a node without a vote that is gone for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetNode {
    /// The node.
    pub id: i32,
}

impl LeaderRequest for AddVoter {
    const NAME: &'static str = "AddVoter";
    type Answer = Result<(), VoterError>;

    async fn answer(self, controller: &Controller) -> Result<Self::Answer, SubmitError> {
        let AddVoter { cluster_id, id, directory_id } = self;
        if let Err(error) = controller.may_change_voters(cluster_id)? {
            return Ok(Err(error));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(_turn) = timeout_at(deadline, controller.running.admitting.lock()).await else {
                return Ok(Err(VoterError::Busy));
            };
            let status = controller.status();
            let has_all = status.replicated.get(&id).is_some_and(|index| *index >= status.committed_index);
            let allowed = match controller.settled_membership()? {
                Some(membership) => voters::add(&membership, id, directory_id, has_all),
                None => Err(VoterError::Busy),
            };
            match allowed {
                Ok(node) => {
                    tracing::info!(node = id, directory = %directory_id, "a node gets a vote in the quorum");
                    return controller.change_members(ChangeMembers::AddVoterIds(BTreeSet::from([node])), true).await;
                }
                Err(VoterError::Busy | VoterError::Lagging { .. }) if Instant::now() + LOOK_AGAIN < deadline => {}
                Err(error) => return Ok(Err(error)),
            }
            // The node may be about to make itself known, for which it needs its turn.
            drop(_turn);
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl LeaderRequest for RemoveVoter {
    const NAME: &'static str = "RemoveVoter";
    type Answer = Result<(), VoterError>;

    async fn answer(self, controller: &Controller) -> Result<Self::Answer, SubmitError> {
        let RemoveVoter { cluster_id, id, directory_id } = self;
        if let Err(error) = controller.may_change_voters(cluster_id)? {
            return Ok(Err(error));
        }
        let runs = controller.runs(id).await;
        let Some((_turn, membership)) = controller.turn_to_change().await? else {
            return Ok(Err(VoterError::Busy));
        };
        let node = match voters::remove(&membership, id, directory_id) {
            Ok(node) => node,
            Err(error) => return Ok(Err(error)),
        };
        if node == *controller.running.raft.node_id() {
            // Whoever leads then takes the vote: the caller asks there.
            controller.resign(HAND_OVER).await;
            if !controller.running.leads() {
                return Err(controller.not_leader());
            }
        }
        tracing::info!(node = id, directory = %directory_id, "a node loses its vote in the quorum");
        controller.change_members(ChangeMembers::RemoveVoters(BTreeSet::from([node])), runs).await
    }
}

impl LeaderRequest for ForgetNode {
    const NAME: &'static str = "ForgetNode";
    type Answer = Result<(), VoterError>;

    async fn answer(self, controller: &Controller) -> Result<Self::Answer, SubmitError> {
        let runs = controller.runs(self.id).await;
        let Some((_turn, membership)) = controller.turn_to_change().await? else {
            return Ok(Err(VoterError::Busy));
        };
        match voters::forget(&membership, self.id, runs) {
            Ok(node) => controller.change_members(ChangeMembers::RemoveNodes(BTreeSet::from([node])), true).await,
            Err(error) => Ok(Err(error)),
        }
    }
}

type Changed = Result<Result<(), VoterError>, SubmitError>;

impl Controller {
    /// Whether this node has the only vote: then it decides alone, and has all of the log.
    pub fn votes_alone(&self) -> bool {
        let now = self.running.server();
        now.membership_config.voter_ids().eq([now.id])
    }

    /// Whether this node may change the voters of the cluster that is meant.
    fn may_change_voters(&self, cluster_id: Option<ByteString>) -> Changed {
        let image = self.image();
        if !self.running.leads() || image.cluster_id.is_empty() {
            return Err(self.not_leader());
        }
        Ok(match cluster_id {
            Some(given) if given != image.cluster_id => {
                Err(VoterError::Cluster { expected: image.cluster_id.clone(), given })
            }
            _ if image.features.level(KRAFT_VERSION) < 1 => Err(VoterError::Unsupported),
            _ => Ok(()),
        })
    }

    /// The membership, and the right to change it; `None` if other changes do not end.
    async fn turn_to_change(&self) -> Result<Option<(MutexGuard<'_, ()>, Membership)>, SubmitError> {
        let turn = timeout(PATIENCE, self.running.admitting.lock()).await.ok();
        let membership = self.settled_membership()?;
        Ok(turn.zip(membership))
    }

    /// The membership, if this node leads and no change is under way.
    fn settled_membership(&self) -> Result<Option<Membership>, SubmitError> {
        if !self.running.leads() {
            return Err(self.not_leader());
        }
        let now = self.running.server();
        let settled = now.membership_config == now.committed_membership_config
            && now.membership_config.membership().get_joint_config().len() == 1;
        Ok(settled.then(|| now.membership_config.membership().clone()))
    }

    /// Whether the leader heard a node lately.
    fn was_heard(&self, id: i32) -> bool {
        let status = self.status();
        status.node_id == id || status.heard_ms.get(&id).is_some_and(|ago| *ago < HEARD_LATELY)
    }

    /// Whether a node runs. Who leads only now has heard nobody yet: it waits before it takes silence for an answer.
    async fn runs(&self, id: i32) -> bool {
        if !self.was_heard(id) {
            sleep(Duration::from_millis(HEARD_LATELY)).await;
        }
        self.was_heard(id)
    }

    async fn change_members(&self, change: ChangeMembers<u64, QuorumNode>, retain: bool) -> Changed {
        match self.running.raft.change_membership(change, retain).await {
            Ok(_) => Ok(Ok(())),
            Err(error) => match submit_error(error) {
                SubmitError::Defect(_) => Ok(Err(VoterError::Busy)),
                other => Err(other),
            },
        }
    }

    /// While this node leads, ends the change of voters that a leader before it did not live to end: until then the old and the new voters have
    /// to agree to everything, and nothing else about them can change.
    pub(super) async fn end_changes(self) {
        let (mut stop, mut metrics) = (self.running.stop.subscribe(), self.running.raft.server_metrics());
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.end_change() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = metrics.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn end_change(&self) {
        while self.is_half_done() {
            let turn = self.running.admitting.lock().await;
            // Who had the turn may have been in the middle of it.
            if self.is_half_done() {
                tracing::info!("a change of voters that another leader began is carried on");
                let ended = self.change_members(ChangeMembers::AddVoterIds(BTreeSet::new()), true).await;
                // Who has only just been elected may not change anything yet.
                if !matches!(ended, Ok(Ok(()))) {
                    tracing::warn!(?ended, "the change of voters is not ended yet");
                }
            }
            drop(turn);
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether this node leads, and two sets of voters are in force for good.
    fn is_half_done(&self) -> bool {
        let now = self.running.server();
        now.state.is_leader()
            && now.membership_config == now.committed_membership_config
            && now.membership_config.membership().get_joint_config().len() > 1
    }

    /// Gets this node a vote, however long that takes (KIP-1186). For a node that has made itself known.
    pub(super) async fn join_voters(self, directory_id: Uuid) {
        let id = i32::try_from(*self.running.raft.node_id()).unwrap_or(i32::MAX);
        let mut stop = self.running.stop.subscribe();
        loop {
            let add = self.call(AddVoter { cluster_id: None, id, directory_id });
            let answer = tokio::select! {
                answer = add => answer,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match answer {
                Ok(Ok(()) | Err(VoterError::Duplicate(_))) => return,
                Ok(Err(error @ (VoterError::Unsupported | VoterError::Invalid))) => {
                    return tracing::error!(%error, "this node cannot vote in the quorum");
                }
                Err(SubmitError::Stopped) => return,
                Ok(Err(error)) => tracing::debug!(%error, "this node has no vote yet"),
                Err(error) => tracing::debug!(%error, "this node has no vote yet"),
            }
            tokio::select! {
                () = sleep(JOIN_AGAIN) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}
