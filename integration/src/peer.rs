//! A raw connection that speaks the protocol as the tests want it spoken.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use goatq_protocol::frame::{decode_response, encode_request};
use goatq_protocol::wire::{Request, Response};

/// Longer than any answer takes, shorter than a person waits for a test.
const PATIENCE: Duration = Duration::from_secs(20);
/// What [`Peer::ask`] numbers its requests with.
const CORRELATION: i32 = 7;

/// One raw connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// A new connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// A new connection to somebody who may not be reachable: that and every answer take this long at most.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect_within(address: SocketAddr, limit: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes everything; a connection that the other side has closed takes what it can.
    ///
    /// # Errors
    /// The socket fails otherwise.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Writes no more.
    ///
    /// # Errors
    /// The socket fails.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Whether the other side has closed by now.
    ///
    /// # Errors
    /// The socket fails.
    pub fn is_closed(&mut self) -> anyhow::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let looked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match looked {
            Ok(len) => Ok(len == 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Ok(true),
        }
    }

    /// The next frame without its length; `None` when the other side closes.
    ///
    /// # Errors
    /// It neither answers nor closes, or closes within a frame.
    pub fn receive(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut size = [0; 4];
        let Some(()) = self.fill(&mut size)? else { return Ok(None) };
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size))?];
        self.fill(&mut frame)?.context("closed within a frame")?;
        Ok(Some(frame.into()))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> anyhow::Result<Option<()>> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Ok(Some(())),
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(None),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => bail!("neither answered nor closed"),
                _ => Err(error.into()),
            },
        }
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// The socket fails, or the request has no such version.
    pub fn send<R: Request>(&mut self, correlation_id: i32, request: &R, version: i16) -> anyhow::Result<()> {
        let frame = encode_request(correlation_id, Some(&"goatq-test".into()), request, version)?;
        self.write(&frame.concat())
    }

    /// The answer to the request that was sent with this number; `None` when the other side closes.
    ///
    /// # Errors
    /// It neither answers nor closes, or answers something else.
    pub fn answer<R: Response>(&mut self, correlation_id: i32, version: i16) -> anyhow::Result<Option<R>> {
        let Some(frame) = self.receive()? else { return Ok(None) };
        let (answered, response) = decode_response(frame, version)?;
        anyhow::ensure!(answered == correlation_id, "the answer to another request: {answered}");
        Ok(Some(response))
    }

    /// Sends a request; its answer, or `None` when the other side closes.
    ///
    /// # Errors
    /// As [`Peer::send`] and [`Peer::answer`].
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<Option<R::Response>> {
        self.send(CORRELATION, request, version)?;
        self.answer(CORRELATION, version)
    }
}
