//! A part of a segment's file, to be sent as it is.

use std::{fmt, io, os::fd::BorrowedFd, sync::Arc};

use bytes::Bytes;

use crate::io::DiskFile;

/// Bytes of a segment's file: whole batches when it comes from a log. It holds the file open and no memory; retention, deletion
/// and compaction do not change what it reads. Only a truncation of these very batches does, which never happens to committed ones.
#[derive(Clone)]
pub struct FileRange {
    file: Arc<dyn DiskFile>,
    position: u64,
    len: u64,
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRange").field("position", &self.position).field("len", &self.len).finish_non_exhaustive()
    }
}

impl FileRange {
    /// `len` bytes of a file, from `position` on.
    pub fn new(file: Arc<dyn DiskFile>, position: u64, len: u64) -> FileRange {
        FileRange { file, position, len }
    }

    /// Bytes left.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none are left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the range begins in its file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file's descriptor, for sendfile; `None` where there is none.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }

    /// The first `most` bytes, or all.
    #[must_use]
    pub fn first(&self, most: u64) -> FileRange {
        FileRange { len: self.len.min(most), ..self.clone() }
    }

    /// Takes bytes off the front, at most all.
    pub fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.len);
        self.position += bytes;
        self.len -= bytes;
    }

    /// Whether all of it is in memory at this moment, as far as that can be known.
    pub fn is_cached(&self) -> bool {
        self.file.is_cached(self.position, self.len)
    }

    /// Appends the bytes to `buffer` if all are in memory; whether it did. Never waits.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn copy_cached(&self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let before = buffer.len();
        let len = usize::try_from(self.len).map_err(io::Error::other)?;
        let copied = self.file.read_cached(buffer, self.position, len)?;
        if copied < len {
            buffer.truncate(before);
        }
        Ok(copied == len)
    }

    /// The bytes, read without blocking the caller, unchecked.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub async fn load(self) -> io::Result<Bytes> {
        let len = usize::try_from(self.len).map_err(io::Error::other)?;
        let bytes = self.file.read(self.position, len).await?;
        if bytes.len() < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }
}
