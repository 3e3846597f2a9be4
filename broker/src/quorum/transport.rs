//! Carries requests of the controller to other nodes. Answers on a connection come in order, so a request that takes its time holds up those
//! behind it: Raft has a connection of its own, so have heartbeats of brokers, and what else the leader is asked goes over the
//! one of a few connections on which least is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use goatq_controller::raft::network::{
    LossListener, QuorumReply, QuorumRequest, QuorumResponse, QuorumTransport, TransportError,
};
use goatq_controller::raft::pieces::{PIECE, Piece, PieceAnswer};
use goatq_controller::raft::snapshot::SnapshotData;
use goatq_controller::raft::wire::{self, RequestKind, WireResponse};
use goatq_controller::raft::{SnapshotMeta, Vote};
use goatq_controller::service::QuorumNode;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::frame::Key;
use super::lane::{Complaint, Lane, NoAnswer, Outgoing, QUEUE, Shared};
use super::proof::Identity;
use crate::net::transport::Transport;

/// Nodes that are talked to at most.
const MAX_NODES: usize = 20_000;
/// How long a piece of a snapshot may take.
const ONE_PIECE: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Use {
    Raft,
    Heartbeats,
    Calls(u8),
}

/// Connections to a node for what takes its time.
const CALLS: u8 = 3;
/// Connections to a node, of any use.
const LANES: usize = 2 + CALLS as usize;

impl Use {
    /// What a request may go over.
    fn of(request: &QuorumRequest) -> Vec<Self> {
        match request {
            QuorumRequest::Call(call) if call.is_of_life() => vec![Self::Heartbeats],
            QuorumRequest::Call(_) => (0..CALLS).map(Self::Calls).collect(),
            _ => vec![Self::Raft],
        }
    }
}

/// The way to a connection's task.
#[derive(Clone)]
struct Entrance {
    sender: mpsc::Sender<Outgoing>,
    /// Requests that are not answered yet.
    under_way: Arc<AtomicUsize>,
}

/// A request that is not answered yet.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn on(entrance: &Entrance) -> Self {
        entrance.under_way.fetch_add(1, Ordering::Relaxed);
        Self(entrance.under_way.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The way to all other nodes. Connections are made when there is something to send.
pub(crate) struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    lanes: Mutex<HashMap<(u64, Use), Entrance>>,
    /// Where the tasks of connections run.
    runtime: Handle,
}

impl Peers {
    /// A way to other nodes for this one. Must be called within the runtime that connections are to live on.
    pub(crate) fn new(own: Identity, transport: Transport, overdue: Duration, seed: [u8; 32]) -> Self {
        let shared = Arc::new(Shared::new(own, transport, overdue, seed));
        Self { inner: Arc::new(Inner { shared, lanes: Mutex::default(), runtime: Handle::current() }) }
    }
}

impl Inner {
    /// The connection of these on which least is under way, and the request that will be: the first one that has nothing to do, also where
    /// it is not there yet.
    fn lane(&self, target: u64, uses: &[Use]) -> Option<(mpsc::Sender<Outgoing>, UnderWay)> {
        let mut lanes = self.lanes.lock();
        let under_way = |of: &Use| {
            let entrance = lanes.get(&(target, *of));
            entrance.map_or(0, |entrance| entrance.under_way.load(Ordering::Relaxed))
        };
        let of = *uses.iter().min_by_key(|of| under_way(of))?;
        if let Some(entrance) = lanes.get(&(target, of)) {
            return Some((entrance.sender.clone(), UnderWay::on(entrance)));
        }
        if lanes.len() >= LANES * MAX_NODES {
            return None;
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        let lane = Lane { target, shared: self.shared.clone(), queue, complaint: Complaint::default() };
        self.runtime.spawn(lane.run());
        let entrance = Entrance { sender, under_way: Arc::default() };
        let way = (entrance.sender.clone(), UnderWay::on(&entrance));
        lanes.insert((target, of), entrance);
        Some(way)
    }

    async fn ask(
        &self,
        target: u64,
        node: &QuorumNode,
        (kind, body, uses): (RequestKind, Bytes, &[Use]),
        deadline: Duration,
    ) -> Result<WireResponse, NoAnswer> {
        let not_sent = |reason: &str| NoAnswer { reason: reason.to_owned(), sent: false };
        let (lane, _under_way) = self.lane(target, uses).ok_or_else(|| not_sent("there are too many nodes"))?;
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing { key: Key::Quorum(kind), body, node: node.clone(), deadline, reply };
        lane.try_send(outgoing).map_err(|_| not_sent("too many requests wait for the node"))?;
        let lost = |reason: &str| NoAnswer { reason: reason.to_owned(), sent: true };
        let answer = tokio::time::timeout(deadline, answer).await.map_err(|_| lost("no answer in time"))?;
        let body = answer.map_err(|_| lost("this node stops"))??;
        wire::decode_response(kind, body).map_err(|fault| lost(&fault.to_string()))
    }

    async fn send(
        &self,
        target: u64,
        node: &QuorumNode,
        request: QuorumRequest,
        deadline: Duration,
    ) -> Result<QuorumResponse, NoAnswer> {
        let strange = |sent| NoAnswer { reason: "it answered something else than it was asked".to_owned(), sent };
        if let QuorumRequest::Snapshot { vote, meta, data } = request {
            return self.send_snapshot(target, node, (vote, meta, data), deadline).await;
        }
        let encoded = wire::encode_request(&request);
        let (kind, body) = encoded.map_err(|fault| NoAnswer { reason: fault.to_string(), sent: false })?;
        match self.ask(target, node, (kind, body, &Use::of(&request)), deadline).await? {
            WireResponse::Whole(response) => Ok(response),
            WireResponse::Piece(_) => Err(strange(true)),
        }
    }

    /// Sends a snapshot, piece after piece, from where the other side wants it.
    async fn send_snapshot(
        &self,
        target: u64,
        node: &QuorumNode,
        (vote, meta, data): (Vote, SnapshotMeta, SnapshotData),
        deadline: Duration,
    ) -> Result<QuorumResponse, NoAnswer> {
        let failed = |reason: String| NoAnswer { reason, sent: true };
        let total = data.len();
        let mut offset = 0;
        // A piece may be asked for again, but not for ever.
        let mut attempts = 16 + 2 * (total / PIECE as u64);
        while attempts > 0 {
            attempts -= 1;
            let bytes = data.read(offset, PIECE).await.map_err(|error| failed(error.to_string()))?;
            let piece = Piece { vote, meta: meta.clone(), offset, total, bytes };
            let body = wire::encode_piece(&piece).map_err(|fault| failed(fault.to_string()))?;
            let time = deadline.max(ONE_PIECE);
            match self.ask(target, node, (RequestKind::SnapshotPiece, body, &[Use::Raft]), time).await? {
                WireResponse::Whole(response) => return Ok(response),
                WireResponse::Piece(PieceAnswer::Next(next)) if next < total => offset = next,
                WireResponse::Piece(PieceAnswer::Next(next)) => {
                    return Err(failed(format!("it wants byte {next} of a snapshot of {total}")));
                }
            }
        }
        Err(failed("it asks for the same pieces of a snapshot again and again".to_owned()))
    }
}

impl QuorumTransport for Peers {
    fn send(&self, target: u64, node: &QuorumNode, request: QuorumRequest, deadline: Duration) -> QuorumReply {
        let (inner, node) = (self.inner.clone(), node.clone());
        Box::pin(async move {
            let answer = inner.send(target, &node, request, deadline).await;
            answer.map_err(|NoAnswer { reason, sent }| TransportError { target, reason, sent })
        })
    }

    fn tell_losses(&self, listener: LossListener) {
        // There is one controller, which says so once.
        self.inner.shared.losses.set(listener).ok();
    }
}
