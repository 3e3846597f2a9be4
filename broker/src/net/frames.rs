//! Cuts the bytes of a connection into frames.
//!
//! A frame is a 4-byte big-endian size and that many bytes. The announced size is checked before anything else happens,
//! and the buffer grows as bytes arrive, never because of what was announced: at most eight times what has arrived, or
//! as much as an earlier frame of the same connection really held.

use bytes::{Buf, Bytes, BytesMut};
use goatq_protocol::frame::{FrameError, PREFIX_LEN, request_length};

/// Less room than this is not worth a system call when the size of the next frame is not known yet.
const WORTH_READING: usize = 512;
/// The buffer may be this many times larger than what has arrived, so that growing costs few copies.
const GROWTH: usize = 8;

/// Collects bytes and gives out frames.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
    /// Size of the largest recent frame that arrived in full: the next one may take as much room at once.
    proven: usize,
}

impl Frames {
    /// Room for the first bytes of a frame: small frames need no second allocation and are not charged before they are
    /// complete.
    pub const FIRST_READ: usize = 16 * 1024;

    /// Frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, proven: 0 }
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
        Ok(Some(frame))
    }

    /// Gives the room for further frames back while the connection is idle.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
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

    /// Room that the frame in progress will have taken once [`Self::buffer_for_read`] returns: what to charge for it.
    pub fn wanted(&self) -> usize {
        let have = self.buffer.len();
        match self.announced() {
            Ok(Some(size)) => {
                let total = size + PREFIX_LEN;
                let ahead = have.saturating_mul(GROWTH).max(Self::FIRST_READ).max(self.proven.saturating_mul(2));
                total.min(ahead).max(have)
            }
            _ => Self::FIRST_READ,
        }
    }

    /// The buffer to read into, with room for at least one byte.
    pub fn buffer_for_read(&mut self) -> &mut BytesMut {
        let spare = self.buffer.capacity() - self.buffer.len();
        let enough = match self.announced() {
            Ok(Some(size)) => (size + PREFIX_LEN).saturating_sub(self.buffer.len()),
            _ => WORTH_READING,
        };
        // Small frames share an allocation: a frame that stays alive in a log's cache pins little besides itself.
        if spare < enough {
            let more = self.wanted().saturating_sub(self.buffer.len()).max(1);
            self.buffer.reserve(more);
        }
        &mut self.buffer
    }
}

#[cfg(test)]
mod tests;
