//! A minimal client: one connection, typed requests, several of them under way.

use std::collections::BTreeMap;
use std::io::IoSlice;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use goatq_protocol::message::{ApiVersionsRequest, ApiVersionsResponse};
use goatq_protocol::wire::{Request, VersionRange, Versioned};
use goatq_protocol::{ApiKey, ErrorCode, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Longest answer that is read; far above any fetch.max.bytes.
const MAX_FRAME: usize = 1 << 30;
/// Bytes that a read makes room for when it is not known how many come.
const READ_SIZE: usize = 64 * 1024;

/// A connection whose broker has told its versions.
pub(crate) struct Connection {
    pub(crate) versions: Versions,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

/// The versions that the broker has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions(BTreeMap<i16, VersionRange>);

/// The half that writes requests.
pub(crate) struct Sender {
    stream: OwnedWriteHalf,
    client_id: ByteString,
    next_correlation: i32,
    /// Of requests that are to go with the next ones.
    unsent: Vec<Bytes>,
    unsent_bytes: usize,
}

/// The half that reads answers.
pub(crate) struct Receiver {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let client_id = ByteString::from_static("goatq-perf");
        let sender = Sender { stream: write, client_id, next_correlation: 0, unsent: Vec::new(), unsent_bytes: 0 };
        let receiver = Receiver { stream: read, buffer: BytesMut::new() };
        let oldest = Versions([(ApiKey::ApiVersions.code(), VersionRange::new(0, 0))].into());
        let mut connection = Self { versions: oldest, sender, receiver };
        let answer: ApiVersionsResponse = connection.call(&ApiVersionsRequest::default()).await?;
        check(answer.error_code).context("ApiVersions")?;
        let ranges =
            answer.api_keys.iter().map(|api| (api.api_key, VersionRange::new(api.min_version, api.max_version)));
        connection.versions = Versions(ranges.collect());
        Ok(connection)
    }

    /// Sends one request and waits for its answer. Only while no other request is under way.
    pub(crate) async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let version = self.versions.of::<R>()?;
        let correlation_id = self.sender.send(request, version).await?;
        self.receiver.receive::<R>(correlation_id, version).await
    }
}

impl Versions {
    /// The newest version of a request that both sides have.
    pub(crate) fn of<R: Request>(&self) -> Result<i16> {
        let theirs = self.0.get(&R::KEY.code()).with_context(|| format!("the broker has no {}", R::KEY.name()))?;
        let ours = <R as Versioned>::VERSIONS;
        let newest = ours.max.min(theirs.max);
        ensure!(newest >= ours.min.max(theirs.min), "no common version of {}", R::KEY.name());
        Ok(newest)
    }
}

impl Sender {
    /// Writes a request and returns its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<i32> {
        let correlation_id = self.queue(request, version)?;
        self.flush().await?;
        Ok(correlation_id)
    }

    /// Leaves a request to the next [`Sender::flush`], and returns its correlation id.
    pub(crate) fn queue<R: Request>(&mut self, request: &R, version: i16) -> Result<i32> {
        let correlation_id = self.next_correlation;
        self.next_correlation = self.next_correlation.wrapping_add(1) & i32::MAX;
        let chunks = frame::encode_request(correlation_id, Some(&self.client_id), request, version)?;
        self.unsent_bytes += chunks.iter().map(Bytes::len).sum::<usize>();
        self.unsent.extend(chunks);
        Ok(correlation_id)
    }

    /// Bytes that wait for a flush.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Writes what waits.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let mut slices: Vec<IoSlice<'_>> = self.unsent.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written = self.stream.write_vectored(rest).await.context("sending")?;
            ensure!(written > 0, "sending: the connection takes nothing");
            IoSlice::advance_slices(&mut rest, written);
        }
        self.unsent.clear();
        self.unsent_bytes = 0;
        Ok(())
    }
}

impl Receiver {
    /// Reads the answer to this request, which must be the next one.
    pub(crate) async fn receive<R: Request>(&mut self, correlation_id: i32, version: i16) -> Result<R::Response> {
        let frame = self.next_frame().await.with_context(|| format!("waiting for the answer to {}", R::KEY.name()))?;
        let (answered, response) = frame::decode_response(frame, version)?;
        ensure!(answered == correlation_id, "answer {answered} where {correlation_id} is due");
        Ok(response)
    }

    async fn next_frame(&mut self) -> Result<Bytes> {
        let prefix = loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                break *prefix;
            }
            self.fill(READ_SIZE).await?;
        };
        let length = usize::try_from(i32::from_be_bytes(prefix))?;
        ensure!(length <= MAX_FRAME, "an answer of {length} bytes");
        let end = frame::PREFIX_LEN + length;
        while self.buffer.len() < end {
            // All of a large answer in one buffer, and no more than is known to come once it is large.
            let missing = end - self.buffer.len();
            self.fill(missing.max(READ_SIZE.saturating_sub(self.buffer.len()))).await?;
        }
        let mut frame = self.buffer.split_to(end).freeze();
        Ok(frame.split_off(frame::PREFIX_LEN))
    }

    async fn fill(&mut self, room: usize) -> Result<()> {
        self.buffer.reserve(room);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the broker closed the connection"),
            _ => Ok(()),
        }
    }
}

/// An error for an error code, named as in Kafka.
pub(crate) fn check(code: i16) -> Result<()> {
    match ErrorCode::from_code(code) {
        Some(code) if code.is_none() => Ok(()),
        _ => Err(anyhow!("{}", error_name(code))),
    }
}

/// Kafka's name of an error code.
pub(crate) fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_owned())
}
