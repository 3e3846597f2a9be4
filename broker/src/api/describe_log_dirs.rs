//! DescribeLogDirs (key 35, versions 1-5).
//!
//! KIP-113, KIP-827 (bytes of the volume, version 4), KIP-1066 (cordoned directories, version 5).
//! The metadata log is not shown, as with Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use goatq_storage::log::Log;
use goatq_storage::log_dir::{LogDir, parse_partition_dir};

use super::RequestContext;
use crate::directories::Directories;
use crate::partition::PartitionRegistry;

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

/// What a directory has: logs, which may lag behind the high watermark, and copies on their way here, which lag behind their logs.
fn topics(cx: &Described, at: usize, dir: &LogDir) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<ByteString, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    let mut add = |topic: ByteString, index: i32, log: &Log, end: i64, is_future_key: bool| {
        let partition = DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
            offset_lag: end.saturating_sub(log.log_end_offset()).max(0),
            is_future_key,
        };
        topics.entry(topic).or_default().push(partition);
    };
    for log in dir.logs() {
        let Some((topic, index)) = parse_partition_dir(log.name()) else { continue };
        let topic = ByteString::from(topic);
        if cx.wanted.has(&topic, index) {
            let end = cx.partitions.get(&topic, index).map_or(0, |partition| partition.high_watermark());
            add(topic, index, &log, end, false);
        }
    }
    for ((topic, index), copy) in cx.directories.copies().into_iter().filter(|(_, copy)| copy.to == at) {
        if cx.wanted.has(&topic, index) {
            let end = cx.partitions.get(&topic, index).map_or(0, |partition| partition.log_end_offset());
            add(topic, index, &copy.log, end, true);
        }
    }
    topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions }).collect()
}

/// What an answer is made from.
struct Described {
    directories: Arc<Directories>,
    partitions: Arc<PartitionRegistry>,
    wanted: Wanted,
}

fn describe(cx: &Described, at: usize, dir: &LogDir) -> DescribeLogDirsResult {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let space = dir.disk().space(dir.path()).ok();
    let failed = dir.health().is_poisoned();
    DescribeLogDirsResult {
        error_code: if failed { ErrorCode::KafkaStorageError } else { ErrorCode::None }.code(),
        log_dir: dir.path().to_string_lossy().into_owned().into(),
        topics: if failed { Vec::new() } else { topics(cx, at, dir) },
        total_bytes: space.map_or(-1, |space| bytes(space.total)),
        usable_bytes: space.map_or(-1, |space| bytes(space.available)),
        is_cordoned: cx.directories.is_cordoned(dir.path()),
    }
}

/// A directory that could not be opened.
fn offline(path: &Path) -> DescribeLogDirsResult {
    DescribeLogDirsResult {
        error_code: ErrorCode::KafkaStorageError.code(),
        log_dir: path.to_string_lossy().into_owned().into(),
        total_bytes: -1,
        usable_bytes: -1,
        ..DescribeLogDirsResult::default()
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let (directories, partitions) = (cx.node.directories.clone(), cx.node.partitions.clone());
    let described = Described { directories, partitions, wanted: Wanted::new(request.topics) };
    let work = move || {
        let open = described.directories.open().iter().enumerate();
        let open = open.map(|(at, dir)| describe(&described, at, dir));
        open.chain(described.directories.failed().iter().map(|path| offline(path))).collect()
    };
    let results = cx.node.offload.run(work).await;
    DescribeLogDirsResponse { throttle_time_ms: 0, error_code: ErrorCode::None.code(), results }
}
