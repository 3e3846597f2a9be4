//! The APIs: one file each in `api/`, found through one table.

pub(crate) mod add_raft_voter;
pub(crate) mod alter_configs;
pub(crate) mod alter_partition_reassignments;
pub(crate) mod alter_replica_log_dirs;
pub(crate) mod api_versions;
mod authorized;
mod config_resource;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod elect_leaders;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
mod group_error;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_partition_reassignments;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
mod partition_error;
pub(crate) mod produce;
pub(crate) mod remove_raft_voter;
mod submit;
pub(crate) mod sync_group;
pub(crate) mod table;
pub(crate) mod unregister_broker;
pub(crate) mod unregister_controller;
pub(crate) mod update_features;
mod voter_error;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::ApiKey;
use goatq_protocol::frame::encode_response_parts;
use goatq_protocol::header::{HeaderError, RequestHeader};
use goatq_protocol::wire::{EncodeError, Part, Response};
use goatq_storage::log::FileRange;

use crate::net::budget::Charge;
use crate::net::{Chunk, CloseReason, ConnectionInfo, Outcome, Reply, Service, Started};
use crate::node::Node;

/// What a handler knows about the request it answers.
///
/// Handlers are `pub(crate) async fn handle(cx: &RequestContext, request: XRequest) -> XResponse` in `api/<name>.rs`;
/// they run on the thread of the connection and must not block it.
pub struct RequestContext {
    /// The node that answers.
    pub node: Arc<Node>,
    /// The connection the request came on.
    pub connection: Arc<ConnectionInfo>,
    /// Version of the request, within the range the table gives for its key.
    pub api_version: i16,
    /// Correlation id the client chose.
    pub correlation_id: i32,
    /// What the client calls itself; any text up to 32 KB, so never a metric label as it is.
    pub client_id: Option<ByteString>,
}

impl RequestContext {
    /// Whether the request came in on a listener of controllers.
    fn on_controller(&self) -> bool {
        self.node.config.current().quorum.listener_names.contains(&self.connection.listener)
    }

    /// The reply that carries `response`.
    fn reply<R: Response>(&self, response: &R) -> Outcome {
        self.reply_with_files(response, Vec::new(), None)
    }

    /// The reply that carries `response`, of which what is elsewhere is in these files, in order, and what it holds of the
    /// response budget.
    fn reply_with_files<R: Response>(&self, response: &R, files: Vec<FileRange>, charge: Option<Charge>) -> Outcome {
        let mut files = files.into_iter();
        let chunk = |part| match part {
            Part::Bytes(bytes) => Ok(Chunk::Memory(bytes)),
            Part::Elsewhere(len) => {
                let file = files.next().filter(|file| file.len() == len as u64);
                file.map(Chunk::File).ok_or(EncodeError::Elsewhere(len))
            }
        };
        let parts = encode_response_parts(self.correlation_id, response, self.api_version);
        match parts.and_then(|parts| parts.into_iter().map(chunk).collect()) {
            Ok(chunks) => Outcome::Reply(Reply { chunks, charge }),
            Err(error) => Outcome::Close(CloseReason::Encode(format!("{}: {error}", R::KEY))),
        }
    }
}

/// Answers the frames of all connections of a node: `listeners.serve(config, workers, Arc::new(Dispatcher::new(node)), ..)`.
pub struct Dispatcher {
    node: Arc<Node>,
    /// Whether it answers on listeners of controllers, where only some APIs are served.
    of_controller: bool,
}

impl Dispatcher {
    /// Answers for `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, of_controller: false }
    }

    /// Answers for `node` on its listeners of controllers.
    pub fn of_controller(node: Arc<Node>) -> Self {
        Self { node, of_controller: true }
    }

    fn start(&self, connection: &Arc<ConnectionInfo>, frame: Bytes) -> Result<Started, CloseReason> {
        let (header, body) = RequestHeader::decode(frame).map_err(|error| match error {
            HeaderError::UnknownApiKey(key) => CloseReason::UnknownApi(key),
            HeaderError::Malformed(error) => CloseReason::InvalidRequest(error.to_string()),
        })?;
        let RequestHeader { api_key, api_version, correlation_id, client_id } = header;
        let api = table::find(api_key.code()).filter(|api| !self.of_controller || api.is_on_controllers());
        let api = api.ok_or(CloseReason::UnknownApi(api_key.code()))?;
        let (node, connection) = (Arc::clone(&self.node), Arc::clone(connection));
        let mut cx = RequestContext { node, connection, api_version, correlation_id, client_id };
        if api.versions.contains(api_version) {
            return Ok((api.handle)(cx, body));
        }
        if api_key == ApiKey::ApiVersions {
            // Whoever asks cannot know yet which versions there are: he is told in the oldest one (KIP-511).
            cx.api_version = 0;
            return Ok(Started::Done(cx.reply(&api_versions::unsupported())));
        }
        Err(CloseReason::UnsupportedVersion { key: api_key.code(), version: api_version })
    }
}

impl Service for Dispatcher {
    fn is_pipelined(&self, frame: &[u8]) -> bool {
        let key = frame.first_chunk().map(|key| i16::from_be_bytes(*key));
        key.and_then(table::find).is_some_and(|api| api.pipelined)
    }

    fn call(&self, connection: &Arc<ConnectionInfo>, frame: Bytes) -> Started {
        self.start(connection, frame).unwrap_or_else(|reason| Started::Done(Outcome::Close(reason)))
    }
}

/// How far a handler in two stages came with the first.
pub(crate) enum Stage<F> {
    /// To the end.
    Answered(Outcome),
    /// To where it has to wait.
    Waiting(F),
}

/// Counts what a request took: until it first waits that is work, from then on it is waiting.
struct Stopwatch {
    node: Arc<Node>,
    key: ApiKey,
    version: i16,
    begun: Duration,
}

impl Stopwatch {
    fn start(cx: &RequestContext, key: ApiKey) -> Self {
        Self { node: Arc::clone(&cx.node), key, version: cx.api_version, begun: cx.node.clock.monotonic() }
    }

    fn worked(&self) -> Duration {
        self.node.clock.monotonic().saturating_sub(self.begun)
    }

    /// The request was answered without waiting.
    fn answered(&self) {
        self.node.metrics.requests.answered(self.key, self.version, self.worked(), Duration::ZERO);
    }

    /// The request has worked until now; `rest` is waiting.
    async fn waiting(self, rest: impl Future<Output = Outcome>) -> Outcome {
        let worked = self.worked();
        let outcome = rest.await;
        let waited = self.worked().saturating_sub(worked);
        self.node.metrics.requests.answered(self.key, self.version, worked, waited);
        outcome
    }

    /// Runs a handler whose work is its first poll.
    async fn run(self, answer: impl Future<Output = Outcome>) -> Outcome {
        let mut answer = pin!(answer);
        let mut worked = None;
        let outcome = poll_fn(|cx| {
            let poll = answer.as_mut().poll(cx);
            if worked.is_none() && poll.is_pending() {
                worked = Some(self.worked());
            }
            poll
        })
        .await;
        let total = self.worked();
        let worked = worked.unwrap_or(total);
        self.node.metrics.requests.answered(self.key, self.version, worked, total.saturating_sub(worked));
        outcome
    }
}
