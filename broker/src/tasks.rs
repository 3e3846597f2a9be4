//! Work in the background, each kind a task of its own with a timer: none of it stands in the way of requests.
//!
//! All tasks end when the node's token is cancelled; work that runs then is finished first. A failure is logged and the
//! task goes on: what is broken for good (a poisoned directory) is noticed by [`upkeep`].

mod compaction;
pub(crate) mod high_watermarks;
mod producers;
mod retention;
mod upkeep;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use goatq_controller::Controller;
use goatq_storage::log_dir::LogDir;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::LiveConfig;
use crate::health::Health;
use crate::partition::PartitionRegistry;
use crate::threads::offload::Offload;

/// What the tasks work on.
#[derive(Clone)]
pub(crate) struct TaskParts {
    /// Intervals and limits; read anew for each turn.
    pub(crate) config: Arc<LiveConfig>,
    /// Wall time for logs, monotonic time for rates.
    pub(crate) clock: Arc<dyn Clock>,
    /// All directories, that of the metadata log too.
    pub(crate) dirs: Vec<Arc<LogDir>>,
    /// That of the metadata log, without which the node cannot go on.
    pub(crate) metadata_dir: Arc<LogDir>,
    /// Whether that one is also for partitions.
    pub(crate) metadata_has_partitions: bool,
    /// Told of directories that failed.
    pub(crate) controller: Controller,
    /// Partitions whose logs are looked after.
    pub(crate) partitions: Arc<PartitionRegistry>,
    /// Where work on disks runs.
    pub(crate) offload: Offload,
    /// Told when a disk failed.
    pub(crate) health: Arc<Health>,
    /// Ends the tasks.
    pub(crate) cancel: CancellationToken,
}

/// Starts all tasks on the current runtime.
pub(crate) fn start(parts: &TaskParts, tracker: &TaskTracker) {
    tracker.spawn(upkeep::run(parts.clone()));
    tracker.spawn(retention::run(parts.clone()));
    tracker.spawn(compaction::run(parts.clone()));
    tracker.spawn(producers::run(parts.clone()));
    tracker.spawn(high_watermarks::run(parts.clone()));
}

impl TaskParts {
    /// Runs `turn` every `interval`, the first time after `delay`, until cancelled. A turn that takes longer than the
    /// interval makes the next one later, not two at once.
    async fn every<F: Future<Output = ()>>(&self, delay: Duration, interval: Duration, mut turn: impl FnMut() -> F) {
        let start = tokio::time::Instant::now() + delay;
        let mut ticks = tokio::time::interval_at(start, interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return,
                _ = ticks.tick() => turn().await,
            }
        }
    }

    /// Waits on a thread that may block; shorter when the node stops, not at all where nothing may block.
    fn pause(&self, time: Duration) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.offload == Offload::Threads {
            let cancelled = self.cancel.cancelled();
            // Whether the time was over or the node stops makes no difference here.
            let _ = runtime.block_on(tokio::time::timeout(time, cancelled));
        }
    }

    /// Whether the turn should end early.
    fn stopping(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
