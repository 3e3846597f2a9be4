//! A process that may open no more files goes on, and does all it could not do when it may again.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::time::Duration;

use goatq_integration::client;
use goatq_integration::ledger::Ledger;
use goatq_integration::node::Node;
use goatq_integration::workload::{Writer, read_all};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const TOPIC: &str = "narrow";
const PARTITIONS: i32 = 3;
/// Far fewer than a node has open.
const FEW: u64 = 24;
const MANY: u64 = 4_096;

fn limit(node: &Node, open_files: u64) {
    let pid = Pid::from_raw(node.pid().unwrap().cast_signed());
    let limit = Rlimit { current: Some(open_files), maximum: Some(MANY) };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

fn create(node: &Node, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client::config(node).create().unwrap();
    let topic = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
}

#[test]
fn a_limit_on_open_files_that_is_lowered_while_a_node_runs_ends_nothing() {
    let mut node = Node::start(&["log.roll.ms=200"]).unwrap();
    create(&node, TOPIC);
    let writer = Writer::start(client::config(&node), TOPIC, PARTITIONS).unwrap();
    writer.until_more(300).unwrap();
    limit(&node, FEW);
    // Many segments are to be rolled, and checkpoints written.
    std::thread::sleep(Duration::from_secs(4));
    limit(&node, MANY);
    writer.until_more(300).unwrap();
    create(&node, "other");
    let mut ledger = Ledger::default();
    writer.finish().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    ledger.read_all(read_all(&client::config(&node), TOPIC, PARTITIONS).unwrap()).unwrap();
    assert!(node.terminate().unwrap().success(), "{}", node.log());
    assert!(!node.data().join(".goatq-poisoned").exists());
}
