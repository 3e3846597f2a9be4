//! One connection: frames in, replies out, in order.
//!
//! Produce is pipelined: it is started (appended) when read, answered when its records are durable, and the next frame
//! is read meanwhile. Every other request waits for all earlier ones and runs alone, as in Kafka. What a peer can make
//! this task hold is bounded: one partial frame paid from the request budget, [`ConnectionConfig::max_in_flight`]
//! requests, and [`ConnectionConfig::max_unread`] bytes of replies plus one reply.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budget::{Charge, MemoryBudget};
use super::close::CloseReason;
use super::deadlines::{DeadlineConfig, Deadlines, Observation};
use super::frames::Frames;
use super::info::ConnectionInfo;
use super::outbox::Outbox;
use super::seats::Seat;
use super::service::{Outcome, Service, Started};
use super::transport::{Incoming, ReadSide, Stream};
use crate::metrics::network::NetworkMetrics;
use crate::threads::pace::{Flow, Wait};

/// How often a connection with an unfinished frame or unread replies looks at its deadlines.
const BUSY_TICK: Duration = Duration::from_millis(500);
/// How often a quiet connection does.
const QUIET_TICK: Duration = Duration::from_secs(15);

/// Limits of one connection.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// `socket.request.max.bytes`.
    pub max_frame: usize,
    /// Requests that were started and not answered yet.
    pub max_in_flight: usize,
    /// Bytes of replies above which nothing more is read or started.
    pub max_unread: usize,
    /// Limits in time.
    pub deadlines: DeadlineConfig,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_frame: 100 * 1024 * 1024,
            max_in_flight: 128,
            max_unread: 256 * 1024,
            deadlines: DeadlineConfig::default(),
        }
    }
}

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) config: ConnectionConfig,
    pub(super) service: Arc<dyn Service>,
    pub(super) budget: MemoryBudget,
    pub(super) metrics: Arc<NetworkMetrics>,
    /// Cancelled when no more requests are to be read.
    pub(super) drain: CancellationToken,
}

/// A request that was started.
struct InFlight {
    progress: Progress,
    /// Held until the request is answered.
    _charge: Charge,
    _counted: Counted,
    _wait: Option<Wait>,
}

/// Counts a request that was read and not answered yet.
struct Counted(Arc<NetworkMetrics>);

impl Counted {
    fn new(metrics: &Arc<NetworkMetrics>) -> Self {
        metrics.requests_in_flight.add(1);
        Self(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.requests_in_flight.add(-1);
    }
}

enum Progress {
    Running(BoxFuture<'static, Outcome>),
    Done(Option<Outcome>),
}

/// A whole frame that may not start yet.
struct Held {
    frame: Bytes,
    charge: Option<Charge>,
}

struct Reader {
    frames: Frames,
    /// Paid for the frame in progress, once it outgrew the first read.
    charge: Option<Charge>,
    /// Reading waits for the request budget: the peer is not to blame for the time that passes.
    waiting: bool,
    ended: bool,
}

/// A connection without its socket: what a move to another thread takes along.
pub(super) struct Connection {
    info: Arc<ConnectionInfo>,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    reader: Reader,
    in_flight: VecDeque<InFlight>,
    held: Option<Held>,
    /// The request in flight is not pipelined: nothing else may start.
    alone: bool,
    outbox: Outbox,
    requests: u64,
    /// Set when nothing more is to be read; the connection ends when all that was started is answered.
    closing: Option<CloseReason>,
    started: Instant,
    deadlines: Deadlines,
}

/// How the service of a connection by one thread ended.
pub(super) enum Ended {
    /// For good.
    Closed(CloseReason),
    /// Another thread is to go on with it.
    Moved {
        /// Which one.
        worker: usize,
        /// The socket.
        incoming: Incoming,
        /// All else.
        connection: Box<Connection>,
    },
}

/// Why [`Connection::run`] came back.
enum Pause {
    Close(CloseReason),
    Move(usize),
}

impl Connection {
    /// A connection that has not read anything yet.
    pub(super) fn new(info: Arc<ConnectionInfo>, shared: Arc<Shared>, seat: Arc<Seat>) -> Self {
        let frames = Frames::new(shared.config.max_frame);
        let deadlines = Deadlines::new(shared.config.deadlines.clone(), Duration::ZERO);
        Self {
            info,
            shared,
            seat,
            reader: Reader { frames, charge: None, waiting: false, ended: false },
            in_flight: VecDeque::new(),
            held: None,
            alone: false,
            outbox: Outbox::default(),
            requests: 0,
            closing: None,
            started: Instant::now(),
            deadlines,
        }
    }

    /// Who is at the other end.
    pub(super) fn info(&self) -> &Arc<ConnectionInfo> {
        &self.info
    }

    /// Serves the connection over `stream` until it ends or is to move. What it does is part of the thread's `flow`.
    pub(super) async fn serve(mut self: Box<Self>, mut stream: Stream, flow: Arc<Flow>) -> Ended {
        match self.run(&mut stream, &flow).await {
            Pause::Close(reason) => {
                if self.outbox.is_empty() {
                    // A peer that is gone already does not mind.
                    let _ = stream.split().1.shut_down().await;
                }
                Ended::Closed(reason)
            }
            Pause::Move(worker) => match stream.detach() {
                Ok(incoming) => Ended::Moved { worker, incoming, connection: self },
                Err(error) => Ended::Closed(CloseReason::Broken(error.kind())),
            },
        }
    }

    async fn run(&mut self, stream: &mut Stream, flow: &Arc<Flow>) -> Pause {
        let shared = Arc::clone(&self.shared);
        let (mut read, mut write) = stream.split();
        let mut drained = pin!(shared.drain.cancelled());
        let mut tick = pin!(tokio::time::sleep(self.tick_period()));
        let mut tick_is_short = self.is_busy();
        let mut gathered = false;
        loop {
            self.start_requests(flow);
            if let Some(reason) = self.finished() {
                return Pause::Close(reason);
            }
            if !gathered && !self.outbox.is_empty() && flow.is_crowded() {
                gathered = true;
                match self.gather(&mut read).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => return Pause::Close(CloseReason::Broken(error.kind())),
                }
            }
            if let Some(worker) = self.seat.leave() {
                return Pause::Move(worker);
            }
            if !tick_is_short && self.is_busy() {
                tick.as_mut().reset(Instant::now() + self.tick_period());
                tick_is_short = true;
            }
            let may_pop = self.outbox.bytes() < self.shared.config.max_unread;
            let due = self.held.as_ref().filter(|held| held.charge.is_none()).map(|held| held.frame.len());
            let may_read = self.may_read();
            tokio::select! {
                biased;
                outcome = next_outcome(&mut self.in_flight), if may_pop && !self.in_flight.is_empty() => {
                    self.on_outcome(outcome);
                }
                written = self.outbox.write(&mut write), if !self.outbox.is_empty() => {
                    match written {
                        Ok(bytes) => {
                            gathered = false;
                            flow.sent(bytes as u64);
                        }
                        Err(error) => return Pause::Close(CloseReason::Broken(error.kind())),
                    }
                }
                charge = shared.budget.charge(due.unwrap_or(0)), if due.is_some() => {
                    if let Some(held) = &mut self.held {
                        held.charge = Some(charge);
                    }
                }
                filled = self.reader.fill(&mut read, &shared.budget), if may_read => {
                    if let Err(error) = filled {
                        return Pause::Close(CloseReason::Broken(error.kind()));
                    }
                }
                () = &mut drained, if self.closing.is_none() => self.closing = Some(CloseReason::Shutdown),
                () = &mut tick => {
                    if let Some(reason) = self.deadlines.on_tick(self.observe(), self.started.elapsed()) {
                        return Pause::Close(reason);
                    }
                    if !self.is_busy() {
                        self.reader.release();
                    }
                    tick_is_short = self.is_busy();
                    tick.as_mut().reset(Instant::now() + self.tick_period());
                }
            }
        }
    }

    /// Lets the thread's other connections have a turn, then reads what came meanwhile: the answers to it go out with those that
    /// wait. Whether anything came.
    async fn gather(&mut self, read: &mut ReadSide<'_>) -> std::io::Result<bool> {
        tokio::task::yield_now().await;
        if !self.may_read() {
            return Ok(false);
        }
        self.reader.fill(read, &self.shared.budget).now_or_never().transpose().map(|filled| filled.is_some())
    }

    fn is_busy(&self) -> bool {
        self.reader.frames.pending() > 0 || !self.outbox.is_empty()
    }

    fn tick_period(&self) -> Duration {
        let deadlines = &self.shared.config.deadlines;
        if self.is_busy() {
            BUSY_TICK.min(deadlines.frame / 4).min(deadlines.stalled / 4)
        } else {
            QUIET_TICK.min(deadlines.idle / 4)
        }
        .max(Duration::from_millis(1))
    }

    fn observe(&self) -> Observation {
        Observation {
            requests: self.requests,
            in_flight: !self.in_flight.is_empty() || self.held.is_some(),
            written: self.outbox.written(),
            unread: !self.outbox.is_empty(),
            frame: if self.may_read() && !self.reader.waiting { self.reader.frames.pending() } else { 0 },
        }
    }

    /// Room for one more request.
    fn may_start(&self) -> bool {
        !self.alone
            && self.in_flight.len() < self.shared.config.max_in_flight
            && self.outbox.bytes() < self.shared.config.max_unread
    }

    fn may_read(&self) -> bool {
        self.closing.is_none() && !self.reader.ended && self.held.is_none() && self.may_start()
    }

    /// The reason to end, once everything that was started is answered and written.
    fn finished(&mut self) -> Option<CloseReason> {
        if !self.in_flight.is_empty() || self.held.is_some() || !self.outbox.is_empty() {
            return None;
        }
        if self.closing.is_some() {
            return self.closing.take();
        }
        self.reader.ended.then_some(CloseReason::PeerClosed)
    }

    /// Starts the frames that are there, as far as order and limits allow.
    fn start_requests(&mut self, flow: &Arc<Flow>) {
        while self.may_start() {
            let held = match self.held.take() {
                Some(held) => held,
                None if self.closing.is_some() => return,
                None => match self.reader.next_frame() {
                    Ok(Some(held)) => held,
                    Ok(None) => return,
                    Err(reason) => {
                        self.closing = Some(reason);
                        return;
                    }
                },
            };
            let pipelined = self.shared.service.is_pipelined(&held.frame);
            if !pipelined && !self.in_flight.is_empty() {
                self.held = Some(held);
                return;
            }
            let Some(charge) = held.charge.or_else(|| self.shared.budget.try_charge(held.frame.len())) else {
                self.held = Some(Held { frame: held.frame, charge: None });
                return;
            };
            flow.took(held.frame.len(), pipelined);
            self.start(held.frame, charge, pipelined, flow);
        }
    }

    fn start(&mut self, frame: Bytes, charge: Charge, pipelined: bool, flow: &Arc<Flow>) {
        self.requests += 1;
        self.seat.worked(frame.len());
        let started = match self.shared.service.call(&self.info, frame) {
            // This poll runs what else must happen in the order of arrival. Whatever it waits for is asked again, with a
            // waker, as soon as the request is the first one unanswered.
            Started::Running(mut future) => match (&mut future).now_or_never() {
                Some(outcome) => Started::Done(outcome),
                None => Started::Running(future),
            },
            done @ Started::Done(_) => done,
        };
        let progress = match started {
            Started::Done(outcome) if self.in_flight.is_empty() => return self.answer(outcome),
            Started::Done(outcome) => Progress::Done(Some(outcome)),
            Started::Running(future) => {
                self.alone = !pipelined;
                Progress::Running(future)
            }
        };
        // Other requests may wait for what is yet to be sent.
        let wait = (pipelined && matches!(progress, Progress::Running(_))).then(|| flow.wait());
        let counted = Counted::new(&self.shared.metrics);
        self.in_flight.push_back(InFlight { progress, _charge: charge, _counted: counted, _wait: wait });
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        self.in_flight.pop_front();
        self.alone = false;
        self.answer(outcome);
    }

    fn answer(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Reply(reply) => self.outbox.push(reply),
            Outcome::NoReply => {}
            Outcome::Close(reason) => {
                self.in_flight.clear();
                self.held = None;
                self.closing = Some(reason);
            }
        }
    }
}

/// Waits for the outcome of the first unanswered request. Cancel-safe: the request keeps its progress.
async fn next_outcome(in_flight: &mut VecDeque<InFlight>) -> Outcome {
    match in_flight.front_mut().map(|first| &mut first.progress) {
        Some(Progress::Running(future)) => future.await,
        Some(Progress::Done(outcome)) => outcome.take().unwrap_or(Outcome::NoReply),
        None => std::future::pending().await,
    }
}

impl Reader {
    /// Reads once, after paying for the room that this may take. Cancel-safe.
    async fn fill(&mut self, side: &mut ReadSide<'_>, budget: &MemoryBudget) -> std::io::Result<()> {
        let wanted = self.frames.wanted();
        if self.frames.announced().is_ok_and(|size| size.is_some_and(|size| size > Frames::FIRST_READ)) {
            self.waiting = true;
            self.pay(wanted, budget).await;
            self.waiting = false;
        }
        if self.frames.is_released() {
            side.readable().await?;
            // One read then takes a whole frame. Without the memory for that it begins as a small one does.
            if let Some(room) = self.frames.ahead()
                && let Some(charge) = budget.try_charge(room)
            {
                self.charge = Some(charge);
                self.frames.make_room(room);
            }
        }
        if side.read(self.frames.buffer_for_read()).await? == 0 {
            self.ended = true;
        }
        Ok(())
    }

    async fn pay(&mut self, wanted: usize, budget: &MemoryBudget) {
        match &mut self.charge {
            Some(charge) => budget.grow(charge, wanted.saturating_sub(charge.bytes())).await,
            None => self.charge = Some(budget.charge(wanted).await),
        }
    }

    /// Gives back what is only kept for frames to come.
    fn release(&mut self) {
        self.frames.release();
        self.charge = None;
    }

    fn next_frame(&mut self) -> Result<Option<Held>, CloseReason> {
        Ok(self.frames.next_frame()?.map(|frame| Held { frame, charge: self.charge.take() }))
    }
}
