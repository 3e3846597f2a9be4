//! Tiered storage (KIP-405).

use super::NO_TIERING;
use crate::config::key::Valid::{Any, AtLeast, Ratio};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "follower.fetch.last.tiered.offset.enable" Boolean Some("false"), Medium ReadOnly Any, Inert NO_TIERING;
    "log.local.retention.bytes" Long Some("-2"), Medium ReadOnly AtLeast(-2), Inert NO_TIERING;
    "log.local.retention.ms" Long Some("-2"), Medium ReadOnly AtLeast(-2), Inert NO_TIERING;
    "log.remote.copy.lag.bytes" Long Some("-1"), Medium ReadOnly AtLeast(-1), Inert NO_TIERING;
    "log.remote.copy.lag.ms" Long Some("0"), Medium ReadOnly AtLeast(-1), Inert NO_TIERING;
    "remote.fetch.max.wait.ms" Int Some("500"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.list.offsets.request.timeout.ms" Long Some("30000"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.index.file.cache.total.size.bytes" Long Some("1073741824"), Low ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.index.file.cache.ttl.ms" Long Some("900000"), Low ReadOnly AtLeast(-1), Inert NO_TIERING;
    "remote.log.manager.copier.thread.pool.size" Int Some("10"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.copy.max.bytes.per.second" Long Some("9223372036854775807"), Medium ReadOnly AtLeast(1),
        Inert NO_TIERING;
    "remote.log.manager.copy.quota.window.num" Int Some("11"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.copy.quota.window.size.seconds" Int Some("1"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.expiration.thread.pool.size" Int Some("10"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.fetch.max.bytes.per.second" Long Some("9223372036854775807"), Medium ReadOnly AtLeast(1),
        Inert NO_TIERING;
    "remote.log.manager.fetch.quota.window.num" Int Some("11"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.fetch.quota.window.size.seconds" Int Some("1"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.follower.thread.pool.size" Int Some("2"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.task.interval.ms" Long Some("30000"), Low ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.task.retry.backoff.max.ms" Long Some("30000"), Low ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.task.retry.backoff.ms" Long Some("500"), Low ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.manager.task.retry.jitter" Double Some("0.2"), Low ReadOnly Ratio(0.0, 0.5), Inert NO_TIERING;
    "remote.log.manager.thread.pool.size" Int Some("2"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.metadata.custom.metadata.max.bytes" Int Some("128"), Low ReadOnly AtLeast(0), Inert NO_TIERING;
    "remote.log.metadata.manager.class.name" Text None, Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.metadata.manager.class.path" Text None, Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.metadata.manager.impl.prefix" Text Some("rlmm.config."), Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.metadata.manager.listener.name" Text None, Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.reader.max.pending.tasks" Int Some("100"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.reader.threads" Int Some("10"), Medium ReadOnly AtLeast(1), Inert NO_TIERING;
    "remote.log.storage.manager.class.name" Text None, Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.storage.manager.class.path" Text None, Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.storage.manager.impl.prefix" Text Some("rsm.config."), Medium ReadOnly Any, Inert NO_TIERING;
    "remote.log.storage.system.enable" Boolean Some("false"), Medium ReadOnly Any, Refused NO_TIERING;
}
