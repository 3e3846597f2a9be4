//! The disk on io_uring: syncs of a turn are issued together and run in the kernel side by side; cold reads take no thread.
//!
//! One thread owns the ring (single issuer, so the kernel takes no locks for it, and no operation is cancelled because the
//! thread that submitted it ended). Callers hand it operations through an inbox and an eventfd that the ring polls; it
//! submits all it finds there with one system call and completes callers through one-shot channels. Writes to the page
//! cache do not pass the ring: on ext4 each would be handed to a kernel worker, `pwritev` on the caller's thread is cheaper.
//!
//! Operations own their buffers and descriptors until the kernel is done with them, whether or not anyone still waits.
//! Dropping the disk waits for those under way and ends the thread.

use std::{
    fmt,
    future::Future,
    io,
    os::fd::OwnedFd,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::event::EventfdFlags;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    AlignedBuffer, IoFuture,
    os::{DirectWrite, Driver, MAX_CALL, OpenFile, OsDisk, PartialRead, SyncKind},
};

mod ring;

use ring::{Operation, Ring};

/// Operations under way at one time; further ones wait for a slot.
pub const MAX_IN_FLIGHT: u32 = 256;

/// The disk on a ring; see the module.
pub type UringDisk = OsDisk<RingDriver>;

impl UringDisk {
    /// Sets up a ring and its thread. Fails where the kernel has no io_uring or the container forbids it (`ENOSYS`, `EPERM`).
    pub fn open() -> io::Result<UringDisk> {
        let wake = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (report, started) = mpsc::channel();
        let thread = thread::Builder::new().name("disk-ring".to_owned()).stack_size(128 << 10).spawn({
            let (wake, inbox) = (wake.clone(), inbox.clone());
            move || {
                // The ring is made on the thread that will be its only issuer.
                let (ring, outcome) = match Ring::new(MAX_IN_FLIGHT, wake) {
                    Ok(ring) => (Some(ring), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let _ = report.send(outcome);
                if let Some(ring) = ring {
                    drive(ring, &inbox);
                }
            }
        })?;
        started.recv().map_err(io::Error::other)??;
        let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT as usize));
        Ok(OsDisk::with(RingDriver { door: Door { inbox, wake }, slots, thread: Some(thread) }))
    }
}

/// The driver of [`UringDisk`].
pub struct RingDriver {
    door: Door,
    slots: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for RingDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.slots.available_permits();
        f.debug_struct("RingDriver").field("in_flight", &(MAX_IN_FLIGHT as usize - free)).finish()
    }
}

/// The callers' side of the ring's thread.
#[derive(Clone)]
struct Door {
    inbox: Arc<Mutex<Inbox>>,
    wake: Arc<OwnedFd>,
}

/// What callers left for the ring's thread; bounded by the slots.
#[derive(Default)]
struct Inbox {
    operations: Vec<Pending>,
    closing: bool,
    /// The ring failed; nothing is taken any more.
    broken: bool,
}

impl Door {
    fn submit(&self, pending: Pending) -> io::Result<()> {
        let first = {
            let mut inbox = self.inbox.lock();
            if inbox.broken {
                return Err(io::Error::other("the io_uring of this disk failed"));
            }
            if inbox.closing {
                return Err(super::closed());
            }
            inbox.operations.push(pending);
            inbox.operations.len() == 1
        };
        // The thread empties the inbox as a whole: whoever came first rings for all.
        if first { self.ring_bell() } else { Ok(()) }
    }

    fn ring_bell(&self) -> io::Result<()> {
        super::os::retry(|| rustix::io::write(&self.wake, &1u64.to_ne_bytes()))?;
        Ok(())
    }
}

/// An operation with the one who waits for it.
pub(super) struct Pending {
    operation: Operation,
    reply: oneshot::Sender<io::Result<Operation>>,
    slot: OwnedSemaphorePermit,
}

impl RingDriver {
    fn run(&self, operation: Operation) -> impl Future<Output = io::Result<Operation>> + Send + 'static {
        let (door, slots) = (self.door.clone(), self.slots.clone());
        async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let (reply, result) = oneshot::channel();
            door.submit(Pending { operation, reply, slot })?;
            result.await.map_err(io::Error::other)?
        }
    }
}

impl Driver for RingDriver {
    fn read(&self, file: Arc<OpenFile>, read: PartialRead) -> IoFuture<Bytes> {
        let operation = self.run(Operation::Read { file, read });
        Box::pin(async move {
            match operation.await? {
                Operation::Read { mut read, .. } => {
                    read.buffer.truncate(read.filled);
                    Ok(Bytes::from(read.buffer))
                }
                Operation::Write { .. } | Operation::Sync { .. } => Err(io::ErrorKind::InvalidData.into()),
            }
        })
    }

    fn write(&self, file: Arc<OpenFile>, write: DirectWrite) -> IoFuture<AlignedBuffer> {
        let operation = self.run(Operation::Write { file, write });
        Box::pin(async move {
            match operation.await? {
                Operation::Write { write, .. } => Ok(write.buffer),
                Operation::Read { .. } | Operation::Sync { .. } => Err(io::ErrorKind::InvalidData.into()),
            }
        })
    }

    fn sync(&self, file: Arc<OpenFile>, kind: SyncKind) -> IoFuture<()> {
        let operation = self.run(Operation::Sync { file, kind });
        Box::pin(async move { operation.await.map(|_| ()) })
    }
}

impl Drop for RingDriver {
    fn drop(&mut self) {
        self.door.inbox.lock().closing = true;
        if self.door.ring_bell().is_err() {
            return;
        }
        if let Some(thread) = self.thread.take() {
            // The last handle may go with a reply on the ring's own thread, which cannot wait for its own end.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// The life of the ring's thread: until the disk is dropped and nothing is under way.
fn drive(mut ring: Ring, inbox: &Mutex<Inbox>) {
    let mut ended = Vec::new();
    loop {
        let woken = match ring.wait(&mut ended) {
            Ok(woken) => woken,
            Err(error) => return give_up(ring, inbox, &error),
        };
        for (pending, result) in ended.drain(..) {
            if let Some(unfinished) = finish(pending, result) {
                ring.submit(unfinished);
            }
        }
        if woken {
            let (operations, closing) = {
                let mut inbox = inbox.lock();
                (std::mem::take(&mut inbox.operations), inbox.closing)
            };
            operations.into_iter().for_each(|pending| ring.submit(pending));
            if !closing {
                ring.listen();
            }
        }
        if ring.is_idle() {
            return;
        }
    }
}

/// Tells the one who waits, or gives the operation back because it is not complete: a read or write that came short of its
/// buffer goes on, a read until the file ends.
fn finish(mut pending: Pending, result: io::Result<usize>) -> Option<Pending> {
    let outcome = match (&mut pending.operation, result) {
        (Operation::Read { .. } | Operation::Write { .. }, Err(error))
            if error.kind() == io::ErrorKind::Interrupted =>
        {
            return Some(pending);
        }
        (_, Err(error)) => Err(error),
        (Operation::Read { read, .. }, Ok(count)) => {
            read.filled += count;
            if count > 0 && read.filled < read.buffer.len() {
                return Some(pending);
            }
            Ok(())
        }
        (Operation::Write { .. }, Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
        (Operation::Write { write, .. }, Ok(count)) => {
            write.done += count;
            if write.done < write.buffer.len() {
                return Some(pending);
            }
            Ok(())
        }
        (Operation::Sync { .. }, Ok(_)) => Ok(()),
    };
    let Pending { operation, reply, slot } = pending;
    drop(slot);
    // Nobody may be waiting any more.
    let _ = reply.send(outcome.map(|()| operation));
    None
}

/// The ring itself failed: nobody may be left waiting.
fn give_up(ring: Ring, inbox: &Mutex<Inbox>, error: &io::Error) {
    tracing::error!(%error, "the io_uring of this disk failed; all its operations fail from now on");
    let waiting = {
        let mut inbox = inbox.lock();
        inbox.broken = true;
        std::mem::take(&mut inbox.operations)
    };
    drop((waiting, ring));
}
