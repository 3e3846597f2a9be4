//! Topics that come into being because somebody asked for them: on first use by a client, and internal ones.

use std::sync::Arc;

use bytestring::ByteString;
use goatq_controller::Controller;
use goatq_controller::decide::topics::{CreateTopicError, CreateTopics, NewTopic};
use goatq_controller::image::MetadataImage;
use goatq_controller::service::SubmitError;
use goatq_protocol::Uuid;

use crate::config::{BrokerConfig, LiveConfig};
use crate::metadata::applied::Applied;

/// A topic that the broker keeps its own records in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InternalTopic {
    /// `__consumer_offsets`.
    ConsumerOffsets,
}

impl InternalTopic {
    /// The topic's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConsumerOffsets => "__consumer_offsets",
        }
    }

    /// What it is created with: small segments, because all of it is read when a coordinator loads.
    fn new_topic(self, config: &BrokerConfig, image: &MetadataImage) -> NewTopic {
        match self {
            Self::ConsumerOffsets => {
                let offsets = &config.offsets;
                let codec = match offsets.compression_codec {
                    1 => "gzip",
                    2 => "snappy",
                    3 => "lz4",
                    4 => "zstd",
                    _ => "producer",
                };
                let text = |text: &str| Some(ByteString::from(text));
                NewTopic {
                    partitions: offsets.partitions,
                    replication_factor: offsets.replication_factor.min(alive_brokers(image)),
                    configs: vec![
                        ("cleanup.policy".into(), text("compact")),
                        ("compression.type".into(), text(codec)),
                        ("segment.bytes".into(), text(&offsets.segment_bytes.to_string())),
                    ],
                    ..NewTopic::named(self.name())
                }
            }
        }
    }
}

/// Brokers that could take a replica; at least one, so that a request is refused by the controller and not here.
fn alive_brokers(image: &MetadataImage) -> i16 {
    let alive = image.brokers.iter().filter(|broker| !broker.fenced).count();
    i16::try_from(alive.max(1)).unwrap_or(i16::MAX)
}

/// Replicas of a topic that is created without a number: what was configured, else as many as there are brokers, at most
/// three.
pub(crate) fn default_replication_factor(config: &BrokerConfig, image: &MetadataImage) -> i16 {
    config.topics.default_replication_factor.unwrap_or_else(|| alive_brokers(image).min(3))
}

/// Why a topic was not created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AutoCreateError {
    /// The topic itself is not possible.
    #[error(transparent)]
    Refused(#[from] CreateTopicError),
    /// The controller cannot act now; later it may.
    #[error(transparent)]
    Unavailable(#[from] SubmitError),
    /// It exists, but its partitions were not open in time.
    #[error("the partitions of the topic are not open yet")]
    NotOpen,
}

/// Creates topics on demand through the controller.
pub(crate) struct AutoCreate {
    controller: Controller,
    config: Arc<LiveConfig>,
    applied: Applied,
}

impl AutoCreate {
    /// Creates topics by `controller`; `applied` tells how far its image was put into effect on this node.
    pub(crate) fn new(controller: Controller, config: Arc<LiveConfig>, applied: Applied) -> Self {
        Self { controller, config, applied }
    }

    /// Creates a topic that a client named, with the broker's defaults, unless it exists already. Waits until its
    /// partitions are open, so that the client's next request finds them. Whether the client may
    /// (`auto.create.topics.enable`, its own flag) is the caller's question.
    ///
    /// # Errors
    /// See [`AutoCreateError`]; `api/create_topics` has the codes.
    pub(crate) async fn topic(&self, name: &str) -> Result<Uuid, AutoCreateError> {
        let (config, image) = (self.config.current(), self.controller.image());
        let topic = NewTopic {
            partitions: config.topics.num_partitions,
            replication_factor: default_replication_factor(&config, &image),
            ..NewTopic::named(name.to_owned())
        };
        self.create(&image, topic).await
    }

    /// Creates an internal topic unless it exists, with the partitions, replication factor and configuration that
    /// its own keys ask for, and waits as [`Self::topic`] does.
    ///
    /// # Errors
    /// See [`AutoCreateError`].
    pub(crate) async fn internal(&self, topic: InternalTopic) -> Result<Uuid, AutoCreateError> {
        let (config, image) = (self.config.current(), self.controller.image());
        self.create(&image, topic.new_topic(&config, &image)).await
    }

    async fn create(&self, image: &MetadataImage, topic: NewTopic) -> Result<Uuid, AutoCreateError> {
        let name = topic.name.clone();
        if let Some(existing) = image.topics.by_name(&name) {
            let id = existing.id;
            return self.until_open(image.applied_index).await.map(|()| id);
        }
        let response = self.controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await?;
        let created = response.topics.into_iter().next().map(|(_, result)| result);
        // Whoever was quicker made the same topic.
        let image = self.controller.image();
        let id = match created {
            Some(Ok(created)) => {
                tracing::info!(topic = %name, partitions = created.partitions, "topic created on demand");
                created.id
            }
            Some(Err(error)) => match image.topics.by_name(&name) {
                Some(existing) => existing.id,
                None => return Err(error.into()),
            },
            None => return Err(AutoCreateError::NotOpen),
        };
        self.until_open(image.applied_index).await.map(|()| id)
    }

    async fn until_open(&self, index: i64) -> Result<(), AutoCreateError> {
        if self.applied.until(index).await { Ok(()) } else { Err(AutoCreateError::NotOpen) }
    }
}
