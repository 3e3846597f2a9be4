//! Answers other nodes, on the listeners that are theirs; everything else that comes there goes to the service of clients.
//!
//! It serves before the rest of the node does: without it no quorum forms, and without a quorum no node starts. What clients ask in the
//! meantime waits, as it would in the queue of a listener that is not served yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use goatq_controller::Controller;
use goatq_controller::raft::network::QuorumRequest;
use goatq_controller::raft::pieces::{Assembled, Assembly, Piece, PieceAnswer};
use goatq_controller::raft::snapshot::SnapshotData;
use goatq_controller::raft::wire::{self, RequestKind, WireRequest, WireResponse};
use goatq_protocol::Uuid;
use goatq_protocol::wire::Versioned;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::frame::{self, HelloRequest, HelloResponse, Key, Request};
use super::proof::{self, Identity};
use crate::net::close::LogLimiter;
use crate::net::{CloseReason, ConnectionInfo, Outcome, Reply, Service, Started};

/// The service that is to answer clients, once it is there.
pub(crate) type Ready = watch::Receiver<Option<Arc<dyn Service>>>;

/// Answers nodes and, by another service, clients.
pub(crate) struct PeerService {
    quorum: Arc<Quorum>,
    /// Listeners on which nodes are answered.
    listeners: BTreeSet<String>,
    clients: Ready,
}

struct Quorum {
    own: Identity,
    controller: Controller,
    /// A snapshot that is being received.
    assembly: Mutex<Assembly>,
    refusals: Mutex<LogLimiter>,
    started: Instant,
}

impl PeerService {
    /// Answers for the node `own` whose controller is `controller`.
    pub(crate) fn new(own: Identity, controller: Controller, listeners: BTreeSet<String>, clients: Ready) -> Self {
        let (assembly, refusals) = (Mutex::default(), Mutex::default());
        let quorum = Quorum { own, controller, assembly, refusals, started: Instant::now() };
        Self { quorum: Arc::new(quorum), listeners, clients }
    }

    /// Whether the frame is from node to node, where that is permitted.
    fn is_for_nodes(&self, frame: &[u8], listener: &str) -> bool {
        frame::is_between_nodes(frame) && self.listeners.contains(listener)
    }
}

impl Service for PeerService {
    fn is_pipelined(&self, frame: &[u8]) -> bool {
        if frame::is_between_nodes(frame) {
            return true;
        }
        self.clients.borrow().as_ref().is_some_and(|clients| clients.is_pipelined(frame))
    }

    fn call(&self, connection: &Arc<ConnectionInfo>, frame: Bytes) -> Started {
        if self.is_for_nodes(&frame, &connection.listener) {
            return self.quorum.start(connection, frame);
        }
        let clients = self.clients.borrow().clone();
        if let Some(clients) = clients {
            return clients.call(connection, frame);
        }
        let (mut clients, connection) = (self.clients.clone(), connection.clone());
        let later = async move {
            let Ok(clients) = clients.wait_for(Option::is_some).await.map(|clients| clients.clone()) else {
                return Outcome::Close(CloseReason::Shutdown);
            };
            match clients.map(|clients| clients.call(&connection, frame)) {
                Some(Started::Done(outcome)) => outcome,
                Some(Started::Running(running)) => running.await,
                None => Outcome::Close(CloseReason::Shutdown),
            }
        };
        Started::Running(later.boxed())
    }
}

fn reply(correlation_id: i32, answer: Result<Bytes, &str>) -> Outcome {
    let chunks = frame::encode_response(correlation_id, answer).into_iter().filter(|chunk| !chunk.is_empty());
    Outcome::Reply(Reply { chunks: chunks.map(Into::into).collect(), charge: None })
}

fn invalid(reason: impl ToString) -> Started {
    Started::Done(Outcome::Close(CloseReason::InvalidRequest(reason.to_string())))
}

impl Quorum {
    fn start(self: &Arc<Self>, connection: &Arc<ConnectionInfo>, frame: Bytes) -> Started {
        let Request { key, correlation_id, body } = match frame::decode_request(frame) {
            Ok(request) => request,
            Err(fault) => return invalid(fault),
        };
        let kind = match key {
            Key::Hello => return self.hello(connection, correlation_id, body),
            Key::Quorum(kind) => kind,
        };
        if connection.node.get().is_none() {
            return invalid("a node asked for something before it said who it is");
        }
        let request = match wire::decode_request(kind, body) {
            Ok(request) => request,
            Err(fault) => return invalid(fault),
        };
        let quorum = self.clone();
        let answer = async move {
            match quorum.answer(kind, request).await {
                Ok(body) => reply(correlation_id, Ok(body)),
                Err(reason) => reply(correlation_id, Err(&reason)),
            }
        };
        Started::Running(answer.boxed())
    }

    fn hello(&self, connection: &ConnectionInfo, correlation_id: i32, body: Bytes) -> Started {
        let hello = match HelloRequest::from_bytes(body, 0) {
            Ok(hello) => hello,
            Err(error) => return invalid(error),
        };
        let other = Identity {
            cluster_id: hello.cluster_id.to_string(),
            node_id: hello.node_id,
            directory_id: hello.directory_id,
        };
        let checked = self.check(&other, hello.target);
        if let Err(refused) = &checked {
            let held_back = self.refusals.lock().on_line("refused", self.started.elapsed());
            if let Some(held_back) = held_back {
                tracing::warn!(peer = %connection.peer, reason = refused, held_back, "a node is refused");
            }
        } else {
            connection.node.set(other.node_id).ok();
        }
        let own = &self.own;
        let answer = HelloResponse {
            refused: checked.err().map(Into::into),
            cluster_id: own.cluster_id.as_str().into(),
            node_id: own.node_id,
            directory_id: own.directory_id,
        };
        match answer.to_bytes(0) {
            Ok(body) => Started::Done(reply(correlation_id, Ok(body))),
            Err(error) => invalid(error),
        }
    }

    /// A node that has no vote may come with another disk: then it begins anew.
    fn check(&self, other: &Identity, target: i32) -> Result<(), String> {
        let known = self.controller.member(other.node_id).filter(|(_, voter)| *voter);
        let known = known.map_or(Uuid::ZERO, |(node, _)| node.directory_id);
        if target >= 0 && target != self.own.node_id {
            return Err(format!("node {target} was meant, this is node {}", self.own.node_id));
        }
        proof::check(&self.own, other, None, known).map_err(|error| error.to_string())
    }

    async fn answer(&self, kind: RequestKind, request: WireRequest) -> Result<Bytes, String> {
        let response = match request {
            WireRequest::Whole(request) => WireResponse::Whole(self.handle(request).await?),
            WireRequest::Piece(piece) => self.take(piece).await?,
        };
        wire::encode_response(&response).map_err(|fault| format!("the answer to {kind:?} cannot be written: {fault}"))
    }

    async fn handle(&self, request: QuorumRequest) -> Result<goatq_controller::raft::network::QuorumResponse, String> {
        self.controller.handle(request).await.map_err(|error| error.to_string())
    }

    async fn take(&self, piece: Piece) -> Result<WireResponse, String> {
        let assembled = self.assembly.lock().take(&piece).map_err(|wrong| wrong.to_string())?;
        match assembled {
            Assembled::Next(next) => Ok(WireResponse::Piece(PieceAnswer::Next(next))),
            Assembled::Whole(bytes) => {
                let data = SnapshotData::Memory(bytes);
                let request = QuorumRequest::Snapshot { vote: piece.vote, meta: piece.meta, data };
                Ok(WireResponse::Whole(self.handle(request).await?))
            }
        }
    }
}
