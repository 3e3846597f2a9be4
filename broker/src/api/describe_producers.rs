//! DescribeProducers (key 61, version 0): the producers that a partition remembers (KIP-664).

use goatq_controller::topic_name;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

use super::RequestContext;
use super::partition_error::find_led;

pub(crate) async fn handle(cx: &RequestContext, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| match producers(cx, &topic.name, *index) {
            Ok(active_producers) => {
                PartitionResponse { partition_index: *index, active_producers, ..PartitionResponse::default() }
            }
            Err(error) => PartitionResponse {
                partition_index: *index,
                error_code: error.code(),
                error_message: Some(error.name().into()),
                active_producers: Vec::new(),
            },
        });
        let partitions = partitions.collect();
        TopicResponse { name: topic.name, partitions }
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

fn producers(cx: &RequestContext, topic: &str, index: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    if topic_name::check(topic).is_err() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = find_led(cx, topic, index, -1)?;
    let states = partition.log().producers().into_iter().map(|producer| ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_txn_start_offset,
    });
    Ok(states.collect())
}
