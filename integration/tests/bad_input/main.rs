//! Hostile and senseless input, as one table: what is sent, and what a broker answers.
//!
//! With `BOOTSTRAP` set to the address of any Kafka broker the same rows run against it; a row says where Kafka answers
//! otherwise, or that it cannot be asked (its deadlines are minutes, or the rule is newer than 4.3). Numbers in front of rows group
//! what belongs together. Numbers that are missing: 7 and 25 to 39 need a listener with TLS or SASL, 59, 75 transactions, 66
//! rights, 69, 78 groups of KIP-848 and KIP-932, 76 more than one node, 77 client metrics; 68 and 70 are lines of `tests/groups`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real sockets waits in real time")]

mod configs;
mod fetches;
mod framing;
mod memory;
mod peer;
mod records;
mod requests;
mod unread;

use std::fmt::Write;

use peer::{Bench, Seen};

/// What Kafka says to the same.
#[derive(Clone, Copy)]
enum Kafka {
    /// The same.
    Same,
    /// Something else, for the reason that stands beside the row.
    Says(&'static str),
    /// Not asked.
    Skip,
}

/// One row of the table.
struct Row {
    what: &'static str,
    run: fn(&Bench) -> anyhow::Result<Seen>,
    expected: &'static str,
    kafka: Kafka,
}

const fn row(what: &'static str, run: fn(&Bench) -> anyhow::Result<Seen>, expected: &'static str) -> Row {
    Row { what, run, expected, kafka: Kafka::Same }
}

impl Row {
    /// Kafka answers otherwise.
    const fn kafka(mut self, says: &'static str) -> Self {
        self.kafka = Kafka::Says(says);
        self
    }

    /// Kafka is not asked.
    const fn only_here(mut self) -> Self {
        self.kafka = Kafka::Skip;
        self
    }
}

#[test]
fn every_row_is_answered_as_stated() {
    let bench = Bench::start();
    let tables: [&[Row]; 5] = [framing::ROWS, records::ROWS, fetches::ROWS, requests::ROWS, configs::ROWS];
    let (mut wrong, mut asked) = (String::new(), 0);
    for row in tables.into_iter().flatten() {
        let expected = match (row.kafka, bench.is_foreign()) {
            (Kafka::Skip, true) => continue,
            (Kafka::Says(says), true) => says,
            _ => row.expected,
        };
        asked += 1;
        let seen = (row.run)(&bench).map_or_else(|error| format!("failed: {error:#}"), |seen| seen.to_string());
        if seen != expected {
            writeln!(wrong, "{}\n    expected {expected}\n    seen     {seen}", row.what).unwrap();
        }
        assert!(bench.is_alive(), "the broker is gone after: {}", row.what);
    }
    assert!(wrong.is_empty(), "of {asked} rows:\n{wrong}");
}
