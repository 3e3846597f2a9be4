//! Direct writes of the simulated disk: lost, torn or kept by a crash until they have ended, or, if they are not to be durable, until
//! the file is synced.

use std::{fmt, io, sync::Arc};

use parking_lot::Mutex;

use super::{
    Fault, SimDisk, eio,
    node::{Change, FileNode},
    operation::SimOp,
};
use crate::io::{AlignedBuffer, DirectFile, IoFuture, direct::ALIGNMENT};

/// A file of a [`SimDisk`] opened for direct writes.
pub(super) struct SimDirect {
    pub(super) disk: SimDisk,
    pub(super) node: Arc<Mutex<FileNode>>,
    /// A write is durable when it ended.
    pub(super) durable: bool,
}

impl fmt::Debug for SimDirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDirect").field("path", &self.node.lock().path).finish()
    }
}

impl SimDirect {
    fn again(&self) -> SimDirect {
        SimDirect { disk: self.disk.clone(), node: self.node.clone(), durable: self.durable }
    }

    /// The bytes are on their way: readers may see them, a crash may keep any of their sectors. The number of the change.
    fn begin(&self, buffer: &AlignedBuffer, offset: u64) -> io::Result<u64> {
        let aligned = offset.is_multiple_of(ALIGNMENT as u64) && buffer.len().is_multiple_of(ALIGNMENT);
        if !aligned {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut state = self.disk.state()?;
        let mut node = self.node.lock();
        if state.faulty(&node.path, |fault| matches!(fault, Fault::FailWrite(_)), true) {
            node.change(Change::Write { offset, data: buffer[..buffer.len() / 2].to_vec() });
            return Err(eio("simulated write error"));
        }
        let room = state.capacity.saturating_sub(state.used) + node.unused_reservation();
        if node.linked && node.live.affordable(offset, buffer.len() as u64, room) < buffer.len() as u64 {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        state.counters.written_bytes += buffer.len() as u64;
        let before = node.allocated();
        node.change(Change::Write { offset, data: buffer.to_vec() });
        state.used = (state.used + node.allocated()).saturating_sub(before);
        Ok(node.changes())
    }

    fn end(&self, number: u64) -> io::Result<()> {
        let mut state = self.disk.state()?;
        let mut node = self.node.lock();
        state.counters.direct_writes += 1;
        if !self.durable {
            return Ok(());
        }
        let failed = state.faulty(&node.path, |fault| matches!(fault, Fault::FailSync(_)), true);
        if state.is_hasty(&node.path) && !failed {
            node.settle(number - 1, true);
            return Ok(());
        }
        node.settle_alone(number, !failed);
        if failed { Err(eio("simulated sync error")) } else { Ok(()) }
    }
}

impl DirectFile for SimDirect {
    fn len(&self) -> io::Result<u64> {
        let _state = self.disk.state()?;
        Ok(self.node.lock().live.len())
    }

    fn write(&self, buffer: AlignedBuffer, offset: u64) -> IoFuture<AlignedBuffer> {
        let (start, end, path) = (self.again(), self.again(), self.node.lock().path.clone());
        Box::pin(SimOp::write(
            self.disk.clone(),
            path,
            move || start.begin(&buffer, offset).map(|number| (number, buffer)),
            move |begun: io::Result<(u64, AlignedBuffer)>| {
                let (number, buffer) = begun?;
                end.end(number)?;
                Ok(buffer)
            },
        ))
    }

    fn is_direct(&self) -> bool {
        true
    }
}
