//! Writing whole blocks past the page cache: what logs have taken on and left to group commit.

use std::{fmt, io, sync::Arc};

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::What;
use crate::io::{AlignedBuffer, DirectFile};

/// Most bytes of one write: more does not make a disk faster.
const PIECE: usize = 1 << 20;

/// Writes under way at a time that a turn waits for, and buffers kept.
const WRITES: usize = 8;

/// The same of what is in the journal, which nobody waits for: the turns' frames meet them at the disk, so there is never much of
/// them ahead of one.
const PIECE_BESIDE: usize = 512 << 10;
pub(super) const WRITES_BESIDE: usize = 2;

/// Whole blocks that lie behind each other in a segment: a multiple of [`crate::io::direct::ALIGNMENT`], at such a place.
#[derive(Clone, Debug)]
pub struct BlockWrite {
    /// The segment, opened for direct writes.
    pub file: Arc<dyn DirectFile>,
    /// Where the first one goes.
    pub position: u64,
    /// Their bytes.
    pub chunks: Vec<Bytes>,
}

impl BlockWrite {
    /// The same in pieces of at most so many bytes.
    fn pieces(self, most: usize) -> Vec<BlockWrite> {
        let (mut pieces, mut chunks, mut len) = (Vec::new(), Vec::new(), 0);
        let mut position = self.position;
        for mut chunk in self.chunks {
            while len + chunk.len() > most {
                chunks.push(chunk.split_to(most - len));
                let piece = BlockWrite { file: self.file.clone(), position, chunks: std::mem::take(&mut chunks) };
                pieces.push(piece);
                position += most as u64;
                len = 0;
            }
            len += chunk.len();
            chunks.push(chunk);
        }
        pieces.push(BlockWrite { file: self.file, position, chunks });
        pieces
    }
}

/// Buffers for such writes: making one touches fresh memory, which costs more than the write.
pub(super) struct Buffers {
    free: Mutex<Free>,
    in_turn: Semaphore,
    beside: Semaphore,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { free: Mutex::default(), in_turn: Semaphore::new(WRITES), beside: Semaphore::new(WRITES_BESIDE) }
    }
}

#[derive(Default)]
struct Free {
    buffers: Vec<AlignedBuffer>,
    used: bool,
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("free", &self.free.lock().buffers.len()).finish()
    }
}

impl Buffers {
    fn take(&self) -> AlignedBuffer {
        let mut free = self.free.lock();
        free.used = true;
        free.buffers.pop().unwrap_or_else(|| AlignedBuffer::new(PIECE))
    }

    fn give_back(&self, mut buffer: AlignedBuffer) {
        let mut free = self.free.lock();
        if free.buffers.len() < WRITES {
            buffer.clear();
            free.buffers.push(buffer);
        }
    }

    /// Lets go of the buffers if none was used since the last call.
    pub(super) fn trim(&self) {
        let mut free = self.free.lock();
        if !std::mem::take(&mut free.used) {
            free.buffers = Vec::new();
        }
    }

    /// Writes all of it, a few pieces at a time. The first error ends it; what was begun then may be written or not.
    pub(super) async fn write(&self, writes: Vec<BlockWrite>, what: What) -> io::Result<()> {
        let (most, permits) = match what {
            What::All => (PIECE, &self.in_turn),
            What::Journaled => (PIECE_BESIDE, &self.beside),
        };
        let pieces = stream::iter(writes.into_iter().flat_map(|write| write.pieces(most)).map(Ok::<_, io::Error>));
        pieces.try_for_each_concurrent(WRITES, |piece| self.write_piece(piece, permits)).await
    }

    async fn write_piece(&self, piece: BlockWrite, permits: &Semaphore) -> io::Result<()> {
        let _permit = permits.acquire().await.map_err(io::Error::other)?;
        let mut buffer = self.take();
        if !piece.chunks.iter().all(|chunk| buffer.push(chunk)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        drop(piece.chunks);
        let buffer = piece.file.write(buffer, piece.position).await?;
        self.give_back(buffer);
        Ok(())
    }
}
