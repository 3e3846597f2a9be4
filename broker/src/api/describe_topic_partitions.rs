//! DescribeTopicPartitions (key 75, version 0): partitions page by page, with eligible leader replicas (KIP-966).

use bytestring::ByteString;
use goatq_controller::image::{MetadataImage, PartitionImage, TopicImage};
use goatq_controller::topic_name;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use super::metadata::offline;
use super::partition_error::is_internal;
use super::{RequestContext, authorized};

pub(crate) async fn handle(
    cx: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = cx.node.image();
    let limit = cx.node.config.current().topics.max_request_partitions;
    let wished = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut page = Page { cx, image: &image, left: wished.min(limit).max(1), response: Default::default() };
    let start = request.cursor.unwrap_or(Cursor { topic_name: ByteString::new(), partition_index: 0 });
    if request.topics.is_empty() {
        for topic in image.topics.iter_from(&start.topic_name) {
            if !page.add(&topic.name, Some(topic), start_index(&start, &topic.name)) {
                break;
            }
        }
        return page.response;
    }
    let mut names: Vec<_> = request.topics.into_iter().map(|topic| topic.name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.iter().filter(|name| **name >= start.topic_name) {
        if !page.add(name, image.topics.by_name(name).map(|topic| &**topic), start_index(&start, name)) {
            break;
        }
    }
    page.response
}

fn start_index(start: &Cursor, name: &str) -> i32 {
    if *start.topic_name == *name { start.partition_index.max(0) } else { 0 }
}

struct Page<'a> {
    cx: &'a RequestContext,
    image: &'a MetadataImage,
    left: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    /// Adds a topic from `start` on, as far as there is room. False when the page is full.
    fn add(&mut self, name: &ByteString, topic: Option<&TopicImage>, start: i32) -> bool {
        if self.left == 0 {
            self.response.next_cursor = Some(Cursor { topic_name: name.clone(), partition_index: start });
            return false;
        }
        let Some(topic) = topic else {
            let valid = topic_name::check(name).is_ok();
            let error = if valid { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            self.response.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: error.code(),
                name: Some(name.clone()),
                is_internal: is_internal(name),
                ..DescribeTopicPartitionsResponseTopic::default()
            });
            return true;
        };
        let indexes = (start..topic.partition_count()).take(self.left);
        let partitions: Vec<_> =
            indexes.filter_map(|index| Some(self.partition(index, topic.partition(index)?))).collect();
        self.left -= partitions.len();
        let next = start.saturating_add(i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        self.response.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: is_internal(&topic.name),
            partitions,
            topic_authorized_operations: authorized::on_topic(true),
        });
        if next < topic.partition_count() {
            self.response.next_cursor = Some(Cursor { topic_name: topic.name.clone(), partition_index: next });
            return false;
        }
        true
    }

    fn partition(&self, index: i32, partition: &PartitionImage) -> DescribeTopicPartitionsResponsePartition {
        let listener = &self.cx.connection.listener;
        let leader = self.image.brokers.get(partition.leader).filter(|broker| !broker.fenced);
        let leader = leader.filter(|broker| broker.endpoint(listener).is_some());
        DescribeTopicPartitionsResponsePartition {
            error_code: ErrorCode::None.code(),
            partition_index: index,
            leader_id: leader.map_or(-1, |broker| broker.id),
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            eligible_leader_replicas: Some(partition.elr.clone()),
            last_known_elr: Some(partition.last_known_elr.clone()),
            offline_replicas: offline(self.image, listener, partition),
        }
    }
}
