//! What several keys must be together. Single keys are checked by [`check`](super::check).

use std::collections::BTreeSet;

use super::BrokerConfig;
use super::layers::Layers;
use super::listener::{Listener, SecurityProtocol};

/// A rule that is broken: the key to look at, and what is wrong.
pub(super) type Broken = (&'static str, String);

struct Rules<'a> {
    layers: &'a Layers<'a>,
    config: &'a BrokerConfig,
    broken: Vec<Broken>,
}

/// All rules that these values break.
pub(super) fn broken(layers: &Layers<'_>, config: &BrokerConfig) -> Vec<Broken> {
    let mut rules = Rules { layers, config, broken: Vec::new() };
    rules.roles();
    rules.quorum();
    rules.listeners();
    rules.advertised();
    rules.exposure();
    rules.network();
    rules.log();
    rules.cleaner();
    rules.groups();
    rules.broken
}

impl Rules<'_> {
    fn unless(&mut self, holds: bool, key: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push((key, what()));
        }
    }

    fn number(&self, key: &'static str) -> Option<i64> {
        self.layers.optional(key).ok().flatten()
    }

    fn roles(&mut self) {
        let node_id = self.config.identity.node_id;
        let broker_id = self.number("broker.id").unwrap_or(-1);
        self.unless(broker_id == -1 || broker_id == i64::from(node_id), "broker.id", || {
            format!("differs from node.id ({node_id}); remove it")
        });
    }

    /// Who forms the quorum, and what that demands of this node.
    fn quorum(&mut self) {
        let (node_id, quorum) = (self.config.identity.node_id, &self.config.quorum);
        let (key, servers) = ("controller.quorum.voters", "controller.quorum.bootstrap.servers");
        let (votes, count) = (quorum.voters.contains_key(&node_id), quorum.voters.len());
        self.unless(matches!(count, 0 | 1 | 3 | 5), key, || {
            format!("names {count} voters: a quorum has 1, 3 or 5 of them")
        });
        if quorum.is_controller {
            self.unless(votes || count == 0, key, || {
                format!("must name this node ({node_id}), which is a controller by process.roles")
            });
            let alone = count <= 1 && quorum.servers.is_empty();
            self.unless(alone || !quorum.listeners.is_empty(), "listeners", || {
                "must have one of controller.listener.names: the other controllers connect to it".to_owned()
            });
        } else {
            self.unless(!votes, key, || {
                format!("names this node ({node_id}), which is no controller by process.roles")
            });
            self.unless(count > 0 || !quorum.servers.is_empty(), servers, || {
                format!("must say where the controllers are, or {key}: this node is only a broker by process.roles")
            });
            self.unless(!quorum.auto_join, "controller.quorum.auto.join.enable", || {
                "is for controllers by process.roles".to_owned()
            });
            self.unless(quorum.listeners.is_empty(), "listeners", || {
                "must not have one of controller.listener.names on a node that is only a broker".to_owned()
            });
        }
        let several = !quorum.votes_alone(node_id);
        self.unless(!several || !quorum.listener_names.is_empty(), "controller.listener.names", || {
            "must name the listener by which controllers are reached".to_owned()
        });
        let sessions = quorum.session_timeout >= quorum.heartbeat_interval * 2;
        self.unless(sessions, "broker.session.timeout.ms", || {
            "must be at least twice broker.heartbeat.interval.ms".to_owned()
        });
    }

    fn listeners(&mut self) {
        let quorum = &self.config.quorum;
        let listeners: Vec<_> = self.config.network.listeners.iter().chain(&quorum.listeners).collect();
        let unserved: Vec<_> =
            listeners.iter().filter(|l: &&&Listener| l.security != SecurityProtocol::Plaintext).collect();
        let unserved = unserved.first().map(|l| format!("{} uses {}", l.name, l.security.name()));
        let names: BTreeSet<_> = listeners.iter().map(|listener| &listener.name).collect();
        let (unique, some) = (names.len() == listeners.len(), !self.config.network.listeners.is_empty());
        let (is_broker, is_controller) = (quorum.is_broker, quorum.is_controller);
        let clash = port_clash(&listeners);
        let inter_broker = &self.config.network.inter_broker_listener;
        let has_inter_broker = self.config.network.listeners.iter().any(|listener| listener.name == *inter_broker);
        let quorum_listeners = quorum.listeners.clone();
        let protocol = self.layers.value("security.inter.broker.protocol").unwrap_or("PLAINTEXT").trim().to_owned();
        self.unless(protocol == SecurityProtocol::Plaintext.name(), "security.inter.broker.protocol", || {
            format!("{protocol} is not served in this version, only PLAINTEXT")
        });
        self.unless(some || !is_broker, "listeners", || "no listener is left for clients".to_owned());
        self.unless(is_broker || (is_controller && !some), "listeners", || {
            "must all be of controller.listener.names on a node that is only a controller".to_owned()
        });
        self.unless(is_broker || !quorum_listeners.is_empty(), "listeners", || {
            "must have one of controller.listener.names on a node that is only a controller".to_owned()
        });
        self.unless(unserved.is_none(), "listeners", || {
            format!("{}, but only PLAINTEXT is served in this version", unserved.unwrap_or_default())
        });
        self.unless(unique, "listeners", || "each listener needs a name of its own".to_owned());
        self.unless(clash.is_none(), "listeners", || {
            format!("each listener needs a port of its own, but {} is used twice", clash.unwrap_or_default())
        });
        self.unless(has_inter_broker || !some, "inter.broker.listener.name", || {
            format!("{inter_broker} is not one of listeners")
        });
    }

    fn advertised(&mut self) {
        let network = &self.config.network;
        let key = "advertised.listeners";
        let quorum = &self.config.quorum;
        let listeners: Vec<_> = network.listeners.iter().chain(&quorum.listeners).collect();
        for advertised in network.advertised.values().chain(quorum.advertised.values()) {
            let bound = listeners.iter().any(|listener| listener.name == advertised.name);
            self.unless(bound, key, || format!("{} is not one of listeners", advertised.name));
            self.unless(!advertised.is_wildcard(), key, || {
                format!("{advertised} is no address that a client could connect to")
            });
        }
        // Nodes know where controllers are from controller.quorum.voters.
        for listener in network.listeners.iter().filter(|listener| listener.is_wildcard()) {
            self.unless(network.advertised.contains_key(&listener.name), key, || {
                format!("must say what clients connect to, because listener {listener} is on every address")
            });
        }
    }

    /// A listener that others can reach without proving who they are is started only on explicit demand.
    fn exposure(&mut self) {
        let allowed = self.layers.flag("allow.insecure.listeners").unwrap_or(false);
        let listeners = self.config.network.listeners.iter().chain(&self.config.quorum.listeners);
        let exposed = listeners.into_iter().find(|listener| !listener.is_loopback());
        self.unless(allowed || exposed.is_none(), "listeners", || {
            let listener = exposed.map(Listener::to_string).unwrap_or_default();
            format!(
                "{listener} can be reached from other machines without encryption or authentication: whoever reaches \
                 it can read, change and delete everything. Bind 127.0.0.1, or set allow.insecure.listeners=true if \
                 the network itself is closed"
            )
        });
    }

    fn network(&mut self) {
        let network = &self.config.network;
        let queued = self.number("queued.max.request.bytes").unwrap_or(-1);
        let largest = i64::try_from(network.request_max_bytes).unwrap_or(i64::MAX);
        self.unless(queued <= 0 || queued >= largest, "queued.max.request.bytes", || {
            format!("must be at least socket.request.max.bytes ({largest}), or -1")
        });
        let possible = network.max_connections_per_ip > 0 || !network.max_connections_per_ip_overrides.is_empty();
        self.unless(possible, "max.connections.per.ip", || {
            "0 shuts everybody out unless max.connections.per.ip.overrides lets somebody in".to_owned()
        });
        if let Some(address) = network.http_listener.clone() {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            self.unless(port.is_some(), "http.listener", || format!("{address:?} is not host:port"));
        }
    }

    fn log(&mut self) {
        for key in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            let value = self.number(key).unwrap_or(-1);
            self.unless(value != 0 && value >= -1, key, || "must be -1 or above 0".to_owned());
        }
        let roll = self.number("log.roll.ms").unwrap_or(1);
        self.unless(roll >= 1, "log.roll.ms", || "must be at least 1".to_owned());
        let jitter = self.number("log.roll.jitter.ms").unwrap_or(0);
        self.unless(jitter >= 0, "log.roll.jitter.ms", || "must be at least 0".to_owned());
        let flush = self.number("log.flush.interval.ms").unwrap_or(1);
        self.unless(flush >= 0, "log.flush.interval.ms", || "must be at least 0".to_owned());
    }

    fn cleaner(&mut self) {
        let cleaner = &self.config.cleaner;
        let threads = u64::try_from(cleaner.threads.max(1)).unwrap_or(1);
        let enough = cleaner.dedupe_buffer_bytes / threads > 1 << 20;
        self.unless(enough, "log.cleaner.dedupe.buffer.size", || {
            "must be more than 1 MiB for each of log.cleaner.threads".to_owned()
        });
        let factor = cleaner.load_factor;
        self.unless(factor > 0.0 && factor <= 1.0, "log.cleaner.io.buffer.load.factor", || {
            "must be above 0 and at most 1".to_owned()
        });
        let (low, high) = ("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
        let ordered = self.number(low).zip(self.number(high)).is_none_or(|(low, high)| low <= high);
        self.unless(ordered, high, || format!("must be at least {low}"));
    }

    fn groups(&mut self) {
        let groups = &self.config.groups;
        let key = "group.max.session.timeout.ms";
        self.unless(groups.min_session_timeout <= groups.max_session_timeout, key, || {
            "must be at least group.min.session.timeout.ms".to_owned()
        });
        let codec = self.config.offsets.compression_codec;
        self.unless((0..=4).contains(&codec), "offsets.topic.compression.codec", || {
            "must be 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)".to_owned()
        });
    }
}

/// A port that two listeners want on the same address. Port 0 is another one each time.
fn port_clash(listeners: &[&Listener]) -> Option<u16> {
    let clashes = |a: &Listener, b: &Listener| {
        a.port == b.port && a.port != 0 && (a.host == b.host || a.is_wildcard() || b.is_wildcard())
    };
    let mut rest = listeners;
    while let Some((first, others)) = rest.split_first() {
        if others.iter().any(|other| clashes(first, other)) {
            return Some(first.port);
        }
        rest = others;
    }
    None
}
