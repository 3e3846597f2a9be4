//! The runtime with a machine that adds numbers: loading, elections, losses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::log::{CoordinatorLog, WriteError};
use super::machine::{CallId, Effects, EncodedRecord, Now, Position, RecordError, Release, StateMachine, TimerChange};
use super::shard::{CallError, ShardLimits};
use super::testing::MemoryLog;
use super::{Runtime, RuntimeParts};
use crate::clock::SystemClock;

/// Adds numbers. Durable: the sum.
#[derive(Default)]
struct Adder {
    sum: u64,
    /// Waits for the timer.
    waiting: Option<CallId>,
}

enum Ask {
    Add(u64),
    Sum,
    /// Answered by a timer.
    Later,
}

impl StateMachine for Adder {
    type Request = Ask;
    type Response = u64;
    type Record = u64;
    type Timer = ();
    type Written = ();

    fn on_request(&mut self, call: CallId, request: Ask, now: Now) -> Effects<Self> {
        let mut effects = Effects::default();
        match request {
            Ask::Add(number) => {
                effects.records.push(number);
                effects.replies.push((call, self.sum + number, Release::Committed));
            }
            Ask::Sum => effects.replies.push((call, self.sum, Release::Committed)),
            Ask::Later => {
                self.waiting = Some(call);
                effects.timers.push(TimerChange::Set((), now.monotonic + Duration::from_millis(5)));
            }
        }
        effects
    }

    fn on_timer(&mut self, (): (), _now: Now) -> Effects<Self> {
        let replies = self.waiting.take().map(|call| (call, self.sum, Release::Now)).into_iter().collect();
        Effects { replies, ..Effects::default() }
    }

    fn on_written(&mut self, (): (), _result: Result<(), WriteError>, _now: Now) -> Effects<Self> {
        Effects::default()
    }

    fn on_loaded(&mut self, _now: Now) -> Effects<Self> {
        Effects::default()
    }

    fn replay(&mut self, _at: Position, record: u64) {
        self.sum += record;
    }

    fn replay_transaction_end(&mut self, _producer_id: i64, _committed: bool) {}

    fn encode(record: &u64) -> Result<EncodedRecord, RecordError> {
        Ok(EncodedRecord { key: Bytes::copy_from_slice(&record.to_be_bytes()), value: None })
    }

    fn decode(key: &Bytes, _value: Option<&Bytes>) -> Result<Option<u64>, RecordError> {
        let bytes = key[..].try_into().map_err(|_| RecordError { what: "number", why: "not eight bytes".into() })?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }
}

fn runtime() -> Runtime<Adder> {
    Runtime::new(RuntimeParts {
        name: "adder",
        clock: Arc::new(SystemClock::new()),
        limits: ShardLimits { write_timeout: Duration::from_secs(60), max_calls: 3, load_bytes: 100 },
        tasks: TaskTracker::new(),
        cancel: CancellationToken::new(),
        make: Box::new(|_| Adder::default()),
    })
}

/// Asks until the shard is loaded.
async fn ask(runtime: &Runtime<Adder>, request: impl Fn() -> Ask) -> Result<u64, CallError> {
    loop {
        match runtime.call(0, request()).await {
            Err(CallError::Loading) => tokio::task::yield_now().await,
            result => return result,
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made").block_on(test);
}

#[test]
fn a_shard_is_what_its_log_says_whoever_loads_it() {
    run(async {
        let (runtime, log) = (runtime(), MemoryLog::new());
        assert_eq!(runtime.call(0, Ask::Sum).await, Err(CallError::NotCoordinator));
        runtime.elected(0, 3, log.clone());
        assert_eq!(runtime.call(0, Ask::Sum).await, Err(CallError::Loading));
        for number in 1..=100 {
            assert_eq!(ask(&runtime, || Ask::Add(number)).await, Ok(number * (number + 1) / 2));
        }
        // What came before is ignored; a later epoch loads anew.
        runtime.elected(0, 2, MemoryLog::new());
        runtime.resigned(0, 2);
        assert_eq!(runtime.partitions(), [(0, 3)]);
        assert_eq!(ask(&runtime, || Ask::Sum).await, Ok(5050));
        runtime.elected(0, 4, log.clone());
        assert_eq!(ask(&runtime, || Ask::Sum).await, Ok(5050));
        runtime.resigned(0, 4);
        assert_eq!(ask(&runtime, || Ask::Sum).await, Err(CallError::NotCoordinator));
    });
}

#[test]
fn timers_and_commits_wake_who_waits() {
    run(async {
        let (runtime, log) = (runtime(), MemoryLog::new());
        runtime.elected(0, 0, log.clone());
        assert_eq!(ask(&runtime, || Ask::Later).await, Ok(0));
        log.hold(true);
        let (added, read, ()) = tokio::join!(ask(&runtime, || Ask::Add(7)), ask(&runtime, || Ask::Sum), async {
            tokio::task::yield_now().await;
            assert_eq!((log.end_offset(), log.high_watermark()), (1, 0));
            log.hold(false);
        });
        assert_eq!((added, read), (Ok(7), Ok(7)));
    });
}

#[test]
fn a_load_waits_until_all_of_the_log_is_committed() {
    run(async {
        let (runtime, log) = (runtime(), MemoryLog::new());
        runtime.elected(0, 0, log.clone());
        assert_eq!(ask(&runtime, || Ask::Add(1)).await, Ok(1));
        log.hold(true);
        let (lost, (), ()) = tokio::join!(
            ask(&runtime, || Ask::Add(2)),
            async {
                tokio::task::yield_now().await;
                runtime.elected(0, 1, log.clone());
                tokio::time::sleep(Duration::from_millis(20)).await;
                assert_eq!(runtime.call(0, Ask::Sum).await, Err(CallError::Loading));
                log.hold(false);
            },
            async {}
        );
        // Its client does not know, but it counts.
        assert_eq!(lost, Err(CallError::NotCoordinator));
        assert_eq!(ask(&runtime, || Ask::Sum).await, Ok(3));
    });
}

#[test]
fn a_lost_leadership_ends_what_waits() {
    run(async {
        let (runtime, log) = (runtime(), MemoryLog::new());
        runtime.elected(0, 0, log.clone());
        assert_eq!(ask(&runtime, || Ask::Add(1)).await, Ok(1));
        log.hold(true);
        let (lost, ()) = tokio::join!(ask(&runtime, || Ask::Add(2)), async {
            tokio::task::yield_now().await;
            log.refuse(Some(WriteError::NotLeader));
        });
        assert_eq!(lost, Err(CallError::NotCoordinator));
        assert_eq!(ask(&runtime, || Ask::Sum).await, Err(CallError::NotCoordinator));
        // An append that finds out does the same.
        let log = MemoryLog::new();
        runtime.elected(0, 1, log.clone());
        assert_eq!(ask(&runtime, || Ask::Sum).await, Ok(0));
        log.refuse(Some(WriteError::NotLeader));
        assert_eq!(ask(&runtime, || Ask::Add(1)).await, Err(CallError::NotCoordinator));
    });
}

#[test]
fn calls_are_bounded_and_end_with_the_runtime() {
    run(async {
        let (runtime, log) = (runtime(), MemoryLog::new());
        runtime.elected(0, 0, log.clone());
        assert_eq!(ask(&runtime, || Ask::Sum).await, Ok(0));
        log.hold(true);
        let waiting = || ask(&runtime, || Ask::Add(1));
        let (one, two, three, four, ()) = tokio::join!(waiting(), waiting(), waiting(), waiting(), async {
            tokio::task::yield_now().await;
            runtime.shut_down();
        });
        assert_eq!([one, two, three], [Err(CallError::NotCoordinator); 3]);
        assert_eq!(four, Err(CallError::Overloaded));
        assert_eq!(runtime.partitions(), []);
    });
}
