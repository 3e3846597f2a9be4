//! Brokers made even, and one emptied, with the balancer's own rule.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use goatq_controller::balance::{DRAIN, Goals, Limits, Load, Plan, ReplicaChange, plan};
use goatq_protocol::message::describe_configs::DescribeConfigsResource;
use goatq_protocol::message::elect_leaders::TopicPartitions;
use goatq_protocol::message::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use goatq_protocol::message::{
    DescribeConfigsRequest, DescribeLogDirsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
};

use super::balance::{Answers, reassignment};
use super::connection::Connection;
use super::{Server, TIMEOUT_MS, brokers, metadata, moving, sound};

/// Between two looks at what is under way.
const PAUSE: Duration = Duration::from_millis(500);
/// The kind of resource that brokers are.
const BROKER: i8 = 4;
/// Operations on values that are lists.
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Makes brokers even.
pub(super) async fn balance(server: &Server, dry_run: bool) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    if dry_run {
        let load = look(&mut connection, None).await?;
        return Ok(would_change(&plan(&load, Goals::Even, &Limits::UNBOUNDED)));
    }
    let stuck = settle(&mut connection, Goals::Even).await?;
    Ok(if stuck == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what would be moved off a broker.
pub(super) async fn would_drain(server: &Server, broker: i32) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    let load = look(&mut connection, Some(broker)).await?;
    Ok(would_change(&plan(&load, Goals::Repair, &Limits::UNBOUNDED)))
}

/// Empties a broker. It gets nothing new from the first moment on.
pub(super) async fn drain(server: &Server, broker: i32, wait: bool) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    set_drained(&mut connection, broker, APPEND).await?;
    if !wait {
        println!("broker {broker} gets no new replicas; goatq cluster status shows how many it has left");
        return Ok(ExitCode::SUCCESS);
    }
    settle(&mut connection, Goals::Repair).await?;
    let load = look(&mut connection, None).await?;
    let left = load.partitions.iter().filter(|partition| partition.replicas.contains(&broker)).count();
    println!("broker {broker} has {left} replicas");
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets a broker have replicas again.
pub(super) async fn undo(server: &Server, broker: i32) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::open(&server.bootstrap_server).await?;
    set_drained(&mut connection, broker, SUBTRACT).await?;
    println!("broker {broker} may get replicas; goatq cluster balance gives it some at once");
    Ok(ExitCode::SUCCESS)
}

/// Changes what has to change until there is nothing left, together with whoever else does so; how many partitions cannot change.
async fn settle(connection: &mut Connection, goals: Goals) -> anyhow::Result<usize> {
    let mut told = 0;
    loop {
        let load = look(connection, None).await?;
        let plan = plan(&load, goals, &Limits::default());
        if plan.changes.is_empty() && !load.is_moving() {
            show_stuck(&plan);
            println!("{told} partitions were changed, {} cannot be", plan.stuck.len());
            return Ok(plan.stuck.len());
        }
        plan.changes.iter().for_each(show);
        told += plan.changes.len();
        if !plan.changes.is_empty() {
            change(connection, &plan.changes).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The cluster as it is, with another broker among those that shall have no replicas.
async fn look(connection: &mut Connection, drained: Option<i32>) -> anyhow::Result<Load> {
    let cluster = brokers(connection).await?;
    let mut directories = BTreeMap::new();
    for broker in cluster.brokers.iter().filter(|broker| !broker.is_fenced) {
        // Without its sizes a cluster can be made even in all else.
        let address = format!("{}:{}", broker.host, broker.port);
        let Ok(mut one) = Connection::open(&address).await else { continue };
        if let Ok(answer) = one.ask(&DescribeLogDirsRequest { topics: None }, 5).await {
            directories.insert(broker.broker_id, answer.results);
        }
    }
    let mut all_drained = all_drained(connection).await?;
    all_drained.extend(drained);
    let (moving, metadata) = (moving(connection).await?, metadata(connection).await?);
    Ok(Answers { cluster, metadata, moving, directories, drained: all_drained }.load())
}

async fn all_drained(connection: &mut Connection) -> anyhow::Result<BTreeSet<i32>> {
    let resource = DescribeConfigsResource {
        resource_type: BROKER,
        configuration_keys: Some(vec![DRAIN.into()]),
        ..DescribeConfigsResource::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let answer = connection.ask(&request, 4).await?;
    let mut drained = BTreeSet::new();
    for result in &answer.results {
        sound(result.error_code, result.error_message.as_deref())?;
        let values = result.configs.iter().filter_map(|config| config.value.as_deref());
        drained.extend(values.flat_map(|value| value.split(',')).filter_map(|id| id.trim().parse::<i32>().ok()));
    }
    Ok(drained)
}

async fn set_drained(connection: &mut Connection, broker: i32, operation: i8) -> anyhow::Result<()> {
    let config =
        AlterableConfig { name: DRAIN.into(), config_operation: operation, value: Some(broker.to_string().into()) };
    let resource = AlterConfigsResource { resource_type: BROKER, resource_name: "".into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    for response in connection.ask(&request, 1).await?.responses {
        sound(response.error_code, response.error_message.as_deref())?;
    }
    Ok(())
}

/// Has replicas changed, and what only changes its order led by the first one.
async fn change(connection: &mut Connection, changes: &[ReplicaChange]) -> anyhow::Result<()> {
    let answer = connection.ask(&reassignment(changes), 1).await?;
    sound(answer.error_code, answer.error_message.as_deref())?;
    for topic in &answer.responses {
        for partition in &topic.partitions {
            let about = || format!("{}-{}", topic.name, partition.partition_index);
            sound(partition.error_code, partition.error_message.as_deref()).with_context(about)?;
        }
    }
    let reordered = changes.iter().filter(|change| change.is_order());
    let partitions: Vec<TopicPartitions> = reordered
        .map(|change| TopicPartitions { topic: change.topic.clone(), partitions: vec![change.partition] })
        .collect();
    if !partitions.is_empty() {
        let request =
            ElectLeadersRequest { election_type: 0, topic_partitions: Some(partitions), timeout_ms: TIMEOUT_MS };
        let answer = connection.ask(&request, 2).await?;
        sound(answer.error_code, None)?;
    }
    Ok(())
}

fn would_change(plan: &Plan) -> ExitCode {
    plan.changes.iter().for_each(show);
    show_stuck(plan);
    let moved = plan.changes.iter().filter(|change| !change.is_order());
    let bytes: u64 = moved.clone().map(|change| change.bytes).sum();
    let (changes, moves) = (plan.changes.len(), moved.count());
    println!(
        "{changes} partitions would change, {moves} of them would move ({} MiB), {} would stay",
        bytes >> 20,
        plan.stuck.len()
    );
    ExitCode::SUCCESS
}

fn show(change: &ReplicaChange) {
    println!("{}-{}: {:?} -> {:?}, {}", change.topic, change.partition, change.from, change.to, change.reason);
}

fn show_stuck(plan: &Plan) {
    for (topic, partition, reason) in &plan.stuck {
        println!(
            "{topic}-{partition}: stays although {reason}: no other broker that serves can have it, or nobody leads it"
        );
    }
}
