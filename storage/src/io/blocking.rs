//! The disk for kernels and containers without io_uring: calls that may wait run on a few threads of its own.
//!
//! Threads start when there is work for them, up to a bound, and stay until the disk is dropped, which waits for the calls under
//! way. At most [`MAX_WAITING`] calls are queued; further ones wait their turn without a thread.

use std::{
    collections::VecDeque,
    fmt, io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use super::{
    AlignedBuffer, IoFuture,
    os::{DirectWrite, Driver, OpenFile, OsDisk, PartialRead, SyncKind, read_fully, sync_file, write_fully},
};

/// Calls queued or running at one time.
pub const MAX_WAITING: usize = 1024;

/// The disk on threads; see the module.
pub type BlockingDisk = OsDisk<Threads>;

impl BlockingDisk {
    /// With at most so many threads (at least one).
    pub fn new(max_threads: usize) -> BlockingDisk {
        OsDisk::with(Threads {
            pool: Arc::new(Pool { state: Mutex::default(), work: Condvar::new(), max_threads: max_threads.max(1) }),
            slots: Arc::new(Semaphore::new(MAX_WAITING)),
        })
    }
}

/// The driver of [`BlockingDisk`].
pub struct Threads {
    pool: Arc<Pool>,
    slots: Arc<Semaphore>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.pool.state.lock();
        f.debug_struct("Threads").field("threads", &state.threads.len()).field("queued", &state.jobs.len()).finish()
    }
}

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    state: Mutex<PoolState>,
    work: Condvar,
    max_threads: usize,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    idle: usize,
    closing: bool,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    fn submit(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.closing {
            return Err(super::closed());
        }
        if state.jobs.len() >= state.idle && state.threads.len() < self.max_threads {
            let pool = self.clone();
            let name = format!("disk-{}", state.threads.len());
            match thread::Builder::new().name(name).stack_size(128 << 10).spawn(move || pool.work()) {
                Ok(thread) => state.threads.push(thread),
                // With one thread the call is merely slower.
                Err(error) if state.threads.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        state.jobs.push_back(job);
        self.work.notify_one();
        Ok(())
    }

    /// A thread's life: calls until the disk is dropped and none is left.
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
            } else if state.closing {
                return;
            } else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
            }
        }
    }
}

impl Threads {
    /// Runs a call on a thread. It is queued at the first poll and then runs whether or not anyone waits.
    fn run<T: Send + 'static>(&self, call: impl FnOnce() -> io::Result<T> + Send + 'static) -> IoFuture<T> {
        let (pool, slots) = (self.pool.clone(), self.slots.clone());
        Box::pin(async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let (reply, result) = oneshot::channel();
            pool.submit(Box::new(move || {
                let outcome = call();
                drop(slot);
                // Nobody may be waiting any more.
                let _ = reply.send(outcome);
            }))?;
            result.await.map_err(io::Error::other)?
        })
    }
}

impl Driver for Threads {
    fn read(&self, file: Arc<OpenFile>, mut read: PartialRead) -> IoFuture<Bytes> {
        self.run(move || {
            let offset = read.offset + read.filled as u64;
            read.filled += read_fully(&file, &mut read.buffer[read.filled..], offset)?;
            read.buffer.truncate(read.filled);
            Ok(Bytes::from(read.buffer))
        })
    }

    fn write(&self, file: Arc<OpenFile>, mut write: DirectWrite) -> IoFuture<AlignedBuffer> {
        self.run(move || {
            write_fully(&file, &mut write)?;
            Ok(write.buffer)
        })
    }

    fn sync(&self, file: Arc<OpenFile>, kind: SyncKind) -> IoFuture<()> {
        self.run(move || sync_file(&file, kind))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let threads = {
            let mut state = self.pool.state.lock();
            state.closing = true;
            std::mem::take(&mut state.threads)
        };
        self.pool.work.notify_all();
        let me = thread::current().id();
        for thread in threads {
            // The last handle may go with a reply on one of the threads themselves, which cannot wait for its own end.
            if thread.thread().id() != me {
                let _ = thread.join();
            }
        }
    }
}
