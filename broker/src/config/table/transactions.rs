//! Producer ids and transactions.

use super::{NO_2PC, NO_TRANSACTIONS};
use crate::config::key::Valid::{Any, AtLeast};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "add.partitions.to.txn.retry.backoff.max.ms" Int Some("100"), High ReadOnly AtLeast(0), Inert NO_TRANSACTIONS;
    "add.partitions.to.txn.retry.backoff.ms" Int Some("20"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
    "producer.id.expiration.check.interval.ms" Int Some("600000"), Low ReadOnly AtLeast(1), Honoured
        "How often producers are checked for that.";
    "producer.id.expiration.ms" Int Some("86400000"), Low Cluster AtLeast(1), Honoured
        "State of a producer that has not written for this long is dropped.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int Some("10000"), Low ReadOnly AtLeast(1),
        Inert NO_TRANSACTIONS;
    "transaction.max.timeout.ms" Int Some("900000"), High ReadOnly AtLeast(1), Honoured
        "Longest transaction timeout that InitProducerId accepts.";
    "transaction.partition.verification.enable" Boolean Some("true"), Low ReadOnly Any, Inert NO_TRANSACTIONS;
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int Some("3600000"), Low ReadOnly AtLeast(1),
        Inert NO_TRANSACTIONS;
    "transaction.state.log.load.buffer.size" Int Some("5242880"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
    "transaction.state.log.min.isr" Int Some("2"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
    "transaction.state.log.num.partitions" Int Some("50"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
    "transaction.state.log.replication.factor" Short Some("3"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
    "transaction.state.log.segment.bytes" Int Some("104857600"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
    "transaction.two.phase.commit.enable" Boolean Some("false"), Low ReadOnly Any, Refused NO_2PC;
    "transactional.id.expiration.ms" Int Some("604800000"), High ReadOnly AtLeast(1), Inert NO_TRANSACTIONS;
}
