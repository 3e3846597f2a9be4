//! Direct writes: `O_DIRECT` (and `O_DSYNC`) where the file system has it, else a write (and a sync).

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use rustix::{fs::OFlags, io::Errno};

use super::{DirectWrite, Driver, MAX_CALL, OpenFile, OsDisk, SyncKind, retry};
use crate::io::{AlignedBuffer, DirectFile, DirectMode, IoFuture};

#[derive(Debug)]
pub(super) struct OsDirect<D> {
    file: Arc<OpenFile>,
    driver: Arc<D>,
    direct: bool,
    mode: DirectMode,
}

fn open(path: &Path, mode: DirectMode, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let create = mode == DirectMode::Durable;
    OpenOptions::new().read(true).write(true).create(create).truncate(false).custom_flags(flags).open(path)
}

impl<D: Driver> OsDirect<D> {
    pub(super) fn open(path: &Path, mode: DirectMode, disk: &OsDisk<D>) -> io::Result<OsDirect<D>> {
        let flags = match mode {
            DirectMode::Durable => OFlags::DIRECT | OFlags::DSYNC,
            DirectMode::Plain => OFlags::DIRECT,
        };
        let (file, direct) = match open(path, mode, flags) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                (open(path, mode, OFlags::empty())?, false)
            }
            file => (file?, true),
        };
        if !file.metadata()?.is_file() {
            return Err(Errno::ISDIR.into());
        }
        let (file, driver) = (OpenFile::new(file, &disk.closer), disk.driver.clone());
        Ok(OsDirect { file, driver, direct, mode })
    }
}

impl<D: Driver> DirectFile for OsDirect<D> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write(&self, buffer: AlignedBuffer, offset: u64) -> IoFuture<AlignedBuffer> {
        let write = self.driver.write(self.file.clone(), DirectWrite { buffer, offset, done: 0 });
        if self.direct || self.mode == DirectMode::Plain {
            return write;
        }
        let (file, driver) = (self.file.clone(), self.driver.clone());
        Box::pin(async move {
            let buffer = write.await?;
            driver.sync(file, SyncKind::Data).await?;
            Ok(buffer)
        })
    }

    fn is_direct(&self) -> bool {
        self.direct
    }
}

/// Writes what is left, blocking.
pub(in crate::io) fn write_fully(file: &File, write: &mut DirectWrite) -> io::Result<()> {
    while write.done < write.buffer.len() {
        let end = write.buffer.len().min(write.done + MAX_CALL);
        let rest = &write.buffer[write.done..end];
        match retry(|| rustix::io::pwrite(file, rest, write.offset + write.done as u64))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => write.done += count,
        }
    }
    Ok(())
}
