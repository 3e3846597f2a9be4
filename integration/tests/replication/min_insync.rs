//! Too few replicas in sync: what producers are told, and what readers are shown.

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::cluster::{ask, until};
use goatq_integration::node::Node;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::ProduceRequest;
use goatq_protocol::message::produce::{PartitionProduceData, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::{TOPIC, cluster, in_sync, leader, replicas_are_equal};

/// One record with these acknowledgements, sent to the leader: the code of the answer.
fn produce(node: &Node, acks: i16) -> anyhow::Result<ErrorCode> {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.push(NewRecord { timestamp: 1_700_000_000_000, value: Some(b"0 x"), ..NewRecord::default() })?;
    let data = PartitionProduceData { index: 0, records: Some(batch.build()?.into()) };
    let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..TopicProduceData::default() };
    let request = ProduceRequest { acks, timeout_ms: 1_000, topic_data: vec![topic], ..ProduceRequest::default() };
    let response = ask(node, &request, 9)?;
    let code = response.responses[0].partition_responses[0].error_code;
    ErrorCode::from_code(code).ok_or_else(|| anyhow::anyhow!("code {code}"))
}

/// Waits until one record is answered so.
fn until_answered(node: &Node, acks: i16, wanted: ErrorCode) {
    until("a record is answered as wanted", || Ok((produce(node, acks)? == wanted).then_some(()))).unwrap();
}

#[test]
fn what_too_few_replicas_have_is_not_committed() {
    let mut cluster = cluster(&["min.insync.replicas=3"]);
    let led = leader(&cluster.nodes[0], 0);
    until_answered(cluster.node(led), -1, ErrorCode::None);
    let config = client::config_of(&cluster.nodes);
    let consumer: BaseConsumer = config.create().unwrap();
    let committed = || consumer.fetch_watermarks(TOPIC, 0, PATIENCE).unwrap().1;
    let before = committed();
    let victim = if led == 1 { 2 } else { 1 };
    cluster.node(victim).kill().unwrap();
    in_sync(&cluster.nodes, 2);
    let led = leader(cluster.any().unwrap(), 0);
    until_answered(cluster.node(led), -1, ErrorCode::NotEnoughReplicas);
    // The leader alone takes it, but nobody is shown what is not committed.
    until_answered(cluster.node(led), 1, ErrorCode::None);
    assert_eq!(committed(), before);
    cluster.node(victim).restart().unwrap();
    in_sync(&cluster.nodes, 3);
    until_answered(cluster.node(led), -1, ErrorCode::None);
    assert!(committed() >= before + 2);
    drop(consumer);
    replicas_are_equal(&mut cluster);
}
