//! Which names topics may have.
//!
//! Kafka's rules: 1 to 249 characters, ASCII letters, digits, `.`, `_` and `-` only, not `.` and not `..`; and no two names that
//! differ only in `.` against `_`, because metrics could not tell them apart. A name is also part of a directory's name, so
//! these rules keep a client from reaching outside the log directory.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// Longest name in bytes: with a partition number behind it, it still fits a directory entry of 255 bytes.
pub const MAX_TOPIC_NAME: usize = 249;

/// The topic that holds the metadata log. No client may create it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a name cannot be a topic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TopicNameError {
    /// No character.
    #[error("Topic name is invalid: it is empty.")]
    Empty,
    /// `.` or `..`.
    #[error("Topic name is invalid: '{0}' names a directory.")]
    Dots(String),
    /// Too long.
    #[error("Topic name is invalid: it has {0} characters, {MAX_TOPIC_NAME} are allowed.")]
    TooLong(usize),
    /// A character that is not allowed.
    #[error("Topic name is invalid: {0:?} has characters other than ASCII letters, digits, '.', '_' and '-'.")]
    Characters(String),
    /// Differs from an existing name only in dots against underscores.
    #[error("Topic '{name}' collides with existing topic '{existing}': they differ only in '.' and '_'.")]
    Collision {
        /// The name asked for.
        name: String,
        /// The name that is there.
        existing: ByteString,
    },
}

/// Checks a name by itself.
pub fn check(name: &str) -> Result<(), TopicNameError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        Err(TopicNameError::Empty)
    } else if matches!(name, "." | "..") {
        Err(TopicNameError::Dots(name.to_owned()))
    } else if name.len() > MAX_TOPIC_NAME {
        Err(TopicNameError::TooLong(name.chars().count()))
    } else if !name.bytes().all(legal) {
        Err(TopicNameError::Characters(name.to_owned()))
    } else {
        Ok(())
    }
}

/// What metrics make of a name with dots or underscores: dots become underscores. `None` for other names, which stay as they are.
pub fn fold(name: &str) -> Option<ByteString> {
    name.contains(['.', '_']).then(|| name.replace('.', "_").into())
}
