//! The task of one shard: loads it, then waits for commits and timers on its behalf.

use std::sync::Arc;

use super::load::LoadError;
use super::log::{CoordinatorLog, WriteError};
use super::machine::StateMachine;
use super::round::Loading;
use super::shard::{Lost, ShardCore, ShardLimits, Waits};
use super::{Shard, load, now};
use crate::clock::Clock;

pub(super) struct Driver<M: StateMachine> {
    pub(super) name: &'static str,
    pub(super) shard: Arc<Shard<M>>,
    pub(super) log: Arc<dyn CoordinatorLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: ShardLimits,
}

#[derive(Debug, thiserror::Error)]
enum DriveError {
    #[error("could not be loaded: {0}")]
    Load(#[from] LoadError),
    #[error("stopped: {0}")]
    Log(#[from] WriteError),
    #[error("lost its leadership")]
    Lost,
}

impl From<Lost> for DriveError {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

impl<M: StateMachine> Driver<M> {
    /// Ends when the shard is closed from outside, or closes it when its log fails or is led by somebody else.
    pub(super) async fn run(self, machine: M, loading: Loading) {
        let cancel = self.shard.cancel.clone();
        let ended = cancel.run_until_cancelled(self.drive(machine, loading)).await;
        let (name, partition, epoch) = (self.name, self.shard.partition, self.shard.epoch);
        match ended {
            None => tracing::debug!(name, partition, epoch, "shard unloaded"),
            Some(error) => tracing::warn!(name, partition, epoch, %error, "shard stopped"),
        }
        self.shard.close();
    }

    async fn drive(&self, machine: M, loading: Loading) -> DriveError {
        match self.try_drive(machine, loading).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_drive(&self, machine: M, loading: Loading) -> Result<std::convert::Infallible, DriveError> {
        let started = self.clock.monotonic();
        let (machine, loaded) = load::load(machine, &*self.log, self.limits.load_bytes).await?;
        let took_ms = u64::try_from(self.clock.monotonic().saturating_sub(started).as_millis()).unwrap_or(u64::MAX);
        let (name, partition, epoch) = (self.name, self.shard.partition, self.shard.epoch);
        let (records, damaged) = (loaded.records, loaded.damaged);
        tracing::debug!(name, partition, epoch, records, damaged, took_ms, "shard loaded");
        loading.done(&loaded);
        let core = ShardCore::new(machine, self.log.clone(), self.limits, loaded.end);
        self.shard.activate(core, now(&*self.clock))?;
        loop {
            let waits = self.shard.turn(now(&*self.clock))?;
            self.wait(waits).await?;
        }
    }

    async fn wait(&self, waits: Waits) -> Result<(), WriteError> {
        let sleep = async {
            match waits.deadline {
                Some(at) => tokio::time::sleep(at.saturating_sub(self.clock.monotonic())).await,
                None => std::future::pending().await,
            }
        };
        let committed = async {
            match waits.commit {
                Some(end) => self.log.committed(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shard.wake.notified() => Ok(()),
            () = sleep => Ok(()),
            result = committed => result,
        }
    }
}
