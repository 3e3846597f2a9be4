//! Replies on their way out of a connection.
//!
//! What is in memory is written in as few calls as possible. A part of a file goes from the page cache to the socket, a piece at a
//! time; a piece that is no longer in memory when its turn comes (the peer reads slowly and the kernel needed the room) is
//! loaded first, so that the thread never waits for a disk. After some bytes others have a turn, however fast the peer is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use goatq_storage::log::FileRange;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::budget::Charge;
use super::service::{Chunk, Reply};
use super::transport::WriteSide;

/// Slices handed to the kernel in one call.
const SLICES: usize = 64;
/// Most bytes of a file that are sent in one call.
const PIECE: u64 = 512 << 10;
/// Most bytes of memory that are written in one call: they are copied, so that costs twice as much.
const MEMORY: usize = 256 << 10;
/// Most bytes of a file that a connection loads at a time.
const LOAD: u64 = 256 << 10;
/// Bytes of a file that are looked for in the page cache at a time.
const LOOK: u64 = 4 << 20;
/// What was in the page cache is believed to be there for so long: the kernel takes pages that nobody used for longer first.
const BELIEF: Duration = Duration::from_millis(100);
/// Bytes after which other connections of the thread have a turn.
const TURN: usize = 512 << 10;

/// Frames that wait to be written, as the chunks they were made of: payloads are not copied.
#[derive(Default)]
pub(super) struct Outbox {
    /// The charge of a reply travels with its last chunk.
    chunks: VecDeque<(Chunk, Option<Charge>)>,
    /// The first piece of the first chunk, being brought into memory.
    loading: Option<BoxFuture<'static, io::Result<Bytes>>>,
    /// Up to where the file of the first chunk was in memory, and when.
    warm: Option<(u64, Instant)>,
    bytes: usize,
    written: u64,
    /// Bytes written since others had a turn.
    turn: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, reply: Reply) {
        let Reply { chunks, mut charge } = reply;
        let last = chunks.len().saturating_sub(1);
        for (at, chunk) in chunks.into_iter().enumerate() {
            self.bytes += chunk.len();
            let charge = if at == last { charge.take() } else { None };
            if !chunk.is_empty() || charge.is_some() {
                self.chunks.push_back((chunk, charge));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes ever written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes what the socket takes, and says how much that was. Cancel-safe.
    pub(super) async fn write(&mut self, side: &mut WriteSide<'_>) -> io::Result<usize> {
        if self.turn >= TURN {
            self.turn = 0;
            tokio::task::yield_now().await;
        }
        let written = match self.chunks.front() {
            _ if self.bytes == 0 => 0,
            Some((Chunk::File(range), _)) => {
                let range = range.clone();
                self.send(range, side).await?
            }
            _ => Self::write_memory(&self.chunks, side).await?,
        };
        self.turn += written;
        self.advance(written);
        Ok(written)
    }

    /// Writes the chunks in memory before the first one in a file.
    async fn write_memory(chunks: &VecDeque<(Chunk, Option<Charge>)>, side: &mut WriteSide<'_>) -> io::Result<usize> {
        let mut slices: SmallVec<[IoSlice<'_>; SLICES]> = SmallVec::new();
        let (mut file_follows, mut room) = (false, MEMORY);
        for (chunk, _) in chunks.iter().take(SLICES) {
            match chunk {
                Chunk::Memory(_) if room == 0 => break,
                Chunk::Memory(bytes) => {
                    let bytes = &bytes[..bytes.len().min(room)];
                    room -= bytes.len();
                    slices.push(IoSlice::new(bytes));
                }
                Chunk::File(_) => {
                    file_follows = true;
                    break;
                }
            }
        }
        let written = if file_follows { side.write_before_file(&slices).await? } else { side.write(&slices).await? };
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
    }

    /// Sends a piece of the first chunk, or loads it; what was loaded takes its place.
    async fn send(&mut self, range: FileRange, side: &mut WriteSide<'_>) -> io::Result<usize> {
        if self.loading.is_none()
            && let Some(file) = range.as_fd()
        {
            // The look at the cache comes last: waiting for a slow peer may take long.
            side.writable().await?;
            if let Some(len) = self.warm(&range) {
                return Ok(side.try_send_file(file, range.position(), len)?.unwrap_or(0));
            }
        }
        let piece = range.first(PIECE);
        let loaded = self.loading.get_or_insert_with(|| Box::pin(piece.first(LOAD).load())).await;
        self.loading = None;
        let loaded =
            loaded.inspect_err(|error| tracing::error!(%error, ?piece, "reading what is to be sent failed"))?;
        if let Some((Chunk::File(range), _)) = self.chunks.front_mut() {
            range.advance(loaded.len() as u64);
            if range.is_empty() {
                let charge = self.chunks.pop_front().and_then(|(_, charge)| charge);
                self.warm = None;
                self.chunks.push_front((Chunk::Memory(loaded), charge));
            } else {
                self.chunks.push_front((Chunk::Memory(loaded), None));
            }
        }
        Ok(0)
    }

    /// Bytes of the first chunk, which this is, that can be sent now without waiting for a disk; `None` when a look at the page cache
    /// does not find the first piece.
    fn warm(&mut self, range: &FileRange) -> Option<usize> {
        let now = Instant::now();
        let (from, piece) = (range.position(), range.len().min(PIECE));
        let believed = self.warm.filter(|(_, at)| now.saturating_duration_since(*at) < BELIEF);
        let known = match believed.map_or(0, |(end, _)| end.saturating_sub(from)) {
            0 => {
                let found = [LOOK, PIECE].map(|most| range.first(most)).into_iter().find(FileRange::is_cached)?;
                self.warm = Some((from + found.len(), now));
                found.len()
            }
            known => known,
        };
        usize::try_from(known.min(piece)).ok()
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        self.written += written as u64;
        while let Some((chunk, _)) = self.chunks.front_mut() {
            if chunk.len() > written {
                match chunk {
                    Chunk::Memory(bytes) => bytes.advance(written),
                    Chunk::File(range) => range.advance(written as u64),
                }
                return;
            }
            written -= chunk.len();
            self.chunks.pop_front();
            self.warm = None;
        }
    }
}

#[cfg(test)]
mod tests;
