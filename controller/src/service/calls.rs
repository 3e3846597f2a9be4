//! What only the leader can do, from any node: the request goes to whoever leads, and what was done is in this node's image when the
//! answer is there.
//!
//! A request that may have reached a leader and was not answered is never sent again: it may have been carried out, and the answer is
//! [`SubmitError::Unknown`]. One that a node refused because it does not lead goes to the next.

use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    BrokerReport, Controller, QuorumStatus, SubmitError,
    voters::{AddVoter, ForgetNode, RemoveVoter},
};
use crate::{
    decide::{
        Command,
        alter_partition::AlterPartition,
        brokers::{ChangeBroker, RegisterBroker, UnknownBroker, UnregisterBroker},
        configs::{AlterConfigs, IncrementalAlterConfigs},
        directories::AssignDirectories,
        elect_leaders::ElectLeaders,
        features::UpdateFeatures,
        losses::ReportLosses,
        partitions::CreatePartitions,
        producer_ids::AllocateProducerIds,
        reassign::AlterPartitionReassignments,
        topics::{CreateTopics, DeleteTopics},
    },
    liveness::{BrokerHeartbeat, HeartbeatAnswer},
    raft::{
        QuorumNode,
        admission::Refusal,
        network::{CallAnswer, LeaderCall, QuorumRequest, QuorumResponse},
    },
};

/// Between two attempts to find the leader.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one node may take to answer, at most.
const ONE_NODE: Duration = Duration::from_secs(10);

/// A node says where it is, and gets the metadata from then on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Announce {
    pub(crate) node_id: i32,
    pub(crate) node: QuorumNode,
}

/// Asks a node, whether it leads or not, for a heartbeat of its broker to the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WantHeartbeat;

/// Asks how the quorum is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Describe;

/// Something that the leader answers, whichever node is asked: most commands, and what else only the leader knows.
pub trait LeaderRequest: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// Its name between nodes.
    const NAME: &'static str;
    /// What it is answered.
    type Answer: Serialize + DeserializeOwned + Send;

    /// Answers it on this node, if it leads.
    fn answer(self, controller: &Controller) -> impl Future<Output = Result<Self::Answer, SubmitError>> + Send;
}

impl LeaderRequest for Announce {
    const NAME: &'static str = "Announce";
    type Answer = Result<(), Refusal>;

    async fn answer(self, controller: &Controller) -> Result<Self::Answer, SubmitError> {
        controller.admit(self).await
    }
}

impl LeaderRequest for BrokerHeartbeat {
    const NAME: &'static str = "BrokerHeartbeat";
    type Answer = Result<HeartbeatAnswer, UnknownBroker>;

    async fn answer(self, controller: &Controller) -> Result<Self::Answer, SubmitError> {
        controller.beat(self).await
    }
}

impl LeaderRequest for BrokerReport {
    const NAME: &'static str = "BrokerReport";
    type Answer = ();

    async fn answer(self, controller: &Controller) -> Result<(), SubmitError> {
        controller.take_report(self)
    }
}

impl LeaderRequest for WantHeartbeat {
    const NAME: &'static str = "WantHeartbeat";
    type Answer = ();

    async fn answer(self, controller: &Controller) -> Result<(), SubmitError> {
        controller.want_heartbeat();
        Ok(())
    }
}

impl LeaderRequest for Describe {
    const NAME: &'static str = "Describe";
    type Answer = QuorumStatus;

    async fn answer(self, controller: &Controller) -> Result<QuorumStatus, SubmitError> {
        let status = controller.status();
        if status.leader == Some(status.node_id) { Ok(status) } else { Err(controller.not_leader()) }
    }
}

/// Whether a call of this name says, or asks, who is alive.
pub(crate) fn is_of_life(name: &str) -> bool {
    [BrokerHeartbeat::NAME, WantHeartbeat::NAME].contains(&name)
}

macro_rules! calls {
    ($($command:ident),*; $($other:ident),*) => {
        $(impl LeaderRequest for $command {
            const NAME: &'static str = stringify!($command);
            type Answer = <$command as Command>::Response;

            async fn answer(self, controller: &Controller) -> Result<Self::Answer, SubmitError> {
                // A new leader of a new quorum gives the cluster its id first.
                if controller.image().cluster_id.is_empty() {
                    return Err(controller.not_leader());
                }
                controller.submit_here(self).await
            }
        })*

        /// Answers a call of another node, if this node leads.
        async fn answer_named(controller: &Controller, call: &LeaderCall) -> Result<Bytes, SubmitError> {
            match &*call.name {
                $(<$command as LeaderRequest>::NAME => answer_one::<$command>(controller, &call.body).await,)*
                $(<$other as LeaderRequest>::NAME => answer_one::<$other>(controller, &call.body).await,)*
                #[cfg(feature = "planted")]
                <super::deposed::Decree as LeaderRequest>::NAME => {
                    answer_one::<super::deposed::Decree>(controller, &call.body).await
                }
                other => Err(SubmitError::Defect(format!("{other:?} is nothing that the leader can be asked"))),
            }
        }
    };
}

calls! {
    AllocateProducerIds, AlterConfigs, AlterPartition, AlterPartitionReassignments, AssignDirectories, ChangeBroker, CreatePartitions,
    CreateTopics, DeleteTopics, ElectLeaders, IncrementalAlterConfigs, RegisterBroker, ReportLosses, UnregisterBroker, UpdateFeatures;
    AddVoter, Announce, BrokerHeartbeat, BrokerReport, Describe, ForgetNode, RemoveVoter, WantHeartbeat
}

async fn answer_one<C: LeaderRequest>(controller: &Controller, body: &[u8]) -> Result<Bytes, SubmitError> {
    let call: C = serde_json::from_slice(body).map_err(strange)?;
    let answer = call.answer(controller).await?;
    serde_json::to_vec(&answer).map(Bytes::from).map_err(strange)
}

fn strange(error: serde_json::Error) -> SubmitError {
    SubmitError::Defect(format!("a request between nodes is not understood: {error}"))
}

/// What became of a request that was sent to another node.
enum Asked {
    /// It was answered.
    Answer(CallAnswer),
    /// No node got it.
    NotSent,
    /// A node may have got it.
    Lost,
}

impl Controller {
    /// Answers a call, here or wherever the leader is.
    pub(crate) async fn call<C: LeaderRequest>(&self, call: C) -> Result<C::Answer, SubmitError> {
        let mut body = None;
        let deadline = Instant::now() + self.running.patience;
        loop {
            let not_leader = match call.clone().answer(self).await {
                Err(SubmitError::NotLeader { leader }) => SubmitError::NotLeader { leader },
                other => return other,
            };
            if !self.running.in_quorum() {
                return Err(not_leader);
            }
            let body = match &body {
                Some(body) => Bytes::clone(body),
                None => body.insert(serde_json::to_vec(&call).map(Bytes::from).map_err(strange)?).clone(),
            };
            let time = deadline.saturating_duration_since(Instant::now()).min(ONE_NODE);
            let call = LeaderCall { name: C::NAME.into(), body, deadline: time, relayed: false };
            match self.ask(call).await {
                Asked::Answer(CallAnswer { result: Ok(body), applied }) => {
                    let answer = serde_json::from_slice(&body).map_err(strange)?;
                    self.until_applied(applied, deadline).await;
                    return Ok(answer);
                }
                Asked::Answer(CallAnswer { result: Err(SubmitError::NotLeader { .. }), .. }) | Asked::NotSent => {}
                // Whether a leader that stopped wrote something is not known.
                Asked::Answer(CallAnswer { result: Err(SubmitError::Stopped), .. }) | Asked::Lost => {
                    return Err(SubmitError::Unknown);
                }
                Asked::Answer(CallAnswer { result: Err(error), .. }) => return Err(error),
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(not_leader);
            }
            self.pause().await?;
        }
    }

    /// Answers a call of another node, or passes it on to the leader, once.
    pub(super) async fn answer_call(&self, call: LeaderCall) -> CallAnswer {
        let here = tokio::time::timeout(call.deadline, answer_named(self, &call)).await;
        let result = here.unwrap_or(Err(SubmitError::Unknown));
        let own = *self.running.raft.node_id();
        // A leader that has not formed its cluster yet refuses, too: asking another one in its place, which would ask this one again,
        // has both wait for each other.
        if let Err(SubmitError::NotLeader { leader: Some(leader) }) = result
            && !call.relayed
            && u64::try_from(leader) != Ok(own)
        {
            match self.ask(LeaderCall { relayed: true, ..call }).await {
                Asked::Answer(answer) => return answer,
                Asked::Lost => return CallAnswer { result: Err(SubmitError::Unknown), applied: -1 },
                Asked::NotSent => {}
            }
        }
        CallAnswer { result, applied: self.image().applied_index }
    }

    /// Asks the leader, or when none is known one of the nodes that were configured, in turn.
    async fn ask(&self, call: LeaderCall) -> Asked {
        let (own, leader) = (*self.running.raft.node_id(), self.running.leader());
        let known = leader.filter(|leader| *leader != own);
        let node = known.and_then(|id| Some((id, self.running.members.get(id)?)));
        // A leader that has told nobody where it is can still be one of those that were configured.
        let reachable = node.filter(|(_, node)| !node.endpoints.is_empty() || self.running.servers.is_empty());
        let Some((target, node)) = reachable.or_else(|| self.running.next_server()) else { return Asked::NotSent };
        let deadline = call.deadline;
        match self.running.transport.send(target, &node, QuorumRequest::Call(call), deadline).await {
            Ok(QuorumResponse::Call(answer)) => Asked::Answer(answer),
            Ok(_) => Asked::Lost,
            Err(error) if error.sent => Asked::Lost,
            Err(error) => {
                tracing::debug!(%error, "the leader was not asked");
                Asked::NotSent
            }
        }
    }

    /// Waits until the image has everything up to an index, or until the deadline.
    async fn until_applied(&self, index: i64, deadline: Instant) {
        let mut images = self.watch();
        let reached = images.wait_for(|image| image.applied_index >= index);
        tokio::time::timeout_at(deadline, reached).await.ok();
    }

    /// Waits a little, or until another leader is known. Where Raft has ended, because its disk let it down, none ever will be.
    async fn pause(&self) -> Result<(), SubmitError> {
        let mut stop = self.running.stop.subscribe();
        let mut metrics = self.running.raft.server_metrics();
        let before = metrics.borrow_watched().current_leader;
        let other_leader = async {
            while metrics.changed().await.is_ok() {
                if metrics.borrow_watched().current_leader != before {
                    return Ok(());
                }
            }
            Err(SubmitError::Stopped)
        };
        tokio::select! {
            ended = other_leader => ended,
            () = tokio::time::sleep(PAUSE) => Ok(()),
            _ = stop.wait_for(|stop| *stop) => Err(SubmitError::Stopped),
        }
    }

    /// The error of a node that does not lead.
    pub(super) fn not_leader(&self) -> SubmitError {
        SubmitError::NotLeader { leader: self.running.leader().and_then(|id| i32::try_from(id).ok()) }
    }
}
