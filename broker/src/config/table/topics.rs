//! Making and deleting topics.

use super::{BY_HAND, NO_JAVA};
use crate::config::key::Valid::{Any, AtLeast};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "alter.config.policy.class.name" Class None, Low ReadOnly Any, Refused NO_JAVA;
    "auto.create.topics.enable" Boolean Some("true"), High ReadOnly Any, Honoured
        "Whether a topic that a client asks for is created with the defaults of the broker. Defaults to false as \
         soon as a listener is reachable from outside the machine.";
    "create.topic.policy.class.name" Class None, Low ReadOnly Any, Refused NO_JAVA;
    "default.replication.factor" Int Some("1"), Medium ReadOnly Any, Honoured
        "Replicas of a topic that is created without a number. When it is not set: as many as there are brokers, at \
         most three.";
    "delete.topic.enable" Boolean Some("true"), High ReadOnly Any, Honoured
        "Whether topics can be deleted; otherwise DeleteTopics is refused.";
    "max.request.partition.size.limit" Int Some("2000"), Medium ReadOnly AtLeast(1), Honoured
        "Most partitions in one reply of DescribeTopicPartitions.";
    "min.insync.replicas" Int Some("1"), High Cluster AtLeast(1), Honoured
        "Replicas that must have a record before a write with acks=all is acknowledged; with fewer in sync it is \
         refused.";
    "num.partitions" Int Some("1"), Medium ReadOnly AtLeast(1), Honoured
        "Partitions of a topic that is created without a number.";
    "unclean.leader.election.enable" Boolean Some("false"), High ReadOnly Any, Refused BY_HAND;
}
