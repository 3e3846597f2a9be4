//! A network that stands in for the system's: the seam for simulations.
//!
//! It needs no more than streams of bytes. What only the system's sockets have (options, `sendfile`, descriptors) stays in the module
//! above, and is passed over here.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};

/// A network.
pub trait Network: Send + Sync + fmt::Debug + 'static {
    /// Listens at `address`.
    ///
    /// # Errors
    /// As for a socket.
    fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Door>>;

    /// Connects to a host.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Pipe>>;
}

/// Where connections come in.
pub trait Door: Send + Sync + fmt::Debug + 'static {
    /// Where it is, with the port that was chosen when 0 was asked for.
    fn address(&self) -> SocketAddr;

    /// Waits for the next connection. Cancel-safe.
    fn accept(&self) -> BoxFuture<'_, io::Result<Pipe>>;
}

/// The half of a [`Pipe`] to read from. Buffered, so that one can wait for bytes without a place for them.
pub(super) type PipeReader = BufReader<Box<dyn AsyncRead + Send + Unpin>>;
/// The half of a [`Pipe`] to write to.
pub(super) type PipeWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection.
pub struct Pipe {
    pub(super) peer: SocketAddr,
    pub(super) read: PipeReader,
    pub(super) write: PipeWriter,
}

impl Pipe {
    /// From its halves.
    pub fn new(
        peer: SocketAddr,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { peer, read: BufReader::new(Box::new(read)), write: Box::new(write) }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("peer", &self.peer).finish_non_exhaustive()
    }
}
