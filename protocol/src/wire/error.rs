//! Why bytes are not a message, and why a message cannot become bytes.

use thiserror::Error;

/// Why bytes are not the message that they were taken for. The peer is at fault: a broker closes the connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The frame ends, or the enclosing tagged field does, before the value does.
    #[error("{wanted} bytes wanted, {left} left")]
    Truncated {
        /// Bytes that the value needs, at least.
        wanted: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A variable-length number has more than five bytes or more than 32 bits.
    #[error("a variable-length number is too long")]
    VarintTooLong,
    /// Null, which is any negative length, where the version has no null.
    #[error("null in a field that cannot be null")]
    UnexpectedNull,
    /// A string longer than [`MAX_STRING`](super::MAX_STRING).
    #[error("a string of {0} bytes")]
    StringTooLong(usize),
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// An array longer than [`MAX_ELEMENTS`](super::MAX_ELEMENTS).
    #[error("an array of {0} elements")]
    TooManyElements(usize),
    /// More than [`MAX_TAGS`](super::MAX_TAGS) tagged fields.
    #[error("{0} tagged fields")]
    TooManyTags(u32),
    /// A known tagged field that does not fill the size it announced.
    #[error("tagged field {tag} leaves {unread} bytes unread")]
    TagSize {
        /// Its tag.
        tag: u32,
        /// Bytes of it that its type has no use for.
        unread: usize,
    },
    /// Arrays that would occupy far more memory than the frame does.
    #[error("the arrays of the message exceed its decoded size limit")]
    DecodedTooLarge,
    /// The message has no such version.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
}

/// Why a message cannot be written. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A string longer than [`MAX_STRING`](super::MAX_STRING).
    #[error("a string of {0} bytes")]
    StringTooLong(usize),
    /// Bytes, records, an array or a whole frame longer than 2^31-2.
    #[error("a length of {0} does not fit the wire format")]
    TooLong(usize),
    /// Bytes that are not at hand where all have to be.
    #[error("{0} bytes of the message are elsewhere")]
    Elsewhere(usize),
    /// The message has no such version.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
}
