//! ListPartitionReassignments (key 46, version 0): which partitions are getting other replicas (KIP-455). Only those: tools take what
//! is listed for a move that runs.

use goatq_controller::image::TopicImage;
use goatq_protocol::message::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, ListPartitionReassignmentsTopics,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};

use super::RequestContext;

pub(crate) async fn handle(
    cx: &RequestContext,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = cx.node.image();
    let topics = match request.topics {
        None => image.topics.iter().filter_map(|topic| ongoing(topic, 0..topic.partition_count())).collect(),
        Some(wanted) => {
            let named = |wanted: ListPartitionReassignmentsTopics| {
                ongoing(image.topics.by_name(&wanted.name)?, wanted.partition_indexes)
            };
            wanted.into_iter().filter_map(named).collect()
        }
    };
    ListPartitionReassignmentsResponse { topics, ..ListPartitionReassignmentsResponse::default() }
}

fn ongoing(topic: &TopicImage, partitions: impl IntoIterator<Item = i32>) -> Option<OngoingTopicReassignment> {
    let moving = partitions.into_iter().filter_map(|index| {
        let partition = topic.partition(index).filter(|partition| partition.is_reassigning())?;
        Some(OngoingPartitionReassignment {
            partition_index: index,
            replicas: partition.replicas.clone(),
            adding_replicas: partition.adding_replicas.clone(),
            removing_replicas: partition.removing_replicas.clone(),
        })
    });
    let partitions: Vec<_> = moving.collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment { name: topic.name.clone(), partitions })
}
