//! What precedes the body of a request and of a response.

use bytes::Bytes;
use bytestring::ByteString;
use thiserror::Error;

use crate::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// The header of a request.
///
/// It always decodes when the key is known, also for versions that no one supports: whether it is flexible follows from the
/// version number alone. So a broker can answer an ApiVersions request of the future, as KIP-511 demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API that is asked.
    pub api_key: ApiKey,
    /// The version of the body. Not checked: compare it with what the listener offers before decoding the body.
    pub api_version: i16,
    /// Chosen by the client; the response carries it back.
    pub correlation_id: i32,
    /// What the client calls itself. Any length up to 32,767 bytes; bytes that are not UTF-8 have been replaced.
    pub client_id: Option<ByteString>,
}

/// Why a frame does not start with the header of a known API. The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// A key that Kafka 4.4 does not have.
    #[error("unknown API key {0}")]
    UnknownApiKey(i16),
    /// Too short, or otherwise no header.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl RequestHeader {
    /// Takes the header off a request frame (without its length prefix); the rest is the body.
    ///
    /// # Errors
    /// When the key is unknown or the frame is shorter than its header.
    pub fn decode(frame: Bytes) -> Result<(Self, Bytes), HeaderError> {
        let mut reader = Reader::new(frame, false);
        let code = reader.i16()?;
        let api_key = ApiKey::from_code(code).ok_or(HeaderError::UnknownApiKey(code))?;
        let api_version = reader.i16()?;
        let correlation_id = reader.i32()?;
        let client_id = reader.lossy_string()?;
        reader.set_flexible(api_key.is_flexible(api_version));
        reader.skip_tags()?;
        Ok((Self { api_key, api_version, correlation_id, client_id }, reader.rest()))
    }

    /// Appends the header.
    ///
    /// # Errors
    /// When the client id is too long.
    pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.i16(self.api_key.code());
        w.i16(self.api_version);
        w.i32(self.correlation_id);
        w.plain_opt_string(self.client_id.as_deref())?;
        w.set_flexible(self.api_key.is_flexible(self.api_version));
        w.no_tags();
        Ok(())
    }
}

/// Whether the header of a response ends with tagged fields. ApiVersions has none in any version: its client may not know
/// yet which versions the broker speaks (KIP-511).
pub const fn response_header_is_flexible(api_key: ApiKey, api_version: i16) -> bool {
    !matches!(api_key, ApiKey::ApiVersions) && api_key.is_flexible(api_version)
}

/// Appends the header of a response.
pub fn encode_response_header(w: &mut Writer, api_key: ApiKey, api_version: i16, correlation_id: i32) {
    w.i32(correlation_id);
    w.set_flexible(response_header_is_flexible(api_key, api_version));
    w.no_tags();
}

/// Takes the header off a response frame (without its length prefix): its correlation id, and the body.
///
/// # Errors
/// When the frame is shorter than its header.
pub fn decode_response_header(frame: Bytes, api_key: ApiKey, api_version: i16) -> Result<(i32, Bytes), DecodeError> {
    let mut reader = Reader::new(frame, response_header_is_flexible(api_key, api_version));
    let correlation_id = reader.i32()?;
    reader.skip_tags()?;
    Ok((correlation_id, reader.rest()))
}
