//! One loaded shard: a state machine with its log, timers and waiting calls. Synchronous.
//!
//! Order of things, and why it keeps live state equal to the replay of the log: an event's records are appended first;
//! only what the log took is replayed into the state, at once, so that the next decision knows it. An answer that the
//! log has to back is parked until everything appended before it is committed: readers therefore see committed state
//! only, although decisions run ahead of the commit. When a commit is lost together with the leadership, the whole
//! shard is dropped and loaded again; there is nothing to roll back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::batch;
use super::log::{CoordinatorLog, WriteError};
use super::machine::{CallId, Effects, Now, Position, Release, StateMachine, TimerChange};
use super::timer::TimerQueue;

/// Why a call got no answer from the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// This node does not hold the shard (any more).
    #[error("this node is not the coordinator")]
    NotCoordinator,
    /// The shard's log is still being replayed.
    #[error("the coordinator is loading")]
    Loading,
    /// Too many calls wait in this shard.
    #[error("too many calls wait")]
    Overloaded,
    /// What the answer depends on was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Bounds of a shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardLimits {
    /// How long an answer may wait for a commit.
    pub(crate) write_timeout: Duration,
    /// Calls that may wait at a time, in one shard.
    pub(crate) max_calls: usize,
    /// Bytes read at a time while loading.
    pub(crate) load_bytes: usize,
}

/// Where the answer to a call arrives.
pub(super) type Answer<M> = oneshot::Receiver<Result<<M as StateMachine>::Response, CallError>>;

/// Something that waits until the log is committed up to `end`.
struct InFlight<M: StateMachine> {
    end: i64,
    deadline: Duration,
    written: Option<M::Written>,
    replies: Vec<(CallId, M::Response)>,
}

/// What the driver of a shard has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Waits {
    /// The earliest timer or write deadline.
    pub(super) deadline: Option<Duration>,
    /// The end of the log that somebody waits to see committed.
    pub(super) commit: Option<i64>,
}

impl Waits {
    /// Whether a driver that waits for `before` would miss something of `self`.
    pub(super) fn sooner_than(&self, before: &Self) -> bool {
        let earlier = match (self.deadline, before.deadline) {
            (Some(now), Some(then)) => now < then,
            (Some(_), None) => true,
            (None, _) => false,
        };
        earlier || (self.commit.is_some() && before.commit.is_none())
    }
}

/// Says that this node does not lead the shard's partition in its epoch any more: the shard must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

/// A loaded shard.
pub(super) struct ShardCore<M: StateMachine> {
    log: Arc<dyn CoordinatorLog>,
    limits: ShardLimits,
    machine: M,
    timers: TimerQueue<M::Timer>,
    calls: BTreeMap<CallId, oneshot::Sender<Result<M::Response, CallError>>>,
    next_call: u64,
    in_flight: VecDeque<InFlight<M>>,
    /// End of what this shard knows to be in the log.
    appended: i64,
}

impl<M: StateMachine> ShardCore<M> {
    /// A shard whose machine replayed the log up to `loaded_end`. Call [`Self::start`] next.
    pub(super) fn new(machine: M, log: Arc<dyn CoordinatorLog>, limits: ShardLimits, loaded_end: i64) -> Self {
        Self {
            log,
            limits,
            machine,
            timers: TimerQueue::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            in_flight: VecDeque::new(),
            appended: loaded_end,
        }
    }

    /// Lets the machine set its first timers.
    pub(super) fn start(&mut self, now: Now) -> Result<(), Lost> {
        let effects = self.machine.on_loaded(now);
        self.run(effects, now)
    }

    /// Hands a request to the machine.
    pub(super) fn call(&mut self, request: M::Request, now: Now) -> (Answer<M>, Result<(), Lost>) {
        let (sender, receiver) = oneshot::channel();
        if self.calls.len() >= self.limits.max_calls {
            let _ = sender.send(Err(CallError::Overloaded));
            return (receiver, Ok(()));
        }
        let call = CallId(self.next_call);
        self.next_call = self.next_call.wrapping_add(1);
        self.calls.insert(call, sender);
        let effects = self.machine.on_request(call, request, now);
        let result = self.run(effects, now);
        (receiver, result)
    }

    /// Does what time and the log have brought: due timers, commits, write deadlines.
    pub(super) fn turn(&mut self, now: Now) -> Result<(), Lost> {
        self.run(Effects::default(), now)?;
        while let Some(timer) = self.timers.pop_due(now.monotonic) {
            let effects = self.machine.on_timer(timer, now);
            self.run(effects, now)?;
        }
        while self.in_flight.front().is_some_and(|waiting| waiting.deadline <= now.monotonic) {
            let Some(late) = self.in_flight.pop_front() else { break };
            for (call, _) in late.replies {
                self.answer(call, Err(WriteError::TimedOut.into()));
            }
            if let Some(token) = late.written {
                let effects = self.machine.on_written(token, Err(WriteError::TimedOut), now);
                self.run(effects, now)?;
            }
        }
        Ok(())
    }

    /// What to wait for before the next [`Self::turn`].
    pub(super) fn waits(&self) -> Waits {
        let write = self.in_flight.front();
        let deadline = self.timers.next().into_iter().chain(write.map(|waiting| waiting.deadline)).min();
        Waits { deadline, commit: write.map(|waiting| waiting.end) }
    }

    /// The machine, to look at.
    pub(super) fn machine(&self) -> &M {
        &self.machine
    }

    /// Its log.
    pub(super) fn log(&self) -> &Arc<dyn CoordinatorLog> {
        &self.log
    }

    /// End of what it knows to be in the log.
    pub(super) fn appended(&self) -> i64 {
        self.appended
    }

    /// Whether all of its log is committed.
    pub(super) fn is_committed(&self) -> bool {
        self.log.high_watermark() >= self.log.end_offset()
    }

    /// Ends all calls that wait.
    pub(super) fn fail_all(&mut self, error: CallError) {
        self.in_flight.clear();
        for (_, sender) in std::mem::take(&mut self.calls) {
            let _ = sender.send(Err(error));
        }
    }

    fn run(&mut self, first: Effects<M>, now: Now) -> Result<(), Lost> {
        let mut queue = VecDeque::from([first]);
        loop {
            while let Some(effects) = queue.pop_front() {
                self.apply(effects, now, &mut queue)?;
            }
            let high_watermark = self.log.high_watermark();
            while self.in_flight.front().is_some_and(|waiting| waiting.end <= high_watermark) {
                let Some(done) = self.in_flight.pop_front() else { break };
                for (call, response) in done.replies {
                    self.answer(call, Ok(response));
                }
                if let Some(token) = done.written {
                    queue.push_back(self.machine.on_written(token, Ok(()), now));
                }
            }
            if queue.is_empty() {
                return Ok(());
            }
        }
    }

    fn apply(&mut self, effects: Effects<M>, now: Now, queue: &mut VecDeque<Effects<M>>) -> Result<(), Lost> {
        for change in effects.timers {
            match change {
                TimerChange::Set(key, at) => self.timers.set(key, at),
                TimerChange::Cancel(key) => self.timers.cancel(&key),
            }
        }
        let written = match self.append(effects.records, effects.divisible, now) {
            Ok(()) => effects.written,
            Err(WriteError::NotLeader) => return Err(Lost),
            Err(error) => {
                if let Some(token) = effects.written {
                    queue.push_back(self.machine.on_written(token, Err(error), now));
                }
                for (call, response, release) in effects.replies {
                    let answer = if release == Release::Now { Ok(response) } else { Err(error.into()) };
                    self.answer(call, answer);
                }
                return Ok(());
            }
        };
        let mut parked = Vec::new();
        for (call, response, release) in effects.replies {
            match release {
                Release::Now => self.answer(call, Ok(response)),
                Release::Committed => parked.push((call, response)),
            }
        }
        if written.is_some() || !parked.is_empty() {
            let deadline = now.monotonic.saturating_add(self.limits.write_timeout);
            self.in_flight.push_back(InFlight { end: self.appended, deadline, written, replies: parked });
        }
        Ok(())
    }

    fn append(&mut self, records: Vec<M::Record>, divisible: bool, now: Now) -> Result<(), WriteError> {
        let mut records = records.into_iter();
        let mut encoded = Vec::with_capacity(records.len());
        for record in records.as_slice() {
            encoded.push(M::encode(record).map_err(|error| {
                tracing::warn!(%error, "a record of a coordinator cannot be written");
                WriteError::TooLarge
            })?);
        }
        for part in batch::cut(&encoded, divisible, self.log.max_batch_bytes()) {
            let bytes = batch::build(part, now.wall_ms).ok_or(WriteError::TooLarge)?;
            let mut offset = self.log.append(bytes, now.wall_ms)?;
            for record in records.by_ref().take(part.len()) {
                self.machine.replay(Position { offset, producer_id: None }, record);
                offset = offset.saturating_add(1);
            }
            self.appended = offset;
        }
        Ok(())
    }

    fn answer(&mut self, call: CallId, answer: Result<M::Response, CallError>) {
        if let Some(sender) = self.calls.remove(&call) {
            // A client that went away does not read its answer.
            let _ = sender.send(answer);
        }
    }
}
