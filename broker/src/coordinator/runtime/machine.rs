//! What a coordinator is to the runtime: a state machine that turns events into effects.

use std::time::Duration;

use bytes::Bytes;

use super::log::WriteError;

/// One call of a client while it waits for its answer; unique within a shard as long as that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u64);

/// The time of an event, as both clocks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Monotonic time: deadlines.
    pub(crate) monotonic: Duration,
    /// Milliseconds since 1970-01-01 UTC: what is written into records, and retention.
    pub(crate) wall_ms: i64,
}

/// Where a replayed record stood in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Offset of the record.
    pub(crate) offset: i64,
    /// The transaction it is part of, if any: it counts once that transaction is committed.
    pub(crate) producer_id: Option<i64>,
}

/// A record in the form of the log. No value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedRecord {
    /// Key with its version prefix.
    pub(crate) key: Bytes,
    /// Value with its version prefix.
    pub(crate) value: Option<Bytes>,
}

/// Why a record of the log could not be understood, or not be written.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub(crate) struct RecordError {
    /// Which part of the record.
    pub(crate) what: &'static str,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// When an answer may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// At once: it tells nothing that the log has to back.
    Now,
    /// Once everything that was appended to the log so far, the records of the same effects included, is committed.
    Committed,
}

/// A change of one timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimerChange<T> {
    /// Fires once at this monotonic time; replaces what was set for the same key.
    Set(T, Duration),
    /// Does not fire any more.
    Cancel(T),
}

/// What a state machine wants done after an event. The runtime does it in this order: timers, records (append, then
/// replay), answers.
pub(crate) struct Effects<M: StateMachine + ?Sized> {
    /// Written to the log as one batch: all or none, unless `divisible`.
    pub(crate) records: Vec<M::Record>,
    /// The records may be cut into several batches when one would be too large.
    pub(crate) divisible: bool,
    /// Handed to [`StateMachine::on_written`] when the records are committed or known to have failed.
    pub(crate) written: Option<M::Written>,
    /// Answers to calls. Those that wait for a commit become an error when the append fails.
    pub(crate) replies: Vec<(CallId, M::Response, Release)>,
    /// Timers.
    pub(crate) timers: Vec<TimerChange<M::Timer>>,
}

impl<M: StateMachine> Default for Effects<M> {
    fn default() -> Self {
        Self { records: Vec::new(), divisible: false, written: None, replies: Vec::new(), timers: Vec::new() }
    }
}

/// The rules of one coordinator for one partition of its topic. Pure: time comes in, effects go out.
///
/// A machine has two kinds of state. The *durable* part changes in [`replay`](Self::replay) and
/// [`replay_transaction_end`](Self::replay_transaction_end) only, so that it equals the replay of the log. The
/// *volatile* part (sessions, calls that wait, a rebalance under way) changes in events; a load starts it afresh.
pub(crate) trait StateMachine: Send + 'static {
    /// What clients ask.
    type Request: Send;
    /// What they are told.
    type Response: Send + 'static;
    /// One record of the log, typed.
    type Record: Send;
    /// Key of a timer; the number of keys alive is bounded by the machine.
    type Timer: Ord + Clone + Send;
    /// What to do once records are committed.
    type Written: Send;

    /// A client asks. The answer may come with these effects or with those of any later event.
    fn on_request(&mut self, call: CallId, request: Self::Request, now: Now) -> Effects<Self>;

    /// A timer is due.
    fn on_timer(&mut self, timer: Self::Timer, now: Now) -> Effects<Self>;

    /// Records written together with this token are committed, or could not be appended, or were not committed in
    /// time (they may still be committed later).
    fn on_written(&mut self, token: Self::Written, result: Result<(), WriteError>, now: Now) -> Effects<Self>;

    /// The log is replayed as a whole; events follow.
    fn on_loaded(&mut self, now: Now) -> Effects<Self>;

    /// Takes one record of the log into the durable state, while loading and right after an append.
    fn replay(&mut self, at: Position, record: Self::Record);

    /// The transaction of a producer ended; what was replayed with its id counts now, or never did.
    fn replay_transaction_end(&mut self, producer_id: i64, committed: bool);

    /// The log's form of a record.
    ///
    /// # Errors
    /// When a part is longer than the format can express.
    fn encode(record: &Self::Record) -> Result<EncodedRecord, RecordError>;

    /// The typed form of a record of the log; `None` for a kind this version does not know, which is skipped.
    ///
    /// # Errors
    /// When a known kind is damaged.
    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self::Record>, RecordError>;
}
