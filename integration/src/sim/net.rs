//! The network of the simulation as a node sees it: turmoil's, behind the node's own seam.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use goatq_broker::net::transport::{Door, Network, Pipe};
use turmoil::net::{TcpListener, TcpStream};

/// The network of the host that uses it.
#[derive(Debug)]
pub struct SimNetwork;

impl Network for SimNetwork {
    fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Door>> {
        // Turmoil never waits here.
        let listener = TcpListener::bind(address).now_or_never().ok_or(io::ErrorKind::WouldBlock)??;
        let address = listener.local_addr()?;
        Ok(Box::new(SimDoor { listener, address }))
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Pipe>> {
        async move { pipe(TcpStream::connect((host, port)).await?) }.boxed()
    }
}

struct SimDoor {
    listener: TcpListener,
    address: SocketAddr,
}

impl fmt::Debug for SimDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimDoor").field(&self.address).finish()
    }
}

impl Door for SimDoor {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Pipe>> {
        async { pipe(self.listener.accept().await?.0) }.boxed()
    }
}

fn pipe(stream: TcpStream) -> io::Result<Pipe> {
    let peer = stream.peer_addr()?;
    let (read, write) = stream.into_split();
    Ok(Pipe::new(peer, read, write))
}
