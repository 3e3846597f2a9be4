//! The only module that touches sockets.
//!
//! Everything above sees a [`Listener`] that gives [`Incoming`] sockets and a [`Stream`] with two sides, so that another
//! network (simulated, or on an `io_uring` reactor) can take its place by replacing this file.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// Connections the kernel may hold that were not accepted yet (`socket.listen.backlog.size` is 50 in Kafka; a reconnect
/// storm after a restart needs more).
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    inner: tokio::net::TcpListener,
    address: SocketAddr,
}

/// An accepted socket that belongs to no runtime yet.
#[derive(Debug)]
pub struct Incoming {
    stream: std::net::TcpStream,
    /// Address of the peer.
    pub peer: SocketAddr,
}

/// A connected socket on the runtime that runs it.
#[derive(Debug)]
pub struct Stream {
    inner: tokio::net::TcpStream,
}

/// The side of a [`Stream`] to read from.
#[derive(Debug)]
pub struct ReadSide<'a>(ReadHalf<'a>);

/// The side of a [`Stream`] to write to.
#[derive(Debug)]
pub struct WriteSide<'a>(WriteHalf<'a>);

impl Listener {
    /// Binds `address` and listens. Needs a runtime.
    ///
    /// # Errors
    /// The address is in use, not of this machine, or not permitted.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // As Java: the wildcard serves both families where the kernel can.
            let _ = socket.set_only_v6(false);
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let inner = tokio::net::TcpListener::from_std(socket.into())?;
        let address = inner.local_addr()?;
        Ok(Self { inner, address })
    }

    /// The bound address, with the port the kernel chose when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke before it was taken, or descriptors ran out; the listener itself goes on.
    pub async fn accept(&self) -> io::Result<Incoming> {
        let (stream, peer) = self.inner.accept().await?;
        Ok(Incoming { stream: stream.into_std()?, peer })
    }
}

impl Incoming {
    /// Takes the socket over on the current runtime.
    ///
    /// # Errors
    /// The socket broke, or the runtime cannot register it.
    pub fn attach(self) -> io::Result<Stream> {
        self.stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(120));
        socket2::SockRef::from(&self.stream).set_tcp_keepalive(&keepalive)?;
        Ok(Stream { inner: tokio::net::TcpStream::from_std(self.stream)? })
    }
}

impl Stream {
    /// Both sides, to be used by one task.
    pub fn split(&mut self) -> (ReadSide<'_>, WriteSide<'_>) {
        let (read, write) = self.inner.split();
        (ReadSide(read), WriteSide(write))
    }
}

impl ReadSide<'_> {
    /// Waits until there is something to read, or the peer has sent its last, without a buffer. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads what is there into the room that `buffer` has; 0 means that the peer sends no more. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.0.read_buf(buffer).await
    }
}

impl WriteSide<'_> {
    /// Writes as much of `slices` as the socket takes and says how much that was. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices).await
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn shut_down(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}
