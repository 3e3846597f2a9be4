//! Frames between nodes: those of Kafka, with keys of our own that ApiVersions does not tell.
//!
//! Request: size, key (i16), version (i16), correlation id (i32), client id (nullable string, always null), body.
//! Response: size, correlation id (i32), status (i8: 0 answered, 1 refused with a text), body.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use goatq_controller::raft::wire::RequestKind;
use goatq_protocol::Uuid;
use goatq_protocol::wire::Message;

/// The first of our keys; Kafka's are far below.
const FIRST_KEY: i16 = 30_000;
/// The version of all of them.
const VERSION: i16 = 0;
/// Bytes of a request's header, without a client id.
const HEADER: usize = 10;

/// Longest answer of a node, bytes.
pub(crate) const MAX_ANSWER: usize = 64 << 20;
/// Longest request of a node, bytes: one entry of the metadata log, however long, fits.
pub(crate) const MAX_REQUEST: usize = goatq_controller::raft::entry::MAX_ENTRY + (1 << 20);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Who are you? I am ...
    Hello,
    /// Something of the quorum.
    Quorum(RequestKind),
}

impl Key {
    fn id(self) -> i16 {
        match self {
            Self::Hello => FIRST_KEY,
            Self::Quorum(kind) => FIRST_KEY.saturating_add(kind.id()),
        }
    }

    fn from_id(id: i16) -> Option<Self> {
        match id.checked_sub(FIRST_KEY)? {
            0 => Some(Self::Hello),
            kind => RequestKind::from_id(kind).map(Self::Quorum),
        }
    }
}

/// Whether a request frame (without its size) is one between nodes.
pub(crate) fn is_between_nodes(frame: &[u8]) -> bool {
    frame.first_chunk().is_some_and(|key| i16::from_be_bytes(*key) >= FIRST_KEY)
}

/// Why a frame is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameFault {
    /// Too short for its header.
    #[error("a frame between nodes is cut off")]
    Short,
    /// A key or version of another release.
    #[error("key {key} version {version} between nodes is not known")]
    Unknown {
        /// The key.
        key: i16,
        /// The version.
        version: i16,
    },
    /// An answer to something else.
    #[error("an answer came out of turn")]
    OutOfTurn,
    /// Longer than any answer.
    #[error("an answer of {0} bytes is too long")]
    TooLong(i64),
}

/// A request as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) key: Key,
    pub(crate) correlation_id: i32,
    pub(crate) body: Bytes,
}

/// Reads a request frame without its size.
///
/// # Errors
/// It is none, or of another release.
pub(crate) fn decode_request(mut frame: Bytes) -> Result<Request, FrameFault> {
    if frame.len() < HEADER {
        return Err(FrameFault::Short);
    }
    let (key, version, correlation_id) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
    let client_id = usize::try_from(frame.get_i16()).unwrap_or(0);
    if frame.len() < client_id {
        return Err(FrameFault::Short);
    }
    frame.advance(client_id);
    let unknown = FrameFault::Unknown { key, version };
    let key = Key::from_id(key).filter(|_| version == VERSION).ok_or(unknown)?;
    Ok(Request { key, correlation_id, body: frame })
}

/// Writes a request frame with its size: head and body. `None` when the body is too long for a frame.
pub(crate) fn encode_request(key: Key, correlation_id: i32, body: &Bytes) -> Option<Bytes> {
    let size = i32::try_from(body.len().checked_add(HEADER)?).ok().filter(|_| body.len() <= MAX_REQUEST)?;
    let mut head = BytesMut::with_capacity(4 + HEADER);
    head.put_i32(size);
    head.put_i16(key.id());
    head.put_i16(VERSION);
    head.put_i32(correlation_id);
    head.put_i16(-1);
    Some(head.freeze())
}

/// Writes a response frame with its size: head and body.
pub(crate) fn encode_response(correlation_id: i32, answer: Result<Bytes, &str>) -> [Bytes; 2] {
    let (status, body) = match answer {
        Ok(body) if body.len() <= MAX_ANSWER => (0, body),
        Ok(_) => (1, Bytes::from_static(b"the answer is too long")),
        Err(text) => (1, Bytes::copy_from_slice(text.as_bytes())),
    };
    let mut head = BytesMut::with_capacity(9);
    head.put_i32(i32::try_from(body.len() + 5).unwrap_or(i32::MAX));
    head.put_i32(correlation_id);
    head.put_i8(status);
    [head.freeze(), body]
}

/// An answer as it came: to which request, and the body or why it was refused.
pub(crate) type Answer = (i32, Result<Bytes, String>);

/// Takes the next whole answer off what was received, if it is there.
///
/// # Errors
/// What was received is no answer; the connection cannot go on.
pub(crate) fn next_answer(received: &mut BytesMut) -> Result<Option<Answer>, FrameFault> {
    let Some(prefix) = received.first_chunk() else { return Ok(None) };
    let announced = i32::from_be_bytes(*prefix);
    let size = usize::try_from(announced).ok().filter(|size| (5..=MAX_ANSWER + 5).contains(size));
    let size = size.ok_or(FrameFault::TooLong(announced.into()))?;
    if received.len() - 4 < size {
        return Ok(None);
    }
    received.advance(4);
    let mut frame = received.split_to(size).freeze();
    let (correlation_id, status) = (frame.get_i32(), frame.get_i8());
    let answer = match status {
        0 => Ok(frame),
        _ => Err(String::from_utf8_lossy(&frame).into_owned()),
    };
    Ok(Some((correlation_id, answer)))
}

/// Who asks, and whom it means to ask.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(crate) struct HelloRequest {
    /// The cluster that the node is in.
    pub(crate) cluster_id: ByteString,
    /// The node.
    #[field(default = "-1")]
    pub(crate) node_id: i32,
    /// The directory of its metadata log.
    pub(crate) directory_id: Uuid,
    /// The node that it means; -1 when it does not know.
    #[field(default = "-1")]
    pub(crate) target: i32,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(crate) struct HelloResponse {
    /// Why the node that asks is refused; null when it is not.
    pub(crate) refused: Option<ByteString>,
    /// The cluster that the node is in.
    pub(crate) cluster_id: ByteString,
    /// The node.
    #[field(default = "-1")]
    pub(crate) node_id: i32,
    /// The directory of its metadata log.
    pub(crate) directory_id: Uuid,
}
