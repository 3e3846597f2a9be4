//! The threads that serve connections: each has one single-threaded runtime.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::{Flow, Pace};

/// Where connections are put: a list of runtimes.
///
/// In a test or in the simulator it is the one runtime that everything runs on.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    flows: Vec<Arc<Flow>>,
}

/// The threads behind [`Workers`], to be ended with the process.
#[derive(Debug)]
pub struct WorkerThreads {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Everything on the runtime of the caller.
    ///
    /// # Panics
    /// When called outside a runtime.
    pub fn current() -> Self {
        Self { handles: vec![Handle::current()], flows: vec![Arc::default()] }
    }

    /// `count` threads (at least one), each with a runtime of its own and resting as [`Pace`] says.
    ///
    /// # Errors
    /// The system gives no more threads or no more descriptors.
    pub fn start(count: usize) -> io::Result<(Self, WorkerThreads)> {
        let stop = CancellationToken::new();
        let (mut handles, mut flows, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count.max(1) {
            let flow = Arc::default();
            let runtime = Builder::new_current_thread().enable_all().on_thread_park(rest(Arc::clone(&flow))).build()?;
            flows.push(flow);
            handles.push(runtime.handle().clone());
            let stop = stop.clone();
            let thread = std::thread::Builder::new().name(format!("net-{number}"));
            threads.push(thread.spawn(move || runtime.block_on(stop.cancelled()))?);
        }
        Ok((Self { handles, flows }, WorkerThreads { stop, threads }))
    }

    /// How many runtimes there are.
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// To be asked how busy they are.
    pub(crate) fn busy(&self) -> Busy {
        Busy(self.handles.clone())
    }

    /// Where the connections on thread `worker`, modulo the number of threads, say what they do.
    pub(crate) fn flow(&self, worker: usize) -> Arc<Flow> {
        Arc::clone(&self.flows[worker % self.flows.len()])
    }

    /// Runs a future on one runtime: number `worker`, modulo their count. The future must make what depends on a runtime
    /// (sockets, timers) itself, inside.
    pub fn spawn_on(&self, worker: usize, future: impl Future<Output = ()> + Send + 'static) {
        self.handles[worker % self.handles.len()].spawn(future);
    }
}

/// What a thread does before it waits for work.
fn rest(flow: Arc<Flow>) -> impl Fn() + Send + Sync + 'static {
    let (begun, pace) = (Instant::now(), Mutex::new(Pace::default()));
    move || {
        flow.parked();
        let rest = pace.lock().on_park(begun.elapsed(), flow.done());
        if let Some(rest) = rest.filter(|_| !flow.is_awaited()) {
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing is ready, and what comes meanwhile is to come together"
            )]
            std::thread::sleep(rest);
        }
    }
}

/// How long the runtimes of [`Workers`] were busy.
#[derive(Debug, Clone)]
pub(crate) struct Busy(Vec<Handle>);

impl Busy {
    /// Time that all of them worked, since they were made.
    pub(crate) fn total(&self) -> Duration {
        self.each().iter().sum()
    }

    /// Time that each of them worked.
    pub(crate) fn each(&self) -> Vec<Duration> {
        let of = |handle: &Handle| {
            let metrics = handle.metrics();
            (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
        };
        self.0.iter().map(of).collect()
    }

    /// How many there are.
    pub(crate) fn threads(&self) -> usize {
        self.0.len()
    }
}

impl WorkerThreads {
    /// Ends the threads; what still runs on them is dropped.
    pub fn join(self) {
        self.stop.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a network thread had panicked");
            }
        }
    }
}
