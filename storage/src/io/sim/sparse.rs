//! File content in memory: only the pieces that were written take room, and copies share them until one changes.

use std::{collections::BTreeMap, sync::Arc};

/// Bytes per piece: eight sectors.
pub(super) const CHUNK: u64 = 4096;

type Chunk = Arc<[u8; CHUNK as usize]>;

/// The content of one simulated file; holes read as zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseBytes {
    chunks: BTreeMap<u64, Chunk>,
    len: u64,
}

impl SparseBytes {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that take room on the simulated file system.
    pub(super) fn allocated(&self) -> u64 {
        self.chunks.len() as u64 * CHUNK
    }

    /// How many of the bytes of a write at `offset` fit when `room` more bytes may be allocated.
    pub(super) fn affordable(&self, offset: u64, len: u64, room: u64) -> u64 {
        let mut left = room / CHUNK;
        let mut at = offset;
        while at < offset + len {
            let index = at / CHUNK;
            if !self.chunks.contains_key(&index) {
                if left == 0 {
                    return at - offset;
                }
                left -= 1;
            }
            at = (index + 1) * CHUNK;
        }
        len
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let wanted = (buffer.len() as u64).min(self.len.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < wanted {
            let (index, within, count) = piece(offset + done as u64, wanted - done);
            let target = &mut buffer[done..done + count];
            match self.chunks.get(&index) {
                Some(chunk) => target.copy_from_slice(&chunk[within..within + count]),
                None => target.fill(0),
            }
            done += count;
        }
        wanted
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let (index, within, count) = piece(offset + done as u64, data.len() - done);
            let chunk = self.chunks.entry(index).or_insert_with(|| Arc::new([0; CHUNK as usize]));
            Arc::make_mut(chunk)[within..within + count].copy_from_slice(&data[done..done + count]);
            done += count;
        }
        if !data.is_empty() {
            self.len = self.len.max(offset + data.len() as u64);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.chunks.split_off(&len.div_ceil(CHUNK));
            if let Some(chunk) = self.chunks.get_mut(&(len / CHUNK)) {
                Arc::make_mut(chunk)[(len % CHUNK) as usize..].fill(0);
            }
        }
        self.len = len;
    }
}

/// The part of a range that lies in the chunk of its first byte: index of the chunk, place in it, count of bytes.
fn piece(at: u64, rest: usize) -> (u64, usize, usize) {
    let within = (at % CHUNK) as usize;
    (at / CHUNK, within, rest.min(CHUNK as usize - within))
}
