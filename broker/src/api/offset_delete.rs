//! OffsetDelete (47), version 0: deleting offsets of a group that does not use them (KIP-496).

use goatq_protocol::ErrorCode;
use goatq_protocol::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::RequestContext;
use super::group_error::{code, error_code};

pub(crate) async fn handle(cx: &RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = cx.node.image();
    let exists = |topic: &OffsetDeleteRequestTopic, index: i32| {
        image.topics.by_name(&topic.name).is_some_and(|known| known.partition(index).is_some())
    };
    let to_delete = request.topics.iter().map(|topic| {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        (topic.name.clone(), indexes.filter(|index| exists(topic, *index)).collect())
    });
    let outcomes = match cx.node.groups.delete_offsets(request.group_id, to_delete.collect()).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            return OffsetDeleteResponse { error_code: error_code(error).code(), ..OffsetDeleteResponse::default() };
        }
    };
    let rows = request.topics.iter().zip(outcomes).map(|(topic, (_, outcomes))| {
        let mut outcomes = outcomes.into_iter();
        let partitions = topic.partitions.iter().map(|partition| {
            let partition_index = partition.partition_index;
            let error_code = match exists(topic, partition_index) {
                true => code(outcomes.next().and_then(|(_, error)| error)),
                false => ErrorCode::UnknownTopicOrPartition.code(),
            };
            OffsetDeleteResponsePartition { partition_index, error_code }
        });
        OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    OffsetDeleteResponse { topics: rows.collect(), ..OffsetDeleteResponse::default() }
}
