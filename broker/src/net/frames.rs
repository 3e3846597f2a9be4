//! Cuts the bytes of a connection into frames.
//!
//! A frame is a 4-byte big-endian size and that many bytes. The announced size is checked before anything else happens,
//! and the buffer grows as bytes arrive, never because of what was announced: to twice what has arrived, or to as much
//! as an earlier frame of the same connection really held. A connection on which nothing arrives has no buffer at all.

use bytes::{Buf, Bytes, BytesMut};
use goatq_protocol::frame::{FrameError, PREFIX_LEN, request_length};

/// Less room than this is not worth a system call. A frame gets this much more room than it needs: a read that fills all
/// of its room leaves open whether there is more to read, which takes another system call to find out.
const WORTH_READING: usize = 512;
/// Room for the first bytes of a connection: most requests are smaller.
const SMALLEST: usize = 1024;
/// Room for a frame that is larger, whatever has arrived of it: what a page of memory holds is free.
const FIRST_STEP: usize = 4096;
/// The buffer may be this many times larger than what has arrived: growing copies each byte once on average.
const GROWTH: usize = 2;

/// Collects bytes and gives out frames.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
    /// Room that the next allocation shares among small frames. It doubles with each, so that only busy connections
    /// have large ones.
    shared: usize,
    /// Size of the largest recent frame that arrived in full: the next one may take as much room at once.
    proven: usize,
}

impl Frames {
    /// Small frames share allocations of up to this size, and are not charged before they are complete.
    pub const FIRST_READ: usize = 16 * 1024;

    /// Frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, shared: SMALLEST, proven: 0 }
    }

    /// The next whole frame without its size, if it is there.
    ///
    /// # Errors
    /// The bytes are no frame; nothing more can be read from this connection.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(size) = self.announced()? else { return Ok(None) };
        if self.buffer.len() - PREFIX_LEN < size {
            return Ok(None);
        }
        self.buffer.advance(PREFIX_LEN);
        let frame = self.buffer.split_to(size).freeze();
        self.proven = size.max(self.proven / 2);
        if self.buffer.is_empty() && size > Self::FIRST_READ {
            // What is left of the room would keep the whole of it.
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    /// Gives the room for further frames back while the connection is idle.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.shared = SMALLEST;
        }
    }

    /// Room for the whole of the next frame, as large as the last ones were, if those were large and nothing of it is there.
    pub fn ahead(&self) -> Option<usize> {
        let large = self.proven > Self::FIRST_READ;
        (self.buffer.is_empty() && large).then_some(self.proven + PREFIX_LEN + WORTH_READING)
    }

    /// Makes the room that [`Self::ahead`] named.
    pub fn make_room(&mut self, room: usize) {
        self.buffer = BytesMut::with_capacity(room);
    }

    /// Whether there is no buffer: then it is better to wait for bytes before asking for one.
    pub fn is_released(&self) -> bool {
        self.buffer.capacity() == 0
    }

    /// Size of the frame that is being received, if its size is there already.
    ///
    /// # Errors
    /// As [`Self::next_frame`].
    pub fn announced(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        request_length(*prefix, self.limit).map(Some)
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The most room that the frame in progress will have taken once [`Self::buffer_for_read`] returns: what to charge
    /// for it.
    pub fn wanted(&self) -> usize {
        let have = self.buffer.len();
        match self.announced() {
            Ok(Some(size)) => {
                let ahead = have.saturating_mul(GROWTH).max(FIRST_STEP).max(self.proven.saturating_mul(2));
                (size + PREFIX_LEN + WORTH_READING).min(ahead).max(have).max(self.shared)
            }
            _ => self.shared,
        }
    }

    /// The buffer to read into, with room for at least one byte.
    pub fn buffer_for_read(&mut self) -> &mut BytesMut {
        let have = self.buffer.len();
        let rest = match self.announced() {
            Ok(Some(size)) => (size + PREFIX_LEN).saturating_sub(have).max(1),
            _ => WORTH_READING,
        };
        let (spare, wanted) = (self.buffer.capacity() - have, self.wanted());
        // Not at every read: a frame that trickles in would be copied each time.
        let is_small = spare < WORTH_READING || self.buffer.capacity() < wanted / GROWTH;
        // The last read filled all of the room: what waits in the socket is to come with one read, not a frame at a time.
        let overran = spare == 0 && have + rest <= Self::FIRST_READ && self.shared < Self::FIRST_READ;
        // Small frames share an allocation: a frame that stays alive in a log's cache pins little besides itself.
        if spare < rest && is_small && (overran || !self.buffer.try_reclaim(rest.min(wanted.saturating_sub(have)))) {
            // Not by `reserve`, which has the allocator copy the unused part, too, and so makes it resident.
            let mut larger = BytesMut::with_capacity(wanted.max(have + 1));
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
            self.shared = (self.shared * 2).min(Self::FIRST_READ);
        }
        &mut self.buffer
    }
}

#[cfg(test)]
mod tests;
