//! One connection to a broker, for commands: a request at a time.

use std::io::{self, IoSlice};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use goatq_protocol::frame::{PREFIX_LEN, decode_response, encode_request};
use goatq_protocol::wire::Request;
use tokio::time::timeout;

use crate::net::transport::{Stream, Transport};

/// How long connecting and an answer may take. Longer than a broker waits for the active controller.
const PATIENCE: Duration = Duration::from_secs(35);
/// Longest answer that is read.
const MAX_ANSWER: usize = 256 << 20;
const READ_AHEAD: usize = 64 << 10;

/// See the module.
pub(super) struct Connection {
    stream: Stream,
    server: String,
    correlation: i32,
}

impl Connection {
    /// Connects to the first of several `host:port` that answers.
    pub(super) async fn open(servers: &str) -> anyhow::Result<Self> {
        let mut last = None;
        for server in servers.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            let (host, port) = server.rsplit_once(':').with_context(|| format!("{server} is not host:port"))?;
            let port = port.parse().with_context(|| format!("{server} is not host:port"))?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            match timeout(PATIENCE, Transport::System.connect(host, port)).await {
                Ok(Ok(stream)) => return Ok(Self { stream, server: server.to_owned(), correlation: 0 }),
                Ok(Err(error)) => last = Some(anyhow::Error::new(error).context(server.to_owned())),
                Err(_) => last = Some(anyhow::anyhow!("{server} does not answer")),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no server is given")).context("no broker is reached"))
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        let about = format!("{} of {}", R::KEY, self.server);
        let answer = timeout(PATIENCE, self.exchange(request, version)).await;
        answer.with_context(|| format!("{about}: no answer in time"))?.with_context(|| about)
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        self.correlation = self.correlation.wrapping_add(1);
        let client_id = ByteString::from_static("goatq-cluster");
        self.write(encode_request(self.correlation, Some(&client_id), request, version)?).await?;
        let (correlation, response) = decode_response(self.read().await?, version)?;
        if correlation != self.correlation {
            bail!("the answer belongs to another request");
        }
        Ok(response)
    }

    async fn write(&mut self, chunks: Vec<Bytes>) -> io::Result<()> {
        let (_, mut side) = self.stream.split();
        for mut chunk in chunks {
            while !chunk.is_empty() {
                match side.write(&[IoSlice::new(&chunk)]).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => chunk.advance(written),
                }
            }
        }
        Ok(())
    }

    /// The next frame. Room is made as it arrives.
    async fn read(&mut self) -> anyhow::Result<Bytes> {
        let (mut side, _) = self.stream.split();
        let mut buffer = BytesMut::new();
        let mut body = None;
        while buffer.len() < body.unwrap_or(PREFIX_LEN) {
            buffer.reserve(READ_AHEAD);
            if side.read(&mut buffer).await? == 0 {
                bail!("the broker closed the connection: it may not know this request");
            }
            if body.is_none() && buffer.len() >= PREFIX_LEN {
                let announced = buffer.get_i32();
                let length = usize::try_from(announced).ok().filter(|length| *length <= MAX_ANSWER);
                body = Some(length.with_context(|| format!("an answer of {announced} bytes"))?);
            }
        }
        Ok(buffer.split_to(body.unwrap_or_default()).freeze())
    }
}
