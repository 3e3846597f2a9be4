//! Unsafe code: handing descriptors and buffers to the kernel. The only other is `io/syscall.rs`.
//!
//! The argument is the same for every operation: what the kernel was given (descriptor, buffer) belongs to an entry of the
//! ring's map of operations from before the entry is submitted until its completion was read from the queue; the map is
//! private to this module and nothing touches an entry in between. A `Vec`'s bytes stay where they are when it moves.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
};

use io_uring::{IoUring, Probe, opcode, squeue, types};
use rustix::{event::PollFlags, io::Errno};

use super::{MAX_CALL, Pending};
use crate::io::os::{DirectWrite, OpenFile, PartialRead, SyncKind};

/// Marks the poll of the eventfd among the completions; operations count up from zero.
const WAKE: u64 = u64::MAX;

/// Threads that the kernel may have for operations that wait in it: syncs, and writes that meet a lock. Its own bound, four for each
/// core, is less than the syncs behind a journal, and the journal's next write would wait in their queue.
const WORKERS: u32 = 64;

/// What the kernel is asked to do, with all it needs until it has done it.
pub(super) enum Operation {
    /// Fill the rest of the buffer.
    Read { file: Arc<OpenFile>, read: PartialRead },
    /// Write the rest of the buffer.
    Write { file: Arc<OpenFile>, write: DirectWrite },
    /// Flush a file or directory.
    Sync { file: Arc<OpenFile>, kind: SyncKind },
}

/// A ring and what is under way in it; used by the thread that made it.
pub(super) struct Ring {
    ring: IoUring,
    wake: Arc<OwnedFd>,
    in_flight: HashMap<u64, Pending>,
    next: u64,
    listening: bool,
}

impl Ring {
    /// Sets up a ring that listens for the eventfd.
    pub(super) fn new(entries: u32, wake: Arc<OwnedFd>) -> io::Result<Ring> {
        // Single issuer and deferred task work need Linux 6.1; without them the same code only runs somewhat slower.
        let ring = match IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => IoUring::new(entries)?,
            ring => ring?,
        };
        // Kernels before 5.15 keep their bound.
        let _ = ring.submitter().register_iowq_max_workers(&mut [WORKERS, 0]);
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [opcode::Read::CODE, opcode::Write::CODE, opcode::Fsync::CODE, opcode::PollAdd::CODE];
        if !needed.into_iter().all(|code| probe.is_supported(code)) {
            return Err(Errno::NOSYS.into());
        }
        let mut ring = Ring { ring, wake, in_flight: HashMap::new(), next: 0, listening: false };
        ring.listen();
        Ok(ring)
    }

    /// Asks for one completion when the eventfd is rung.
    pub(super) fn listen(&mut self) {
        let flags = u32::from(PollFlags::IN.bits());
        self.push(&opcode::PollAdd::new(types::Fd(self.wake.as_raw_fd()), flags).build().user_data(WAKE));
        self.listening = true;
    }

    /// Neither an operation nor the eventfd is waited for.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && !self.listening
    }

    /// Queues an operation; the next [`Ring::wait`] submits it.
    pub(super) fn submit(&mut self, mut pending: Pending) {
        let id = self.next;
        self.next = (self.next + 1) % WAKE;
        let entry = match &mut pending.operation {
            Operation::Read { file, read } => {
                let rest = &mut read.buffer[read.filled..];
                let len = rest.len().min(MAX_CALL) as u32;
                opcode::Read::new(types::Fd(file.as_raw_fd()), rest.as_mut_ptr(), len)
                    .offset(read.offset + read.filled as u64)
                    .build()
            }
            Operation::Write { file, write } => {
                let rest = &write.buffer[write.done..];
                let len = rest.len().min(MAX_CALL) as u32;
                opcode::Write::new(types::Fd(file.as_raw_fd()), rest.as_ptr(), len)
                    .offset(write.offset + write.done as u64)
                    .build()
            }
            Operation::Sync { file, kind } => {
                let flags = match kind {
                    SyncKind::Data => types::FsyncFlags::DATASYNC,
                    SyncKind::All => types::FsyncFlags::empty(),
                };
                opcode::Fsync::new(types::Fd(file.as_raw_fd())).flags(flags).build()
            }
        };
        self.in_flight.insert(id, pending);
        self.push(&entry.user_data(id));
    }

    #[expect(unsafe_code, reason = "submission entries carry raw descriptors and buffer addresses")]
    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the descriptor and, for a read or write, the buffer named by the entry are owned by `self.wake` or by the entry of
        // `self.in_flight` under the same user data. Both outlive the operation: `in_flight` gives an entry up only when its
        // completion was read (`wait`), never when the ring ends early (`drop` leaks it). The buffer is not read, written
        // or resized meanwhile.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // The queue is full: the kernel takes all of it. An error here comes again in `wait`, which reports it.
            let _ = self.ring.submit();
        }
    }

    /// Submits what is queued, waits for at least one completion and hands all completed operations out. Whether the eventfd
    /// was rung.
    pub(super) fn wait(&mut self, ended: &mut Vec<(Pending, io::Result<usize>)>) -> io::Result<bool> {
        match self.ring.submit_and_wait(1) {
            Ok(_) => {}
            // Signals, and a moment without memory or with completions not yet read: what is queued stays queued.
            Err(error)
                if [Errno::INTR, Errno::AGAIN, Errno::BUSY]
                    .iter()
                    .any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) => {}
            Err(error) => return Err(error),
        }
        let mut woken = false;
        for completion in self.ring.completion() {
            if completion.user_data() == WAKE {
                woken = true;
            } else if let Some(pending) = self.in_flight.remove(&completion.user_data()) {
                let result = completion.result();
                let result = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
                ended.push((pending, result));
            }
        }
        if woken {
            self.listening = false;
            // Emptied before the inbox is looked at; nothing in it is fine.
            let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        }
        Ok(woken)
    }
}

impl Drop for Ring {
    /// A ring that ends with operations under way leaks their buffers and descriptors, because the kernel may still use them;
    /// their waiters learn that nothing more will come.
    fn drop(&mut self) {
        for (_, Pending { operation, reply, slot }) in self.in_flight.drain() {
            std::mem::forget(operation);
            drop((reply, slot));
        }
    }
}
