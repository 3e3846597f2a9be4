//! The broker under test and raw connections to it.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::Context;
use goatq_integration::node::Node;
pub(crate) use goatq_integration::peer::Peer;
use goatq_protocol::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use goatq_protocol::message::metadata::{MetadataRequest, MetadataRequestTopic};
use goatq_protocol::wire::Request;
use goatq_protocol::{ApiKey, ErrorCode, Uuid};

/// Deadline for frames and for unread replies of the broker that the test starts.
pub(crate) const SHORT_DEADLINE_MS: u64 = 400;

/// What a broker did.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It closed the connection without a word.
    Closed,
    /// It answered with this error code where the row looks.
    Error(i16),
    /// It answered, and this is what the row looks at.
    Text(String),
}

impl Seen {
    /// An answer as it should be to sensible input.
    pub(crate) fn served() -> Self {
        Self::Text("served".to_owned())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Error(code) => match ErrorCode::from_code(*code) {
                Some(error) => write!(f, "{code} {}", error.name()),
                None => write!(f, "{code}"),
            },
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The broker under test.
pub(crate) struct Bench {
    address: SocketAddr,
    node: Option<Node>,
    /// Makes topic names unique on a broker that lives longer than the test.
    run: u32,
}

impl Bench {
    /// The broker named by `BOOTSTRAP`, or one of its own, with the topics that rows use.
    pub(crate) fn start() -> Self {
        let run = std::process::id();
        let bench = match std::env::var("BOOTSTRAP") {
            Ok(bootstrap) => {
                let address = bootstrap.to_socket_addrs().unwrap().next().expect("BOOTSTRAP is host:port");
                Self { address, node: None, run }
            }
            Err(_) => {
                let frame = format!("request.frame.timeout.ms={SHORT_DEADLINE_MS}");
                let send = format!("response.send.timeout.ms={SHORT_DEADLINE_MS}");
                let node = Node::start(&[&frame, &send]).unwrap();
                Self { address: node.address(), node: Some(node), run }
            }
        };
        bench.create("plain", &[]);
        bench.create("compact", &[("cleanup.policy", "compact")]);
        bench.create("small", &[("max.message.bytes", "1000")]);
        bench.create("strict", &[("min.insync.replicas", "2")]);
        bench.create("sequences", &[]);
        bench.create("data", &[]);
        if bench.node.is_some() {
            bench.create("capped", &[("max.decompressed.message.bytes", "1048576")]);
        }
        bench
    }

    /// A node of the test's own, without topics.
    pub(crate) fn with(node: Node) -> Self {
        Self { address: node.address(), node: Some(node), run: 0 }
    }

    /// Whether it is not our own.
    pub(crate) fn is_foreign(&self) -> bool {
        self.node.is_none()
    }

    /// The process of our own broker.
    pub(crate) fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Whether it still answers.
    pub(crate) fn is_alive(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
    }

    /// The name of a topic of this run.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("bad-input-{}-{name}", self.run)
    }

    fn create(&self, name: &str, configs: &[(&str, &str)]) {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) });
        let topic = CreatableTopic {
            name: self.topic(name).into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
        let response = self.ask(&request, 7).unwrap();
        assert_eq!(response.topics[0].error_code, 0, "{name}: {:?}", response.topics[0].error_message);
        self.await_leader(name);
    }

    fn await_leader(&self, name: &str) {
        for _ in 0..500 {
            if self.describe(name).is_some_and(|(_, error)| error == 0) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{name} has no leader");
    }

    fn describe(&self, name: &str) -> Option<(Uuid, i16)> {
        let topic = MetadataRequestTopic { name: Some(self.topic(name).into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let topic = self.ask(&request, 12).ok()?.topics.pop()?;
        Some((topic.topic_id, topic.partitions.first().map_or(-1, |partition| partition.error_code)))
    }

    /// The id of a topic of this run.
    pub(crate) fn topic_id(&self, name: &str) -> Uuid {
        self.describe(name).expect("the topic exists").0
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address).unwrap()
    }

    /// A new connection whose kernel takes little that is not read.
    pub(crate) fn connect_with_small_buffer(&self) -> anyhow::Result<Peer> {
        let peer = self.connect();
        socket2::SockRef::from(peer.stream()).set_recv_buffer_size(4096)?;
        Ok(peer)
    }

    /// A sensible request on a connection of its own.
    pub(crate) fn ask<R: Request>(&self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        self.connect().ask(request, version)?.context("closed")
    }

    /// Sends bytes as they are, and says what came back.
    pub(crate) fn send(&self, bytes: &[u8]) -> anyhow::Result<Seen> {
        let mut peer = self.connect();
        peer.write(bytes)?;
        Ok(peer.receive()?.map_or(Seen::Closed, |_| Seen::served()))
    }

    /// Sends a body with a proper header in a proper frame, and says what came back.
    pub(crate) fn send_body(&self, key: ApiKey, version: i16, body: &[u8]) -> anyhow::Result<Seen> {
        self.send(&framed(key, version, body))
    }
}

/// A frame with a header that fits its key and version.
pub(crate) fn framed(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = [key.code().to_be_bytes(), version.to_be_bytes()].concat();
    frame.extend_from_slice(&7_i32.to_be_bytes());
    frame.extend_from_slice(&(-1_i16).to_be_bytes());
    if key.is_flexible(version) {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    sized(&frame)
}

/// The bytes with their length in front.
pub(crate) fn sized(frame: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}
