//! librdkafka as the tests use it: with patience.

use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use crate::node::Node;

/// Longer than any answer takes, shorter than a person waits for a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client of `node` that comes back quickly when the node does.
pub fn config(node: &Node) -> ClientConfig {
    config_of(std::slice::from_ref(node))
}

/// A client of several nodes of one cluster.
pub fn config_of(nodes: &[Node]) -> ClientConfig {
    let addresses: Vec<_> = nodes.iter().map(Node::bootstrap).collect();
    config_at(&addresses.join(","))
}

/// A client of the cluster at these addresses.
pub fn config_at(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "50")
        .set("log_level", "2");
    config
}

/// The next record. What librdkafka reports besides (rebalances, a connection that the node ended) is passed over.
///
/// # Errors
/// No record came within [`PATIENCE`], or the broker refused something.
pub fn next(consumer: &BaseConsumer) -> anyhow::Result<BorrowedMessage<'_>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match consumer.poll(deadline.saturating_duration_since(Instant::now())) {
            Some(Ok(message)) => return Ok(message),
            Some(Err(error)) if !is_connection(&error) => return Err(error.into()),
            Some(Err(_)) | None => {}
        }
    }
    bail!("no record within {PATIENCE:?}; assigned: {:?}", consumer.assignment())
}

fn is_connection(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown))
}
