//! Frames: four bytes of length, then a header and a body.

use bytes::Bytes;
use bytestring::ByteString;
use thiserror::Error;

use crate::header::{RequestHeader, decode_response_header, encode_response_header};
use crate::wire::{DecodeError, EncodeError, Part, Request, Response, Versioned, Writer};

/// Bytes of the length prefix.
pub const PREFIX_LEN: usize = 4;
/// Bytes of the shortest request header: key, version, correlation id and client id.
const SHORTEST: usize = 10;

/// Why a length prefix is not acceptable. Nothing has been allocated; the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Negative.
    #[error("negative frame length {0}")]
    Negative(i32),
    /// Shorter than any request.
    #[error("a frame of {0} bytes is shorter than a request header")]
    TooShort(usize),
    /// Longer than the limit (`socket.request.max.bytes`).
    #[error("a frame of {length} bytes exceeds {max}")]
    TooLong {
        /// What the peer announced.
        length: usize,
        /// What is allowed.
        max: usize,
    },
    /// The peer speaks HTTP.
    #[error("an HTTP request where a Kafka request was expected")]
    Http,
    /// The peer opens a TLS session.
    #[error("a TLS handshake on a listener without TLS")]
    Tls,
}

/// The length of a request frame of at most `max` bytes, prefix not counted.
///
/// # Errors
/// When no request can have that length, with a guess at what the peer speaks instead.
pub fn request_length(prefix: [u8; PREFIX_LEN], max: usize) -> Result<usize, FrameError> {
    let announced = i32::from_be_bytes(prefix);
    let length = usize::try_from(announced).map_err(|_| FrameError::Negative(announced))?;
    match prefix {
        _ if length < SHORTEST => Err(FrameError::TooShort(length)),
        _ if length <= max => Ok(length),
        // A TLS record: handshake, version 3.x.
        [0x16, 0x03, ..] => Err(FrameError::Tls),
        _ if HTTP_METHODS.contains(&&prefix) => Err(FrameError::Http),
        _ => Err(FrameError::TooLong { length, max }),
    }
}

/// The first four bytes of HTTP requests.
const HTTP_METHODS: [&[u8; PREFIX_LEN]; 9] =
    [b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC"];

/// A response frame with its length prefix, in pieces for one vectored write. Payloads are not copied.
///
/// # Errors
/// When the response has no such version or cannot be written.
pub fn encode_response<R: Response>(
    correlation_id: i32,
    response: &R,
    api_version: i16,
) -> Result<Vec<Bytes>, EncodeError> {
    written_response(correlation_id, response, api_version)?.finish()
}

/// The same for a response whose records may be elsewhere.
///
/// # Errors
/// When the response has no such version or cannot be written.
pub fn encode_response_parts<R: Response>(
    correlation_id: i32,
    response: &R,
    api_version: i16,
) -> Result<Vec<Part>, EncodeError> {
    Ok(written_response(correlation_id, response, api_version)?.finish_parts())
}

fn written_response<R: Response>(correlation_id: i32, response: &R, version: i16) -> Result<Writer, EncodeError> {
    let mut writer = Writer::new();
    writer.i32(0);
    encode_response_header(&mut writer, R::KEY, version, correlation_id);
    framed(writer, response, version)
}

/// A request frame with its length prefix, in pieces for one vectored write. Payloads are not copied.
///
/// # Errors
/// When the request has no such version or cannot be written.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&ByteString>,
    request: &R,
    api_version: i16,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut writer = Writer::new();
    writer.i32(0);
    RequestHeader { api_key: R::KEY, api_version, correlation_id, client_id: client_id.cloned() }
        .encode(&mut writer)?;
    framed(writer, request, api_version)?.finish()
}

/// Takes a response frame (without its length prefix) apart: the correlation id and the body.
///
/// # Errors
/// When it is not a response of this kind and version.
pub fn decode_response<R: Response>(frame: Bytes, api_version: i16) -> Result<(i32, R), DecodeError> {
    let (correlation_id, body) = decode_response_header(frame, R::KEY, api_version)?;
    Ok((correlation_id, R::from_bytes(body, api_version)?))
}

fn framed<M: Versioned>(mut writer: Writer, message: &M, api_version: i16) -> Result<Writer, EncodeError> {
    writer.message(message, api_version)?;
    let length = writer.len() - PREFIX_LEN;
    let prefix = i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
    writer.patch_prefix(prefix.to_be_bytes());
    Ok(writer)
}
