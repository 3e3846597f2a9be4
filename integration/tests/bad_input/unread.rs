//! Clients that ask and do not read what they are answered.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use goatq_integration::node::Node;
use goatq_protocol::frame::encode_request;
use goatq_protocol::message::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use goatq_protocol::message::metadata::MetadataRequest;

use super::peer::{Bench, Peer, SHORT_DEADLINE_MS, Seen};

/// More answers than the buffers of any kernel swallow: each has some 20 KB.
const REQUESTS: usize = 10_000;
/// Clients that do so at once, each with fewer requests.
const CLIENTS: usize = 16;
const REQUESTS_EACH: usize = 1_000;
/// What they may cost together: 256 KiB of answers, one more answer and one frame for each, and what an allocator wastes.
const ALLOWED: u64 = 24 << 20;
/// How long a broker may take to cut them all.
const PATIENCE: Duration = Duration::from_secs(60);
const CONFIGS_OF_A_BROKER: i8 = 4;

/// The same request many times: a small one with a large answer.
fn requests(bench: &Bench, count: usize) -> anyhow::Result<Vec<u8>> {
    let brokers = bench.ask(&MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }, 9)?.brokers;
    let broker = DescribeConfigsResource {
        resource_type: CONFIGS_OF_A_BROKER,
        resource_name: brokers.first().context("no broker")?.node_id.to_string().into(),
        configuration_keys: None,
    };
    let request =
        DescribeConfigsRequest { resources: vec![broker], include_synonyms: true, include_documentation: true };
    let answer: usize = bench.ask(&request, 4)?.results.iter().map(|result| result.configs.len() * 100).sum();
    ensure!(answer > 10_000, "an answer has only {answer} bytes");
    Ok(encode_request(7, None, &request, 4)?.concat().repeat(count))
}

/// Waits until this many connections were cut for what they did not read or send in time.
fn await_cuts(node: &Node, count: u64, mut look: impl FnMut()) -> anyhow::Result<()> {
    let begun = Instant::now();
    while cuts(node)? < count {
        ensure!(begun.elapsed() < PATIENCE, "{} of {count} connections were cut", cuts(node)?);
        look();
        std::thread::sleep(Duration::from_millis(SHORT_DEADLINE_MS / 20));
    }
    Ok(())
}

fn cuts(node: &Node) -> anyhow::Result<u64> {
    let metrics = node.get("/metrics")?;
    let line = metrics.lines().find(|line| line.starts_with("kafka_server_socket_server_metrics_connection_timeout"));
    Ok(line.and_then(|line| line.rsplit(' ').next()).context("no such metric")?.parse()?)
}

fn answers(peer: &mut Peer) -> usize {
    std::iter::from_fn(|| peer.receive().ok().flatten()).count()
}

/// One client.
pub(crate) fn flood(bench: &Bench) -> anyhow::Result<Seen> {
    let node = bench.node().context("only our own says how many it cut")?;
    let (requests, before) = (requests(bench, REQUESTS)?, cuts(node)?);
    let mut peer = bench.connect_with_small_buffer()?;
    peer.write(&requests)?;
    await_cuts(node, before + 1, || {})?;
    ensure!(node.log().contains("replies were not read"), "cut for another reason");
    let answers = answers(&mut peer);
    Ok(Seen::Text(if answers < REQUESTS { "cut, fewer than 10000 answers".to_owned() } else { format!("{answers}") }))
}

#[test]
fn answers_that_nobody_reads_cost_bounded_memory() {
    let node = Node::start(&[&format!("response.send.timeout.ms={SHORT_DEADLINE_MS}")]).unwrap();
    let bench = Bench::with(node);
    let node = bench.node().expect("our own");
    let requests = requests(&bench, REQUESTS_EACH).unwrap();
    let before = node.resident_bytes().unwrap();
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| bench.connect_with_small_buffer().unwrap()).collect();
    peers.iter_mut().for_each(|peer| peer.write(&requests).unwrap());
    let mut most = before;
    await_cuts(node, CLIENTS as u64, || most = most.max(node.resident_bytes().unwrap())).unwrap();
    assert!(most - before <= ALLOWED, "from {before} to {most} bytes");
    for peer in &mut peers {
        let answers = answers(peer);
        assert!(answers < REQUESTS_EACH, "{answers}");
    }
}
