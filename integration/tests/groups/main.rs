//! The APIs of groups, version by version, against what Kafka 4.3.1 answers: `testdata/groups-kafka-4.3.1.txt`,
//! and members that let a time-out pass: `testdata/groups-lapses-kafka-4.3.1.txt`.
//!
//! Each line of these files is one request (its label), the versions of the walk in which the answer was the same, and the
//! answer. `GOATQ_ORACLE=host:port cargo test -p goatq-integration --test groups NAME` walks through another broker and
//! writes the file of that test anew; the broker needs `group.initial.rebalance.delay.ms=0`, and must be a fresh one each time.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

mod lapses;
mod requests;
mod show;
mod walk;
mod wire;

use std::path::Path;

use goatq_integration::node::Node;

#[test]
fn groups_are_answered_as_by_kafka() {
    compare("testdata/groups-kafka-4.3.1.txt", walk::walk);
}

#[test]
fn members_that_lapse_are_treated_as_by_kafka() {
    compare("testdata/groups-lapses-kafka-4.3.1.txt", lapses::walk);
}

fn compare(golden: &str, walk: fn(&str) -> String) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    if let Ok(oracle) = std::env::var("GOATQ_ORACLE") {
        std::fs::write(golden, walk(&oracle)).unwrap();
        return;
    }
    let node = Node::start(&["group.initial.rebalance.delay.ms=0"]).unwrap();
    let (kafka, ours) = (std::fs::read_to_string(golden).unwrap(), walk(&node.bootstrap()));
    let differences: Vec<_> = diff(&kafka, &ours).collect();
    assert!(differences.is_empty(), "not as Kafka answers:\n{}", differences.join("\n"));
}

/// Lines that are not the same in both, `-` as in `one`, `+` as in `other`.
fn diff(one: &str, other: &str) -> impl Iterator<Item = String> {
    let missing = one.lines().filter(|line| !other.lines().any(|found| found == *line)).map(|line| format!("-{line}"));
    let added = other.lines().filter(|line| !one.lines().any(|found| found == *line)).map(|line| format!("+{line}"));
    missing.chain(added).collect::<Vec<_>>().into_iter()
}
