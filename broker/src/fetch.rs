//! What Fetch remembers between requests, how much it reads, and what it may hold. The handler is `api/fetch.rs`.

pub mod planner;
pub mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

use crate::net::budget::MemoryBudget;
use crate::purgatory::{Purgatory, Watch};
use session::{
    Asked, Begun, Finished, Kind, SessionCache, SessionConfig, SessionError, SessionRequest, SessionStats, Told,
    Watches,
};

/// Places that fetches of a node may take at partitions: as many as all sessions together may have partitions, which keep
/// theirs between requests, and as many for fetches that wait without one.
const MAX_PLACES: usize = 1_000_000;

/// Limits of Fetch on one node.
#[derive(Debug, Clone)]
pub struct FetchLimits {
    /// `fetch.max.bytes`.
    pub max_bytes: usize,
    /// Memory for replies that wait for their readers, all connections together.
    pub response_memory: usize,
    /// Limits of sessions.
    pub sessions: SessionConfig,
}

/// What all fetches of a node share.
#[derive(Debug)]
pub struct FetchState {
    /// `fetch.max.bytes`.
    pub(crate) max_bytes: usize,
    /// Pays for records from when they are loaded until they are written to the socket.
    pub(crate) budget: MemoryBudget,
    /// Where fetches wait.
    pub(crate) waiting: Arc<Purgatory>,
    /// Cancelled when the node stops: fetches that wait are answered with what is there.
    pub(crate) stopping: CancellationToken,
    sessions: Mutex<Sessions>,
    looks: AtomicU64,
}

#[derive(Debug)]
struct Sessions {
    cache: SessionCache<Watch>,
    random: StdRng,
}

impl FetchState {
    /// No sessions. `seed` makes session ids that cannot be guessed.
    pub fn new(limits: FetchLimits, seed: [u8; 32]) -> Self {
        let sessions = Sessions { cache: SessionCache::new(limits.sessions), random: StdRng::from_seed(seed) };
        Self {
            max_bytes: limits.max_bytes,
            budget: MemoryBudget::new(limits.response_memory),
            waiting: Purgatory::new(MAX_PLACES),
            stopping: CancellationToken::new(),
            sessions: Mutex::new(sessions),
            looks: AtomicU64::new(0),
        }
    }

    /// Numbers for metrics.
    pub fn sessions(&self) -> SessionStats {
        self.sessions.lock().cache.stats()
    }

    /// Fetches and sessions that wait, counted by partition.
    pub fn places(&self) -> usize {
        self.waiting.places()
    }

    /// Looks at partitions since the start, all fetches together.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Counts looks at partitions.
    pub(crate) fn looked(&self, partitions: u64) {
        self.looks.fetch_add(partitions, Ordering::Relaxed);
    }

    pub(crate) fn begin(&self, request: SessionRequest, now: Duration) -> Result<Begun<Watch>, SessionError> {
        self.sessions.lock().cache.begin(request, now)
    }

    pub(crate) fn wake(&self, kind: Kind, turns: Vec<u64>) -> Option<Vec<Asked>> {
        self.sessions.lock().cache.wake(kind, turns)
    }

    pub(crate) fn finish(
        &self,
        kind: Kind,
        told: &[(&Asked, Told)],
        watch: Watch,
        now: Duration,
    ) -> Result<Finished, SessionError> {
        let mut sessions = self.sessions.lock();
        let Sessions { cache, random } = &mut *sessions;
        cache.finish(kind, told, watch, now, || random.random())
    }
}

impl Watches for Watch {
    fn take_woken(&mut self) -> Vec<u64> {
        Watch::take_woken(self)
    }

    fn leave(&mut self, turn: u64) {
        Watch::leave(self, turn);
    }
}
