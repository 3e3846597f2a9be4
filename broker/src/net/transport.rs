//! The only module that touches sockets.
//!
//! Everything above sees a [`Listener`] that gives [`Incoming`] sockets and a [`Stream`] with two sides, which come from a
//! [`Transport`]: the system's, or in simulations a [`Network`] in its place.

mod stand_in;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
pub use stand_in::{Door, Network, Pipe};
use stand_in::{PipeReader, PipeWriter};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// A congestion control that every system has and anybody may choose, and which sets no timers while all goes well.
const UNPACED: &[u8] = b"reno";

/// What is asked of the kernel for a listener and for the sockets that it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Connections the kernel may hold that were not accepted yet; it has a limit of its own.
    pub backlog: u32,
    /// Bytes of the send buffer; None lets the kernel find the size that a connection needs.
    pub send_buffer: Option<usize>,
    /// Bytes of the receive buffer, likewise.
    pub receive_buffer: Option<usize>,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { backlog: 4096, send_buffer: None, receive_buffer: None }
    }
}

/// Where sockets come from. Clones are the same network.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// The system.
    #[default]
    System,
    /// Another network.
    StandIn(Arc<dyn Network>),
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    inner: Listening,
    address: SocketAddr,
}

#[derive(Debug)]
enum Listening {
    Socket(tokio::net::TcpListener),
    Door(Box<dyn Door>),
}

/// An accepted socket that belongs to no runtime yet.
#[derive(Debug)]
pub struct Incoming {
    inner: Detached,
    /// Address of the peer.
    pub peer: SocketAddr,
}

#[derive(Debug)]
enum Detached {
    Socket(std::net::TcpStream),
    Pipe(Pipe),
}

/// A connected socket on the runtime that runs it.
#[derive(Debug)]
pub struct Stream {
    inner: Connected,
}

#[derive(Debug)]
enum Connected {
    Socket(tokio::net::TcpStream),
    Pipe(Pipe),
}

/// The side of a [`Stream`] to read from.
pub struct ReadSide<'a>(Reading<'a>);

enum Reading<'a> {
    Socket(ReadHalf<'a>),
    Pipe(&'a mut PipeReader),
}

/// The side of a [`Stream`] to write to.
pub struct WriteSide<'a>(Writing<'a>);

enum Writing<'a> {
    Socket(WriteHalf<'a>),
    Pipe(&'a mut PipeWriter),
}

impl Transport {
    /// Binds `address` and listens. Needs a runtime.
    ///
    /// # Errors
    /// The address is in use, not of this machine, or not permitted.
    pub fn bind(&self, address: SocketAddr, config: &SocketConfig) -> io::Result<Listener> {
        match self {
            Self::System => Listener::of_system(address, config),
            Self::StandIn(network) => {
                let door = network.bind(address)?;
                Ok(Listener { address: door.address(), inner: Listening::Door(door) })
            }
        }
    }

    /// Connects to one of the addresses of a host, on the current runtime. Names are looked up anew each time: what runs under
    /// a name may have moved.
    ///
    /// # Errors
    /// The name has no address, or none of them answers.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<Stream> {
        match self {
            Self::System => {
                let socket = tokio::net::TcpStream::connect((host, port)).await?;
                socket.set_nodelay(true)?;
                Ok(Stream { inner: Connected::Socket(socket) })
            }
            Self::StandIn(network) => Ok(Stream { inner: Connected::Pipe(network.connect(host, port).await?) }),
        }
    }
}

/// Where the system paces what it sends (BBR), a timer is set for every 64 KiB, even to a peer on this machine, where there is no
/// path that could be congested.
fn do_not_pace(socket: &Socket) {
    // Where that is not allowed things stay as they are.
    let _ = socket.set_tcp_congestion(UNPACED);
}

impl Listener {
    fn of_system(address: SocketAddr, config: &SocketConfig) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // As Java: the wildcard serves both families where the kernel can.
            let _ = socket.set_only_v6(false);
        }
        // Accepted sockets inherit them; after the handshake it would be too late for the size of the window.
        if let Some(bytes) = config.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = config.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if address.ip().is_loopback() {
            // For all who come: a socket that was paced once never gets quite rid of it.
            do_not_pace(&socket);
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
        let inner = tokio::net::TcpListener::from_std(socket.into())?;
        let address = inner.local_addr()?;
        Ok(Self { inner: Listening::Socket(inner), address })
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
        match &self.inner {
            Listening::Socket(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Incoming { inner: Detached::Socket(stream.into_std()?), peer })
            }
            Listening::Door(door) => {
                let pipe = door.accept().await?;
                Ok(Incoming { peer: pipe.peer, inner: Detached::Pipe(pipe) })
            }
        }
    }
}

impl Incoming {
    /// Takes the socket over on the current runtime.
    ///
    /// # Errors
    /// The socket broke, or the runtime cannot register it.
    pub fn attach(self) -> io::Result<Stream> {
        let stream = match self.inner {
            Detached::Socket(stream) => stream,
            Detached::Pipe(pipe) => return Ok(Stream { inner: Connected::Pipe(pipe) }),
        };
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(120));
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        if self.peer.ip().to_canonical().is_loopback() {
            do_not_pace(&socket);
        }
        Ok(Stream { inner: Connected::Socket(tokio::net::TcpStream::from_std(stream)?) })
    }
}

impl Stream {
    /// Takes the socket from its runtime, so that another one can take it over. What was not read stays in it.
    ///
    /// # Errors
    /// The socket broke.
    pub fn detach(self) -> io::Result<Incoming> {
        match self.inner {
            Connected::Socket(stream) => {
                let peer = stream.peer_addr()?;
                Ok(Incoming { inner: Detached::Socket(stream.into_std()?), peer })
            }
            Connected::Pipe(pipe) => Ok(Incoming { peer: pipe.peer, inner: Detached::Pipe(pipe) }),
        }
    }

    /// Both sides, to be used by one task.
    pub fn split(&mut self) -> (ReadSide<'_>, WriteSide<'_>) {
        match &mut self.inner {
            Connected::Socket(socket) => {
                let (read, write) = socket.split();
                (ReadSide(Reading::Socket(read)), WriteSide(Writing::Socket(write)))
            }
            Connected::Pipe(pipe) => {
                (ReadSide(Reading::Pipe(&mut pipe.read)), WriteSide(Writing::Pipe(&mut pipe.write)))
            }
        }
    }
}

impl ReadSide<'_> {
    /// Waits until there is something to read, or the peer has sent its last, without a buffer. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn readable(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Reading::Socket(socket) => socket.readable().await,
            Reading::Pipe(pipe) => pipe.fill_buf().await.map(|_| ()),
        }
    }

    /// Reads what is there into the room that `buffer` has; 0 means that the peer sends no more. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &mut self.0 {
            Reading::Socket(socket) => socket.read_buf(buffer).await,
            Reading::Pipe(pipe) => pipe.read_buf(buffer).await,
        }
    }
}

impl WriteSide<'_> {
    /// Writes as much of `slices` as the socket takes and says how much that was. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.0 {
            Writing::Socket(socket) => socket.write_vectored(slices).await,
            Writing::Pipe(pipe) => pipe.write_vectored(slices).await,
        }
    }

    /// The same for slices that a part of a file follows at once: the kernel may keep what does not fill a packet until then.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn write_before_file(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(socket) = self.socket() else { return self.write(slices).await };
        let flags = i32::try_from(SendFlags::MORE.bits()).unwrap_or(0);
        socket.async_io(Interest::WRITABLE, || SockRef::from(socket).send_vectored_with_flags(slices, flags)).await
    }

    /// Waits until the socket takes something. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn writable(&mut self) -> io::Result<()> {
        match self.socket() {
            Some(socket) => socket.writable().await,
            None => Ok(()),
        }
    }

    /// Sends up to `len` bytes of a file from `position` on, as much as the socket takes now, without bringing them into this
    /// process; `None` when it takes nothing. Blocks while the file is read: what is sent should be in the page cache.
    ///
    /// # Errors
    /// The connection broke, the file cannot be read or has ended, or this is no socket: what stands in for one sees no files.
    pub fn try_send_file(&self, file: BorrowedFd<'_>, position: u64, len: usize) -> io::Result<Option<usize>> {
        let socket = self.socket().ok_or(io::ErrorKind::Unsupported)?;
        let send = || {
            let mut position = position;
            loop {
                match rustix::fs::sendfile(socket, file, Some(&mut position), len) {
                    Err(Errno::INTR) => {}
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    result => return Ok(result?),
                }
            }
        };
        match socket.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        }
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn shut_down(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Writing::Socket(socket) => socket.shutdown().await,
            Writing::Pipe(pipe) => pipe.shutdown().await,
        }
    }

    fn socket(&self) -> Option<&tokio::net::TcpStream> {
        match &self.0 {
            Writing::Socket(socket) => Some(socket.as_ref()),
            Writing::Pipe(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_the_buffers_asked_for() {
        let config = SocketConfig { backlog: 5, send_buffer: Some(50_000), receive_buffer: Some(40_000) };
        let listener = Transport::System.bind(SocketAddr::from(([127, 0, 0, 1], 0)), &config).unwrap();
        let client = tokio::net::TcpStream::connect(listener.address()).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        let Detached::Socket(accepted) = &accepted.inner else { panic!("the system gives sockets") };
        let socket = SockRef::from(accepted);
        assert!(socket.tcp_congestion().unwrap().starts_with(UNPACED), "nobody on this machine is paced");
        // Linux doubles what it is asked for.
        assert_eq!(socket.send_buffer_size().unwrap(), 100_000);
        assert_eq!(socket.recv_buffer_size().unwrap(), 80_000);
        drop(client);
    }
}
