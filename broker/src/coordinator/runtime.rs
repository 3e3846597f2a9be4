//! Runs coordinators: one shard per partition of an internal topic that this node leads.
//!
//! A shard is loaded by replaying its log and dropped when the leadership ends. Requests run where they arrive, under
//! the shard's own short lock; a task per shard waits for commits and timers. The rules of a coordinator are a
//! [`machine::StateMachine`]; groups use it, transactions and share groups can.

mod batch;
mod driver;
mod load;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod partition_log;
mod round;
pub(crate) mod shard;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timer;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use log::CoordinatorLog;
use machine::{Now, StateMachine};
use round::LoadRound;
use shard::{CallError, Lost, ShardCore, ShardLimits, Waits};

/// Makes the empty state machine of a partition.
pub(crate) type MakeMachine<M> = Box<dyn Fn(i32) -> M + Send + Sync>;

/// What a runtime is made of.
pub(crate) struct RuntimeParts<M: StateMachine> {
    /// What the coordinator is called in logs.
    pub(crate) name: &'static str,
    /// Source of time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Bounds of each shard.
    pub(crate) limits: ShardLimits,
    /// Where the tasks of shards run.
    pub(crate) tasks: TaskTracker,
    /// Ends everything.
    pub(crate) cancel: CancellationToken,
    /// Makes the machine of a partition.
    pub(crate) make: MakeMachine<M>,
}

/// All shards of one coordinator on this node.
pub(crate) struct Runtime<M: StateMachine> {
    parts: RuntimeParts<M>,
    loads: LoadRound,
    shards: RwLock<BTreeMap<i32, Arc<Shard<M>>>>,
}

/// A shard in whatever phase it is in.
struct Shard<M: StateMachine> {
    partition: i32,
    epoch: i32,
    phase: Mutex<Phase<M>>,
    /// Tells the driver that there is something earlier to wait for.
    wake: Notify,
    cancel: CancellationToken,
}

enum Phase<M: StateMachine> {
    Loading,
    Active(ShardCore<M>),
    Closed,
}

impl<M: StateMachine> Runtime<M> {
    /// A runtime without shards.
    pub(crate) fn new(parts: RuntimeParts<M>) -> Self {
        let loads = LoadRound::new(parts.name, parts.clock.clone());
        Self { parts, loads, shards: RwLock::new(BTreeMap::new()) }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Now {
        now(&*self.parts.clock)
    }

    /// This node leads a partition in `epoch`: its shard is loaded from `log`. Does nothing when that epoch, or a
    /// later one, is known already. Must be called within a tokio runtime.
    pub(crate) fn elected(&self, partition: i32, epoch: i32, log: Arc<dyn CoordinatorLog>) {
        let shard = Arc::new(Shard {
            partition,
            epoch,
            phase: Mutex::new(Phase::Loading),
            wake: Notify::new(),
            cancel: self.parts.cancel.child_token(),
        });
        {
            let mut shards = self.shards.write();
            if shards.get(&partition).is_some_and(|known| known.epoch >= epoch) {
                return;
            }
            if let Some(old) = shards.insert(partition, shard.clone()) {
                old.close();
            }
        }
        let machine = (self.parts.make)(partition);
        let driver = driver::Driver {
            name: self.parts.name,
            shard,
            log,
            clock: self.parts.clock.clone(),
            limits: self.parts.limits,
        };
        self.parts.tasks.spawn(driver.run(machine, self.loads.begin()));
    }

    /// This node does not lead a partition any more, as of `epoch`. An older epoch than that of the shard is ignored.
    pub(crate) fn resigned(&self, partition: i32, epoch: i32) {
        let mut shards = self.shards.write();
        if shards.get(&partition).is_some_and(|shard| shard.epoch <= epoch)
            && let Some(shard) = shards.remove(&partition)
        {
            shard.close();
        }
    }

    /// The partitions that this node holds a shard of, loaded or not, with their epochs.
    pub(crate) fn partitions(&self) -> Vec<(i32, i32)> {
        self.shards.read().iter().map(|(partition, shard)| (*partition, shard.epoch)).collect()
    }

    /// Whether there is a shard of a partition, in whatever state.
    pub(crate) fn holds(&self, partition: i32) -> bool {
        self.shards.read().contains_key(&partition)
    }

    /// Hands a request to the shard of a partition and waits for its answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn call(&self, partition: i32, request: M::Request) -> Result<M::Response, CallError> {
        let shard = self.shards.read().get(&partition).cloned().ok_or(CallError::NotCoordinator)?;
        let answer = shard.call(request, self.now())?;
        answer.await.unwrap_or(Err(CallError::NotCoordinator))
    }

    /// Looks at the machines of all loaded shards, in order of their partitions, until `look` says to stop. Sees what
    /// is appended, committed or not.
    pub(crate) fn inspect(&self, mut look: impl FnMut(&M) -> std::ops::ControlFlow<()>) {
        let shards: Vec<_> = self.shards.read().values().cloned().collect();
        for shard in shards {
            if let Phase::Active(core) = &*shard.phase.lock()
                && look(core.machine()).is_break()
            {
                return;
            }
        }
    }

    /// Replays the log of each loaded shard into an empty machine, and compares. Shards that write meanwhile, or wait for a commit, are left
    /// out. The partitions that were compared, with their epochs and whether `is_same` said so of the live machine and the replayed one.
    pub(crate) async fn audit(&self, is_same: impl Fn(&M, &M) -> bool) -> Vec<(i32, i32, bool)> {
        let shards: Vec<_> = self.shards.read().values().cloned().collect();
        let mut compared = Vec::new();
        for shard in shards {
            let log = match &*shard.phase.lock() {
                Phase::Active(core) if core.is_committed() => core.log().clone(),
                _ => continue,
            };
            let empty = (self.parts.make)(shard.partition);
            let Ok((replayed, loaded)) = load::load(empty, &*log, self.parts.limits.load_bytes).await else { continue };
            if let Phase::Active(core) = &*shard.phase.lock()
                && core.appended() == loaded.end
            {
                compared.push((shard.partition, shard.epoch, is_same(core.machine(), &replayed)));
            }
        }
        compared
    }

    /// Drops all shards; calls that wait end.
    pub(crate) fn shut_down(&self) {
        self.parts.cancel.cancel();
        for (_, shard) in std::mem::take(&mut *self.shards.write()) {
            shard.close();
        }
    }
}

impl<M: StateMachine> Shard<M> {
    fn call(&self, request: M::Request, now: Now) -> Result<shard::Answer<M>, CallError> {
        let mut phase = self.phase.lock();
        let core = match &mut *phase {
            Phase::Loading => return Err(CallError::Loading),
            Phase::Closed => return Err(CallError::NotCoordinator),
            Phase::Active(core) => core,
        };
        let before = core.waits();
        let (answer, result) = core.call(request, now);
        let sooner = core.waits().sooner_than(&before);
        if result.is_err() {
            drop(phase);
            self.close();
        } else if sooner {
            drop(phase);
            self.wake.notify_one();
        }
        Ok(answer)
    }

    /// Lets a loaded machine serve, unless the shard was closed meanwhile.
    fn activate(&self, mut core: ShardCore<M>, now: Now) -> Result<(), Lost> {
        let mut phase = self.phase.lock();
        if matches!(*phase, Phase::Closed) {
            return Err(Lost);
        }
        core.start(now)?;
        *phase = Phase::Active(core);
        Ok(())
    }

    fn turn(&self, now: Now) -> Result<Waits, Lost> {
        match &mut *self.phase.lock() {
            Phase::Active(core) => {
                core.turn(now)?;
                Ok(core.waits())
            }
            Phase::Loading | Phase::Closed => Err(Lost),
        }
    }

    fn close(&self) {
        self.cancel.cancel();
        let before = std::mem::replace(&mut *self.phase.lock(), Phase::Closed);
        if let Phase::Active(mut core) = before {
            core.fail_all(CallError::NotCoordinator);
        }
    }
}

fn now(clock: &dyn Clock) -> Now {
    Now { monotonic: clock.monotonic(), wall_ms: clock.wall_ms() }
}
