//! A log in memory, whose commits a test can hold back and whose writes it can refuse, and a shard on it that runs on
//! the test's time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use goatq_protocol::record::Batch;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::load::load;
use super::log::{CoordinatorLog, LogReadError, WriteError};
use super::machine::{Now, StateMachine};
use super::shard::{CallError, ShardCore, ShardLimits};

/// Wall time at the monotonic time 0.
pub(crate) const WALL_START_MS: i64 = 1_000_000;

/// A log in memory.
pub(crate) struct MemoryLog {
    state: Mutex<State>,
    high_watermark: watch::Sender<i64>,
}

#[derive(Default)]
struct State {
    batches: Vec<Bytes>,
    end: i64,
    held: bool,
    refusal: Option<WriteError>,
}

impl MemoryLog {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()), high_watermark: watch::Sender::new(0) })
    }

    /// A log with the same batches, all of them committed.
    pub(crate) fn copy(&self) -> Arc<Self> {
        let state = self.state.lock();
        let copy = State { batches: state.batches.clone(), end: state.end, ..State::default() };
        Arc::new(Self { high_watermark: watch::Sender::new(copy.end), state: Mutex::new(copy) })
    }

    /// Commits nothing more (`true`), or everything from now on (`false`).
    pub(crate) fn hold(&self, held: bool) {
        let mut state = self.state.lock();
        state.held = held;
        if !held {
            self.high_watermark.send_replace(state.end);
        }
    }

    /// Refuses every append, or takes them again.
    pub(crate) fn refuse(&self, refusal: Option<WriteError>) {
        self.state.lock().refusal = refusal;
        self.high_watermark.send_modify(|_| {});
    }

    /// The batches from the one with this index on.
    pub(crate) fn batches_from(&self, index: usize) -> Vec<Bytes> {
        self.state.lock().batches.get(index..).unwrap_or_default().to_vec()
    }
}

impl CoordinatorLog for MemoryLog {
    fn append(&self, batch: Bytes, _now_ms: i64) -> Result<i64, WriteError> {
        let mut state = self.state.lock();
        if let Some(refusal) = state.refusal {
            return Err(refusal);
        }
        if batch.len() > self.max_batch_bytes() {
            return Err(WriteError::TooLarge);
        }
        let mut batch = Batch::parse(batch).map_err(|_| WriteError::Storage)?;
        let base = state.end;
        batch.assign(base, 0).map_err(|_| WriteError::Storage)?;
        state.end = batch.header().next_offset();
        state.batches.push(batch.to_bytes());
        if !state.held {
            self.high_watermark.send_replace(state.end);
        }
        Ok(base)
    }

    fn start_offset(&self) -> i64 {
        0
    }

    fn end_offset(&self) -> i64 {
        self.state.lock().end
    }

    fn high_watermark(&self) -> i64 {
        *self.high_watermark.borrow()
    }

    fn committed(&self, end: i64) -> BoxFuture<'_, Result<(), WriteError>> {
        let mut changes = self.high_watermark.subscribe();
        async move {
            loop {
                if self.state.lock().refusal == Some(WriteError::NotLeader) {
                    return Err(WriteError::NotLeader);
                }
                if *changes.borrow_and_update() >= end {
                    return Ok(());
                }
                changes.changed().await.map_err(|_| WriteError::NotLeader)?;
            }
        }
        .boxed()
    }

    fn read(&self, offset: i64, max_bytes: usize) -> BoxFuture<'_, Result<Vec<Bytes>, LogReadError>> {
        let high_watermark = self.high_watermark();
        let mut left = max_bytes;
        let mut chunks = Vec::new();
        for batch in &self.state.lock().batches {
            let header = Batch::parse(batch.clone()).map(|batch| *batch.header());
            let Ok(header) = header else { break };
            if header.last_offset() < offset {
                continue;
            }
            if header.base_offset >= high_watermark || (left < batch.len() && !chunks.is_empty()) {
                break;
            }
            left = left.saturating_sub(batch.len());
            chunks.push(batch.clone());
        }
        async move { Ok(chunks) }.boxed()
    }

    fn max_batch_bytes(&self) -> usize {
        100_000
    }
}

/// A shard on a [`MemoryLog`], driven by hand.
pub(crate) struct TestShard<M: StateMachine> {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) now: Now,
    make: Box<dyn Fn() -> M>,
    core: ShardCore<M>,
}

/// Where an answer arrives.
pub(crate) type TestAnswer<R> = oneshot::Receiver<Result<R, CallError>>;

const LIMITS: ShardLimits =
    ShardLimits { write_timeout: Duration::from_secs(5), max_calls: 10_000, load_bytes: 10_000 };

impl<M: StateMachine> TestShard<M> {
    /// A shard on an empty log.
    pub(crate) fn new(make: impl Fn() -> M + 'static) -> Self {
        let now = Now { monotonic: Duration::ZERO, wall_ms: WALL_START_MS };
        let log = MemoryLog::new();
        let mut core = ShardCore::new(make(), log.clone(), LIMITS, 0);
        core.start(now).expect("a log in memory is not lost");
        Self { log, now, make: Box::new(make), core }
    }

    pub(crate) fn machine(&self) -> &M {
        self.core.machine()
    }

    pub(crate) fn call(&mut self, request: M::Request) -> TestAnswer<M::Response> {
        let (answer, result) = self.core.call(request, self.now);
        result.expect("the log is led by the test");
        answer
    }

    /// Lets time pass; everything that falls due on the way happens at its time.
    pub(crate) fn advance(&mut self, by: Duration) {
        let until = self.now.monotonic + by;
        self.turn();
        while let Some(next) = self.core.waits().deadline.filter(|next| *next <= until) {
            self.set_time(next.max(self.now.monotonic));
            self.turn();
        }
        self.set_time(until);
        self.turn();
    }

    /// Takes notice of what the log has committed.
    pub(crate) fn turn(&mut self) {
        self.core.turn(self.now).expect("the log is led by the test");
    }

    fn set_time(&mut self, monotonic: Duration) {
        let ms = i64::try_from(monotonic.as_millis()).expect("tests are short");
        self.now = Now { monotonic, wall_ms: WALL_START_MS + ms };
    }

    /// What a replay of the whole log gives, committed or not.
    pub(crate) fn replayed(&self) -> M {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        let (machine, _) =
            runtime.block_on(load((self.make)(), &*self.log.copy(), LIMITS.load_bytes)).expect("readable");
        machine
    }

    /// Drops the shard as a change of leaders does, and loads it again.
    pub(crate) fn reload(&mut self) {
        self.core.fail_all(CallError::NotCoordinator);
        let machine = self.replayed();
        self.core = ShardCore::new(machine, self.log.clone(), LIMITS, self.log.end_offset());
        self.core.start(self.now).expect("the log is led by the test");
        self.turn();
    }
}
