//! The APIs of groups, version by version, against what Kafka 4.3.1 answers: `testdata/groups-kafka-4.3.1.txt`.
//!
//! Each line of that file is one request (its label), the versions of the walk in which the answer was the same, and the
//! answer. `GOATQ_ORACLE=host:port cargo test -p goatq-integration --test groups` walks through another broker and writes the
//! file anew; that broker needs `group.initial.rebalance.delay.ms=0`, and no topic or group of an earlier walk.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

mod show;
mod walk;
mod wire;

use std::path::Path;

use goatq_integration::node::Node;

#[test]
fn groups_are_answered_as_by_kafka() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/groups-kafka-4.3.1.txt");
    if let Ok(oracle) = std::env::var("GOATQ_ORACLE") {
        std::fs::write(golden, walk::walk(&oracle)).unwrap();
        return;
    }
    let node = Node::start(&["group.initial.rebalance.delay.ms=0"]).unwrap();
    let (kafka, ours) = (std::fs::read_to_string(golden).unwrap(), walk::walk(&node.bootstrap()));
    let differences: Vec<_> = diff(&kafka, &ours).collect();
    assert!(differences.is_empty(), "not as Kafka answers:\n{}", differences.join("\n"));
}

/// Lines that are not the same in both, `-` as in `one`, `+` as in `other`.
fn diff(one: &str, other: &str) -> impl Iterator<Item = String> {
    let missing = one.lines().filter(|line| !other.lines().any(|found| found == *line)).map(|line| format!("-{line}"));
    let added = other.lines().filter(|line| !one.lines().any(|found| found == *line)).map(|line| format!("+{line}"));
    missing.chain(added).collect::<Vec<_>>().into_iter()
}
