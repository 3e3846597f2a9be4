//! Connections that move between threads in the middle of what they do.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

use super::*;
use crate::net::service::{Outcome, Reply, Started};
use crate::net::transport::{Door, Network, Pipe};

/// Answers a frame with itself; those that begin with `w` only once the gate is open.
#[derive(Default)]
struct Echo {
    gate: Arc<Notify>,
    threads: Mutex<BTreeSet<String>>,
}

fn reply(frame: &Bytes) -> Outcome {
    let size = u32::try_from(frame.len()).unwrap().to_be_bytes();
    Outcome::Reply(Reply { chunks: vec![Bytes::copy_from_slice(&size).into(), frame.clone().into()], charge: None })
}

impl Service for Echo {
    fn is_pipelined(&self, _: &[u8]) -> bool {
        true
    }

    fn call(&self, _: &Arc<ConnectionInfo>, frame: Bytes) -> Started {
        self.threads.lock().extend(std::thread::current().name().map(str::to_owned));
        if frame[0] != b'w' {
            return Started::Done(reply(&frame));
        }
        let gate = Arc::clone(&self.gate);
        let waiting = async move {
            gate.notified().await;
            reply(&frame)
        };
        Started::Running(waiting.boxed())
    }
}

fn frame(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn config() -> NetConfig {
    NetConfig {
        connection: ConnectionConfig::default(),
        limits: LimitConfig::default(),
        request_budget: MemoryBudget::new(1 << 20),
    }
}

async fn expect(stream: &mut (impl AsyncRead + Unpin), text: &str) {
    let mut bytes = vec![0; 4 + text.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, frame(text));
}

#[tokio::test]
async fn a_connection_moves_with_what_it_has_read_started_and_not_sent() {
    let (workers, threads) = Workers::start(2).unwrap();
    let service = Arc::new(Echo::default());
    let mut listeners = BoundListeners::default();
    let address = listeners.bind("A", "127.0.0.1:0".parse().unwrap(), &SocketConfig::default()).unwrap();
    let server = listeners.serve(config(), Arc::new(workers), Arc::clone(&service) as _, Arc::default());
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that waits, one answered behind it, and the beginning of a third.
        stream.write_all(&frame("waits for it")).await.unwrap();
        stream.write_all(&frame("comes second")).await.unwrap();
        stream.write_all(&frame("is not whole yet")[..9]).await.unwrap();
        streams.push(stream);
    }
    while server.state.shared.metrics.requests_in_flight.get() < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*service.threads.lock(), BTreeSet::from(["net-0".to_owned()]));
    // The first thread is full: two of the four are to move, which they do when they next have something to do.
    for _ in 0..3 {
        server.state.seats.tick(&[1.0, 0.0], 2.0);
        server.state.seats.touch();
    }
    for stream in &mut streams {
        stream.write_all(&frame("is not whole yet")[9..]).await.unwrap();
        stream.write_all(&frame("after the move")).await.unwrap();
    }
    while server.state.shared.metrics.requests_in_flight.get() < 16 {
        tokio::task::yield_now().await;
    }
    for stream in &mut streams {
        service.gate.notify_waiters();
        for text in ["waits for it", "comes second", "is not whole yet", "after the move"] {
            expect(stream, text).await;
        }
        stream.write_all(&frame("and once more")).await.unwrap();
        expect(stream, "and once more").await;
    }
    assert_eq!(*service.threads.lock(), BTreeSet::from(["net-0".to_owned(), "net-1".to_owned()]));
    drop(streams);
    assert_eq!(server.drain(Duration::from_secs(10)).await, 0);
    tokio::task::spawn_blocking(|| threads.join()).await.unwrap();
}

/// Answers a frame with itself, and says when it is asked for the first one.
#[derive(Default)]
struct Nudge {
    asked: Notify,
}

impl Service for Nudge {
    fn is_pipelined(&self, _: &[u8]) -> bool {
        true
    }

    fn call(&self, _: &Arc<ConnectionInfo>, frame: Bytes) -> Started {
        if &frame[..] == b"the first one" {
            self.asked.notify_one();
        }
        Started::Done(reply(&frame))
    }
}

/// A network with one connection, which takes no time: what was written is there.
#[derive(Debug)]
struct OneConnection(Mutex<Option<DuplexStream>>);

impl Network for OneConnection {
    fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Door>> {
        Ok(Box::new(OneDoor { address, waiting: Mutex::new(self.0.lock().take()) }))
    }

    fn connect<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Pipe>> {
        std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())).boxed()
    }
}

#[derive(Debug)]
struct OneDoor {
    address: SocketAddr,
    waiting: Mutex<Option<DuplexStream>>,
}

impl Door for OneDoor {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Pipe>> {
        match self.waiting.lock().take() {
            Some(stream) => {
                let (read, write) = tokio::io::split(stream);
                std::future::ready(Ok(Pipe::new(self.address, read, write))).boxed()
            }
            None => std::future::pending().boxed(),
        }
    }
}

#[tokio::test]
async fn in_a_crowd_what_comes_meanwhile_is_answered_with_the_same_write() {
    let service = Arc::new(Nudge::default());
    let (mut stream, other_end) = tokio::io::duplex(4096);
    let network = OneConnection(Mutex::new(Some(other_end)));
    let mut listeners = BoundListeners::of(Transport::StandIn(Arc::new(network)));
    listeners.bind("A", "127.0.0.1:9092".parse().unwrap(), &SocketConfig::default()).unwrap();
    let server = listeners.serve(config(), Arc::new(Workers::current()), Arc::clone(&service) as _, Arc::default());
    let client = async move {
        for _ in 0..100 {
            stream.write_all(&frame("nobody waits for more")).await.unwrap();
            expect(&mut stream, "nobody waits for more").await;
        }
        stream.write_all(&frame("the first one")).await.unwrap();
        service.asked.notified().await;
        stream.write_all(&frame("the second one")).await.unwrap();
        let mut bytes = [0; 100];
        let read = stream.read(&mut bytes).await.unwrap();
        assert_eq!(bytes[..read], [frame("the first one"), frame("the second one")].concat());
    };
    // A task of the same thread, as connections are.
    let client = tokio::spawn(tokio::time::timeout(Duration::from_secs(60), client));
    client.await.unwrap().unwrap();
    assert_eq!(server.drain(Duration::from_secs(10)).await, 0);
}
