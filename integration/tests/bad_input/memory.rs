//! What hostile input may cost in memory.

use std::time::Duration;

use goatq_integration::node::Node;

use super::peer::{Bench, Peer};

/// Connections that announce the largest frame.
const CONNECTIONS: usize = 500;
/// What all of them together may add.
const ALLOWED: u64 = 64 << 20;

#[test]
fn announced_frames_cost_no_memory() {
    let bench = Bench::with(Node::start(&[]).unwrap());
    let node = bench.node().expect("our own");
    let before = node.resident_bytes().unwrap();
    let announce = |bytes: usize| {
        let mut peer: Peer = bench.connect();
        peer.write(&(100 * 1024 * 1024_i32).to_be_bytes()).unwrap();
        peer.write(&vec![0; bytes]).unwrap();
        peer
    };
    let peers: Vec<_> = (0..CONNECTIONS).map(|at| announce(at * 64)).collect();
    // Whatever is to be read has been read when the node answers the last of several requests on other connections.
    for _ in 0..20 {
        assert!(bench.is_alive());
        std::thread::sleep(Duration::from_millis(10));
    }
    let after = node.resident_bytes().unwrap();
    drop(peers);
    assert!(after.saturating_sub(before) <= ALLOWED, "from {before} to {after} bytes");
}
