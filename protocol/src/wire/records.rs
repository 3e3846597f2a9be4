//! Record sets on their way through a message.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// The record batches of one partition as they are on the wire, in any number of pieces.
///
/// Decoding gives one piece, a slice of the frame; a sender adds as many as it has and none of them is copied.
/// The last bytes may be ones that the sender has elsewhere, say in a file: then only their number is known here, and
/// [`Writer::finish_parts`](super::Writer::finish_parts) says where they go.
/// Two record sets are equal when their bytes are, however they are cut.
#[derive(Debug, Clone, Default)]
pub struct Records {
    chunks: SmallVec<[Bytes; 1]>,
    /// Bytes in `chunks` and elsewhere.
    len: usize,
    elsewhere: usize,
}

impl Records {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many bytes that are not at hand.
    pub fn elsewhere(len: usize) -> Self {
        Self { chunks: SmallVec::new(), len, elsewhere: len }
    }

    /// Appends a piece. What is elsewhere stays behind all pieces.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len = self.len.saturating_add(chunk.len());
            self.chunks.push(chunk);
        }
    }

    /// The pieces in order, none of them empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Total length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many of the bytes, the last ones, are not at hand.
    pub fn len_elsewhere(&self) -> usize {
        self.elsewhere
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes at hand in one piece; copies only when there are several.
    pub fn into_bytes(mut self) -> Bytes {
        if self.chunks.len() <= 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        for chunk in &self.chunks {
            whole.extend_from_slice(chunk);
        }
        whole.freeze()
    }

    fn byte_iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied())
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        (self.len, self.elsewhere) == (other.len, other.elsewhere)
            && (self.chunks == other.chunks || self.byte_iter().eq(other.byte_iter()))
    }
}

impl Eq for Records {}

impl From<Bytes> for Records {
    fn from(chunk: Bytes) -> Self {
        let mut records = Self::new();
        records.push(chunk);
        records
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut records = Self::new();
        for chunk in chunks {
            records.push(chunk);
        }
        records
    }
}
