//! The network by itself: raw frames against a listener with a tiny service instead of the APIs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use goatq_broker::metrics::network::NetworkMetrics;
use goatq_broker::net::budget::MemoryBudget;
use goatq_broker::net::{
    BoundListeners, CloseReason, ConnectionConfig, ConnectionInfo, DeadlineConfig, LimitConfig, NetConfig, Outcome,
    Reply, Server, Service, SocketConfig, Started,
};
use goatq_broker::threads::workers::Workers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A frame is a mode (`P` pipelined, `O` ordered), an action, a number and padding. Actions: `e` answer at once, `w` answer
/// when the number's gate opens, `n` answer nothing, `c` close, `b` answer with so many KiB, `p` panic.
#[derive(Default)]
struct Tiny {
    started: Mutex<Vec<u8>>,
    gates: Mutex<BTreeMap<u8, Arc<Notify>>>,
}

impl Tiny {
    fn gate(&self, number: u8) -> Arc<Notify> {
        self.gates.lock().expect("gates").entry(number).or_default().clone()
    }

    fn started(&self) -> Vec<u8> {
        self.started.lock().expect("started").clone()
    }
}

fn reply(number: u8, len: usize) -> Outcome {
    let mut body = vec![number; len.max(1)];
    body[0] = number;
    let size = u32::try_from(body.len()).expect("small").to_be_bytes();
    Outcome::Reply(Reply { chunks: vec![Bytes::copy_from_slice(&size).into(), Bytes::from(body).into()], charge: None })
}

impl Service for Tiny {
    fn is_pipelined(&self, frame: &[u8]) -> bool {
        frame[0] == b'P'
    }

    fn call(&self, _: &Arc<ConnectionInfo>, frame: Bytes) -> Started {
        let number = frame[2];
        self.started.lock().expect("started").push(number);
        let gate = self.gate(number);
        Started::Running(match frame[1] {
            b'e' => return Started::Done(reply(number, 1)),
            b'w' => async move {
                gate.notified().await;
                reply(number, 1)
            }
            .boxed(),
            b'n' => async { Outcome::NoReply }.boxed(),
            b'b' => async move { reply(number, usize::from(number) * 1024) }.boxed(),
            b'p' => async { panic!("a fault in a handler") }.boxed(),
            _ => async { Outcome::Close(CloseReason::InvalidRequest("asked to".to_owned())) }.boxed(),
        })
    }
}

struct World {
    service: Arc<Tiny>,
    server: Server,
    address: SocketAddr,
    metrics: Arc<NetworkMetrics>,
}

fn config() -> NetConfig {
    NetConfig {
        connection: ConnectionConfig::default(),
        limits: LimitConfig::default(),
        request_budget: MemoryBudget::new(1 << 20),
    }
}

fn start(config: NetConfig) -> World {
    let (service, metrics) = (Arc::new(Tiny::default()), Arc::new(NetworkMetrics::default()));
    let mut listeners = BoundListeners::default();
    let address = listeners
        .bind("PLAINTEXT", "127.0.0.1:0".parse().expect("address"), &SocketConfig::default())
        .expect("a free port");
    let server = listeners.serve(config, Arc::new(Workers::current()), Arc::clone(&service) as _, Arc::clone(&metrics));
    World { service, server, address, metrics }
}

fn frame(text: &str, number: u8) -> Vec<u8> {
    let mut bytes = 12_i32.to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(number);
    bytes.resize(16, 0);
    bytes
}

impl World {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }
}

async fn send(stream: &mut TcpStream, frames: &[(&str, u8)]) {
    let bytes: Vec<u8> = frames.iter().flat_map(|(text, number)| frame(text, *number)).collect();
    stream.write_all(&bytes).await.expect("sent");
}

async fn receive(stream: &mut TcpStream) -> u8 {
    let len = stream.read_u32().await.expect("size");
    let mut body = vec![0; len as usize];
    stream.read_exact(&mut body).await.expect("body");
    body[0]
}

/// Reads until the other side closes; what came before that.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is a close as well.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// Lets the server run until `done`.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn pipelined_requests_start_at_once_and_are_answered_in_order() {
    let world = start(config());
    let mut stream = world.connect().await;
    send(&mut stream, &[("Pw", 1), ("Pw", 2), ("Pn", 3), ("Pe", 4)]).await;
    until(|| world.service.started() == [1, 2, 3, 4]).await;
    world.service.gate(2).notify_one();
    world.service.gate(1).notify_one();
    for expected in [1, 2, 4] {
        assert_eq!(receive(&mut stream).await, expected);
    }
    assert_eq!(world.metrics.requests_in_flight.get(), 0);
}

#[tokio::test]
async fn other_requests_run_alone() {
    let world = start(config());
    let mut stream = world.connect().await;
    send(&mut stream, &[("Pw", 1), ("Ow", 2), ("Pe", 3)]).await;
    until(|| world.service.started() == [1]).await;
    world.service.gate(1).notify_one();
    assert_eq!(receive(&mut stream).await, 1);
    until(|| world.service.started() == [1, 2]).await;
    world.service.gate(2).notify_one();
    assert_eq!(receive(&mut stream).await, 2);
    assert_eq!(receive(&mut stream).await, 3);
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let mut config = config();
    config.connection.max_in_flight = 3;
    let world = start(config);
    let mut stream = world.connect().await;
    let frames: Vec<_> = (1..=10).map(|number| ("Pw", number)).collect();
    send(&mut stream, &frames).await;
    until(|| world.service.started().len() == 3).await;
    for number in 1..=10 {
        assert!(world.service.started().len() <= 2 + usize::from(number));
        world.service.gate(number).notify_one();
        assert_eq!(receive(&mut stream).await, number);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_reading_and_is_cut() {
    let mut config = config();
    config.connection.deadlines.stalled = Duration::from_millis(50);
    let world = start(config);
    let mut stream = world.connect().await;
    // Replies of 255 KiB: far more than the sockets of both sides hold together.
    for _ in 0..1000 {
        if stream.write_all(&frame("Pb", 255)).await.is_err() {
            break;
        }
    }
    until(|| world.server.connections() == 0).await;
    assert!(world.service.started().len() < 1000);
    assert_eq!(world.metrics.listener("PLAINTEXT").timed_out.get(), 1);
}

#[tokio::test]
async fn slow_frames_and_idle_connections_end() {
    let mut config = config();
    config.connection.deadlines = DeadlineConfig {
        idle: Duration::from_millis(40),
        frame: Duration::from_millis(20),
        ..DeadlineConfig::default()
    };
    let world = start(config);
    let (mut slow, mut idle) = (world.connect().await, world.connect().await);
    slow.write_all(&104_857_600_i32.to_be_bytes()).await.expect("sent");
    assert_eq!(rest(&mut slow).await, b"");
    assert_eq!(rest(&mut idle).await, b"");
    until(|| world.server.connections() == 0).await;
}

#[tokio::test]
async fn what_is_no_frame_closes_the_connection_after_earlier_replies() {
    let world = start(config());
    for bad in
        [&b"\xff\xff\xff\xff"[..], b"\x7f\xff\xff\xff", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0"]
    {
        let mut stream = world.connect().await;
        let mut bytes = frame("Pe", 7);
        bytes.extend_from_slice(bad);
        stream.write_all(&bytes).await.expect("sent");
        assert_eq!(rest(&mut stream).await, b"\0\0\0\x01\x07");
    }
    until(|| world.server.connections() == 0).await;
    assert_eq!(world.metrics.listener("PLAINTEXT").protocol_errors.get(), 5);
}

#[tokio::test]
async fn a_handler_closes_after_what_was_answered_before() {
    let world = start(config());
    let mut stream = world.connect().await;
    send(&mut stream, &[("Pe", 1), ("Pc", 2), ("Pe", 3)]).await;
    assert_eq!(rest(&mut stream).await, b"\0\0\0\x01\x01");
}

#[tokio::test]
async fn a_fault_in_a_handler_ends_its_connection_only() {
    let world = start(config());
    let (mut unlucky, mut other) = (world.connect().await, world.connect().await);
    send(&mut unlucky, &[("Op", 1)]).await;
    assert_eq!(rest(&mut unlucky).await, b"");
    send(&mut other, &[("Oe", 2)]).await;
    assert_eq!(receive(&mut other).await, 2);
    until(|| world.server.connections() == 1).await;
}

#[tokio::test]
async fn half_closed_peers_get_their_answers() {
    let world = start(config());
    let mut stream = world.connect().await;
    send(&mut stream, &[("Pw", 1), ("Oe", 2)]).await;
    stream.shutdown().await.expect("half closed");
    until(|| world.service.started() == [1]).await;
    world.service.gate(1).notify_one();
    assert_eq!(rest(&mut stream).await, b"\0\0\0\x01\x01\0\0\0\x01\x02");
}

#[tokio::test]
async fn the_budget_holds_requests_back() {
    let mut config = config();
    // Two requests of twelve bytes.
    config.request_budget = MemoryBudget::new(24);
    let budget = config.request_budget.clone();
    let world = start(config);
    let mut streams = [world.connect().await, world.connect().await, world.connect().await];
    for (number, stream) in (1..).zip(&mut streams) {
        send(stream, &[("Ow", number)]).await;
        until(|| world.service.started().len() == usize::from(number.min(2))).await;
    }
    assert_eq!(budget.available(), 0);
    for (number, stream) in (1..).zip(&mut streams) {
        world.service.gate(number).notify_one();
        assert_eq!(receive(stream).await, number);
    }
    until(|| budget.available() == 24).await;
}

#[tokio::test]
async fn draining_answers_what_was_read_and_ends() {
    let world = start(config());
    let mut busy = world.connect().await;
    let mut idle = world.connect().await;
    send(&mut busy, &[("Pw", 1)]).await;
    until(|| world.service.started() == [1] && world.server.connections() == 2).await;
    let gate = world.service.gate(1);
    let (cut, ()) = tokio::join!(world.server.drain(Duration::from_secs(60)), async {
        assert_eq!(rest(&mut idle).await, b"");
        gate.notify_one();
    });
    assert_eq!(cut, 0);
    assert_eq!(rest(&mut busy).await, b"\0\0\0\x01\x01");
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn draining_cuts_what_does_not_end() {
    let world = start(config());
    let mut stream = world.connect().await;
    send(&mut stream, &[("Ow", 1)]).await;
    until(|| world.service.started() == [1]).await;
    assert_eq!(world.server.drain(Duration::from_millis(1)).await, 1);
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test]
async fn connections_beyond_the_limits_wait_or_are_refused() {
    let mut config = config();
    config.limits.max_connections = 2;
    let world = start(config);
    let (first, mut second) = (world.connect().await, world.connect().await);
    let mut third = world.connect().await;
    send(&mut second, &[("Oe", 2)]).await;
    send(&mut third, &[("Oe", 3)]).await;
    assert_eq!(receive(&mut second).await, 2);
    assert_eq!(world.service.started(), [2]);
    drop(first);
    assert_eq!(receive(&mut third).await, 3);

    world.server.set_limits(LimitConfig { max_per_ip: 2, ..LimitConfig::default() });
    let mut refused = world.connect().await;
    assert_eq!(rest(&mut refused).await, b"");
    assert_eq!(world.metrics.listener("PLAINTEXT").refused.get(), 1);
}
