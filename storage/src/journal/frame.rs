//! The bytes of a frame: what one turn of group commit writes into the journal, at once.
//!
//! ```text
//! header, 64 bytes                                   entry, 36 bytes, its name and its data
//!  0  magic                    "goatQjrn"            0  length of the name          u16
//!  8  incarnation              u64                   2  zeros
//! 16  sequence                 u64                   4  length of the data          u32
//! 24  slot                     u32                   8  history                     u64
//! 28  position in the slot     u32                  16  base offset of the segment  i64
//! 32  length of the entries    u32                  24  position in the segment     u64
//! 36  number of entries        u32                  32  zeros
//! 40  CRC-32C of the entries   u32                  36  name of the log's directory, then the data
//! 44  zeros
//! 60  CRC-32C of the 60 bytes before
//! ```
//!
//! Numbers are big-endian, as in Kafka's formats. A frame begins at a multiple of 4,096 bytes and is padded to one. All that
//! tells where and when it was written is in the header, so that nothing that an earlier lap, another slot or another
//! incarnation left behind is taken for a frame of the present one.

use bytes::Bytes;

use crate::io::{AlignedBuffer, direct::ALIGNMENT};

/// Bytes of a frame before its entries.
pub(crate) const HEADER_LEN: usize = 64;
const ENTRY_LEN: usize = 36;
const MAGIC: &[u8; 8] = b"goatQjrn";

/// The longest name of a log's directory that an entry can carry.
pub(crate) const MAX_NAME_LEN: usize = 255;

/// When and where a frame was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Of the journal.
    pub(crate) incarnation: u64,
    /// Of the frame in its incarnation, growing by one.
    pub(crate) sequence: u64,
    /// File of the journal.
    pub(crate) slot: u32,
    /// Place in that file.
    pub(crate) position: u32,
}

/// Where bytes of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Name of the log's directory.
    pub(crate) name: &'a str,
    /// History of the log that the bytes belong to.
    pub(crate) history: u64,
    /// Base offset of the segment.
    pub(crate) segment: i64,
    /// Place in the segment.
    pub(crate) position: u64,
}

impl Place<'_> {
    /// Bytes that an entry takes in a frame beside its data.
    pub(crate) fn len(&self) -> usize {
        ENTRY_LEN + self.name.len()
    }
}

/// Bytes of a segment, to be found again at their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The place.
    pub(crate) place: Place<'a>,
    /// Whole batches.
    pub(crate) data: &'a [u8],
}

/// A frame being put together.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    buffer: AlignedBuffer,
    entries: u32,
    /// Of the entries so far.
    crc: u32,
}

impl FrameBuilder {
    /// Into that buffer, whose content is replaced; it has room for a header at least.
    pub(crate) fn new(mut buffer: AlignedBuffer) -> FrameBuilder {
        buffer.clear();
        let _room = buffer.push(&[0; HEADER_LEN]);
        FrameBuilder { buffer, entries: 0, crc: 0 }
    }

    /// Adds an entry, its data in pieces. False, and nothing is added, when there is no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, place: &Place<'_>, data: &[Bytes]) -> bool {
        let len = data.iter().map(Bytes::len).sum::<usize>();
        let fits = place.len() + len <= self.buffer.room() - self.buffer.len() && place.name.len() <= MAX_NAME_LEN;
        let (Ok(name_len), Ok(data_len)) = (u16::try_from(place.name.len()), u32::try_from(len)) else {
            return false;
        };
        if !fits {
            return false;
        }
        let mut head = [0; ENTRY_LEN];
        head[..2].copy_from_slice(&name_len.to_be_bytes());
        head[4..8].copy_from_slice(&data_len.to_be_bytes());
        head[8..16].copy_from_slice(&place.history.to_be_bytes());
        head[16..24].copy_from_slice(&place.segment.to_be_bytes());
        head[24..32].copy_from_slice(&place.position.to_be_bytes());
        self.entries += 1;
        let mut pieces = [&head, place.name.as_bytes()].into_iter().chain(data.iter().map(|piece| &piece[..]));
        pieces.all(|piece| {
            // Copied while it is at hand: a whole frame is longer than what a core keeps near.
            self.crc = crc32c::crc32c_append(self.crc, piece);
            self.buffer.push(piece)
        })
    }

    /// Stamps and pads it.
    pub(crate) fn finish(self, stamp: Stamp) -> AlignedBuffer {
        let FrameBuilder { mut buffer, entries, crc } = self;
        let content = buffer.len() - HEADER_LEN;
        let mut head = [0; HEADER_LEN];
        head[..8].copy_from_slice(MAGIC);
        head[8..16].copy_from_slice(&stamp.incarnation.to_be_bytes());
        head[16..24].copy_from_slice(&stamp.sequence.to_be_bytes());
        head[24..28].copy_from_slice(&stamp.slot.to_be_bytes());
        head[28..32].copy_from_slice(&stamp.position.to_be_bytes());
        // The room of a buffer is far below 4 GiB.
        head[32..36].copy_from_slice(&u32::try_from(content).unwrap_or(u32::MAX).to_be_bytes());
        head[36..40].copy_from_slice(&entries.to_be_bytes());
        head[40..44].copy_from_slice(&crc.to_be_bytes());
        let head_crc = crc32c::crc32c(&head[..HEADER_LEN - 4]);
        head[HEADER_LEN - 4..].copy_from_slice(&head_crc.to_be_bytes());
        buffer.replace(0, &head);
        buffer.pad();
        buffer
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The stamp of a frame, if the header is whole; nothing is said of its entries.
pub(crate) fn parse_stamp(bytes: &[u8]) -> Option<Stamp> {
    let head = bytes.get(..HEADER_LEN)?;
    let crc = u32::from_be_bytes(number(head, HEADER_LEN - 4)?);
    (head.starts_with(MAGIC) && crc32c::crc32c(&head[..HEADER_LEN - 4]) == crc).then_some(())?;
    Some(Stamp {
        incarnation: u64::from_be_bytes(number(head, 8)?),
        sequence: u64::from_be_bytes(number(head, 16)?),
        slot: u32::from_be_bytes(number(head, 24)?),
        position: u32::from_be_bytes(number(head, 28)?),
    })
}

/// The entries of the frame that these bytes begin with, and its padded length; `None` unless it is whole and carries that
/// stamp.
pub(crate) fn parse(bytes: &[u8], expected: Stamp) -> Option<(Vec<Entry<'_>>, usize)> {
    if parse_stamp(bytes)? != expected {
        return None;
    }
    let len = usize::try_from(u32::from_be_bytes(number(bytes, 32)?)).ok()?;
    let count = u32::from_be_bytes(number(bytes, 36)?);
    let end = HEADER_LEN.checked_add(len)?;
    let mut rest = bytes.get(HEADER_LEN..end)?;
    if crc32c::crc32c(rest) != u32::from_be_bytes(number(bytes, 40)?) {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, behind) = parse_entry(rest)?;
        entries.push(entry);
        rest = behind;
    }
    (u32::try_from(entries.len()).ok()? == count).then_some((entries, end.next_multiple_of(ALIGNMENT)))
}

fn parse_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let name_len = usize::from(u16::from_be_bytes(number(bytes, 0)?));
    let data_len = usize::try_from(u32::from_be_bytes(number(bytes, 4)?)).ok()?;
    let (head, rest) = bytes.split_at_checked(ENTRY_LEN)?;
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (data, rest) = rest.split_at_checked(data_len)?;
    let place = Place {
        name: std::str::from_utf8(name).ok()?,
        history: u64::from_be_bytes(number(head, 8)?),
        segment: i64::from_be_bytes(number(head, 16)?),
        position: u64::from_be_bytes(number(head, 24)?),
    };
    Some((Entry { place, data }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: Stamp = Stamp { incarnation: 3, sequence: 700, slot: 1, position: 8192 };

    fn frame(entries: &[Entry<'_>]) -> AlignedBuffer {
        let mut builder = FrameBuilder::new(AlignedBuffer::new(20_000));
        entries.iter().for_each(|entry| assert!(push(&mut builder, entry)));
        builder.finish(STAMP)
    }

    fn push(builder: &mut FrameBuilder, entry: &Entry<'_>) -> bool {
        let (first, rest) = entry.data.split_at(entry.data.len() / 3);
        builder.push(&entry.place, &[Bytes::copy_from_slice(first), Bytes::copy_from_slice(rest)])
    }

    fn entry<'a>(name: &'a str, data: &'a [u8]) -> Entry<'a> {
        Entry { place: Place { name, history: 9, segment: 1 << 40, position: 77 }, data }
    }

    #[test]
    fn what_was_written_is_read() {
        let entries = [entry("a-0", b"some batches"), entry("topic.with-dots_and-7", &[5; 5000]), entry("b-1", b"")];
        let bytes = frame(&entries);
        assert_eq!(bytes.len(), 8192);
        assert_eq!(parse(&bytes, STAMP), Some((entries.to_vec(), 8192)));
        assert_eq!(parse(&frame(&[]), STAMP), Some((Vec::new(), 4096)));
    }

    #[test]
    fn only_the_frame_that_is_due_is_one() {
        let bytes = frame(&[entry("a-0", b"data")]);
        for stamp in [
            Stamp { incarnation: 2, ..STAMP },
            Stamp { sequence: 701, ..STAMP },
            Stamp { slot: 0, ..STAMP },
            Stamp { position: 4096, ..STAMP },
        ] {
            assert_eq!(parse(&bytes, stamp), None, "{stamp:?}");
        }
        assert_eq!(parse_stamp(&bytes), Some(STAMP));
    }

    #[test]
    fn an_entry_that_does_not_fit_leaves_the_frame_as_it_was() {
        let mut builder = FrameBuilder::new(AlignedBuffer::new(4096));
        assert!(push(&mut builder, &entry("a-0", &[1; 3000])));
        assert!(!push(&mut builder, &entry("b-0", &[1; 3000])));
        assert!(!push(&mut builder, &entry(&"x".repeat(300), b"")));
        let bytes = builder.finish(STAMP);
        assert_eq!(parse(&bytes, STAMP).map(|(entries, _)| entries.len()), Some(1));
    }

    proptest! {
        #[test]
        fn a_damaged_frame_is_none(at in 0usize..200, bit in 0u8..8) {
            let mut bytes = frame(&[entry("a-0", &[3; 100])]).to_vec();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(parse(&bytes, STAMP), None);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
            let mut bytes = bytes;
            if whole && bytes.len() >= HEADER_LEN {
                // Right checksums over nonsense.
                bytes[..8].copy_from_slice(MAGIC);
                let len = (bytes.len() - HEADER_LEN) as u32;
                bytes[32..36].copy_from_slice(&len.to_be_bytes());
                let crc = crc32c::crc32c(&bytes[HEADER_LEN..]);
                bytes[40..44].copy_from_slice(&crc.to_be_bytes());
                let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
                bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_be_bytes());
                let stamp = parse_stamp(&bytes).unwrap();
                let _ = parse(&bytes, stamp);
            }
            let _ = parse(&bytes, STAMP);
        }
    }
}
