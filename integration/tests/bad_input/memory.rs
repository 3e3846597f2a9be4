//! What hostile input may cost in memory.

use std::time::Duration;

use goatq_integration::node::Node;
use goatq_protocol::message::api_versions::ApiVersionsRequest;

use super::peer::{Bench, Peer};

const CONNECTIONS: usize = 500;

/// Starts connections and says how much memory a node has more than before once it has read what came.
fn growth(bench: &Bench, connect: impl Fn(usize) -> Peer) -> u64 {
    let node = bench.node().expect("our own");
    // The first connections make what all share.
    drop((0..20).map(&connect).collect::<Vec<_>>());
    let before = node.resident_bytes().unwrap();
    let peers: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    // Whatever is to be read has been read when the node answers the last of several requests on other connections.
    for _ in 0..20 {
        assert!(bench.is_alive());
        std::thread::sleep(Duration::from_millis(10));
    }
    let after = node.resident_bytes().unwrap();
    drop(peers);
    after.saturating_sub(before)
}

#[test]
fn announced_frames_cost_no_more_than_what_arrived() {
    let bench = Bench::with(Node::start(&[]).unwrap());
    let announce = |at: usize| {
        let mut peer = bench.connect();
        peer.write(&(100 * 1024 * 1024_i32).to_be_bytes()).unwrap();
        peer.write(&vec![0; at * 64]).unwrap();
        peer
    };
    // Up to 32 KB each, 8 MB together.
    let cost = growth(&bench, announce);
    assert!(cost <= 32 << 20, "{cost} bytes");
}

#[test]
fn quiet_connections_cost_a_few_kilobytes() {
    let bench = Bench::with(Node::start(&[]).unwrap());
    let cost = growth(&bench, |_| bench.connect());
    assert!(cost <= CONNECTIONS as u64 * 12 * 1024, "{cost} bytes for connections that say nothing");
    let cost = growth(&bench, |_| {
        let mut peer = bench.connect();
        peer.ask(&ApiVersionsRequest::default(), 0).unwrap().expect("an answer");
        peer
    });
    assert!(cost <= CONNECTIONS as u64 * 16 * 1024, "{cost} bytes for connections that have said little");
}
