//! Handles on files and directories of the simulated disk, and their operations under way.

use std::{
    fmt,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Fault, SimDisk, eio,
    node::{Change, DirNode, FileNode},
    operation::SimOp,
    sparse::CHUNK,
};
use crate::io::{DiskFile, IoFuture};

/// An open file of a [`SimDisk`].
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) node: Arc<Mutex<FileNode>>,
    pub(super) writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.node.lock().path).finish()
    }
}

impl SimFile {
    fn writable(&self) -> io::Result<()> {
        // What the kernel answers for a descriptor that was opened for reading.
        if self.writable { Ok(()) } else { Err(io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error())) }
    }

    fn read_now(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state()?;
        let node = self.node.lock();
        if state.faulty(&node.path, |fault| matches!(fault, Fault::FailReads(_)), false) {
            return Err(eio("simulated read error"));
        }
        let read = node.live.read(offset, buffer);
        state.counters.reads += 1;
        state.counters.read_bytes += read as u64;
        Ok(read)
    }

    /// Ends a sync that covers the first `upto` changes.
    fn finish_sync(&self, upto: u64) -> io::Result<()> {
        let mut state = self.disk.state()?;
        let mut node = self.node.lock();
        state.counters.syncs += 1;
        let failed = state.faulty(&node.path, |fault| matches!(fault, Fault::FailSync(_)), true);
        if state.is_hasty(&node.path) && !failed {
            let promised = std::mem::replace(&mut node.promised, upto);
            node.settle(promised, true);
            return Ok(());
        }
        node.settle(upto, !failed);
        if failed { Err(eio("simulated sync error")) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let _state = self.disk.state()?;
        Ok(self.node.lock().live.len())
    }

    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.writable()?;
        let mut state = self.disk.state()?;
        let mut data = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        slices.iter().for_each(|slice| data.extend_from_slice(slice));
        let mut node = self.node.lock();
        let failed = state.faulty(&node.path, |fault| matches!(fault, Fault::FailWrite(_)), true);
        let room = state.capacity.saturating_sub(state.used) + node.unused_reservation();
        let fitting =
            if node.linked { node.live.affordable(offset, data.len() as u64, room) as usize } else { data.len() };
        let full = fitting < data.len();
        data.truncate(if failed { data.len() / 2 } else { fitting });
        state.counters.writes += 1;
        state.counters.written_bytes += data.len() as u64;
        let before = node.allocated();
        if !data.is_empty() {
            node.change(Change::Write { offset, data });
        }
        state.used = (state.used + node.allocated()).saturating_sub(before);
        match (failed, full) {
            (true, _) => Err(eio("simulated write error")),
            (false, true) => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())),
            (false, false) => Ok(()),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_now(buffer, offset)
    }

    fn read(&self, offset: u64, len: usize) -> IoFuture<Bytes> {
        let file = self.again();
        Box::pin(SimOp::new(
            self.disk.clone(),
            move || (),
            move |()| {
                let rest = file.len()?.saturating_sub(offset);
                let mut buffer = vec![0; len.min(usize::try_from(rest).unwrap_or(usize::MAX))];
                let read = file.read_now(&mut buffer, offset)?;
                buffer.truncate(read);
                Ok(Bytes::from(buffer))
            },
        ))
    }

    fn read_cached(&self, buffer: &mut Vec<u8>, offset: u64, len: usize) -> io::Result<usize> {
        if !self.disk.state()?.draw_cached() {
            return Ok(0);
        }
        let rest = usize::try_from(self.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let before = buffer.len();
        buffer.resize(before + len.min(rest), 0);
        let read = self.read_now(&mut buffer[before..], offset)?;
        buffer.truncate(before + read);
        Ok(read)
    }

    fn is_cached(&self, _offset: u64, _len: u64) -> bool {
        self.disk.state().is_ok_and(|mut state| state.draw_cached())
    }

    fn sync(&self) -> IoFuture<()> {
        let (start, end, path) = (self.again(), self.again(), self.node.lock().path.clone());
        Box::pin(SimOp::write(
            self.disk.clone(),
            path,
            move || start.node.lock().changes(),
            move |upto| end.finish_sync(upto),
        ))
    }

    fn sync_now(&self) -> io::Result<()> {
        let upto = self.node.lock().changes();
        self.finish_sync(upto)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        let mut state = self.disk.state()?;
        let mut node = self.node.lock();
        let before = node.allocated();
        node.change(Change::SetLen(len));
        state.used = (state.used + node.allocated()).saturating_sub(before);
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        let mut state = self.disk.state()?;
        let mut node = self.node.lock();
        let more = (len.div_ceil(CHUNK) * CHUNK).saturating_sub(node.allocated());
        if node.linked && state.used + more > state.capacity {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        let before = node.allocated();
        node.reserve(len);
        state.used = (state.used + node.allocated()).saturating_sub(before);
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl SimFile {
    fn again(&self) -> SimFile {
        SimFile { disk: self.disk.clone(), node: self.node.clone(), writable: self.writable }
    }
}

/// An open directory of a [`SimDisk`].
pub(super) struct SimDir {
    pub(super) disk: SimDisk,
    pub(super) path: std::path::PathBuf,
    pub(super) node: Arc<Mutex<DirNode>>,
}

impl fmt::Debug for SimDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDir").field("path", &self.path).finish()
    }
}

/// What the kernel answers for a read of a directory.
fn is_dir<T>() -> io::Result<T> {
    Err(io::Error::from_raw_os_error(rustix::io::Errno::ISDIR.raw_os_error()))
}

impl SimDir {
    fn finish_sync(&self, upto: u64) -> io::Result<()> {
        let mut state = self.disk.state()?;
        state.counters.dir_syncs += 1;
        let failed = state.faulty(&self.path, |fault| matches!(fault, Fault::FailSync(_)), true);
        self.node.lock().settle(upto, !failed);
        if failed { Err(eio("simulated sync error")) } else { Ok(()) }
    }
}

impl DiskFile for SimDir {
    fn len(&self) -> io::Result<u64> {
        is_dir()
    }
    fn write_at(&self, _slices: &[IoSlice<'_>], _offset: u64) -> io::Result<()> {
        is_dir()
    }
    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        is_dir()
    }
    fn read(&self, _offset: u64, _len: usize) -> IoFuture<Bytes> {
        Box::pin(std::future::ready(is_dir()))
    }
    fn sync(&self) -> IoFuture<()> {
        let (node, dir) = (self.node.clone(), self.again());
        Box::pin(SimOp::new(self.disk.clone(), move || node.lock().changes(), move |upto| dir.finish_sync(upto)))
    }
    fn sync_now(&self) -> io::Result<()> {
        let upto = self.node.lock().changes();
        self.finish_sync(upto)
    }
    fn truncate(&self, _len: u64) -> io::Result<()> {
        is_dir()
    }
    fn preallocate(&self, _len: u64) -> io::Result<()> {
        is_dir()
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl SimDir {
    fn again(&self) -> SimDir {
        SimDir { disk: self.disk.clone(), path: self.path.clone(), node: self.node.clone() }
    }
}
