//! Topics that come into being because somebody asked for them: on first use by a client, and internal ones.

use std::sync::Arc;

use bytestring::ByteString;
use goatq_controller::Controller;
use goatq_controller::decide::topics::{CreateTopicError, CreateTopics, NewTopic};
use goatq_controller::image::MetadataImage;
use goatq_controller::service::SubmitError;
use goatq_protocol::Uuid;
use parking_lot::Mutex;

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
                    replication_factor: offsets.replication_factor.unwrap_or_else(|| usual_replicas(config, image)),
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

/// As many as there are brokers, at most three. A broker that is down counts, and so does one that a starting cluster is still to have, by
/// this node's configuration: a topic that is made a moment too early would have too few replicas for ever.
fn usual_replicas(config: &BrokerConfig, image: &MetadataImage) -> i16 {
    usual(image.brokers.iter().count(), config.quorum.peers())
}

fn usual(registered: usize, expected: usize) -> i16 {
    const MOST: usize = 3;
    i16::try_from(registered.max(expected).clamp(1, MOST)).unwrap_or(1)
}

/// Replicas of a topic that is created without a number: what was configured, else as many as there are brokers, at most three.
pub(crate) fn default_replication_factor(config: &BrokerConfig, image: &MetadataImage) -> i16 {
    config.topics.default_replication_factor.unwrap_or_else(|| usual_replicas(config, image))
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
    /// Why an internal topic could not be created last: said once, not to each client that asks again.
    refused: Mutex<Option<String>>,
}

impl AutoCreate {
    /// Creates topics by `controller`; `applied` tells how far its image was put into effect on this node.
    pub(crate) fn new(controller: Controller, config: Arc<LiveConfig>, applied: Applied) -> Self {
        Self { controller, config, applied, refused: Mutex::default() }
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
        let created = self.create(&image, topic.new_topic(&config, &image)).await;
        let reason = created.as_ref().err().map(ToString::to_string);
        let mut refused = self.refused.lock();
        if let Some(reason) = reason.as_ref().filter(|_| *refused != reason) {
            tracing::warn!(topic = topic.name(), reason, "cannot be created");
        }
        *refused = reason;
        created
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

#[cfg(test)]
mod tests {
    use super::usual;

    #[test]
    fn a_cluster_that_starts_does_not_pass_for_a_small_one() {
        assert_eq!([usual(0, 1), usual(1, 1), usual(2, 1), usual(5, 1)], [1, 1, 2, 3]);
        // A broker of three asks before the others have registered.
        assert_eq!([usual(1, 3), usual(2, 3), usual(3, 3), usual(1, 5)], [3, 3, 3, 3]);
        // Controllers of their own say nothing of how many brokers there will be.
        assert_eq!(usual(2, 0), 2);
    }
}
