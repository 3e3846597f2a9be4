//! `goatq cluster`: how a cluster is, and a broker emptied, asked over the wire like any client.

mod connection;
mod drain;
mod report;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use goatq_protocol::message::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequestPartition, DescribeQuorumRequestTopic,
};
use goatq_protocol::message::{
    AlterPartitionReassignmentsRequest, DescribeClusterRequest, DescribeQuorumRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, MetadataResponse,
};

use connection::Connection;
use drain::Move;
use report::{Answers, Report};

/// How long a broker may take, ms.
const TIMEOUT_MS: i32 = 30_000;
/// Partitions of one request: well below what a broker takes at once.
const MOVES_PER_REQUEST: usize = 1_000;

/// Which cluster.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// Brokers as host:port, separated by commas; the first that answers is asked.
    #[arg(long, short, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap_server: String,
}

/// What is wanted of a cluster.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show nodes, leaders, the quorum, and partitions that are not as they should be.
    Status {
        #[command(flatten)]
        server: Server,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Move all replicas of a broker to the others.
    Drain {
        /// Id of the broker.
        broker: i32,
        #[command(flatten)]
        server: Server,
        /// Only say what would be moved.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs a command.
pub(super) fn run(command: &ClusterCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            ClusterCommand::Status { server, json } => status(server, *json).await,
            ClusterCommand::Drain { broker, server, dry_run } => drain(server, *broker, *dry_run).await,
        }
    })
}

/// Fails with what a broker says is wrong.
fn sound(code: i16, message: Option<&str>) -> anyhow::Result<()> {
    if code == ErrorCode::None.code() {
        return Ok(());
    }
    let name = ErrorCode::from_code(code).map_or("unknown error", |code| code.name());
    bail!("{name} ({code}): {}", message.unwrap_or("no reason is given"))
}

async fn metadata(connection: &mut Connection) -> anyhow::Result<MetadataResponse> {
    let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    connection.ask(&request, 12).await
}

async fn quorum(connection: &mut Connection) -> anyhow::Result<DescribeQuorumPartition> {
    let partitions = vec![DescribeQuorumRequestPartition { partition_index: 0 }];
    let topics = vec![DescribeQuorumRequestTopic { topic_name: "__cluster_metadata".into(), partitions }];
    let answer = connection.ask(&DescribeQuorumRequest { topics }, 2).await?;
    sound(answer.error_code, answer.error_message.as_deref())?;
    let partition = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
    partition.context("the broker says nothing of the quorum")
}

async fn status(server: &Server, json: bool) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    let all = DescribeClusterRequest { include_fenced_brokers: true, ..DescribeClusterRequest::default() };
    let cluster = connection.ask(&all, 2).await?;
    sound(cluster.error_code, cluster.error_message.as_deref())?;
    let quorum = quorum(&mut connection).await?;
    let moving = ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: None };
    let moving = connection.ask(&moving, 0).await?;
    sound(moving.error_code, moving.error_message.as_deref())?;
    let metadata = metadata(&mut connection).await?;
    let answers = Answers { cluster: &cluster, metadata: &metadata, quorum: &quorum, moving: &moving };
    let report = Report::of(&answers);
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{report}"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn drain(server: &Server, broker: i32, dry_run: bool) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    let moving = ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: None };
    let moving = connection.ask(&moving, 0).await?;
    ensure!(
        moving.topics.is_empty(),
        "replicas are being moved already: wait for that to end, see goatq cluster status"
    );
    let plan = drain::plan(&metadata(&mut connection).await?, broker);
    for one in &plan.moves {
        println!("{}-{}: {:?} -> {:?}", one.topic, one.partition, one.from, one.to);
    }
    for (topic, partition) in &plan.stuck {
        println!("{topic}-{partition}: stays, all other brokers have it already or do not serve");
    }
    if dry_run {
        println!("{} partitions would move, {} would stay", plan.moves.len(), plan.stuck.len());
        return Ok(ExitCode::SUCCESS);
    }
    for moves in plan.moves.chunks(MOVES_PER_REQUEST) {
        reassign(&mut connection, moves).await?;
    }
    println!(
        "{} partitions are moving, {} stay; goatq cluster status shows how far it is",
        plan.moves.len(),
        plan.stuck.len()
    );
    Ok(if plan.stuck.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn reassign(connection: &mut Connection, moves: &[Move]) -> anyhow::Result<()> {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for one in moves {
        let replicas = Some(one.to.clone());
        let partition = ReassignablePartition { partition_index: one.partition, replicas };
        topics.entry(&one.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| ReassignableTopic { name: name.into(), partitions });
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        allow_replication_factor_change: false,
        topics: topics.collect(),
    };
    let answer = connection.ask(&request, 1).await?;
    sound(answer.error_code, answer.error_message.as_deref())?;
    for topic in &answer.responses {
        for partition in &topic.partitions {
            let about = || format!("{}-{}", topic.name, partition.partition_index);
            sound(partition.error_code, partition.error_message.as_deref()).with_context(about)?;
        }
    }
    Ok(())
}
