//! Several real nodes that form one cluster.

use std::time::{Duration, Instant};

use anyhow::Context;
use goatq_protocol::message::create_topics::CreatableTopic;
use goatq_protocol::message::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequestPartition, DescribeQuorumRequestTopic,
};
use goatq_protocol::message::metadata::MetadataResponsePartition;
use goatq_protocol::message::{
    CreateTopicsRequest, DescribeClusterRequest, DescribeQuorumRequest, MetadataRequest, MetadataResponse,
};
use goatq_protocol::wire::Request;

use crate::node::{Node, free_port, free_ports};
use crate::peer::Peer;

/// The id of the clusters that are made here.
pub const CLUSTER_ID: &str = "goats-goats-goats-goaw";
/// Longer than anything takes that has to happen some time.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Nodes 1 to n of a cluster, each broker and controller.
pub struct Cluster {
    /// The nodes, node 1 first.
    pub nodes: Vec<Node>,
    voters: String,
}

impl Cluster {
    /// Starts `count` nodes that form a quorum.
    ///
    /// # Errors
    /// A node does not start.
    pub fn start(count: usize) -> anyhow::Result<Self> {
        Self::start_with(count, &[])
    }

    /// Starts `count` nodes that form a quorum, each with these settings (`key=value`) besides, with its id in place of `{id}`.
    ///
    /// # Errors
    /// A node does not start.
    pub fn start_with(count: usize, more: &[&str]) -> anyhow::Result<Self> {
        let ports = free_ports(count)?;
        let voters: Vec<_> = (1..).zip(&ports).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let mut cluster = Self { nodes: Vec::new(), voters: voters.join(",") };
        for (id, port) in (1..).zip(&ports) {
            let settings = cluster.settings(id, CLUSTER_ID);
            let own: Vec<_> = more.iter().map(|setting| setting.replace("{id}", &id.to_string())).collect();
            let settings: Vec<_> = settings.iter().chain(&own).map(String::as_str).collect();
            cluster.nodes.push(Node::start_beside(Some(&format!("CONTROLLER://127.0.0.1:{port}")), &settings)?);
        }
        Ok(cluster)
    }

    /// The node with this id.
    pub fn node(&mut self, id: i32) -> &mut Node {
        let at = usize::try_from(id - 1).unwrap_or(usize::MAX);
        &mut self.nodes[at]
    }

    /// A node that runs.
    ///
    /// # Errors
    /// None does.
    pub fn any(&self) -> anyhow::Result<&Node> {
        self.nodes.iter().find(|node| node.pid().is_some()).context("no node runs")
    }

    fn settings(&self, id: i32, cluster_id: &str) -> Vec<String> {
        vec![
            format!("node.id={id}"),
            format!("cluster.id={cluster_id}"),
            format!("controller.quorum.voters={}", self.voters),
        ]
    }

    /// Starts one more node, which is only a broker and believes to be of the cluster `cluster_id`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_broker(&self, id: i32, cluster_id: &str) -> anyhow::Result<Node> {
        let settings = self.joining(id, cluster_id);
        let settings: Vec<_> = settings.iter().map(String::as_str).chain(["process.roles=broker"]).collect();
        Node::start_beside(None, &settings)
    }

    /// Starts one more node, which is broker and controller and finds the quorum without being one of its voters.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_controller(&self, id: i32, more: &[&str]) -> anyhow::Result<Node> {
        let settings = self.joining(id, CLUSTER_ID);
        let settings: Vec<_> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Node::start_beside(Some(&format!("CONTROLLER://127.0.0.1:{}", free_port()?)), &settings)
    }

    /// The settings of a node that knows where the controllers are, and not who they are.
    fn joining(&self, id: i32, cluster_id: &str) -> Vec<String> {
        let servers: Vec<_> = self.voters.split(',').filter_map(|voter| voter.split_once('@')).collect();
        let servers: Vec<_> = servers.into_iter().map(|(_, address)| address).collect();
        vec![
            format!("node.id={id}"),
            format!("cluster.id={cluster_id}"),
            format!("controller.quorum.bootstrap.servers={}", servers.join(",")),
        ]
    }
}

/// Asks until the answer is as wanted.
///
/// # Errors
/// It never is.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        let answer = ask();
        match answer {
            Ok(Some(found)) => return Ok(found),
            Ok(None) | Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK_AGAIN),
            Ok(None) => anyhow::bail!("in {PATIENCE:?} it never came to this: {what}"),
            Err(error) => return Err(error.context(what.to_owned())),
        }
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// The node does not answer.
pub fn ask<R: Request>(node: &Node, request: &R, version: i16) -> anyhow::Result<R::Response> {
    Peer::connect(node.address())?.ask(request, version)?.context("the node closed the connection")
}

/// Asks a node to create a topic: error code and message.
///
/// # Errors
/// The node does not answer.
pub fn create_topic(
    node: &Node,
    name: &str,
    partitions: i32,
    replication_factor: i16,
) -> anyhow::Result<(i16, Option<String>)> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 15_000, ..CreateTopicsRequest::default() };
    let response = ask(node, &request, 7)?;
    let result = response.topics.into_iter().next().context("no answer about the topic")?;
    Ok((result.error_code, result.error_message.map(|message| message.to_string())))
}

/// Everything a node tells clients of the cluster.
///
/// # Errors
/// The node does not answer.
pub fn metadata(node: &Node) -> anyhow::Result<MetadataResponse> {
    ask(node, &MetadataRequest { topics: None, ..MetadataRequest::default() }, 12)
}

/// Waits until a node knows that many brokers that serve: those that only registered so far can lead nothing, while clients are told of
/// them as long as nobody serves.
///
/// # Errors
/// It never comes to that.
pub fn brokers_serve(node: &Node, count: usize) -> anyhow::Result<()> {
    let request = DescribeClusterRequest { endpoint_type: 1, ..DescribeClusterRequest::default() };
    until(&format!("{count} brokers serve"), || Ok((ask(node, &request, 2)?.brokers.len() == count).then_some(())))
}

/// A partition as a node tells it; `None` while the node does not know it.
///
/// # Errors
/// The node does not answer.
pub fn partition(node: &Node, topic: &str, index: i32) -> anyhow::Result<Option<MetadataResponsePartition>> {
    let topics = metadata(node)?.topics;
    let found = topics.into_iter().find(|found| found.name.as_deref() == Some(topic));
    let mut partitions = found.into_iter().flat_map(|found| found.partitions);
    Ok(partitions.find(|partition| partition.partition_index == index))
}

/// The quorum, as a node tells it.
///
/// # Errors
/// The node does not know, or does not answer.
pub fn quorum(node: &Node) -> anyhow::Result<DescribeQuorumPartition> {
    let partitions = vec![DescribeQuorumRequestPartition { partition_index: 0 }];
    let topics = vec![DescribeQuorumRequestTopic { topic_name: "__cluster_metadata".into(), partitions }];
    let response = ask(node, &DescribeQuorumRequest { topics }, 2)?;
    anyhow::ensure!(response.error_code == 0, "{:?}", response.error_message);
    let topic = response.topics.into_iter().next().context("no topic")?;
    topic.partitions.into_iter().next().context("no partition")
}
