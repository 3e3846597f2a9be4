//! `goatq cluster`: how a cluster is, made even, a broker emptied, and leaders elected at a price, asked over the wire like any client.

mod balance;
mod connection;
mod even;
mod report;
mod unclean;

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequestPartition, DescribeQuorumRequestTopic,
};
use goatq_protocol::message::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeQuorumRequest, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
};

use connection::Connection;
use report::{Answers, Report};

/// How long a broker may take, ms.
const TIMEOUT_MS: i32 = 30_000;

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
    /// Show what is at risk in partitions that nobody can lead without loss, and elect leaders all the same.
    Unclean {
        /// Only this topic.
        #[arg(long)]
        topic: Option<String>,
        /// Elect a leader of each partition that is shown. What the others have beyond its log is lost.
        #[arg(long)]
        elect: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Make brokers even in replicas, bytes and leaders, now rather than when the active controller looks next.
    Balance {
        #[command(flatten)]
        server: Server,
        /// Only say what would be moved, and why.
        #[arg(long)]
        dry_run: bool,
    },
    /// Move all replicas of a broker, alive or dead, to the others, and give it no new ones.
    Drain {
        /// Id of the broker.
        broker: i32,
        #[command(flatten)]
        server: Server,
        /// Only say what would be moved.
        #[arg(long)]
        dry_run: bool,
        /// Leave it to the active controller (see balancer.mode) instead of waiting until the broker is empty.
        #[arg(long, conflicts_with = "dry_run")]
        no_wait: bool,
        /// Let the broker have replicas again.
        #[arg(long, conflicts_with_all = ["dry_run", "no_wait"])]
        undo: bool,
    },
}

/// Runs a command.
pub(super) fn run(command: &ClusterCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            ClusterCommand::Status { server, json } => status(server, *json).await,
            ClusterCommand::Balance { server, dry_run } => even::balance(server, *dry_run).await,
            ClusterCommand::Drain { broker, server, undo: true, .. } => even::undo(server, *broker).await,
            ClusterCommand::Drain { broker, server, dry_run: true, .. } => even::would_drain(server, *broker).await,
            ClusterCommand::Drain { broker, server, no_wait, .. } => even::drain(server, *broker, !no_wait).await,
            ClusterCommand::Unclean { topic, elect, server } => {
                let mut connection = Connection::open(&server.bootstrap_server).await?;
                unclean::run(&mut connection, topic.as_deref(), *elect).await
            }
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

/// All brokers, those that do not serve too.
async fn brokers(connection: &mut Connection) -> anyhow::Result<DescribeClusterResponse> {
    let all = DescribeClusterRequest { include_fenced_brokers: true, ..DescribeClusterRequest::default() };
    let cluster = connection.ask(&all, 2).await?;
    sound(cluster.error_code, cluster.error_message.as_deref())?;
    Ok(cluster)
}

/// Replicas that are being moved.
async fn moving(connection: &mut Connection) -> anyhow::Result<ListPartitionReassignmentsResponse> {
    let moving = ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: None };
    let moving = connection.ask(&moving, 0).await?;
    sound(moving.error_code, moving.error_message.as_deref())?;
    Ok(moving)
}

async fn status(server: &Server, json: bool) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    let cluster = brokers(&mut connection).await?;
    let quorum = quorum(&mut connection).await?;
    let moving = moving(&mut connection).await?;
    let metadata = metadata(&mut connection).await?;
    let answers = Answers { cluster: &cluster, metadata: &metadata, quorum: &quorum, moving: &moving };
    let report = Report::of(&answers);
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{report}"),
    }
    Ok(ExitCode::SUCCESS)
}
