//! The topics: how they are configured, and what is written to them.

use anyhow::{Context, ensure};
use goatq_protocol::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use goatq_protocol::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use goatq_protocol::message::metadata::{MetadataRequest, MetadataRequestTopic};
use goatq_protocol::{ErrorCode, Uuid};
use rand::RngExt;
use rand::rngs::StdRng;

use super::{COMMITTED, Load, Target};
use crate::crash_image::book::Trims;

const CREATE_TOPICS: i16 = 7;
const DELETE_TOPICS: i16 = 6;
const METADATA: i16 = 12;
/// Names of topics that go.
pub(super) const NAMES: usize = 4;

/// A topic and how it is written to.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) trims: Trims,
    /// How often it is chosen.
    pub(super) weight: u32,
    configs: &'static [(&'static str, &'static str)],
    /// Most partitions in one request.
    spread: i32,
    /// One batch in so many is a large one; 0 for none.
    large: u32,
}

impl Style {
    /// Partitions for one request, with the sizes of their records.
    pub(super) fn draw(&self, topic: Uuid, serial: u32, rng: &mut StdRng) -> Vec<(Target, Vec<u32>)> {
        let count = rng.random_range(1..=self.spread.min(self.partitions));
        let first = rng.random_range(0..self.partitions);
        let keyed = self.trims == Trims::Compacted;
        let one = |n| {
            let partition = (first + n) % self.partitions;
            (Target { topic, serial, partition, keyed }, self.sizes(rng))
        };
        (0..count).map(one).collect()
    }

    fn sizes(&self, rng: &mut StdRng) -> Vec<u32> {
        let (records, bytes) = match rng.random_range(0..20) {
            _ if self.large > 0 && rng.random_ratio(1, self.large) => (rng.random_range(8..60), 4_000..12_000),
            0..3 => (rng.random_range(5..50), 100..1_500),
            _ => (rng.random_range(1..5), 0..300),
        };
        (0..records).map(|_| rng.random_range(bytes.clone())).collect()
    }
}

/// The topics that stay.
pub(super) fn lasting(many: i32) -> Vec<Style> {
    let style = |name: &str, partitions, trims, weight, configs, spread, large| {
        let name = name.to_owned();
        Style { name, partitions, trims, weight, configs, spread, large }
    };
    const SMALL: (&str, &str) = ("segment.bytes", "1048576");
    const GONE_SOON: (&str, &str) = ("file.delete.delay.ms", "500");
    vec![
        style(COMMITTED, 3, Trims::Never, 3, &[], 3, 40),
        style("many", many, Trims::Never, 4, &[], 40, 0),
        style("ticking", 3, Trims::Never, 2, &[("segment.ms", "200")], 2, 0),
        style("cut", 2, Trims::Cut, 2, &[SMALL, GONE_SOON], 1, 8),
        style("aged", 2, Trims::Aged, 2, &[SMALL, GONE_SOON, ("retention.bytes", "2097152")], 1, 8),
        style(
            "compacted",
            3,
            Trims::Compacted,
            3,
            &[
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "0.01"),
                ("segment.ms", "300"),
                SMALL,
                GONE_SOON,
            ],
            3,
            100,
        ),
    ]
}

/// One that goes. A name comes again after [`NAMES`] topics.
pub(super) fn passing(number: usize, partitions: i32) -> Style {
    Style {
        name: format!("passing-{}", number % NAMES),
        partitions,
        trims: Trims::Never,
        weight: 0,
        configs: &[],
        spread: 3,
        large: 20,
    }
}

/// Creates the topic; its id.
pub(super) fn create(load: &Load, style: &Style) -> anyhow::Result<Uuid> {
    let configs = style
        .configs
        .iter()
        .map(|&(name, value)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) });
    let topic = CreatableTopic {
        name: style.name.as_str().into(),
        num_partitions: style.partitions,
        replication_factor: 1,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    loop {
        let answer = load.ask(&request, CREATE_TOPICS)?;
        let topic = answer.topics.first().context("no answer")?;
        if topic.error_code == 0 {
            return Ok(topic.topic_id);
        }
        // The node was killed before it could answer the first time.
        if topic.error_code == ErrorCode::TopicAlreadyExists.code() {
            return id_of(load, &style.name);
        }
        let passes = [ErrorCode::RequestTimedOut, ErrorCode::NotController];
        let passes = passes.iter().any(|error| error.code() == topic.error_code);
        ensure!(passes, "{}: error {}: {:?}", style.name, topic.error_code, topic.error_message);
    }
}

fn id_of(load: &Load, name: &str) -> anyhow::Result<Uuid> {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let topic = load.ask(&request, METADATA)?.topics.pop().context("no answer")?;
    ensure!(topic.error_code == 0, "{name}: error {}", topic.error_code);
    Ok(topic.topic_id)
}

/// Deletes the topic.
pub(super) fn delete(load: &Load, topic_id: Uuid) -> anyhow::Result<()> {
    let topics = vec![DeleteTopicState { name: None, topic_id }];
    let request = DeleteTopicsRequest { topics, timeout_ms: 30_000, ..DeleteTopicsRequest::default() };
    loop {
        let answer = load.ask(&request, DELETE_TOPICS)?;
        let code = answer.responses.first().context("no answer")?.error_code;
        // A node that was killed before it could answer does not know the topic any more.
        if [ErrorCode::None, ErrorCode::UnknownTopicId].iter().any(|known| known.code() == code) {
            return Ok(());
        }
        let passes = [ErrorCode::RequestTimedOut, ErrorCode::NotController];
        ensure!(passes.iter().any(|error| error.code() == code), "deletion: error {code}");
    }
}
