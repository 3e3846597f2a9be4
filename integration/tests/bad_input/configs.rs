//! Configs that nobody may read, or set to this.

use anyhow::Context;
use goatq_protocol::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use goatq_protocol::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use goatq_protocol::message::metadata::MetadataRequest;

use super::peer::{Bench, Seen};
use super::{Row, row};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const RETENTION: &str = "retention.ms";

pub(crate) const ROWS: &[Row] = &[
    row("79 secrets", secrets, "none told"),
    row("79 configs of a topic that is not there", |b| describe(b, TOPIC, "absent"), "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("79 configs of a broker that is not there", |b| describe_named(b, BROKER, "77"), "42 INVALID_REQUEST"),
    row("79 configs of a broker that is no number", |b| describe_named(b, BROKER, "x"), "42 INVALID_REQUEST"),
    row("79 configs of nothing known", |b| describe_named(b, 99, "x"), "42 INVALID_REQUEST"),
    row("80 an unknown key", |b| set(b, "no.such.key", "1"), "40 INVALID_CONFIG"),
    row("80 a value that is no number", |b| set(b, RETENTION, "soon"), "40 INVALID_CONFIG"),
    row("80 a value out of range", |b| set(b, RETENTION, "-2"), "40 INVALID_CONFIG"),
    row("80 a policy that is none", |b| set(b, "cleanup.policy", "burn"), "40 INVALID_CONFIG"),
    row("80 no value", |b| alter(b, vec![change(SET, RETENTION, None)]), "42 INVALID_REQUEST"),
    // Kafka trips over it.
    row("80 no such operation", |b| alter(b, vec![change(9, RETENTION, Some("1"))]), "42 INVALID_REQUEST")
        .kafka("-1 UNKNOWN_SERVER_ERROR"),
    row("80 added to what is no list", |b| alter(b, vec![change(APPEND, RETENTION, Some("1"))]), "40 INVALID_CONFIG"),
    row("80 one key twice", twice, "42 INVALID_REQUEST"),
    row("80 what was never set taken away", |b| alter(b, vec![change(DELETE, "segment.ms", None)]), "0 NONE"),
    row("80 one of two keys unknown", half, "40 INVALID_CONFIG, retention.ms as before"),
    row("80 a topic that is not there", absent, "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("80 a broker that is no number", |b| alter_of(b, BROKER, "x"), "42 INVALID_REQUEST"),
    row("80 nothing known", |b| alter_of(b, 99, "x"), "42 INVALID_REQUEST"),
];

fn configs(bench: &Bench, kind: i8, name: &str) -> anyhow::Result<(i16, Vec<DescribeConfigsResourceResult>)> {
    let resource =
        DescribeConfigsResource { resource_type: kind, resource_name: name.into(), configuration_keys: None };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: false };
    let result = bench.ask(&request, 4)?.results.pop().context("no answer")?;
    Ok((result.error_code, result.configs))
}

fn secrets(bench: &Bench) -> anyhow::Result<Seen> {
    let brokers = bench.ask(&MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }, 9)?.brokers;
    let id = brokers.first().context("no broker")?.node_id.to_string();
    let (error, configs) = configs(bench, BROKER, &id)?;
    anyhow::ensure!(error == 0 && configs.len() > 100, "{error}, {} configs", configs.len());
    let secret = configs.iter().filter(|config| config.is_sensitive || config.name.ends_with("password"));
    let told = |config: &&DescribeConfigsResourceResult| {
        config.value.is_some() || config.synonyms.iter().any(|synonym| synonym.value.is_some())
    };
    let told: Vec<_> = secret.filter(told).map(|config| config.name.to_string()).collect();
    Ok(Seen::Text(if told.is_empty() { "none told".to_owned() } else { told.join(", ") }))
}

fn describe(bench: &Bench, kind: i8, name: &str) -> anyhow::Result<Seen> {
    describe_named(bench, kind, &bench.topic(name))
}

fn describe_named(bench: &Bench, kind: i8, name: &str) -> anyhow::Result<Seen> {
    Ok(Seen::Error(configs(bench, kind, name)?.0))
}

fn change(config_operation: i8, name: &str, value: Option<&str>) -> AlterableConfig {
    AlterableConfig { name: name.into(), config_operation, value: value.map(Into::into) }
}

fn send(bench: &Bench, resource_type: i8, name: &str, configs: Vec<AlterableConfig>) -> anyhow::Result<Seen> {
    let resource = AlterConfigsResource { resource_type, resource_name: name.into(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    Ok(Seen::Error(bench.ask(&request, 1)?.responses.pop().context("no answer")?.error_code))
}

fn alter(bench: &Bench, configs: Vec<AlterableConfig>) -> anyhow::Result<Seen> {
    send(bench, TOPIC, &bench.topic("compact"), configs)
}

fn alter_of(bench: &Bench, kind: i8, name: &str) -> anyhow::Result<Seen> {
    send(bench, kind, name, vec![change(SET, "log.cleaner.threads", Some("1"))])
}

fn set(bench: &Bench, name: &str, value: &str) -> anyhow::Result<Seen> {
    alter(bench, vec![change(SET, name, Some(value))])
}

fn twice(bench: &Bench) -> anyhow::Result<Seen> {
    alter(bench, vec![change(SET, RETENTION, Some("1000")), change(SET, RETENTION, Some("2000"))])
}

fn absent(bench: &Bench) -> anyhow::Result<Seen> {
    send(bench, TOPIC, &bench.topic("absent"), vec![change(SET, RETENTION, Some("1000"))])
}

fn half(bench: &Bench) -> anyhow::Result<Seen> {
    let retention = || -> anyhow::Result<_> {
        let (_, configs) = configs(bench, TOPIC, &bench.topic("compact"))?;
        Ok(configs.into_iter().find(|config| &*config.name == RETENTION).context("no retention.ms")?.value)
    };
    let before = retention()?;
    let seen = alter(bench, vec![change(SET, RETENTION, Some("1000")), change(SET, "no.such.key", Some("1"))])?;
    let kept = if retention()? == before { "as before" } else { "changed" };
    Ok(Seen::Text(format!("{seen}, {RETENTION} {kept}")))
}
