//! The primitive layer: [`Reader`] and [`Writer`] know how Kafka lays out numbers, strings, arrays and tagged fields;
//! `#[derive(Message)]` turns a struct into calls of them.
//!
//! Everything a [`Reader`] sees is hostile until checked. Its limits hold before anything is allocated:
//! at most [`MAX_ELEMENTS`] elements in one array and never more than bytes are left, at most [`MAX_TAGS`] tagged fields in
//! one struct, room for [`INITIAL_CAPACITY`] elements before the first is read, and for all arrays of a message together
//! [`DECODED_FLOOR`] bytes plus [`DECODED_FACTOR`] times the length of the frame.
//!
//! A decoded message shares its memory with the frame that it came from: strings, byte fields and record sets are slices.
//! Whoever keeps one of them longer than the request copies it, or the whole frame stays alive.

mod error;
mod reader;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod versions;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use goatq_protocol_derive::Message;
pub use reader::{Reader, Scalar, Tag, Tags};
pub use records::Records;
pub use schema::{Field, Kind};
pub use versions::VersionRange;
pub use writer::{Part, TagMark, Writer};

use bytes::Bytes;

use crate::ApiKey;

/// Elements that one array may have (Kafka 4.4 refuses more, too).
pub const MAX_ELEMENTS: usize = 1_000_000;
/// Tagged fields that one struct may have (Kafka 4.4 refuses more, too).
pub const MAX_TAGS: u32 = 10_000;
/// Elements for which room is made before the first one has been read.
pub const INITIAL_CAPACITY: usize = 1_000;
/// Longest string in bytes. Kafka holds compact strings to the limit of the older form as well.
pub const MAX_STRING: usize = i16::MAX as usize;
/// Bytes that the arrays of any message may occupy once decoded, however short its frame.
pub const DECODED_FLOOR: usize = 4 << 20;
/// Further bytes that the arrays of a message may occupy once decoded, per byte of its frame.
pub const DECODED_FACTOR: usize = 8;

/// A struct of Kafka's protocol: a whole message or a part of one. Derived, see [`goatq_protocol_derive`].
///
/// `Default` gives the values that Kafka's definitions name as defaults.
pub trait Message: Sized + Default {
    /// What the struct consists of, in wire order (tagged fields last).
    const FIELDS: &'static [Field];

    /// Reads the struct as it is in `version` of its message; fields that the version lacks get their defaults.
    /// Unknown tagged fields are skipped.
    ///
    /// # Errors
    /// Whenever the bytes are not a `version` of this struct, or a limit of [`wire`](self) is exceeded.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Appends the struct as it is in `version` of its message; fields that the version lacks are left out.
    /// Null is written as empty where the version knows no null.
    ///
    /// # Errors
    /// When a value does not fit its field on the wire.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// A whole message: it has versions of its own.
pub trait Versioned: Message {
    /// Every version that can be read and written.
    const VERSIONS: VersionRange;
    /// The first version with compact lengths and tagged fields (KIP-482), if any.
    const FLEXIBLE_FROM: Option<i16>;

    /// Whether `version` has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool {
        Self::FLEXIBLE_FROM.is_some_and(|from| version >= from)
    }

    /// Decodes a message that starts at the beginning of `bytes`. Trailing bytes are ignored, as Kafka does.
    ///
    /// # Errors
    /// As [`Message::decode`], and when the version is not one of [`Self::VERSIONS`].
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        Self::decode(&mut Reader::new(bytes, Self::is_flexible(version)), version)
    }

    /// Encodes the message alone, without any header.
    ///
    /// # Errors
    /// As [`Message::encode`], and when the version is not one of [`Self::VERSIONS`].
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::new();
        writer.message(self, version)?;
        writer.into_bytes()
    }
}

/// The request half of an API.
pub trait Request: Versioned {
    /// What answers it.
    type Response: Response;
    /// The API that it belongs to.
    const KEY: ApiKey;
}

/// The response half of an API.
pub trait Response: Versioned {
    /// The API that it belongs to.
    const KEY: ApiKey;
}
