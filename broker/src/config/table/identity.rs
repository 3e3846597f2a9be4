//! Who the node is, and the metadata quorum.

use super::{NO_QUOTAS, OWN_METADATA_LOG, OWN_RAFT, OWN_START};
use crate::config::key::Valid::{Any, AtLeast, ListOf};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "broker.heartbeat.interval.ms" Int Some("2000"), Medium ReadOnly Any, Honoured
        "How often a broker tells the active controller that it is alive.";
    "broker.id" Int Some("-1"), High ReadOnly Any, Honoured
        "Older name of node.id: when set, it must agree with it.";
    "broker.rack" Text None, Medium ReadOnly Any, Honoured
        "Rack or zone of this node, told to clients and used when replicas are placed.";
    "broker.session.timeout.ms" Int Some("9000"), Medium ReadOnly Any, Honoured
        "A broker that the active controller has not heard for this long is fenced: it leads nothing and clients no longer \
         see it.";
    "cluster.id" Text None, Medium ReadOnly Any, Honoured
        "Id that a new cluster is given: 22 characters of URL-safe base64. A data directory that already has one \
         must agree. Made up when unset by a node that forms its cluster alone; all nodes of a larger one need the same.";
    "controller.listener.names" List Some("CONTROLLER"), High ReadOnly Any, Honoured
        "Listeners reserved for the nodes of the cluster to reach its controllers: they are taken out of the listeners for \
         clients.";
    "controller.performance.always.log.threshold.ms" Long Some("2000"), Medium ReadOnly AtLeast(0), Inert OWN_RAFT;
    "controller.performance.sample.period.ms" Long Some("60000"), Medium ReadOnly AtLeast(100), Inert OWN_RAFT;
    "controller.quorum.append.linger.ms" Int Some("25"), Medium ReadOnly AtLeast(0), Inert OWN_RAFT;
    "controller.quorum.auto.join.enable" Boolean Some("false"), Low ReadOnly Any, Honoured
        "Whether a controller that is none of the voters gets itself a vote once it has the metadata (KIP-1186).";
    "controller.quorum.bootstrap.servers" List Some(""), High ReadOnly Any, Honoured
        "Where a node finds the controllers, as host:port; any of them will do. A controller with this and without \
         controller.quorum.voters joins them: it follows the metadata and may be given a vote. Not needed beside \
         controller.quorum.voters.";
    "controller.quorum.election.backoff.max.ms" Int Some("1000"), High ReadOnly AtLeast(0), Inert OWN_RAFT;
    "controller.quorum.election.timeout.ms" Int Some("1000"), High ReadOnly AtLeast(0), Honoured
        "A controller that does not hear the active one for this long, and up to twice as long, calls an election.";
    "controller.quorum.fetch.max.bytes" Int Some("1048576"), Low ReadOnly AtLeast(1), Inert OWN_RAFT;
    "controller.quorum.fetch.snapshot.max.bytes" Int Some("1048576"), Low ReadOnly AtLeast(1), Inert OWN_RAFT;
    "controller.quorum.fetch.timeout.ms" Int Some("2000"), High ReadOnly AtLeast(0), Inert OWN_RAFT;
    "controller.quorum.request.timeout.ms" Int Some("2000"), Medium ReadOnly AtLeast(0), Honoured
        "A connection between nodes on which an answer is overdue for this long is closed and made anew.";
    "controller.quorum.retry.backoff.ms" Int Some("20"), Low ReadOnly AtLeast(0), Inert OWN_RAFT;
    "controller.quorum.voters" List Some(""), High ReadOnly Any, Honoured
        "The controllers that form the metadata quorum, as id@host:port: 1, 3 or 5 of them, the same on all nodes. Empty on a \
         node that is its own only controller.";
    "controller.quota.window.num" Int Some("11"), Low ReadOnly AtLeast(1), Inert NO_QUOTAS;
    "controller.quota.window.size.seconds" Int Some("1"), Low ReadOnly AtLeast(1), Inert NO_QUOTAS;
    "controller.socket.timeout.ms" Int Some("30000"), Medium ReadOnly Any, Inert OWN_RAFT;
    "early.start.listeners" List None, High ReadOnly Any, Inert OWN_START;
    "initial.broker.registration.timeout.ms" Int Some("60000"), Medium ReadOnly Any, Inert
        "A broker that does not reach the controllers goes on trying, and says so.";
    "internal.metadata.delete.delay.millis" Long Some("60000"), Low ReadOnly Any, Inert OWN_METADATA_LOG;
    "internal.metadata.log.segment.bytes" Int None, Low ReadOnly Any, Inert OWN_METADATA_LOG;
    "internal.metadata.max.batch.size.in.bytes" Int Some("8388608"), Low ReadOnly Any, Inert OWN_METADATA_LOG;
    "metadata.log.dir" Text None, High ReadOnly Any, Honoured
        "Directory of the metadata log; the first of log.dirs when unset.";
    "metadata.log.max.record.bytes.between.snapshots" Long Some("20971520"), High ReadOnly AtLeast(1),
        Inert OWN_METADATA_LOG;
    "metadata.log.max.snapshot.interval.ms" Long Some("3600000"), High ReadOnly AtLeast(0), Inert OWN_METADATA_LOG;
    "metadata.log.segment.bytes" Int Some("1073741824"), High ReadOnly AtLeast(8388608), Inert OWN_METADATA_LOG;
    "metadata.log.segment.ms" Long Some("604800000"), High ReadOnly Any, Inert OWN_METADATA_LOG;
    "metadata.max.idle.interval.ms" Int Some("500"), Low ReadOnly AtLeast(0), Inert OWN_METADATA_LOG;
    "metadata.max.retention.bytes" Long Some("104857600"), High ReadOnly Any, Inert OWN_METADATA_LOG;
    "metadata.max.retention.ms" Long Some("604800000"), High ReadOnly Any, Inert OWN_METADATA_LOG;
    "node.id" Int Some("1"), High ReadOnly AtLeast(0), Honoured
        "Identity of this node in its cluster, 0 or more. Never give the id of a lost node to another one unless its \
         disk was wiped.";
    "process.roles" List Some("broker,controller"), High ReadOnly ListOf(&["broker", "controller"]), Honoured
        "What the process does: serve clients (broker), form the metadata quorum (controller), or both.";
}
