//! How the nodes of the quorum talk.
//!
//! [`QuorumTransport`] is the seam: it carries one [`QuorumRequest`] to a node and brings the [`QuorumResponse`]. What is on the wire,
//! who may connect and how a peer proves who it is are affairs of the one who implements it. The receiving side hands the request
//! to [`crate::Controller::handle`].

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
    type_config::alias::{SnapshotOf, VoteOf},
};

use parking_lot::RwLock;

use super::{Entry, Membership, MetadataRaft, QuorumNode, SnapshotMeta, Vote, snapshot::SnapshotData};
use crate::{image::Endpoint, service::SubmitError, service::calls::is_of_life};

/// Bytes of records from which a request takes no more entries.
const APPEND_BYTES: usize = 1 << 20;

/// What one node of the quorum asks of another.
#[derive(Debug)]
pub enum QuorumRequest {
    /// Take these entries, or just hear that the leader is alive.
    Append(AppendEntriesRequest<MetadataRaft>),
    /// Vote for the sender.
    Vote(VoteRequest<MetadataRaft>),
    /// Would you vote for the sender?
    PreVote(VoteRequest<MetadataRaft>),
    /// Take this snapshot in place of entries that are gone.
    Snapshot {
        /// The vote of the leader that sends it.
        vote: Vote,
        /// What it holds.
        meta: SnapshotMeta,
        /// Its bytes, to be read piece by piece.
        data: SnapshotData,
    },
    /// Become the leader.
    TransferLeader(TransferLeaderRequest<MetadataRaft>),
    /// Do this as the leader of the quorum, or pass it on to whoever is.
    Call(LeaderCall),
}

/// Something only the leader can do: [`crate::service::calls`] knows what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderCall {
    /// What to do.
    pub name: ByteString,
    /// With what, as JSON.
    pub body: Bytes,
    /// How long it may take.
    pub deadline: Duration,
    /// Whether a node passed it on already; then the next one does not.
    pub relayed: bool,
}

impl LeaderCall {
    /// Whether it says, or asks, who is alive: it takes no time, and waits for nothing that does.
    pub fn is_of_life(&self) -> bool {
        is_of_life(&self.name)
    }
}

/// The answer to a [`LeaderCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAnswer {
    /// What was answered, as JSON, or why nothing was done.
    pub result: Result<Bytes, SubmitError>,
    /// How far the metadata log was applied where it was answered: who has seen as much sees what was done.
    pub applied: i64,
}

/// What a node of the quorum answers.
#[derive(Debug)]
pub enum QuorumResponse {
    /// To [`QuorumRequest::Append`].
    Append(AppendEntriesResponse<MetadataRaft>),
    /// To [`QuorumRequest::Vote`] and [`QuorumRequest::PreVote`].
    Vote(VoteResponse<MetadataRaft>),
    /// To [`QuorumRequest::Snapshot`].
    Snapshot(SnapshotResponse<MetadataRaft>),
    /// To [`QuorumRequest::TransferLeader`].
    TransferLeader(TransferLeaderResponse<MetadataRaft>),
    /// To [`QuorumRequest::Call`].
    Call(CallAnswer),
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {target} of the quorum cannot be reached: {reason}")]
pub struct TransportError {
    /// The node.
    pub target: u64,
    /// Why.
    pub reason: String,
    /// Whether the node may have got the request all the same.
    pub sent: bool,
}

/// The answer to a request, to come.
pub type QuorumReply = Pin<Box<dyn Future<Output = Result<QuorumResponse, TransportError>> + Send>>;

/// Carries requests to other nodes of the quorum.
pub trait QuorumTransport: Send + Sync + 'static {
    /// Sends a request to a node and brings its answer. Gives up with an error after `deadline`. Requests to one node need not
    /// arrive in order.
    fn send(&self, target: u64, node: &QuorumNode, request: QuorumRequest, deadline: Duration) -> QuorumReply;

    /// From now on `listener` is told of each node that closes, resets or refuses a connection: its process may have ended. It must not
    /// block. A transport that cannot know tells nothing; then silence alone counts.
    fn tell_losses(&self, listener: LossListener) {
        drop(listener);
    }
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The node closed or reset it.
    Ended,
    /// Nobody is there to take it.
    Refused,
}

/// Told of a node, by its id, that a connection to it has ended, or could not be made. A transport that looks several times in a moment
/// whether somebody is there again proves to its listener that nobody is.
pub type LossListener = Box<dyn Fn(u64, Loss) + Send + Sync>;

/// The transport of a quorum of one: there is nobody to talk to.
#[derive(Debug, Default)]
pub struct NoTransport;

impl QuorumTransport for NoTransport {
    fn send(&self, target: u64, _node: &QuorumNode, _request: QuorumRequest, _deadline: Duration) -> QuorumReply {
        Box::pin(async move {
            Err(TransportError { target, reason: "this node has no quorum network".to_owned(), sent: false })
        })
    }
}

/// The nodes of the quorum as the applied log has them. Openraft may go on with what it knew of a node when it began to talk to it.
#[derive(Clone, Debug, Default)]
pub struct Members {
    nodes: Arc<RwLock<BTreeMap<u64, QuorumNode>>>,
    /// Where this node was told that others are. That counts more: a cluster whose nodes have all moved would not find together again.
    configured: Arc<BTreeMap<u64, Vec<Endpoint>>>,
}

impl Members {
    pub(crate) fn new(configured: BTreeMap<u64, Vec<Endpoint>>) -> Self {
        Members { nodes: Arc::default(), configured: Arc::new(configured) }
    }

    pub(crate) fn get(&self, id: u64) -> Option<QuorumNode> {
        let mut node = self.nodes.read().get(&id).cloned()?;
        if let Some(endpoints) = self.configured.get(&id) {
            node.endpoints.clone_from(endpoints);
        }
        Some(node)
    }

    pub(crate) fn set(&self, membership: &Membership) {
        *self.nodes.write() = membership.nodes().map(|(id, node)| (*id, node.clone())).collect();
    }
}

/// Makes openraft's clients of a transport.
#[derive(Clone)]
pub(crate) struct Network {
    transport: Arc<dyn QuorumTransport>,
    members: Members,
}

impl Network {
    pub(crate) fn new(transport: Arc<dyn QuorumTransport>, members: Members) -> Self {
        Network { transport, members }
    }
}

impl RaftNetworkFactory<MetadataRaft> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &QuorumNode) -> Peer {
        Peer { target, node: node.clone(), transport: self.transport.clone(), members: self.members.clone() }
    }
}

/// One other node, as openraft sees it.
pub(crate) struct Peer {
    target: u64,
    node: QuorumNode,
    transport: Arc<dyn QuorumTransport>,
    members: Members,
}

type Rpc<T> = Result<T, RPCError<MetadataRaft>>;

fn unreachable(error: &TransportError) -> Unreachable<MetadataRaft> {
    Unreachable::new(error)
}

/// A peer that answers something else than it was asked is as good as unreachable.
fn confused() -> Unreachable<MetadataRaft> {
    Unreachable::new(&AnyError::error("the node answered something else than it was asked"))
}

impl Peer {
    async fn call(&self, request: QuorumRequest, option: &RPCOption) -> Result<QuorumResponse, TransportError> {
        let newest = self.members.get(self.target);
        self.transport.send(self.target, newest.as_ref().unwrap_or(&self.node), request, option.soft_ttl()).await
    }
}

/// How many entries fit a request: one at least, however long it is.
fn entries_within(entries: &[Entry], limit: usize) -> usize {
    let mut bytes = 0_usize;
    let fit = entries.iter().take_while(|entry| {
        let before = bytes;
        if let EntryPayload::Normal(data) = &entry.payload {
            bytes = bytes.saturating_add(data.records.len());
        }
        before == 0 || bytes <= limit
    });
    fit.count()
}

impl RaftNetworkV2<MetadataRaft> for Peer {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        mut rpc: AppendEntriesRequest<MetadataRaft>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<MetadataRaft>> {
        let kept = entries_within(&rpc.entries, APPEND_BYTES);
        let cut = kept < rpc.entries.len();
        rpc.entries.truncate(kept);
        let last = rpc.entries.last().map(|entry| entry.log_id);
        match self.call(QuorumRequest::Append(rpc), &option).await {
            Ok(QuorumResponse::Append(AppendEntriesResponse::Success)) if cut => {
                Ok(AppendEntriesResponse::PartialSuccess(last))
            }
            Ok(QuorumResponse::Append(response)) => Ok(response),
            Ok(_) => Err(confused().into()),
            Err(error) => Err(unreachable(&error).into()),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<MetadataRaft>, option: RPCOption) -> Rpc<VoteResponse<MetadataRaft>> {
        match self.call(QuorumRequest::Vote(rpc), &option).await {
            Ok(QuorumResponse::Vote(response)) => Ok(response),
            Ok(_) => Err(confused().into()),
            Err(error) => Err(unreachable(&error).into()),
        }
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<MetadataRaft>, option: RPCOption) -> Rpc<VoteResponse<MetadataRaft>> {
        match self.call(QuorumRequest::PreVote(rpc), &option).await {
            Ok(QuorumResponse::Vote(response)) => Ok(response),
            Ok(_) => Err(confused().into()),
            Err(error) => Err(unreachable(&error).into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<MetadataRaft>,
        snapshot: SnapshotOf<MetadataRaft, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<MetadataRaft>, StreamingError<MetadataRaft>> {
        let request = QuorumRequest::Snapshot { vote, meta: snapshot.meta, data: snapshot.snapshot };
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = self.call(request, &option) => match answer {
                Ok(QuorumResponse::Snapshot(response)) => Ok(response),
                Ok(_) => Err(confused().into()),
                Err(error) => Err(unreachable(&error).into()),
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<MetadataRaft>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<MetadataRaft>> {
        match self.call(QuorumRequest::TransferLeader(request), &option).await {
            Ok(QuorumResponse::TransferLeader(response)) => Ok(response),
            Ok(_) => Err(confused().into()),
            Err(error) => Err(unreachable(&error).into()),
        }
    }
}
