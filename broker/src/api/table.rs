//! The table of APIs: which keys and versions this broker serves, and by which handler.

use bytes::Bytes;
use futures_util::FutureExt;
use goatq_protocol::ApiKey;
use goatq_protocol::wire::{VersionRange, Versioned};

use super::{RequestContext, Stage, Stopwatch};
use crate::net::{CloseReason, Outcome, Started};

/// One API.
pub(crate) struct Api {
    /// Its key.
    pub(crate) key: ApiKey,
    /// Versions that are served.
    pub(crate) versions: VersionRange,
    /// Requests may be started while earlier ones are unanswered.
    pub(crate) pipelined: bool,
    /// Decodes a body and starts to answer it.
    pub(crate) handle: fn(RequestContext, Bytes) -> Started,
}

/// What Kafka's tools ask a controller (`--bootstrap-controller`).
const ON_CONTROLLERS: [ApiKey; 13] = [
    ApiKey::ApiVersions,
    ApiKey::DescribeConfigs,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::UnregisterBroker,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
    ApiKey::UnregisterController,
];

impl Api {
    /// Whether it is also served on listeners of controllers.
    pub(crate) fn is_on_controllers(&self) -> bool {
        ON_CONTROLLERS.contains(&self.key)
    }

    /// Versions that ApiVersions tells. Produce is told from 0 on though 0 to 2 are gone: librdkafka before 2.8 takes any
    /// other answer for a broker of before 0.8 and gives up (KAFKA-18659).
    pub(crate) fn advertised(&self) -> VersionRange {
        let min = if self.key == ApiKey::Produce { 0 } else { self.versions.min };
        VersionRange::new(min, self.versions.max)
    }
}

/// Decodes a body; a body that cannot be decoded ends the connection.
fn decode<M: Versioned>(body: Bytes, version: i16) -> Result<M, Outcome> {
    M::from_bytes(body, version).map_err(|error| Outcome::Close(CloseReason::InvalidRequest(error.to_string())))
}

/// Makes the table from handler files. A file exports `handle(&RequestContext, XRequest) -> XResponse`; where the line says
/// `whole`, `handle` makes the [`Outcome`] itself, because there may be memory to account for; where it says `staged`, the file
/// exports `start(RequestContext, XRequest) -> Stage`, whose future is only made when there is something to wait for.
macro_rules! apis {
    (@reply plain $cx:ident, $response:expr) => { $cx.reply(&$response) };
    (@reply whole $cx:ident, $response:expr) => { $response };
    (@handle $key:ident $module:ident staged) => {
        |cx, body| {
            let watch = Stopwatch::start(&cx, ApiKey::$key);
            let stage = match decode(body, cx.api_version) {
                Ok(request) => super::$module::start(cx, request),
                Err(close) => return Started::Done(close),
            };
            match stage {
                Stage::Answered(outcome) => {
                    watch.answered();
                    Started::Done(outcome)
                }
                Stage::Waiting(rest) => Started::Running(watch.waiting(rest).boxed()),
            }
        }
    };
    (@handle $key:ident $module:ident $kind:ident) => {
        |cx, body| {
            let watch = Stopwatch::start(&cx, ApiKey::$key);
            let answer = async move {
                let request = match decode(body, cx.api_version) {
                    Ok(request) => request,
                    Err(close) => return close,
                };
                apis!(@reply $kind cx, super::$module::handle(&cx, request).await)
            };
            Started::Running(watch.run(answer).boxed())
        }
    };
    ($($key:ident => $module:ident $kind:ident $(, pipelined = $pipelined:literal)?;)*) => {
        static APIS: &[Api] = &[$(Api {
            key: ApiKey::$key,
            versions: ApiKey::$key.stable_versions(),
            pipelined: false $(|| $pipelined)?,
            handle: apis!(@handle $key $module $kind),
        },)*];
    };
}

apis! {
    Produce => produce staged, pipelined = true;
    Fetch => fetch whole;
    ListOffsets => list_offsets plain;
    Metadata => metadata plain;
    OffsetCommit => offset_commit plain;
    OffsetFetch => offset_fetch plain;
    FindCoordinator => find_coordinator plain;
    JoinGroup => join_group plain;
    Heartbeat => heartbeat plain;
    LeaveGroup => leave_group plain;
    SyncGroup => sync_group plain;
    DescribeGroups => describe_groups plain;
    ListGroups => list_groups plain;
    ApiVersions => api_versions plain;
    CreateTopics => create_topics plain;
    DeleteTopics => delete_topics plain;
    DeleteRecords => delete_records plain;
    InitProducerId => init_producer_id plain;
    OffsetForLeaderEpoch => offset_for_leader_epoch plain;
    DescribeConfigs => describe_configs plain;
    AlterConfigs => alter_configs plain;
    AlterReplicaLogDirs => alter_replica_log_dirs plain;
    DescribeLogDirs => describe_log_dirs plain;
    CreatePartitions => create_partitions plain;
    DeleteGroups => delete_groups plain;
    ElectLeaders => elect_leaders plain;
    IncrementalAlterConfigs => incremental_alter_configs plain;
    AlterPartitionReassignments => alter_partition_reassignments plain;
    ListPartitionReassignments => list_partition_reassignments plain;
    OffsetDelete => offset_delete plain;
    DescribeQuorum => describe_quorum plain;
    UpdateFeatures => update_features plain;
    DescribeCluster => describe_cluster plain;
    DescribeProducers => describe_producers plain;
    UnregisterBroker => unregister_broker plain;
    ListConfigResources => list_config_resources plain;
    DescribeTopicPartitions => describe_topic_partitions plain;
    AddRaftVoter => add_raft_voter plain;
    RemoveRaftVoter => remove_raft_voter plain;
    UnregisterController => unregister_controller plain;
}

/// All APIs in order of their keys.
pub(crate) fn all() -> &'static [Api] {
    APIS
}

/// The API with this key, if it is served.
pub(crate) fn find(key: i16) -> Option<&'static Api> {
    let at = APIS.binary_search_by_key(&key, |api| api.key.code()).ok()?;
    APIS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_and_belong_to_brokers() {
        assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
        assert!(APIS.iter().all(|api| api.key.scope().on_broker()));
        assert!(APIS.iter().all(|api| !api.is_on_controllers() || api.key.scope().on_controller()));
        assert!(APIS.iter().all(|api| api.pipelined == (api.key == ApiKey::Produce)));
    }
}
