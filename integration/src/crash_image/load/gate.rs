//! Where everybody stops who is to rest.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;

/// How long everything under way may take to be answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// What everybody is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// Work.
    Go,
    /// Begin nothing new.
    #[default]
    Rest,
    /// End.
    Stop,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    members: usize,
    resting: usize,
    failure: Option<String>,
}

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

/// Somebody who is waited for; no more when dropped.
#[derive(Debug)]
pub(crate) struct Member(Arc<(Mutex<State>, Condvar)>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).members -= 1;
        self.0.1.notify_all();
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more to wait for.
    pub(crate) fn enter(&self) -> Member {
        self.state().members += 1;
        Member(Arc::clone(&self.0))
    }

    /// What everybody is to do from now on. Who has failed stays stopped.
    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.state();
        if state.failure.is_none() {
            state.mode = mode;
        }
        self.0.1.notify_all();
    }

    /// What everybody is to do.
    pub(crate) fn mode(&self) -> Mode {
        self.state().mode
    }

    /// Ends everything, for this reason.
    pub(crate) fn fail(&self, reason: String) {
        let mut state = self.state();
        // What fails because everything ends is no news.
        if state.mode != Mode::Stop {
            state.failure.get_or_insert(reason);
            state.mode = Mode::Stop;
        }
        self.0.1.notify_all();
    }

    /// Waits while there is rest, having done `before_rest`. Whether to go on.
    pub(crate) fn pass(&self, before_rest: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<bool> {
        if self.mode() == Mode::Rest {
            before_rest()?;
        }
        let mut state = self.state();
        state.resting += 1;
        self.0.1.notify_all();
        while state.mode == Mode::Rest {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.resting -= 1;
        Ok(state.mode == Mode::Go)
    }

    /// Waits until everybody rests.
    pub(crate) fn settled(&self) -> anyhow::Result<()> {
        let busy = |state: &mut State| state.failure.is_none() && state.resting < state.members;
        let waited = self.0.1.wait_timeout_while(self.state(), PATIENCE, busy);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(state.failure.is_none(), "the load failed: {}", state.failure.as_deref().unwrap_or_default());
        ensure!(!waited.timed_out(), "{} of {} still wait for answers", state.members - state.resting, state.members);
        Ok(())
    }
}
