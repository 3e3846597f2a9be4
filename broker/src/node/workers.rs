//! The threads that serve connections: each has one single-threaded runtime, and a connection stays on one of them.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

/// Where connections are put: a list of runtimes, used in turn.
///
/// In a test or in the simulator it is the one runtime that everything runs on.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
}

impl Workers {
    /// Everything on the runtime of the caller.
    ///
    /// # Panics
    /// When called outside a runtime.
    pub fn current() -> Self {
        Self { handles: vec![Handle::current()], next: AtomicUsize::new(0) }
    }

    /// How many runtimes there are.
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// Runs a future on the next runtime in turn. The future must make what depends on a runtime (sockets, timers)
    /// itself, inside.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(self.next.fetch_add(1, Ordering::Relaxed), future);
    }

    /// Runs a future on one runtime: number `worker`, modulo their count.
    pub fn spawn_on(&self, worker: usize, future: impl Future<Output = ()> + Send + 'static) {
        self.handles[worker % self.handles.len()].spawn(future);
    }
}
