//! Ids of topics, log directories and members.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A 128-bit id, written as Kafka writes it: 22 characters of URL-safe base64 without padding.
///
/// [`ZERO`](Self::ZERO) stands for "none"; the ids below 100 are reserved, see [`is_reserved`](Self::is_reserved).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an id is 22 characters of URL-safe base64")]
pub struct ParseUuidError;

impl Uuid {
    /// No id.
    pub const ZERO: Self = Self([0; 16]);
    /// The id of the metadata topic, `__cluster_metadata`.
    pub const METADATA_TOPIC: Self = Self::from_u128(1);

    /// From a number, most significant byte first.
    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    /// As a number, most significant byte first.
    pub const fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Makes 16 random bytes a random (version 4) id, as Kafka's are. Its text does not begin with a dash, so that it can be
    /// an argument of a command.
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        if bytes[0] >> 2 == 0b11_1110 {
            bytes[0] ^= 0x80;
        }
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Whether it stands for "none".
    pub const fn is_zero(self) -> bool {
        self.to_u128() == 0
    }

    /// Whether Kafka keeps the id for itself (0 to 99): no topic and no directory may have it.
    pub const fn is_reserved(self) -> bool {
        self.to_u128() < 100
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        // 16 bytes always encode to 22 characters, and base64 is ASCII.
        let _ = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseUuidError)?;
        bytes.try_into().map(Self).map_err(|_| ParseUuidError)
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn written_as_kafka_writes_it() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = Uuid::from_u128(0xfbff_0123_4567_89ab_cdef_0123_4567_89ab);
        assert_eq!(id.to_string(), "-_8BI0VniavN7wEjRWeJqw");
        assert_eq!("-_8BI0VniavN7wEjRWeJqw".parse(), Ok(id));
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAA+", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }

    #[test]
    fn random_ids_are_never_reserved() {
        assert!(!Uuid::from_random([0; 16]).is_reserved());
        assert!(Uuid([0xfb; 16]).to_string().starts_with('-'));
        assert!(!Uuid::from_random([0xfb; 16]).to_string().starts_with('-'));
        assert!(Uuid::from_u128(99).is_reserved());
        assert!(!Uuid::from_u128(100).is_reserved());
    }
}
