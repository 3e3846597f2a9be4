//! A client of the cluster: connections to nodes, and who leads what as far as it knows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use goatq_protocol::frame::{decode_response, encode_request};
use goatq_protocol::message::metadata::{MetadataRequest, MetadataRequestTopic};
use goatq_protocol::wire::Request;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::history::Place;
use super::reach::{Reach, Socket};
use super::{Shared, rest};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Longest answer that is read.
const MAX_ANSWER: usize = 16 << 20;
const METADATA: i16 = 12;

/// A client.
pub struct Client {
    reach: Rc<dyn Reach>,
    nodes: Vec<i32>,
    connections: BTreeMap<i32, Connection>,
    leaders: BTreeMap<Place, Leader>,
    /// Newest epochs that were heard of: who knows only older ones is not believed (KIP-320).
    epochs: BTreeMap<Place, i32>,
    /// Its chances.
    pub rng: StdRng,
}

/// Who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// The node.
    pub node: i32,
    /// The epoch.
    pub epoch: i32,
}

struct Connection {
    stream: Box<dyn Socket>,
    correlation: i32,
}

impl Client {
    /// A client that knows the addresses of all nodes, and nothing else.
    pub fn new(shared: &Shared, rng: StdRng) -> Self {
        Self {
            reach: shared.reach.clone(),
            nodes: shared.manner.nodes.clone(),
            connections: BTreeMap::new(),
            leaders: BTreeMap::new(),
            epochs: BTreeMap::new(),
            rng,
        }
    }

    /// A client of a cluster that has started and has the topics of the load: waits for that.
    pub async fn once_ready(shared: &Shared, rng: StdRng) -> Self {
        let mut client = Self::new(shared, rng);
        while !shared.ready.get() {
            rest(&mut client.rng, 100).await;
        }
        client
    }

    /// Any node.
    pub fn any(&mut self) -> i32 {
        self.nodes[self.rng.random_range(0..self.nodes.len())]
    }

    /// Asks a node.
    ///
    /// # Errors
    /// There is no answer: whether the request was served nobody knows.
    pub async fn ask<R: Request>(&mut self, node: i32, request: &R, version: i16) -> io::Result<R::Response> {
        let answer = timeout(PATIENCE, self.exchange(node, request, version)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if answer.is_err() {
            self.connections.remove(&node);
        }
        answer
    }

    /// Tells a node something that it does not answer.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn tell<R: Request>(&mut self, node: i32, request: &R, version: i16) -> io::Result<()> {
        let sent = timeout(PATIENCE, self.send(node, request, version)).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(drop);
        if sent.is_err() {
            self.connections.remove(&node);
        }
        sent
    }

    async fn send<R: Request>(&mut self, node: i32, request: &R, version: i16) -> io::Result<&mut Connection> {
        let connection = match self.connections.entry(node) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let stream = self.reach.connect(node).await?;
                new.insert(Connection { stream, correlation: 0 })
            }
        };
        connection.correlation += 1;
        let chunks =
            encode_request(connection.correlation, Some(&"sim".into()), request, version).map_err(io::Error::other)?;
        connection.stream.write_all(&chunks.concat()).await?;
        Ok(connection)
    }

    async fn exchange<R: Request>(&mut self, node: i32, request: &R, version: i16) -> io::Result<R::Response> {
        let connection = self.send(node, request, version).await?;
        let mut size = [0; 4];
        connection.stream.read_exact(&mut size).await?;
        let size = usize::try_from(i32::from_be_bytes(size)).ok().filter(|size| *size <= MAX_ANSWER);
        let mut frame = vec![0; size.ok_or(io::ErrorKind::InvalidData)?];
        connection.stream.read_exact(&mut frame).await?;
        let (answered, response) = decode_response(Bytes::from(frame), version).map_err(io::Error::other)?;
        if answered != connection.correlation { Err(io::ErrorKind::InvalidData.into()) } else { Ok(response) }
    }

    /// Who leads a partition, as far as some node knows.
    pub async fn leader(&mut self, place: &Place) -> Option<Leader> {
        if let Some(leader) = self.leaders.get(place) {
            return Some(*leader);
        }
        let node = self.any();
        let topic = MetadataRequestTopic { name: Some(place.0.as_str().into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let answer = self.ask(node, &request, METADATA).await.ok()?;
        for topic in answer.topics {
            for partition in topic.partitions.iter().filter(|partition| partition.leader_id > 0) {
                let leader = Leader { node: partition.leader_id, epoch: partition.leader_epoch };
                let place = (place.0.clone(), partition.partition_index);
                let newest = self.epochs.entry(place.clone()).or_insert(leader.epoch);
                if leader.epoch >= *newest {
                    *newest = leader.epoch;
                    self.leaders.insert(place, leader);
                }
            }
        }
        self.leaders.get(place).copied()
    }

    /// What was known of the leader was wrong.
    pub fn forget(&mut self, place: &Place) {
        self.leaders.remove(place);
    }
}
