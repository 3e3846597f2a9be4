//! Messages that belong to no API: values of internal topics and what group members tell each other.
//!
//! Such bytes begin with the version of what follows, two bytes.

mod consumer_protocol;
mod control;
mod offsets;

pub use consumer_protocol::{
    AssignedPartition, ConsumerProtocolAssignment, ConsumerProtocolSubscription, OwnedPartition,
};
pub use control::{EndTxnMarker, LeaderChangeMessage, Voter};
pub use offsets::{GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue};

use bytes::Bytes;

use crate::wire::{DecodeError, EncodeError, Reader, Versioned, Writer};

/// The version that `bytes` begin with, and what follows it.
///
/// # Errors
/// When there are less than two bytes.
pub fn split_version(bytes: Bytes) -> Result<(i16, Bytes), DecodeError> {
    let mut reader = Reader::new(bytes, false);
    let version = reader.i16()?;
    Ok((version, reader.rest()))
}

/// Encodes a message behind its version.
///
/// # Errors
/// As [`Versioned::to_bytes`].
pub fn encode_versioned<M: Versioned>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(version);
    writer.message(message, version)?;
    writer.into_bytes()
}

/// Decodes a message behind its version: of a key or value in an internal topic.
///
/// # Errors
/// As [`Versioned::from_bytes`]; a version that is not known is an error.
pub fn decode_versioned<M: Versioned>(bytes: Bytes) -> Result<(i16, M), DecodeError> {
    let (version, body) = split_version(bytes)?;
    Ok((version, M::from_bytes(body, version)?))
}

/// Decodes a message behind its version, taking a version that is too new for the newest known one: newer clients only
/// append fields to their subscriptions and assignments, and trailing bytes are ignored.
///
/// # Errors
/// As [`Versioned::from_bytes`].
pub fn decode_lenient<M: Versioned>(bytes: Bytes) -> Result<(i16, M), DecodeError> {
    let (version, body) = split_version(bytes)?;
    Ok((version, M::from_bytes(body, version.min(M::VERSIONS.max))?))
}
