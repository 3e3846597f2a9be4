//! What the network asks of the layer above: it knows frames, the layer above knows what they mean.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use goatq_storage::log::FileRange;

use super::budget::Charge;
use super::close::CloseReason;
use super::info::ConnectionInfo;

/// Answers the frames of connections.
pub trait Service: Send + Sync + 'static {
    /// Whether this request may be started while earlier pipelined ones are unanswered. All others run alone, strictly
    /// one after another, as in Kafka.
    fn is_pipelined(&self, frame: &[u8]) -> bool;

    /// Starts the request in `frame`. What a pipelined request has to do in the order of arrival happens in here, or in the
    /// first poll of what is left, which comes at once.
    fn call(&self, connection: &Arc<ConnectionInfo>, frame: Bytes) -> Started;
}

/// A request that was started.
pub enum Started {
    /// It had nothing to wait for, and so cost no allocation.
    Done(Outcome),
    /// It may have to wait.
    Running(BoxFuture<'static, Outcome>),
}

/// How a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// Send this reply.
    Reply(Reply),
    /// Nothing is to be sent (`acks=0`).
    NoReply,
    /// Close the connection without a reply.
    Close(CloseReason),
}

/// A piece of a frame.
#[derive(Debug)]
pub enum Chunk {
    /// In memory; record payloads are the very buffers of the log.
    Memory(Bytes),
    /// A part of a log's file.
    File(FileRange),
}

impl Chunk {
    /// Bytes left of it.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(range) => usize::try_from(range.len()).unwrap_or(usize::MAX),
        }
    }

    /// Whether none are left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}

/// A whole frame to send.
#[derive(Debug, Default)]
pub struct Reply {
    /// The frame with its size in front.
    pub chunks: Vec<Chunk>,
    /// What the reply holds of the response budget until it is written.
    pub charge: Option<Charge>,
}
