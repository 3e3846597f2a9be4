//! The network of the simulation, turmoil's, behind the seam of nodes and that of clients.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use goatq_broker::net::transport::{Door, Network, Pipe};
use turmoil::net::{TcpListener, TcpStream};

use super::clock::world_ms;
use super::machine::{PORT, host};
use crate::traffic::reach::{Reach, Socket};

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

/// The network and the clock of the host that uses them, for clients.
#[derive(Debug)]
pub struct SimReach;

impl Reach for SimReach {
    fn connect(&self, node: i32) -> LocalBoxFuture<'_, io::Result<Box<dyn Socket>>> {
        async move { Ok(Box::new(TcpStream::connect((host(node), PORT)).await?) as Box<dyn Socket>) }.boxed_local()
    }

    fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    fn wall_ms(&self) -> i64 {
        world_ms(self.now())
    }
}
