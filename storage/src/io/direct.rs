//! Writes past the page cache.

use std::{fmt, io, ops::Deref};

use super::IoFuture;

/// Place, length and memory of a direct write are multiples of this: no disk in use has bigger sectors.
pub const ALIGNMENT: usize = 4096;

/// How a file is opened for direct writes, and what one of them means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectMode {
    /// The file is made empty when it does not exist. A write is durable when it ended.
    Durable,
    /// The file must exist. A write that ended is durable after the next [`super::DiskFile::sync`] of the file.
    Plain,
}

/// A file for direct writes only; to read it, open it with [`super::Disk::open`].
pub trait DirectFile: Send + Sync + fmt::Debug {
    /// The present length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes all of the buffer at `offset`, a multiple of [`ALIGNMENT`]; with [`DirectMode::Durable`] it and, where the file grows,
    /// the length are durable when this succeeds. The buffer comes back. Writes under way at one time must not overlap, unless the
    /// bytes are the same. After an error the content of the range is unknown.
    fn write(&self, buffer: AlignedBuffer, offset: u64) -> IoFuture<AlignedBuffer>;

    /// Whether writes bypass the page cache. Where the file system refuses that they go through it (and are synced, if they are
    /// to be durable).
    fn is_direct(&self) -> bool;
}

/// Memory for direct writes: begins at a multiple of [`ALIGNMENT`], has a fixed room and is filled from the front.
pub struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuffer").field("len", &self.len).field("room", &self.room()).finish()
    }
}

impl AlignedBuffer {
    /// An empty buffer with room for `bytes`, rounded up to a multiple of [`ALIGNMENT`].
    pub fn new(bytes: usize) -> AlignedBuffer {
        let room = bytes.next_multiple_of(ALIGNMENT);
        let memory = vec![0; room + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        AlignedBuffer { memory, start, len: 0 }
    }

    /// Bytes that it can hold.
    pub fn room(&self) -> usize {
        self.memory.len() - ALIGNMENT
    }

    /// Forgets the content.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds bytes at the end. False, and nothing is added, when they do not fit.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let at = self.start + self.len;
        let fits = bytes.len() <= self.room() - self.len;
        if fits {
            self.memory[at..at + bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        }
        fits
    }

    /// Replaces bytes that are there; panics where there are none.
    pub fn replace(&mut self, at: usize, bytes: &[u8]) {
        let content = &mut self.memory[self.start..self.start + self.len];
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Adds zeros up to the next multiple of [`ALIGNMENT`].
    pub fn pad(&mut self) {
        let padded = self.len.next_multiple_of(ALIGNMENT).min(self.room());
        self.memory[self.start + self.len..self.start + padded].fill(0);
        self.len = padded;
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_and_bounded() {
        for bytes in [0, 1, 4096, 10_000] {
            let mut buffer = AlignedBuffer::new(bytes);
            assert!(buffer.room() >= bytes && buffer.as_ptr().addr().is_multiple_of(ALIGNMENT));
            assert!(!buffer.push(&vec![1; buffer.room() + 1]) && buffer.is_empty());
        }
        let mut buffer = AlignedBuffer::new(5000);
        assert!(buffer.push(&[1; 4097]));
        buffer.replace(4096, &[2]);
        buffer.pad();
        assert_eq!((buffer.len(), buffer[4096], buffer[4097]), (8192, 2, 0));
        buffer.clear();
        assert!(buffer.push(&[3]) && buffer[..] == [3]);
    }
}
