//! The clients of [`crate::traffic`] on real connections, in a thread of their own, and how they are.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::traffic::history::{History, Place};
use crate::traffic::reach::{Reach, Socket};
use crate::traffic::{self, Manner, Shared, Stage};

/// How often others are told how it goes.
const TELL: Duration = Duration::from_millis(10);
/// The longest rest of a producer, ms.
const REST_MS: u64 = 30;

/// How it goes.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// When each partition acknowledged last, since the begin.
    pub acked_at: BTreeMap<Place, Duration>,
    /// Records acknowledged.
    pub acked: usize,
    /// The longest time between two acknowledgements of one partition.
    pub gap: Duration,
    /// Clients that have not come to their end; `None` before they began.
    pub working: Option<u32>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Clients at work.
pub struct Watch {
    begun: Instant,
    progress: Arc<Mutex<Progress>>,
    drain: Arc<AtomicBool>,
    give_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<History>>>,
}

impl Watch {
    /// Starts clients of the nodes at these addresses, of which some may come later.
    pub fn start(nodes: Vec<i32>, addresses: BTreeMap<i32, SocketAddr>, seed: u64) -> Self {
        let begun = Instant::now();
        let (progress, drain, give_up) = (Arc::<Mutex<Progress>>::default(), Arc::default(), Arc::default());
        let thread = std::thread::spawn({
            let (progress, drain, give_up) = (progress.clone(), Arc::clone(&drain), Arc::clone(&give_up));
            move || work((nodes, &Tcp { addresses, begun }), seed, &progress, &drain, &give_up)
        });
        Self { begun, progress, drain, give_up, thread: Some(thread) }
    }

    /// How it goes.
    pub fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    /// Time since the begin.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether each partition has acknowledged something after a moment.
    pub fn all_acked_since(&self, since: Duration) -> bool {
        let progress = self.progress.lock();
        traffic::places().iter().all(|place| progress.acked_at.get(place).is_some_and(|at| *at > since))
    }

    /// Asks all clients to come to their end.
    pub fn drain(&self) {
        self.drain.store(true, Ordering::Relaxed);
    }

    /// What they were told and saw. They are given up if they have not come to their end.
    ///
    /// # Errors
    /// They panicked.
    pub fn finish(mut self) -> anyhow::Result<History> {
        self.give_up.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("finished twice")?;
        thread.join().map_err(|_| anyhow::anyhow!("clients panicked"))?
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.give_up.store(true, Ordering::Relaxed);
    }
}

fn work(
    (nodes, reach): (Vec<i32>, &Tcp),
    seed: u64,
    progress: &Mutex<Progress>,
    drain: &AtomicBool,
    give_up: &AtomicBool,
) -> anyhow::Result<History> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Shared::new(
        Manner {
            nodes,
            newcomer: None,
            replication: 3,
            rest_ms: REST_MS,
            padding: 0,
            pastimes: false,
            load: Vec::new(),
        },
        Rc::new(reach.clone()),
        seed,
    );
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        for (_, life) in traffic::begin(&shared) {
            tokio::task::spawn_local(life);
        }
        loop {
            tokio::time::sleep(TELL).await;
            if drain.load(Ordering::Relaxed) {
                shared.stage.set(Stage::Drain);
            }
            let working = shared.working.get();
            {
                let (mut told, history) = (progress.lock(), shared.history.borrow());
                told.acked_at.clone_from(&history.acked_at);
                told.gap = history.gap;
                told.acked = history.acked_count();
                told.working = Some(working);
                told.violations.clone_from(&history.violations);
            }
            if working == 0 || give_up.load(Ordering::Relaxed) {
                return;
            }
        }
    }));
    drop(local);
    let history = std::mem::take(&mut *shared.history.borrow_mut());
    Ok(history)
}

/// The system's network and clocks.
#[derive(Debug, Clone)]
struct Tcp {
    addresses: BTreeMap<i32, SocketAddr>,
    begun: Instant,
}

impl Reach for Tcp {
    fn connect(&self, node: i32) -> LocalBoxFuture<'_, io::Result<Box<dyn Socket>>> {
        async move {
            let address = self.addresses.get(&node).ok_or(io::ErrorKind::NotFound)?;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Socket>)
        }
        .boxed_local()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
    }
}
