//! Record batches of message format v2 (KIP-98): the bytes that producers send, logs store and consumers get.
//!
//! - [`BatchHeader`] and [`Batch`] look at a batch without copying it; [`split`] cuts a record set into batches.
//! - [`Batch::records`] and [`Batch::validate_records`] walk through the records as a stream, whatever the codec, with a bound
//!   on the inflated size.
//! - [`BatchBuilder`] writes batches; [`control`] knows the keys and values of control records.
//!
//! Everything here takes bytes from strangers: no function panics, overflows or allocates by a length that was not checked
//! against the bytes that are really there.
//!
//! Memory while inflating, besides the compressed batch itself: 32 KiB of read buffer plus the codec's own state. That is
//! about 50 KiB for gzip, one block for snappy in xerial framing (32 KiB from Java), the inflated data for raw snappy (which
//! cannot exceed 22 times its input), twice the block size for lz4 (64 KiB from Java, 4 MiB at most), and the smaller of the
//! window and the inflated size for zstd (2 MiB at the default level, 128 MiB at most).

mod batch;
mod builder;
mod compression;
pub mod control;
mod error;
mod header;
mod iter;
mod parse;
mod validate;
mod varint;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Split, split};
pub use builder::{BatchBuilder, BatchOptions, BuildError, NewRecord};
pub use compression::{Compression, Decompressor};
pub use error::{BatchError, BatchErrorKind, HeaderFault, RecordFault};
pub use header::{
    BATCH_HEADER_LEN, BatchHeader, LOG_OVERHEAD, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType, add_sequence,
};
pub use iter::{Record, RecordHeader, RecordIter};
pub use validate::{Limits, RecordStats, Validation};
