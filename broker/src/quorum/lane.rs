//! One connection to one node: requests go out in order, several under way, and answers come back in the same order.
//!
//! A task owns the connection. It connects when there is something to send, proves who it is, and closes when an answer is overdue, so
//! that a node behind a broken network is not waited for by everything that comes later. After a failure it rests for a moment that
//! grows; what it is asked meanwhile fails at once, because whoever asks has better things to do than to wait in a queue.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::io::{self, IoSlice};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use goatq_controller::raft::network::{Loss, LossListener};
use goatq_controller::service::{QuorumNode, UNKNOWN_NODE};
use goatq_protocol::wire::Versioned;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::frame::{self, HelloRequest, HelloResponse, Key};
use super::proof::{self, Identity};
use crate::net::transport::{ReadSide, Stream, Transport, WriteSide};

/// Requests that wait or are under way on one connection.
pub(super) const QUEUE: usize = 64;
/// How long connecting and the proof may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How often it is looked whether a node is there whose connections have ended, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
const LOOKS: usize = 8;
/// How long one of these may take.
const LOOK: Duration = Duration::from_millis(250);
/// The same complaint about a node is logged this often.
const REPEAT: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAnswer {
    /// For people.
    pub(super) reason: String,
    /// Whether the node may have got the request.
    pub(super) sent: bool,
}

/// A request with the one who waits for its answer.
pub(super) struct Outgoing {
    pub(super) key: Key,
    pub(super) body: Bytes,
    /// Where the node is, and its disk, as far as that is known.
    pub(super) node: QuorumNode,
    pub(super) deadline: Duration,
    pub(super) reply: oneshot::Sender<Result<Bytes, NoAnswer>>,
}

impl Outgoing {
    fn fail(self, reason: impl Display, sent: bool) {
        // Who asked may have gone.
        self.reply.send(Err(NoAnswer { reason: reason.to_string(), sent })).ok();
    }
}

/// What the lanes of a node share.
pub(super) struct Shared {
    pub(super) own: Identity,
    pub(super) transport: Transport,
    /// An answer that is overdue for this long closes the connection.
    pub(super) overdue: Duration,
    pub(super) chances: Mutex<StdRng>,
    /// Told of nodes that end connections.
    pub(super) losses: OnceLock<LossListener>,
    /// Nodes that are being looked for.
    missed: Mutex<BTreeSet<u64>>,
}

impl Shared {
    pub(super) fn new(own: Identity, transport: Transport, overdue: Duration, seed: [u8; 32]) -> Self {
        let chances = Mutex::new(StdRng::from_seed(seed));
        Self { own, transport, overdue, chances, losses: OnceLock::new(), missed: Mutex::default() }
    }

    fn tell(&self, target: u64, loss: Loss) {
        if let Some(listener) = self.losses.get() {
            listener(target, loss);
        }
    }

    /// Looks a few times in a moment whether somebody takes connections where a node was.
    async fn look_for(self: Arc<Self>, target: u64, node: QuorumNode) {
        if !self.missed.lock().insert(target) {
            return;
        }
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK_AGAIN).await;
            if !tokio::time::timeout(LOOK, self.is_refused(&node)).await.unwrap_or(false) {
                break;
            }
            self.tell(target, Loss::Refused);
        }
        self.missed.lock().remove(&target);
    }

    /// Whether nobody takes connections at any of a node's addresses.
    async fn is_refused(&self, node: &QuorumNode) -> bool {
        for endpoint in &node.endpoints {
            let connected = self.transport.connect(&endpoint.host, endpoint.port).await;
            if connected.err().is_none_or(|error| error.kind() != io::ErrorKind::ConnectionRefused) {
                return false;
            }
        }
        !node.endpoints.is_empty()
    }
}

/// The connection's task.
pub(super) struct Lane {
    pub(super) target: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) queue: mpsc::Receiver<Outgoing>,
    pub(super) complaint: Complaint,
}

/// Says once what is wrong with a node, and again after a while.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    last: Option<(String, Instant)>,
}

impl Complaint {
    fn about(&mut self, target: u64, reason: &str) {
        let now = Instant::now();
        let said = self.last.as_ref().is_some_and(|(last, at)| last == reason && now.duration_since(*at) < REPEAT);
        if !said {
            tracing::warn!(node = target, reason, "a node of the quorum is not reached");
            self.last = Some((reason.to_owned(), now));
        }
    }

    fn settled(&mut self, target: u64) {
        if self.last.take().is_some() {
            tracing::info!(node = target, "a node of the quorum is reached again");
        }
    }
}

impl Lane {
    /// Runs until nobody can send any more.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut held: Option<Outgoing> = None;
        loop {
            let first = match held.take() {
                Some(first) => first,
                None => match self.queue.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let node = first.node.clone();
            let established = tokio::time::timeout(CONNECT, self.establish(&node)).await;
            let reason = match established.unwrap_or_else(|_| Err("no connection in time".to_owned())) {
                Ok(stream) => {
                    backoff.succeeded();
                    self.complaint.settled(self.target);
                    let (rest, reason) = self.converse(stream, node, first).await;
                    held = rest;
                    match reason {
                        Some(reason) => reason,
                        None => continue,
                    }
                }
                Err(reason) => {
                    self.complaint.about(self.target, &reason);
                    first.fail(&reason, false);
                    reason
                }
            };
            let chance = self.shared.chances.lock().next_u32();
            self.rest(backoff.failed(chance), &reason).await;
        }
    }

    /// Refuses what comes for a while.
    async fn rest(&mut self, time: Duration, reason: &str) {
        let until = Instant::now() + time;
        while let Ok(Some(outgoing)) = tokio::time::timeout_at(until, self.queue.recv()).await {
            outgoing.fail(reason, false);
        }
    }

    /// The node has ended the connection, or takes none: it may be gone. Who was there a moment ago is looked for.
    fn lost(&self, node: &QuorumNode, loss: Loss) {
        if self.target >= UNKNOWN_NODE {
            return;
        }
        self.shared.tell(self.target, loss);
        if loss == Loss::Ended {
            tokio::spawn(self.shared.clone().look_for(self.target, node.clone()));
        }
    }

    /// Connects, and both sides prove who they are.
    async fn establish(&self, node: &QuorumNode) -> Result<Stream, String> {
        let mut refusal = "it has no address".to_owned();
        for endpoint in &node.endpoints {
            let mut stream = match self.shared.transport.connect(&endpoint.host, endpoint.port).await {
                Ok(stream) => stream,
                Err(error) => {
                    if error.kind() == io::ErrorKind::ConnectionRefused {
                        self.lost(node, Loss::Refused);
                    }
                    refusal = format!("{}:{}: {error}", endpoint.host, endpoint.port);
                    continue;
                }
            };
            self.prove(&mut stream, node).await?;
            return Ok(stream);
        }
        Err(refusal)
    }

    async fn prove(&self, stream: &mut Stream, node: &QuorumNode) -> Result<(), String> {
        let own = &self.shared.own;
        let meant = (self.target < UNKNOWN_NODE).then(|| i32::try_from(self.target).unwrap_or(-1));
        let hello = HelloRequest {
            cluster_id: own.cluster_id.as_str().into(),
            node_id: own.node_id,
            directory_id: own.directory_id,
            target: meant.unwrap_or(-1),
        };
        let body = hello.to_bytes(0).map_err(|error| error.to_string())?;
        let (mut read, mut write) = stream.split();
        let broken = |error: io::Error| error.to_string();
        send(&mut write, Key::Hello, 0, &body).await.map_err(broken)?;
        let mut received = BytesMut::new();
        let answer = loop {
            if let Some((_, answer)) = frame::next_answer(&mut received).map_err(|fault| fault.to_string())? {
                break answer?;
            }
            received.reserve(512);
            if read.read(&mut received).await.map_err(broken)? == 0 {
                return Err("it closed the connection when asked who it is".to_owned());
            }
        };
        let answer = HelloResponse::from_bytes(answer, 0).map_err(|error| error.to_string())?;
        if let Some(refused) = answer.refused {
            return Err(format!("it refuses this node: {refused}"));
        }
        let other = Identity {
            cluster_id: answer.cluster_id.to_string(),
            node_id: answer.node_id,
            directory_id: answer.directory_id,
        };
        proof::check(own, &other, meant, node.directory_id).map_err(|error| error.to_string())
    }

    /// Sends and receives until something goes wrong, the node is somewhere else, or nobody sends any more. Gives back a request that
    /// belongs on another connection, or else why this one ended.
    async fn converse(
        &mut self,
        mut stream: Stream,
        node: QuorumNode,
        first: Outgoing,
    ) -> (Option<Outgoing>, Option<String>) {
        let (read, write) = stream.split();
        let mut talk = Conversation { read, write, out: VecDeque::new(), waiting: VecDeque::new(), next_id: 1 };
        let mut received = BytesMut::new();
        let mut next = Some(first);
        let reason = loop {
            if let Some(outgoing) = next.take() {
                if outgoing.node != node {
                    talk.fail("the node has moved");
                    return (Some(outgoing), None);
                }
                talk.push(outgoing, self.shared.overdue);
            }
            received.reserve(4096);
            tokio::select! {
                read = talk.read.read(&mut received) => match read {
                    Ok(0) => {
                        let idle = talk.waiting.is_empty();
                        self.lost(&node, Loss::Ended);
                        // It was idle: that is no failure.
                        if idle {
                            return (None, None);
                        }
                        break "it closed the connection".to_owned();
                    }
                    Ok(_) => if let Err(fault) = talk.take_answers(&mut received) { break fault.to_string() },
                    Err(error) => {
                        self.lost(&node, Loss::Ended);
                        break error.to_string();
                    }
                },
                written = write_some(&mut talk.write, &talk.out), if !talk.out.is_empty() => match written {
                    Ok(count) => talk.written(count),
                    Err(error) => break error.to_string(),
                },
                outgoing = self.queue.recv(), if talk.waiting.len() < QUEUE => match outgoing {
                    Some(outgoing) => next = Some(outgoing),
                    None => return (None, None),
                },
                () = overdue(talk.waiting.front()) => break "an answer is overdue".to_owned(),
            }
        };
        self.complaint.about(self.target, &reason);
        talk.fail(&reason);
        (None, Some(reason))
    }
}

struct Waiting {
    id: i32,
    until: Instant,
    reply: oneshot::Sender<Result<Bytes, NoAnswer>>,
}

struct Conversation<'a> {
    read: ReadSide<'a>,
    write: WriteSide<'a>,
    out: VecDeque<Bytes>,
    waiting: VecDeque<Waiting>,
    next_id: i32,
}

impl Conversation<'_> {
    fn push(&mut self, outgoing: Outgoing, overdue: Duration) {
        let id = self.next_id;
        let Some(head) = frame::encode_request(outgoing.key, id, &outgoing.body) else {
            return outgoing.fail("the request is too long", false);
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.out.push_back(head);
        self.out.extend((!outgoing.body.is_empty()).then_some(outgoing.body));
        let until = Instant::now() + outgoing.deadline.max(overdue);
        self.waiting.push_back(Waiting { id, until, reply: outgoing.reply });
    }

    fn take_answers(&mut self, received: &mut BytesMut) -> Result<(), frame::FrameFault> {
        while let Some((id, answer)) = frame::next_answer(received)? {
            let waiting = self.waiting.pop_front().filter(|waiting| waiting.id == id);
            let waiting = waiting.ok_or(frame::FrameFault::OutOfTurn)?;
            let answer = answer.map_err(|reason| NoAnswer { reason, sent: true });
            waiting.reply.send(answer).ok();
        }
        Ok(())
    }

    fn written(&mut self, mut count: usize) {
        while let Some(front) = self.out.front_mut() {
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.out.pop_front();
        }
    }

    fn fail(&mut self, reason: &str) {
        for waiting in self.waiting.drain(..) {
            waiting.reply.send(Err(NoAnswer { reason: reason.to_owned(), sent: true })).ok();
        }
    }
}

async fn overdue(oldest: Option<&Waiting>) {
    match oldest {
        Some(oldest) => tokio::time::sleep_until(oldest.until).await,
        None => std::future::pending().await,
    }
}

async fn write_some(write: &mut WriteSide<'_>, out: &VecDeque<Bytes>) -> io::Result<usize> {
    let slices: Vec<_> = out.iter().take(16).map(|bytes| IoSlice::new(bytes)).collect();
    match write.write(&slices).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

async fn send(write: &mut WriteSide<'_>, key: Key, id: i32, body: &Bytes) -> io::Result<()> {
    let head = frame::encode_request(key, id, body).ok_or(io::ErrorKind::InvalidInput)?;
    let mut out = VecDeque::from([head, body.clone()]);
    while let Some(front) = out.front_mut() {
        if front.is_empty() {
            out.pop_front();
            continue;
        }
        let count = write.write(&[IoSlice::new(front)]).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        front.advance(count);
    }
    Ok(())
}
