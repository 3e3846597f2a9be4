//! DescribeLogDirs (key 35, versions 1-5).
//!
//! KIP-113, KIP-827 (bytes of the volume, version 4), KIP-1066 (cordoned directories, version 5: there are none here).
//! The metadata log is not shown, as with Kafka.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use goatq_storage::log_dir::{LogDir, parse_partition_dir};

use super::RequestContext;

/// The partitions that are asked for; None means all.
struct Wanted(Option<BTreeSet<(ByteString, i32)>>);

impl Wanted {
    fn new(topics: Option<Vec<DescribableLogDirTopic>>) -> Self {
        let partitions = |topic: DescribableLogDirTopic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |index| (name.clone(), index))
        };
        Self(topics.map(|topics| topics.into_iter().flat_map(partitions).collect()))
    }

    fn has(&self, topic: &ByteString, index: i32) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted.contains(&(topic.clone(), index)))
    }
}

fn topics(dir: &LogDir, wanted: &Wanted) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<ByteString, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in dir.logs() {
        let Some((topic, index)) = parse_partition_dir(log.name()) else { continue };
        let topic = ByteString::from(topic);
        if wanted.has(&topic, index) {
            let partition = DescribeLogDirsPartition {
                partition_index: index,
                partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
                // A leader lags behind nobody, and no replica is being moved to another directory.
                offset_lag: 0,
                is_future_key: false,
            };
            topics.entry(topic).or_default().push(partition);
        }
    }
    topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions }).collect()
}

fn describe(dir: &LogDir, wanted: &Wanted) -> DescribeLogDirsResult {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let space = dir.disk().space(dir.path()).ok();
    let failed = dir.health().is_poisoned();
    DescribeLogDirsResult {
        error_code: if failed { ErrorCode::KafkaStorageError } else { ErrorCode::None }.code(),
        log_dir: dir.path().to_string_lossy().into_owned().into(),
        topics: if failed { Vec::new() } else { topics(dir, wanted) },
        total_bytes: space.map_or(-1, |space| bytes(space.total)),
        usable_bytes: space.map_or(-1, |space| bytes(space.available)),
        is_cordoned: false,
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let (wanted, dirs) = (Wanted::new(request.topics), cx.node.dirs.clone());
    let work = move || dirs.iter().map(|dir| describe(dir, &wanted)).collect();
    let results = cx.node.offload.run(work).await;
    DescribeLogDirsResponse { throttle_time_ms: 0, error_code: ErrorCode::None.code(), results }
}
