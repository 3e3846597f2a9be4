//! A fetch session of many partitions costs what those cost that moved, and misses nothing of the others.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use goatq_integration::node::Node;
use goatq_integration::peer::Peer;
use goatq_protocol::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use goatq_protocol::message::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use goatq_protocol::message::delete_topics::DeleteTopicsRequest;
use goatq_protocol::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use goatq_protocol::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

const TOPIC: &str = "wide";
const PARTITIONS: i32 = 300;
const ROUNDS: i32 = 25;
/// The fetches wait for so long; whatever happens ends them much sooner.
const WAIT: i32 = 15_000;

/// A consumer with a session of all partitions, all of them at their begin.
struct Consumer {
    peer: Peer,
    session: (i32, i32),
}

impl Consumer {
    fn open(node: &Node) -> Self {
        let mut consumer = Self { peer: Peer::connect(node.address()).unwrap(), session: (0, 0) };
        let all: Vec<_> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        consumer.send(&all, 0);
        assert_eq!(consumer.receive().len(), all.len(), "a full answer");
        consumer
    }

    fn send(&mut self, moved: &[(i32, i64)], max_wait_ms: i32) {
        let partitions = moved.iter().map(|(partition, fetch_offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        });
        let topics =
            vec![FetchTopic { topic: TOPIC.into(), partitions: partitions.collect(), ..FetchTopic::default() }];
        let request = FetchRequest {
            max_wait_ms,
            min_bytes: 1,
            max_bytes: 50 << 20,
            session_id: self.session.0,
            session_epoch: self.session.1,
            topics: if moved.is_empty() { Vec::new() } else { topics },
            ..FetchRequest::default()
        };
        self.peer.send(7, &request, 12).unwrap();
    }

    fn receive(&mut self) -> Vec<PartitionData> {
        let answer: FetchResponse = self.peer.answer(7, 12).unwrap().unwrap();
        assert_eq!(answer.error_code, 0);
        assert_ne!(answer.session_id, 0);
        self.session = (answer.session_id, self.session.1 + 1);
        answer.responses.into_iter().flat_map(|topic| topic.partitions).collect()
    }
}

fn create(peer: &mut Peer) {
    let topic = CreatableTopic {
        name: TOPIC.into(),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: WAIT, ..CreateTopicsRequest::default() };
    let answer = peer.ask(&request, 5).unwrap().unwrap();
    assert_eq!(answer.topics[0].error_code, 0);
}

fn produce(peer: &mut Peer, partition: i32) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp: 1_000, key: None, value: Some(b"some"), headers: &[] }).unwrap();
    let records: Bytes = builder.build().unwrap();
    let data = PartitionProduceData { index: partition, records: Some(records.into()) };
    let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..TopicProduceData::default() };
    let request = ProduceRequest { acks: -1, timeout_ms: WAIT, topic_data: vec![topic], ..ProduceRequest::default() };
    let answer = peer.ask(&request, 9).unwrap().unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

fn looks(node: &Node) -> u64 {
    let metrics = node.get("/metrics").unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("goatq_fetch_partition_looks_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_session_of_many_partitions() {
    let node = Node::start(&[]).unwrap();
    let mut other = Peer::connect(node.address()).unwrap();
    create(&mut other);
    let mut consumer = Consumer::open(&node);
    let begun = Instant::now();

    // One partition after the other gets a record, some while the fetch waits, some before it comes.
    let before = looks(&node);
    let mut moved: Vec<(i32, i64)> = Vec::new();
    for round in 0..ROUNDS {
        let partition = round * 11;
        if round % 2 == 0 {
            consumer.send(&moved, WAIT);
            std::thread::sleep(Duration::from_millis(5));
            produce(&mut other, partition);
        } else {
            produce(&mut other, partition);
            consumer.send(&moved, WAIT);
        }
        let told = consumer.receive();
        assert_eq!(told.len(), 1, "round {round}: {told:?}");
        assert_eq!((told[0].partition_index, told[0].high_watermark), (partition, 1));
        assert!(told[0].records.as_ref().is_some_and(|records| !records.is_empty()));
        moved = vec![(partition, 1)];
    }
    let looked = looks(&node) - before;
    assert!(looked <= 5 * ROUNDS as u64, "{looked} looks at {PARTITIONS} partitions for {ROUNDS} records");

    // The start of one that is quiet moves: told with the next answer.
    let partition = DeleteRecordsPartition { partition_index: 22, offset: 1 };
    let topic = DeleteRecordsTopic { name: TOPIC.into(), partitions: vec![partition] };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: WAIT };
    assert_eq!(other.ask(&request, 2).unwrap().unwrap().topics[0].partitions[0].error_code, 0);
    consumer.send(&moved, 0);
    let told = consumer.receive();
    assert_eq!(told.iter().map(|told| (told.partition_index, told.log_start_offset)).collect::<Vec<_>>(), [(22, 1)]);

    // All are deleted while the fetch waits: it hears of it at once.
    consumer.send(&[], WAIT);
    std::thread::sleep(Duration::from_millis(50));
    let request =
        DeleteTopicsRequest { topic_names: vec![TOPIC.into()], timeout_ms: WAIT, ..DeleteTopicsRequest::default() };
    assert_eq!(other.ask(&request, 5).unwrap().unwrap().responses[0].error_code, 0);
    assert!(consumer.receive().iter().any(|told| told.error_code != 0));
    assert!(begun.elapsed() < Duration::from_millis(WAIT as u64), "no fetch waited for its time to be over");
}
