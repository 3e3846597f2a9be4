//! Consumers read in their own rack (KIP-392).

use goatq_integration::client;
use goatq_integration::cluster::{create_topic, until};
use goatq_integration::ledger::Ledger;
use goatq_integration::node::Node;
use goatq_integration::workload::{Writer, read_all};
use goatq_protocol::ErrorCode;

use crate::support::{PARTITIONS, TOPIC, cluster, finish, in_sync, metric};

/// Brokers with a rack each, and leaders that look at where consumers are.
pub(crate) const RACKS: [&str; 2] =
    ["broker.rack=rack-{id}", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"];

fn sent(node: &Node) -> u64 {
    metric(node, &format!("kafka_server_brokertopicmetrics_bytesout_total{{topic=\"{TOPIC}\"}}"))
}

#[test]
fn consumers_read_from_the_replica_in_their_rack() {
    let cluster = cluster(&RACKS);
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    writer.until_more(3_000).unwrap();
    let before: Vec<_> = cluster.nodes.iter().map(sent).collect();
    let mut config = client::config_of(&cluster.nodes);
    config.set("client.rack", "rack-2");
    let mut ledger = Ledger::default();
    let records = read_all(&config, TOPIC, PARTITIONS).unwrap();
    assert!(records.len() >= 3_000);
    ledger.read_all(records).unwrap();
    let after: Vec<_> = cluster.nodes.iter().map(sent).collect();
    let read: Vec<_> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert!(read[1] > 0 && read[0] == 0 && read[2] == 0, "bytes read from each broker: {read:?}");
    // A rack without replica is served by leaders.
    config.set("client.rack", "rack-9");
    assert!(read_all(&config, TOPIC, PARTITIONS).unwrap().len() >= 3_000);
    assert!(sent(&cluster.nodes[0]) > after[0] || sent(&cluster.nodes[2]) > after[2]);
    let factor_one = until("another topic", || {
        let (code, _) = create_topic(&cluster.nodes[0], "single", 3, 1)?;
        Ok((code == 0 || code == ErrorCode::TopicAlreadyExists.code()).then_some(()))
    });
    factor_one.unwrap();
    in_sync(&cluster.nodes, 3);
    finish(cluster, writer);
}
