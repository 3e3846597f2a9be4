use bytes::Bytes;

use super::header::add_sequence;
use super::parse::{Fault, RawRecord, Slice, Stream, parse_record};
use super::{Batch, BatchError, BatchHeader, Compression, Limits, NO_SEQUENCE, RecordFault, TimestampType};

/// One record with everything that its batch says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset, from the batch's base offset.
    pub offset: i64,
    /// Its time stamp in milliseconds: the producer's, or the log append time of the batch.
    pub timestamp: i64,
    /// Its sequence number, or -1.
    pub sequence: i32,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; without one it is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<RecordHeader>,
}

/// One header of a record (KIP-82).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Its name. UTF-8 by convention; nothing checks that.
    pub key: Bytes,
    /// Its value.
    pub value: Option<Bytes>,
}

/// The records of one batch: made by [`Batch::records`].
///
/// Offsets grow strictly and stay within the batch's range, the count is the header's, and nothing is left behind the last
/// record: anything else is an error item, after which nothing follows.
#[derive(Debug)]
pub struct RecordIter {
    header: BatchHeader,
    source: Source,
    /// Records read so far.
    index: i32,
    last_delta: i32,
}

#[derive(Debug)]
enum Source {
    Plain(Bytes),
    Inflated(Box<Stream>),
    /// The batch could not be opened; the error is still to be reported.
    Failed(BatchError),
    Done,
}

impl RecordIter {
    pub(super) fn new(batch: &Batch, limits: Limits) -> Self {
        let header = *batch.header();
        let source = Source::open(batch, limits).unwrap_or_else(Source::Failed);
        Self { header, source, index: 0, last_delta: -1 }
    }

    fn advance(&mut self) -> Result<Option<Record>, BatchError> {
        if let Source::Failed(error) = &self.source {
            return Err(error.clone());
        }
        if self.index >= self.header.record_count {
            return if self.source.at_end()? {
                Ok(None)
            } else {
                Err(BatchError::record(self.index, RecordFault::TrailingData))
            };
        }
        let record = self.read().map_err(|fault| fault.at(self.index))?;
        self.index += 1;
        Ok(Some(record))
    }

    fn read(&mut self) -> Result<Record, Fault> {
        let bytes = self.source.next_record()?;
        let mut headers = Vec::new();
        let raw = parse_record(&mut Slice(&bytes), |key, value| {
            headers.push(RecordHeader { key: bytes.slice_ref(key), value: value.map(|value| bytes.slice_ref(value)) });
        })?;
        if raw.offset_delta <= self.last_delta || raw.offset_delta > self.header.last_offset_delta {
            return Err(RecordFault::OffsetDelta.into());
        }
        self.last_delta = raw.offset_delta;
        Ok(Record {
            offset: offset(&self.header, raw.offset_delta)?,
            timestamp: timestamp(&self.header, &raw)?,
            sequence: match self.header.base_sequence {
                ..0 => NO_SEQUENCE,
                base => add_sequence(base, raw.offset_delta),
            },
            key: raw.key.map(|key| bytes.slice_ref(key)),
            value: raw.value.map(|value| bytes.slice_ref(value)),
            headers,
        })
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.source, Source::Done) {
            return None;
        }
        let item = self.advance().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.source = Source::Done;
        }
        item
    }
}

impl std::iter::FusedIterator for RecordIter {}

impl Source {
    fn open(batch: &Batch, limits: Limits) -> Result<Self, BatchError> {
        batch.header().check_record_count()?;
        Ok(match batch.header().compression()? {
            Compression::None => Self::Plain(batch.body().clone()),
            // The log cleaner and empty batches: no records, so not even an empty compressed stream.
            _ if batch.body().is_empty() => Self::Plain(Bytes::new()),
            codec => {
                let inflate = codec.decompress(batch.body().clone(), limits.max_decompressed_bytes)?;
                Self::Inflated(Box::new(Stream::new(inflate)))
            }
        })
    }

    fn next_record(&mut self) -> Result<Bytes, Fault> {
        match self {
            Self::Plain(rest) => {
                let mut slice = Slice(rest);
                let record = rest.slice_ref(slice.next_record()?.0);
                let left = slice.0.len();
                *rest = rest.slice(rest.len() - left..);
                Ok(record)
            }
            Self::Inflated(stream) => {
                let len = stream.next_length()?;
                stream.take(len)
            }
            Self::Failed(_) | Self::Done => Err(RecordFault::Truncated.into()),
        }
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        match self {
            Self::Plain(rest) => Ok(rest.is_empty()),
            Self::Inflated(stream) => stream.at_end(),
            Self::Failed(_) | Self::Done => Ok(true),
        }
    }
}

fn offset(header: &BatchHeader, delta: i32) -> Result<i64, Fault> {
    header.base_offset.checked_add(i64::from(delta)).ok_or_else(|| RecordFault::OffsetDelta.into())
}

/// The record's time stamp; the sum is checked even where log append time makes it irrelevant.
pub(super) fn timestamp<F>(header: &BatchHeader, raw: &RawRecord<F>) -> Result<i64, Fault> {
    let created = header.base_timestamp.checked_add(raw.timestamp_delta).ok_or(RecordFault::TimestampOverflow)?;
    Ok(match header.timestamp_type() {
        TimestampType::CreateTime => created,
        TimestampType::LogAppendTime => header.max_timestamp,
    })
}
