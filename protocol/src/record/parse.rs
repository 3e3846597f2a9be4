use bytes::Bytes;

use super::varint::{read_varint, read_varlong};
use super::{BatchError, Decompressor, RecordFault};

/// A header takes at least two bytes: key length and value length.
const MIN_HEADER_LEN: usize = 2;
/// Inflated bytes that are read at a time.
const READ_BUFFER: usize = 32 * 1024;

/// An error before it is known which record it belongs to.
#[derive(Debug)]
pub(super) enum Fault {
    Record(RecordFault),
    Batch(BatchError),
}

impl From<RecordFault> for Fault {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

impl From<BatchError> for Fault {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl Fault {
    pub(super) fn at(self, index: i32) -> BatchError {
        match self {
            Self::Record(fault) => BatchError::record(index, fault),
            Self::Batch(error) => error,
        }
    }
}

/// The bytes of one record, behind its length.
pub(super) trait Input {
    /// What is kept of a key, a value or a header: a slice, or nothing.
    type Field;

    fn byte(&mut self) -> Result<u8, Fault>;
    /// The next `len` bytes; `len` has been compared with `remaining`.
    fn field(&mut self, len: usize) -> Result<Self::Field, Fault>;
    /// Bytes until the end of the record.
    fn remaining(&self) -> usize;
}

/// One record as it is encoded: times and offsets relative to the batch.
pub(super) struct RawRecord<F> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<F>,
    pub(super) value: Option<F>,
}

/// Parses one record to its last byte. Each header goes to `on_header`.
pub(super) fn parse_record<I: Input>(
    input: &mut I,
    mut on_header: impl FnMut(I::Field, Option<I::Field>),
) -> Result<RawRecord<I::Field>, Fault> {
    // No attribute of a record has a meaning.
    input.byte()?;
    let timestamp_delta = read_varlong(|| input.byte())?;
    let offset_delta = read_varint(|| input.byte())?;
    let key = nullable_field(input)?;
    let value = nullable_field(input)?;
    let headers = read_varint(|| input.byte())?;
    let headers = usize::try_from(headers).map_err(|_| RecordFault::HeaderCount)?;
    if headers > input.remaining() / MIN_HEADER_LEN {
        return Err(RecordFault::HeaderCount.into());
    }
    for _ in 0..headers {
        let key = nullable_field(input)?.ok_or(RecordFault::NegativeLength)?;
        on_header(key, nullable_field(input)?);
    }
    if input.remaining() != 0 {
        return Err(RecordFault::LengthMismatch.into());
    }
    Ok(RawRecord { timestamp_delta, offset_delta, key, value })
}

fn nullable_field<I: Input>(input: &mut I) -> Result<Option<I::Field>, Fault> {
    let len = read_varint(|| input.byte())?;
    if len == -1 {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(|_| RecordFault::NegativeLength)?;
    if len > input.remaining() {
        return Err(RecordFault::LengthTooLarge.into());
    }
    input.field(len).map(Some)
}

/// Reads the length in front of a record.
pub(super) fn read_length(next: impl FnMut() -> Result<u8, Fault>) -> Result<usize, Fault> {
    let len = read_varint(next)?;
    usize::try_from(len).map_err(|_| RecordFault::NegativeLength.into())
}

/// Records in memory: a whole uncompressed batch, or one record of it.
pub(super) struct Slice<'a>(pub(super) &'a [u8]);

impl<'a> Slice<'a> {
    /// Cuts the next record off a batch's records.
    pub(super) fn next_record(&mut self) -> Result<Slice<'a>, Fault> {
        let len = read_length(|| self.byte())?;
        let (record, rest) = self.0.split_at_checked(len).ok_or(RecordFault::LengthTooLarge)?;
        self.0 = rest;
        Ok(Slice(record))
    }
}

impl<'a> Input for Slice<'a> {
    type Field = &'a [u8];

    fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.0.split_first().ok_or(RecordFault::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn field(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (field, rest) = self.0.split_at_checked(len).ok_or(RecordFault::Truncated)?;
        self.0 = rest;
        Ok(field)
    }

    fn remaining(&self) -> usize {
        self.0.len()
    }
}

/// Records that are inflated while they are read.
#[derive(Debug)]
pub(super) struct Stream {
    inflate: Decompressor,
    buffer: Box<[u8]>,
    position: usize,
    filled: usize,
}

impl Stream {
    pub(super) fn new(inflate: Decompressor) -> Self {
        Self { inflate, buffer: vec![0; READ_BUFFER].into_boxed_slice(), position: 0, filled: 0 }
    }

    /// Inflated bytes that have been read out so far, and those waiting in the buffer.
    pub(super) fn produced(&self) -> u64 {
        self.inflate.produced()
    }

    /// Whether the data ends here.
    pub(super) fn at_end(&mut self) -> Result<bool, BatchError> {
        if self.position == self.filled {
            self.filled = self.inflate.read(&mut self.buffer)?;
            self.position = 0;
        }
        Ok(self.position == self.filled)
    }

    pub(super) fn next_length(&mut self) -> Result<usize, Fault> {
        read_length(|| self.byte())
    }

    /// The next `len` bytes. Grows with the bytes that are really there, so that a wrong length costs nothing.
    pub(super) fn take(&mut self, len: usize) -> Result<Bytes, Fault> {
        let mut taken = Vec::with_capacity(len.min(READ_BUFFER));
        self.consume(len, |part| taken.extend_from_slice(part))?;
        Ok(taken.into())
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        if self.at_end()? {
            return Err(RecordFault::Truncated.into());
        }
        let byte = self.buffer[self.position];
        self.position += 1;
        Ok(byte)
    }

    fn consume(&mut self, mut len: usize, mut with: impl FnMut(&[u8])) -> Result<(), Fault> {
        while len > 0 {
            if self.at_end()? {
                return Err(RecordFault::Truncated.into());
            }
            let count = len.min(self.filled - self.position);
            with(&self.buffer[self.position..self.position + count]);
            self.position += count;
            len -= count;
        }
        Ok(())
    }
}

/// One record of a [`Stream`], of which nothing is kept.
pub(super) struct Skim<'a> {
    pub(super) stream: &'a mut Stream,
    pub(super) left: usize,
}

impl Input for Skim<'_> {
    type Field = ();

    fn byte(&mut self) -> Result<u8, Fault> {
        self.left = self.left.checked_sub(1).ok_or(RecordFault::Truncated)?;
        self.stream.byte()
    }

    fn field(&mut self, len: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(len).ok_or(RecordFault::Truncated)?;
        self.stream.consume(len, |_| ())
    }

    fn remaining(&self) -> usize {
        self.left
    }
}
