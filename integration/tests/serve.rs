//! One real node and librdkafka: what was written is there after a restart, groups remember, HTTP tells, misuse is refused.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::node::{Node, binary};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Writes `values` with `codec` and waits for every acknowledgement.
fn produce(node: &Node, topic: &str, codec: &str, values: &[String]) {
    let mut config = client::config(node);
    config.set("compression.type", codec).set("enable.idempotence", "true").set("linger.ms", "5");
    let producer: BaseProducer = config.create().unwrap();
    for value in values {
        producer.send(BaseRecord::to(topic).key("key").payload(value)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

fn member(node: &Node, group: &str, topic: &str) -> BaseConsumer {
    let mut config = client::config(node);
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

fn read(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    let message = |_| client::next(consumer).unwrap();
    (0..count).map(message).map(|m| String::from_utf8(m.payload().unwrap().to_vec()).unwrap()).collect()
}

fn values(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("value {n} {}", "abc".repeat(n % 50))).collect()
}

fn http(node: &Node, path: &str) -> String {
    node.get(path).unwrap()
}

#[test]
fn every_codec_survives_a_restart() {
    let mut node = Node::start(&[]).unwrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        produce(&node, codec, codec, &values(0, 300));
    }
    let status = node.terminate().unwrap();
    assert!(status.success(), "SIGTERM ends a node well: {status}");
    node.restart().unwrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        assert_eq!(read(&member(&node, "after", codec), 300), values(0, 300), "{codec}");
    }
}

#[test]
fn a_group_goes_on_where_it_committed_after_a_crash() {
    let mut node = Node::start(&["group.initial.rebalance.delay.ms=0"]).unwrap();
    produce(&node, "work", "none", &values(0, 100));
    let consumer = member(&node, "workers", "work");
    assert_eq!(read(&consumer, 60), values(0, 60));
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    drop(consumer);
    node.kill().unwrap();
    node.restart().unwrap();
    assert_eq!(read(&member(&node, "workers", "work"), 40), values(60, 100));
}

/// Families that dashboards and alerts made for Kafka, Strimzi, kafka_exporter, kafka-lag-exporter and Redpanda ask for.
const FAMILIES: &[&str] = &[
    "kafka_brokers",
    "kafka_cluster_partition_atminisr",
    "kafka_cluster_partition_replicascount",
    "kafka_cluster_partition_underminisr",
    "kafka_consumergroup_current_offset",
    "kafka_consumergroup_group_lag",
    "kafka_consumergroup_group_lag_seconds",
    "kafka_consumergroup_group_max_lag_seconds",
    "kafka_consumergroup_group_max_lag",
    "kafka_consumergroup_group_sum_lag",
    "kafka_consumergroup_lag",
    "kafka_consumergroup_lag_sum",
    "kafka_consumergroup_members",
    "kafka_controller_controllerstats_uncleanleaderelections",
    "kafka_controller_kafkacontroller_activecontrollercount",
    "kafka_controller_kafkacontroller_fencedbrokercount",
    "kafka_controller_kafkacontroller_globalpartitioncount",
    "kafka_controller_kafkacontroller_globaltopiccount",
    "kafka_controller_kafkacontroller_offlinepartitionscount",
    "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
    "kafka_log_log_logendoffset",
    "kafka_log_log_logstartoffset",
    "kafka_log_log_numlogsegments",
    "kafka_log_log_size",
    "kafka_log_logflushstats_logflushrateandtimems_count",
    "kafka_log_logcleanermanager_uncleanable_partitions_count",
    "kafka_log_logmanager_offlinelogdirectorycount",
    "kafka_network_requestchannel_requestqueuesize",
    "kafka_network_requestmetrics_errors",
    "kafka_network_requestmetrics_localtimems",
    "kafka_network_requestmetrics_remotetimems",
    "kafka_network_requestmetrics_requests",
    "kafka_network_requestmetrics_totaltimems",
    "kafka_network_requestmetrics_totaltimems_count",
    "kafka_network_socketserver_networkprocessoravgidle_percent",
    "kafka_partition_earliest_offset",
    "kafka_partition_latest_offset",
    "kafka_server_brokertopicmetrics_bytesin",
    "kafka_server_brokertopicmetrics_bytesout",
    "kafka_server_brokertopicmetrics_bytesrejected",
    "kafka_server_brokertopicmetrics_failedfetchrequests",
    "kafka_server_brokertopicmetrics_failedproducerequests",
    "kafka_server_brokertopicmetrics_invalidmagicnumberrecords",
    "kafka_server_brokertopicmetrics_invalidmessagecrcrecords",
    "kafka_server_brokertopicmetrics_invalidoffsetorsequencerecords",
    "kafka_server_brokertopicmetrics_replicationbytesin",
    "kafka_server_brokertopicmetrics_totalfetchrequests",
    "kafka_server_brokertopicmetrics_totalproducerequests",
    "kafka_server_delayedoperationpurgatory_purgatorysize",
    "kafka_server_groupmetadatamanager_numgroups",
    "kafka_server_groupmetadatamanager_numoffsets",
    "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
    "kafka_server_raftmetrics_current_epoch",
    "kafka_server_raftmetrics_current_leader",
    "kafka_server_raftmetrics_current_state",
    "kafka_server_raftmetrics_high_watermark",
    "kafka_server_raftmetrics_log_end_offset",
    "kafka_server_replicafetchermanager_maxlag",
    "kafka_server_replicamanager_atminisrpartitioncount",
    "kafka_server_replicamanager_isrexpands",
    "kafka_server_replicamanager_isrshrinks",
    "kafka_server_replicamanager_leadercount",
    "kafka_server_replicamanager_offlinereplicacount",
    "kafka_server_replicamanager_partitioncount",
    "kafka_server_replicamanager_underminisrpartitioncount",
    "kafka_server_replicamanager_underreplicatedpartitions",
    "kafka_server_socket_server_metrics_connection_count",
    "kafka_topic_partition_current_offset",
    "kafka_topic_partition_in_sync_replica",
    "kafka_topic_partition_leader",
    "kafka_topic_partition_leader_is_preferred",
    "kafka_topic_partition_oldest_offset",
    "kafka_topic_partition_replicas",
    "kafka_topic_partition_under_replicated_partition",
    "kafka_topic_partitions",
    "redpanda_cluster_unavailable_partitions",
    "redpanda_kafka_consumer_group_lag_max",
    "redpanda_kafka_consumer_group_lag_sum",
    "redpanda_kafka_under_replicated_replicas",
];

#[test]
fn http_tells_health_and_what_clients_did() {
    let node = Node::start(&["group.initial.rebalance.delay.ms=0"]).unwrap();
    produce(&node, "counted", "none", &values(0, 100));
    let consumer = member(&node, "counters", "counted");
    assert_eq!(read(&consumer, 10).len(), 10);
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    assert!(http(&node, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(http(&node, "/readyz").starts_with("HTTP/1.1 200"));
    let metrics = http(&node, "/metrics");
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"counted\"} 100",
        "kafka_consumergroup_lag{consumergroup=\"counters\",topic=\"counted\",partition=\"0\"} 90",
        "kafka_consumergroup_group_sum_lag{group=\"counters\"} 90",
        "kafka_topic_partition_current_offset{topic=\"counted\",partition=\"0\"} 100",
        "kafka_server_groupmetadatamanager_numgroups 1",
        "kafka_controller_kafkacontroller_activecontrollercount 1",
        "kafka_controller_kafkacontroller_offlinepartitionscount 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in:\n{metrics}");
    }
    let told: BTreeSet<_> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<_> = FAMILIES.iter().filter(|family| !told.contains(**family)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in:\n{metrics}");
    // From the second watermark that was seen on, lag is known in seconds, too.
    produce(&node, "counted", "none", &values(100, 120));
    let metrics = http(&node, "/metrics");
    let series = "kafka_consumergroup_group_lag_seconds{group=\"counters\",topic=\"counted\",partition=\"0\"} ";
    let seconds = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap();
    assert!(seconds.parse::<f64>().unwrap() > 0.0, "{seconds}");
}

/// Fetch v4 of partition 0 of topic `t` from offset 1, which waits half a minute for a megabyte.
fn long_poll() -> Vec<u8> {
    let mut body = vec![0, 1, 0, 4, 0, 0, 0, 7, 0xff, 0xff];
    for field in [-1, 30_000, 1 << 20, 1 << 20] {
        body.extend(i32::to_be_bytes(field));
    }
    body.push(0);
    body.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    body.extend(1_i64.to_be_bytes());
    body.extend((1_i32 << 20).to_be_bytes());
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    [size.to_vec(), body].concat()
}

#[test]
fn a_node_stops_well_though_connections_wait() {
    let mut node = Node::start(&[]).unwrap();
    produce(&node, "t", "none", &values(0, 1));
    let idle = TcpStream::connect(node.bootstrap()).unwrap();
    let mut half_a_frame = TcpStream::connect(node.bootstrap()).unwrap();
    half_a_frame.write_all(&[0, 0, 1, 0, 0, 3]).unwrap();
    let mut half_a_line = TcpStream::connect(node.http()).unwrap();
    half_a_line.write_all(b"GET /met").unwrap();
    let mut polling = TcpStream::connect(node.bootstrap()).unwrap();
    polling.write_all(&long_poll()).unwrap();
    let waits = "kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"} 1";
    let deadline = std::time::Instant::now() + PATIENCE;
    while !node.get("/metrics").unwrap().contains(waits) {
        assert!(std::time::Instant::now() < deadline, "the fetch does not wait");
    }
    let status = node.terminate().unwrap();
    assert!(status.success(), "SIGTERM ends a node well: {status}");
    let mut answer = Vec::new();
    polling.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.get(4..8), Some(&[0, 0, 0, 7][..]), "who waited was answered: {answer:?}");
    drop((idle, half_a_frame, half_a_line));
}

#[test]
fn two_members_share_the_partitions() {
    let node = Node::start(&["num.partitions=4", "group.initial.rebalance.delay.ms=0"]).unwrap();
    produce(&node, "shared", "none", &values(0, 1));
    let members = [member(&node, "pair", "shared"), member(&node, "pair", "shared")];
    let owned = |member: &BaseConsumer| -> BTreeSet<i32> {
        member.poll(Duration::from_millis(50));
        member.assignment().unwrap().elements().iter().map(|element| element.partition()).collect()
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let (first, second) = (owned(&members[0]), owned(&members[1]));
        if first.len() == 2 && second.len() == 2 {
            assert!(first.is_disjoint(&second));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "members own {first:?} and {second:?}");
    }
}

#[test]
fn a_second_node_on_the_same_data_is_refused_with_a_reason() {
    let node = Node::start(&[]).unwrap();
    let second = Command::new(binary().unwrap())
        .args(["serve", "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listener=127.0.0.1:0"])
        .args(["--set", &format!("log.dirs={}", node.data().display())])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let told = String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
    assert!(told.contains(&node.data().display().to_string()), "the message names the directory: {told}");
}

#[test]
fn an_unknown_config_is_refused_by_name() {
    let output = Command::new(binary().unwrap()).args(["serve", "--set", "log.retention.hour=1"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(told.contains("log.retention.hour") && told.contains("log.retention.hours"), "{told}");
}
