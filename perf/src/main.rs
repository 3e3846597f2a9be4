//! `goatq-perf`: load generation and measurement against any Kafka broker.

fn main() {}
