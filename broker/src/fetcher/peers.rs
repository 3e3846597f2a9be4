//! Reaching other brokers.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use goatq_protocol::frame::{PREFIX_LEN, decode_response, encode_request};
use goatq_protocol::message::fetch::{FetchRequest, FetchResponse};
use goatq_protocol::wire::{DecodeError, EncodeError};
use tokio::time::timeout;

use super::lost::LostBrokers;
use crate::metadata::applied::Applied;
use crate::net::transport::{Stream, Transport};

/// The version of Fetch that brokers speak with each other.
pub(crate) const FETCH_VERSION: i16 = 17;

/// Why a leader could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// The metadata does not say where it is.
    #[error("broker {0} has no endpoint on the inter-broker listener")]
    NoEndpoint(i32),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The answer is longer than what was asked for can be.
    #[error("an answer of {0} bytes")]
    TooLong(i32),
    /// The answer belongs to another request.
    #[error("the answer to request {0}")]
    Correlation(i32),
    /// The answer is none.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The request cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Where connections to leaders come from.
pub(crate) trait Peers: Send + Sync + 'static {
    /// Connects to a broker.
    fn connect(&self, broker: i32) -> BoxFuture<'_, Result<Box<dyn LeaderConnection>, PeerError>>;
}

/// A connection to one leader.
pub(crate) trait LeaderConnection: Send {
    /// Asks, and waits for the answer. After an error, or when this is dropped, the connection is of no use any more.
    fn fetch(&mut self, request: FetchRequest) -> BoxFuture<'_, Result<FetchResponse, PeerError>>;
}

/// What connections between brokers are made with.
#[derive(Debug, Clone)]
pub(crate) struct PeerConfig {
    /// `inter.broker.listener.name`.
    pub(crate) listener: String,
    /// How long connecting, or an answer, may take: `replica.socket.timeout.ms` at most.
    pub(crate) timeout: Duration,
    /// Longest answer.
    pub(crate) max_answer: usize,
    /// What this broker calls itself.
    pub(crate) client_id: ByteString,
}

/// Connections over TCP, to where brokers have registered.
pub(crate) struct TcpPeers {
    pub(crate) transport: Transport,
    pub(crate) applied: Applied,
    pub(crate) lost: LostBrokers,
    pub(crate) config: PeerConfig,
}

impl Peers for TcpPeers {
    fn connect(&self, broker: i32) -> BoxFuture<'_, Result<Box<dyn LeaderConnection>, PeerError>> {
        async move {
            let image = self.applied.image();
            let registered = image.brokers.get(broker).ok_or(PeerError::NoEndpoint(broker))?;
            let endpoint = registered.endpoint(&self.config.listener).ok_or(PeerError::NoEndpoint(broker))?;
            let connecting = self.transport.connect(&endpoint.host, endpoint.port);
            let connected = timeout(self.config.timeout, connecting).await.map_err(|_| PeerError::Timeout)?;
            let stream = connected.inspect_err(|_| self.lost.lose(broker))?;
            self.lost.find(broker);
            let (config, lost) = (self.config.clone(), self.lost.clone());
            let connection = TcpConnection { stream, broker, lost, config, correlation: 0 };
            Ok(Box::new(connection) as Box<dyn LeaderConnection>)
        }
        .boxed()
    }
}

struct TcpConnection {
    stream: Stream,
    broker: i32,
    lost: LostBrokers,
    config: PeerConfig,
    correlation: i32,
}

impl LeaderConnection for TcpConnection {
    fn fetch(&mut self, request: FetchRequest) -> BoxFuture<'_, Result<FetchResponse, PeerError>> {
        let patience = self.config.timeout;
        async move {
            let answer = timeout(patience, self.ask(request)).await.map_err(|_| PeerError::Timeout)?;
            if matches!(answer, Err(PeerError::Io(_))) {
                self.lost.lose(self.broker);
            }
            answer
        }
        .boxed()
    }
}

impl TcpConnection {
    async fn ask(&mut self, request: FetchRequest) -> Result<FetchResponse, PeerError> {
        self.correlation = self.correlation.wrapping_add(1);
        let chunks = encode_request(self.correlation, Some(&self.config.client_id), &request, FETCH_VERSION)?;
        self.write(chunks).await?;
        let frame = self.read().await?;
        let (correlation, response) = decode_response(frame, FETCH_VERSION)?;
        match correlation == self.correlation {
            true => Ok(response),
            false => Err(PeerError::Correlation(correlation)),
        }
    }

    async fn write(&mut self, chunks: Vec<Bytes>) -> io::Result<()> {
        let (_, mut side) = self.stream.split();
        for mut chunk in chunks {
            while !chunk.is_empty() {
                let written = side.write(&[IoSlice::new(&chunk)]).await?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                chunk.advance(written);
            }
        }
        Ok(())
    }

    /// The next frame, for which room is made as it arrives.
    async fn read(&mut self) -> Result<Bytes, PeerError> {
        let (mut side, _) = self.stream.split();
        let mut buffer = BytesMut::with_capacity(16 << 10);
        let mut wanted = PREFIX_LEN;
        let mut length = None;
        while buffer.len() < wanted {
            // As much again as has arrived: nobody is believed who only announces.
            let room = (wanted - buffer.len()).min(buffer.len().max(16 << 10));
            buffer.reserve(room);
            if side.read(&mut buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if length.is_none() && buffer.len() >= PREFIX_LEN {
                let announced = buffer.get_i32();
                let body = usize::try_from(announced).ok().filter(|body| *body <= self.config.max_answer);
                wanted = body.ok_or(PeerError::TooLong(announced))?;
                length = Some(wanted);
            }
        }
        Ok(buffer.split_to(wanted).freeze())
    }
}
