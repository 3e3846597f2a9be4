//! What a cluster looks like: pure, from what brokers answer.

use std::collections::BTreeMap;
use std::fmt;

use goatq_protocol::message::describe_quorum::{DescribeQuorumPartition, DescribeQuorumReplica};
use goatq_protocol::message::{DescribeClusterResponse, ListPartitionReassignmentsResponse, MetadataResponse};
use serde::Serialize;

/// Partitions that are named in a table at most.
const NAMED: usize = 20;

/// The cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    cluster_id: String,
    quorum: Quorum,
    nodes: Vec<NodeRow>,
    topics: usize,
    partitions: usize,
    /// Partitions that nobody leads.
    leaderless: usize,
    /// Partitions with fewer replicas in sync than they have.
    under_replicated: usize,
    /// Partitions that their first replica does not lead.
    not_preferred: usize,
    /// All partitions that are not as they should be.
    troubled: Vec<PartitionRow>,
}

/// The metadata quorum.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Quorum {
    leader: i32,
    epoch: i32,
    high_watermark: i64,
    voters: Vec<i32>,
    observers: Vec<i32>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct NodeRow {
    id: i32,
    /// Where clients reach it; null for a node that is no broker.
    address: Option<String>,
    rack: Option<String>,
    /// Whether it serves; null for a node that is no broker.
    fenced: Option<bool>,
    leads: usize,
    replicas: usize,
    in_sync: usize,
    /// `leader`, `voter` or `observer`.
    quorum: Option<&'static str>,
    /// Entries of the metadata log that it lacks, as far as the leader knows; null if it does not.
    metadata_lag: Option<i64>,
}

/// A partition that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct PartitionRow {
    topic: String,
    partition: i32,
    leader: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    adding: Vec<i32>,
    removing: Vec<i32>,
}

/// What brokers answered.
pub(super) struct Answers<'a> {
    pub(super) cluster: &'a DescribeClusterResponse,
    pub(super) metadata: &'a MetadataResponse,
    pub(super) quorum: &'a DescribeQuorumPartition,
    pub(super) moving: &'a ListPartitionReassignmentsResponse,
}

impl Report {
    /// The cluster as it was answered.
    pub(super) fn of(answers: &Answers<'_>) -> Self {
        let quorum = answers.quorum;
        let ids = |replicas: &[DescribeQuorumReplica]| replicas.iter().map(|replica| replica.replica_id).collect();
        let mut report = Report {
            cluster_id: answers.cluster.cluster_id.to_string(),
            quorum: Quorum {
                leader: quorum.leader_id,
                epoch: quorum.leader_epoch,
                high_watermark: quorum.high_watermark,
                voters: ids(&quorum.current_voters),
                observers: ids(&quorum.observers),
            },
            nodes: Vec::new(),
            topics: answers.metadata.topics.len(),
            partitions: 0,
            leaderless: 0,
            under_replicated: 0,
            not_preferred: 0,
            troubled: Vec::new(),
        };
        let mut nodes = nodes(answers);
        report.count(answers, &mut nodes);
        report.nodes = nodes.into_values().collect();
        report
    }

    fn count(&mut self, answers: &Answers<'_>, nodes: &mut BTreeMap<i32, NodeRow>) {
        let mut moving = BTreeMap::new();
        for topic in &answers.moving.topics {
            for partition in &topic.partitions {
                moving.insert((&*topic.name, partition.partition_index), partition);
            }
        }
        for topic in &answers.metadata.topics {
            let name = topic.name.as_deref().unwrap_or_default();
            for partition in &topic.partitions {
                self.partitions += 1;
                let (replicas, in_sync) = (&partition.replica_nodes, &partition.isr_nodes);
                let (leaderless, short) = (partition.leader_id < 0, in_sync.len() < replicas.len());
                self.leaderless += usize::from(leaderless);
                self.under_replicated += usize::from(short);
                self.not_preferred += usize::from(!leaderless && replicas.first() != Some(&partition.leader_id));
                if let Some(leader) = nodes.get_mut(&partition.leader_id) {
                    leader.leads += 1;
                }
                for replica in replicas {
                    if let Some(node) = nodes.get_mut(replica) {
                        node.replicas += 1;
                        node.in_sync += usize::from(in_sync.contains(replica));
                    }
                }
                let moves = moving.get(&(name, partition.partition_index));
                if leaderless || short || moves.is_some() {
                    self.troubled.push(PartitionRow {
                        topic: name.to_owned(),
                        partition: partition.partition_index,
                        leader: partition.leader_id,
                        replicas: replicas.clone(),
                        in_sync: in_sync.clone(),
                        adding: moves.map(|moves| moves.adding_replicas.clone()).unwrap_or_default(),
                        removing: moves.map(|moves| moves.removing_replicas.clone()).unwrap_or_default(),
                    });
                }
            }
        }
    }
}

fn nodes(answers: &Answers<'_>) -> BTreeMap<i32, NodeRow> {
    let mut nodes: BTreeMap<i32, NodeRow> = BTreeMap::new();
    for broker in &answers.cluster.brokers {
        let row = NodeRow {
            id: broker.broker_id,
            address: Some(format!("{}:{}", broker.host, broker.port)),
            rack: broker.rack.as_ref().map(ToString::to_string),
            fenced: Some(broker.is_fenced),
            ..NodeRow::default()
        };
        nodes.insert(broker.broker_id, row);
    }
    let quorum = answers.quorum;
    for (role, replicas) in [("voter", &quorum.current_voters), ("observer", &quorum.observers)] {
        for replica in replicas {
            let id = replica.replica_id;
            let row = nodes.entry(id).or_insert_with(|| NodeRow { id, ..NodeRow::default() });
            row.quorum = Some(if id == quorum.leader_id { "leader" } else { role });
            let known = replica.log_end_offset >= 0;
            row.metadata_lag = known.then(|| quorum.high_watermark.saturating_sub(replica.log_end_offset).max(0));
        }
    }
    nodes
}

/// Numbers as `1,2,3`.
fn list(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quorum { leader, epoch, voters, .. } = &self.quorum;
        writeln!(f, "cluster {}: {} nodes", self.cluster_id, self.nodes.len())?;
        writeln!(f, "quorum: node {leader} leads in epoch {epoch}, nodes {} vote", list(voters))?;
        let (partitions, topics) = (self.partitions, self.topics);
        writeln!(
            f,
            "{topics} topics, {partitions} partitions: {} without leader, {} under-replicated, {} not led by their first replica\n",
            self.leaderless, self.under_replicated, self.not_preferred
        )?;
        let width =
            self.nodes.iter().filter_map(|node| node.address.as_ref()).map(String::len).max().unwrap_or(0).max(7);
        let heads = ("node", "address", "rack", "state", "leads", "replicas", "in sync", "quorum", "lag");
        let (id, address, rack, state, leads, replicas, in_sync, quorum, lag) = heads;
        writeln!(
            f,
            "{id:>6}  {address:<width$}  {rack:<10}  {state:<6}  {leads:>7}  {replicas:>8}  {in_sync:>7}  {quorum:<8}  {lag:>5}"
        )?;
        for node in &self.nodes {
            let state = match node.fenced {
                Some(true) => "fenced",
                Some(false) => "up",
                None => "-",
            };
            let (address, rack) = (node.address.as_deref().unwrap_or("-"), node.rack.as_deref().unwrap_or("-"));
            let (quorum, lag) =
                (node.quorum.unwrap_or("-"), node.metadata_lag.map_or("?".to_owned(), |lag| lag.to_string()));
            let (id, leads, replicas, in_sync) = (node.id, node.leads, node.replicas, node.in_sync);
            writeln!(
                f,
                "{id:>6}  {address:<width$}  {rack:<10}  {state:<6}  {leads:>7}  {replicas:>8}  {in_sync:>7}  {quorum:<8}  {lag:>5}"
            )?;
        }
        for (at, row) in self.troubled.iter().take(NAMED).enumerate() {
            if at == 0 {
                writeln!(f, "\nPartitions to look at:")?;
            }
            let leader = if row.leader < 0 { "none".to_owned() } else { row.leader.to_string() };
            let (replicas, in_sync) = (list(&row.replicas), list(&row.in_sync));
            write!(f, "  {}-{}  leader {leader}  replicas {replicas}  in sync {in_sync}", row.topic, row.partition)?;
            if !row.adding.is_empty() || !row.removing.is_empty() {
                write!(f, "  moving: adds {} removes {}", list(&row.adding), list(&row.removing))?;
            }
            writeln!(f)?;
        }
        match self.troubled.len().checked_sub(NAMED) {
            Some(more) if more > 0 => writeln!(f, "  and {more} more (--json names all)"),
            _ => Ok(()),
        }
    }
}
