//! A broker in memory with just as much of Kafka's protocol as the load generator speaks: one thread per connection.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use goatq_protocol::header::RequestHeader;
use goatq_protocol::message::api_versions::ApiVersion;
use goatq_protocol::message::create_topics::CreatableTopicResult;
use goatq_protocol::message::delete_topics::DeletableTopicResult;
use goatq_protocol::message::fetch::{FetchableTopicResponse, PartitionData};
use goatq_protocol::message::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use goatq_protocol::message::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use goatq_protocol::message::produce::{PartitionProduceResponse, TopicProduceResponse};
use goatq_protocol::message::{
    ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse,
};
use goatq_protocol::record::split;
use goatq_protocol::wire::{Response, Versioned};
use goatq_protocol::{ApiKey, ErrorCode, frame};

/// The APIs that there are, with the one version of each that names topics by their names.
const APIS: [(ApiKey, i16); 7] = [
    (ApiKey::ApiVersions, 0),
    (ApiKey::Metadata, 9),
    (ApiKey::CreateTopics, 5),
    (ApiKey::DeleteTopics, 4),
    (ApiKey::ListOffsets, 5),
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 11),
];
/// How often a fetch that waits looks again.
const LOOK: Duration = Duration::from_millis(1);

/// The batches of a partition, each with the offset behind it.
type Log = Vec<(i64, Bytes)>;

/// What the broker knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    topics: BTreeMap<String, Vec<Log>>,
    /// Configs of every topic that was ever made.
    pub(crate) configs: Vec<BTreeMap<String, String>>,
}

/// A broker that serves until the test ends.
#[derive(Debug, Clone)]
pub(crate) struct Stub {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Stub {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stub = Self { port: listener.local_addr()?.port(), state: Arc::default() };
        let serving = stub.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let stub = serving.clone();
                // A client that goes ends its thread.
                std::thread::spawn(move || stub.serve(stream));
            }
        });
        Ok(stub)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it was held")
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let mut prefix = [0; frame::PREFIX_LEN];
            stream.read_exact(&mut prefix)?;
            let mut body = vec![0; frame::request_length(prefix, 1 << 24)?];
            stream.read_exact(&mut body)?;
            let (header, body) = RequestHeader::decode(Bytes::from(body))?;
            for part in self.answer(&header, body)? {
                stream.write_all(&part)?;
            }
        }
    }

    fn answer(&self, header: &RequestHeader, body: Bytes) -> Result<Vec<Bytes>> {
        let version = header.api_version;
        match header.api_key {
            ApiKey::ApiVersions => {
                let api = |(key, version): (ApiKey, i16)| ApiVersion {
                    api_key: key.code(),
                    min_version: version,
                    max_version: version,
                };
                reply(header, &ApiVersionsResponse { api_keys: APIS.map(api).to_vec(), ..Default::default() })
            }
            ApiKey::Metadata => reply(header, &self.metadata(&MetadataRequest::from_bytes(body, version)?)),
            ApiKey::CreateTopics => reply(header, &self.create(&CreateTopicsRequest::from_bytes(body, version)?)),
            ApiKey::DeleteTopics => reply(header, &self.delete(&DeleteTopicsRequest::from_bytes(body, version)?)),
            ApiKey::ListOffsets => reply(header, &self.offsets(&ListOffsetsRequest::from_bytes(body, version)?)),
            ApiKey::Produce => reply(header, &self.produce(ProduceRequest::from_bytes(body, version)?)?),
            ApiKey::Fetch => reply(header, &self.fetch(&FetchRequest::from_bytes(body, version)?)),
            other => bail!("{} is not served", other.name()),
        }
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let state = self.state();
        let partition =
            |index| MetadataResponsePartition { partition_index: index, leader_id: 1, ..Default::default() };
        let topic = |name: &str| {
            let logs = state.topics.get(name);
            let error = if logs.is_some() { ErrorCode::None } else { ErrorCode::UnknownTopicOrPartition };
            let partitions = (0..logs.map_or(0, Vec::len) as i32).map(partition).collect();
            MetadataResponseTopic {
                error_code: error.code(),
                name: Some(name.into()),
                partitions,
                ..Default::default()
            }
        };
        let names = request.topics.iter().flatten().filter_map(|topic| topic.name.as_deref());
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: "127.0.0.1".into(),
            port: i32::from(self.port),
            ..Default::default()
        };
        MetadataResponse { brokers: vec![broker], topics: names.map(topic).collect(), ..Default::default() }
    }

    fn create(&self, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let mut state = self.state();
        let mut topics = Vec::new();
        for topic in &request.topics {
            state.topics.insert(topic.name.to_string(), vec![Log::new(); topic.num_partitions as usize]);
            let configs = topic.configs.iter().map(|config| {
                (config.name.to_string(), config.value.as_ref().map(ToString::to_string).unwrap_or_default())
            });
            state.configs.push(configs.collect());
            topics.push(CreatableTopicResult { name: topic.name.clone(), ..Default::default() });
        }
        CreateTopicsResponse { topics, ..Default::default() }
    }

    fn delete(&self, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
        let mut state = self.state();
        let delete = |name: &bytestring::ByteString| {
            state.topics.remove(&name[..]);
            DeletableTopicResult { name: Some(name.clone()), ..Default::default() }
        };
        DeleteTopicsResponse { responses: request.topic_names.iter().map(delete).collect(), ..Default::default() }
    }

    fn offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let state = self.state();
        let topic = |topic: &goatq_protocol::message::list_offsets::ListOffsetsTopic| {
            let partition = |wanted: &goatq_protocol::message::list_offsets::ListOffsetsPartition| {
                let end =
                    state.topics.get(&topic.name[..]).and_then(|logs| end(logs.get(wanted.partition_index as usize)?));
                let offset = if wanted.timestamp == -2 { 0 } else { end.unwrap_or(0) };
                ListOffsetsPartitionResponse { partition_index: wanted.partition_index, offset, ..Default::default() }
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            ListOffsetsTopicResponse { name: topic.name.clone(), partitions }
        };
        ListOffsetsResponse { topics: request.topics.iter().map(topic).collect(), ..Default::default() }
    }

    fn produce(&self, request: ProduceRequest) -> Result<ProduceResponse> {
        let mut state = self.state();
        let mut responses = Vec::new();
        for topic in request.topic_data {
            let logs = state.topics.get_mut(&topic.name[..]).context("an unknown topic")?;
            let mut partition_responses = Vec::new();
            for data in topic.partition_data {
                let log = logs.get_mut(data.index as usize).context("an unknown partition")?;
                let base_offset = end(log).unwrap_or(0);
                for batch in split(&data.records.unwrap_or_default().into_bytes()) {
                    let mut batch = batch?;
                    batch.verify_crc()?;
                    batch.assign(end(log).unwrap_or(0), 0)?;
                    log.push((batch.header().next_offset(), Bytes::from(batch.to_chunks().concat())));
                }
                let answer = PartitionProduceResponse { index: data.index, base_offset, ..Default::default() };
                partition_responses.push(answer);
            }
            responses.push(TopicProduceResponse { name: topic.name, partition_responses, ..Default::default() });
        }
        Ok(ProduceResponse { responses, ..Default::default() })
    }

    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let mut waited = Duration::ZERO;
        loop {
            let (responses, bytes) = self.read(request);
            if bytes > 0 || waited.as_millis() >= request.max_wait_ms as u128 {
                return FetchResponse { responses, ..Default::default() };
            }
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
    }

    fn read(&self, request: &FetchRequest) -> (Vec<FetchableTopicResponse>, usize) {
        let (state, mut bytes, mut responses) = (self.state(), 0, Vec::new());
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for wanted in &topic.partitions {
                let log = state.topics.get(&topic.topic[..]).and_then(|logs| logs.get(wanted.partition as usize));
                let batches = log.into_iter().flatten().filter(|(next, _)| *next > wanted.fetch_offset);
                let records: Vec<Bytes> = batches.map(|(_, batch)| batch.clone()).take(100).collect();
                bytes += records.iter().map(Bytes::len).sum::<usize>();
                let records = Some(records.into_iter().collect());
                partitions.push(PartitionData { partition_index: wanted.partition, records, ..Default::default() });
            }
            responses.push(FetchableTopicResponse { topic: topic.topic.clone(), partitions, ..Default::default() });
        }
        (responses, bytes)
    }
}

fn end(log: &Log) -> Option<i64> {
    log.last().map(|(next, _)| *next)
}

fn reply<R: Response>(header: &RequestHeader, response: &R) -> Result<Vec<Bytes>> {
    Ok(frame::encode_response(header.correlation_id, response, header.api_version)?)
}
