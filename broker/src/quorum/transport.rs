//! Carries requests of the controller to other nodes, over two connections to each: one for Raft, one for what the leader is asked, so
//! that a request that takes its time holds up no heartbeat.

use std::collections::HashMap;
use std::sync::Arc;
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
    Calls,
}

/// The way to all other nodes. Connections are made when there is something to send.
pub(crate) struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    lanes: Mutex<HashMap<(u64, Use), mpsc::Sender<Outgoing>>>,
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
    fn lane(&self, target: u64, of: Use) -> Option<mpsc::Sender<Outgoing>> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(&(target, of)) {
            return Some(lane.clone());
        }
        if lanes.len() >= 2 * MAX_NODES {
            return None;
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        let lane = Lane { target, shared: self.shared.clone(), queue, complaint: Complaint::default() };
        self.runtime.spawn(lane.run());
        lanes.insert((target, of), sender.clone());
        Some(sender)
    }

    async fn ask(
        &self,
        target: u64,
        node: &QuorumNode,
        (kind, body): (RequestKind, Bytes),
        deadline: Duration,
    ) -> Result<WireResponse, NoAnswer> {
        let of = if kind == RequestKind::Call { Use::Calls } else { Use::Raft };
        let not_sent = |reason: &str| NoAnswer { reason: reason.to_owned(), sent: false };
        let lane = self.lane(target, of).ok_or_else(|| not_sent("there are too many nodes"))?;
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
        let encoded = encoded.map_err(|fault| NoAnswer { reason: fault.to_string(), sent: false })?;
        match self.ask(target, node, encoded, deadline).await? {
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
            match self.ask(target, node, (RequestKind::SnapshotPiece, body), time).await? {
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
