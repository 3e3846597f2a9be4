//! From layers of text to the typed view.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use goatq_controller::balance::BalanceSettings;

use super::broker::{
    BrokerConfig, CleanerConfig, FetchConfig, GroupConfig, IdentityConfig, LogConfig, NetworkConfig, OffsetsConfig,
    ProducerConfig, QuorumConfig, ReplicationConfig, TopicDefaults,
};
use super::check::{InvalidValue, list_items};
use super::layers::Layers;
use super::listener::{Listener, SecurityMap, SecurityProtocol};
use super::machine::Machine;
use super::quorum;
use super::table::RACK_AWARE_SELECTOR;
use crate::replication::throttle::ThrottleConfig;

/// Longer times are as good as for ever, and sums of such times must not overflow.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads one key after the other; what cannot be read is an error with the name of its key.
pub(super) struct Build<'a> {
    layers: &'a Layers<'a>,
    machine: &'a Machine,
}

type Built<T> = Result<T, InvalidValue>;

/// A whole number as another type; numbers out of its range become its nearest end.
fn clamp<T: TryFrom<i64>>(number: i64, low: T, high: T) -> T {
    T::try_from(number).unwrap_or(if number < 0 { low } else { high })
}

/// Listeners as bound, and by name what others are told of them.
type Listeners = (Vec<Listener>, BTreeMap<String, Listener>);

impl<'a> Build<'a> {
    pub(super) fn new(layers: &'a Layers<'a>, machine: &'a Machine) -> Self {
        Self { layers, machine }
    }

    fn invalid(&self, key: &'static str, why: impl ToString) -> InvalidValue {
        let value = self.layers.value(key).unwrap_or("null").to_owned();
        InvalidValue { key: key.to_owned(), value, why: why.to_string() }
    }

    fn number(&self, key: &'static str) -> Built<i64> {
        self.layers.get(key)
    }

    fn size(&self, key: &'static str) -> Built<usize> {
        Ok(clamp(self.number(key)?, 0, usize::MAX))
    }

    fn int(&self, key: &'static str) -> Built<i32> {
        Ok(clamp(self.number(key)?, i32::MIN, i32::MAX))
    }

    /// Milliseconds; negative ones mean "never" wherever Kafka permits them.
    fn ms(&self, key: &'static str) -> Built<Duration> {
        let ms = self.number(key)?;
        Ok(u64::try_from(ms).map_or(FOR_EVER, Duration::from_millis).min(FOR_EVER))
    }

    fn text(&self, key: &'static str) -> Option<String> {
        self.layers.value(key).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn all(&self) -> Built<BrokerConfig> {
        Ok(BrokerConfig {
            identity: self.identity()?,
            quorum: self.quorum()?,
            network: self.network()?,
            topics: self.topics()?,
            log: self.log()?,
            cleaner: self.cleaner()?,
            fetch: FetchConfig {
                max_bytes: self.size("fetch.max.bytes")?,
                session_slots: self.size("max.incremental.fetch.session.cache.slots")?,
            },
            replication: ReplicationConfig {
                max_lag: self.ms("replica.lag.time.max.ms")?,
                fetch_backoff: self.ms("replica.fetch.backoff.ms")?,
                fetch_max_wait: self.ms("replica.fetch.wait.max.ms")?,
                fetch_min_bytes: self.int("replica.fetch.min.bytes")?,
                fetch_partition_bytes: self.int("replica.fetch.max.bytes")?,
                fetch_response_bytes: self.int("replica.fetch.response.max.bytes")?,
                socket_timeout: self.ms("replica.socket.timeout.ms")?,
                checkpoint_interval: self.ms("replica.high.watermark.checkpoint.interval.ms")?,
                rack_aware: self.text("replica.selector.class").as_deref() == Some(RACK_AWARE_SELECTOR),
                leader_throttle: self.replication_throttle("leader.replication.throttled.rate")?,
                follower_throttle: self.replication_throttle("follower.replication.throttled.rate")?,
                move_throttle: self.throttle(
                    "replica.alter.log.dirs.io.max.bytes.per.second",
                    "alter.log.dirs.replication.quota.window.num",
                    "alter.log.dirs.replication.quota.window.size.seconds",
                )?,
                moves_at_once: match self.text("num.replica.alter.log.dirs.threads") {
                    Some(_) => self.size("num.replica.alter.log.dirs.threads")?,
                    None => self.log()?.dirs.len(),
                },
            },
            balance: self.balance()?,
            groups: self.groups()?,
            offsets: self.offsets()?,
            producers: ProducerConfig {
                id_expiration: self.ms("producer.id.expiration.ms")?,
                id_expiration_check_interval: self.ms("producer.id.expiration.check.interval.ms")?,
                transaction_max_timeout: self.ms("transaction.max.timeout.ms")?,
            },
        })
    }

    fn identity(&self) -> Built<IdentityConfig> {
        let cluster_id = self.text("cluster.id");
        if cluster_id.as_ref().is_some_and(|id| id.parse::<goatq_protocol::Uuid>().is_err()) {
            return Err(self.invalid("cluster.id", "expected 22 characters of URL-safe base64"));
        }
        // What a variable gives that an orchestrator had nothing to put into.
        let rack = self.text("broker.rack").filter(|rack| !rack.is_empty());
        Ok(IdentityConfig { node_id: self.int("node.id")?, rack, cluster_id })
    }

    fn quorum(&self) -> Built<QuorumConfig> {
        let (listener_names, security) = self.security()?;
        let (listeners, mut advertised) =
            self.listeners_where(&security, |listener| listener_names.contains(&listener.name))?;
        for listener in listeners.iter().filter(|listener| listener.is_wildcard()) {
            let told = Listener { host: self.machine.host_name.clone(), ..listener.clone() };
            advertised.entry(listener.name.clone()).or_insert(told);
        }
        let has = |role: &str| self.layers.list("process.roles").any(|given| given == role);
        let key = "controller.quorum.bootstrap.servers";
        let mut servers = Vec::new();
        for item in self.layers.list(key) {
            let address = quorum::address(item).map_err(|why| self.invalid(key, why))?;
            let this_node = |listener: &Listener| quorum::is_at(listener, &address, &self.machine.host_name);
            if !listeners.iter().chain(advertised.values()).any(this_node) {
                servers.push(address);
            }
        }
        let key = "controller.quorum.voters";
        Ok(QuorumConfig {
            is_broker: has("broker"),
            is_controller: has("controller"),
            voters: quorum::voters(self.layers.list(key)).map_err(|why| self.invalid(key, why))?,
            servers,
            listeners,
            advertised,
            listener_names,
            auto_join: self.layers.flag("controller.quorum.auto.join.enable")?,
            election_timeout: self.ms("controller.quorum.election.timeout.ms")?.max(Duration::from_millis(50)),
            request_timeout: self.ms("controller.quorum.request.timeout.ms")?.max(Duration::from_millis(100)),
            heartbeat_interval: self.ms("broker.heartbeat.interval.ms")?.max(Duration::from_millis(10)),
            session_timeout: self.ms("broker.session.timeout.ms")?,
            controlled_shutdown: self.layers.flag("controlled.shutdown.enable")?,
        })
    }

    fn listener_list(&self, key: &'static str, security: &SecurityMap) -> Built<Vec<Listener>> {
        let parse = |text| Listener::parse(text, security).map_err(|error| self.invalid(key, error));
        self.layers.list(key).map(parse).collect()
    }

    /// The listeners of clients and what they are told of them.
    fn listeners(&self) -> Built<Listeners> {
        let (controllers, security) = self.security()?;
        self.listeners_where(&security, |listener| !controllers.contains(&listener.name))
    }

    /// Names of controller listeners in upper case, and how each listener is secured.
    fn security(&self) -> Built<(Vec<String>, SecurityMap)> {
        let controllers: Vec<_> = self.layers.list("controller.listener.names").map(str::to_ascii_uppercase).collect();
        let map = "listener.security.protocol.map";
        let security = SecurityMap::parse(self.layers.list(map), controllers.iter().map(String::as_str))
            .map_err(|error| self.invalid(map, error))?;
        Ok((controllers, security))
    }

    fn listeners_where(&self, security: &SecurityMap, wanted: impl Fn(&Listener) -> bool) -> Built<Listeners> {
        let bound = self.listener_list("listeners", security)?.into_iter().filter(&wanted).collect::<Vec<_>>();
        let advertised = self.listener_list("advertised.listeners", security)?.into_iter().filter(&wanted);
        let mut advertised: BTreeMap<_, _> = advertised.map(|listener| (listener.name.clone(), listener)).collect();
        for listener in bound.iter().filter(|listener| listener.host.is_empty()) {
            let told = Listener { host: self.machine.host_name.clone(), ..listener.clone() };
            advertised.entry(listener.name.clone()).or_insert(told);
        }
        Ok((bound, advertised))
    }

    /// The listener that brokers use: named, or the first one with the protocol of `security.inter.broker.protocol`.
    fn inter_broker_listener(&self, listeners: &[Listener]) -> Built<String> {
        if let Some(name) = self.text("inter.broker.listener.name") {
            return Ok(name.to_ascii_uppercase());
        }
        let protocol: SecurityProtocol = self.layers.get("security.inter.broker.protocol")?;
        let with_protocol = listeners.iter().find(|listener| listener.security == protocol);
        // Without one, the rules between keys say what is wrong.
        Ok(with_protocol.or(listeners.first()).map(|listener| listener.name.clone()).unwrap_or_default())
    }

    fn per_ip_overrides(&self) -> Built<BTreeMap<IpAddr, usize>> {
        let key = "max.connections.per.ip.overrides";
        let mut overrides = BTreeMap::new();
        for item in self.layers.list(key) {
            let bad = || self.invalid(key, format!("{item:?} is not host:number, or the host is unknown"));
            let (host, count) = item.rsplit_once(':').ok_or_else(bad)?;
            let host = host.trim().trim_start_matches('[').trim_end_matches(']');
            let count = count.trim().parse().map_err(|_| bad())?;
            let addresses = (host, 0).to_socket_addrs().map_err(|_| bad())?;
            overrides.extend(addresses.map(|address| (address.ip(), count)));
        }
        Ok(overrides)
    }

    fn buffer(&self, key: &'static str) -> Built<Option<usize>> {
        Ok(usize::try_from(self.number(key)?).ok())
    }

    fn network(&self) -> Built<NetworkConfig> {
        let (listeners, advertised) = self.listeners()?;
        let inter_broker_listener = self.inter_broker_listener(&listeners)?;
        let request_memory = self.number("queued.max.request.bytes")?;
        // Some of the files the process may open are for segments, indexes and sockets to peers.
        let files = usize::try_from(self.machine.open_files).unwrap_or(usize::MAX);
        let for_connections = files / 100 * 75;
        Ok(NetworkConfig {
            listeners,
            advertised,
            inter_broker_listener,
            http_listener: self.text("http.listener"),
            threads: self.size("num.network.threads")?,
            request_max_bytes: self.size("socket.request.max.bytes")?,
            request_memory_bytes: u64::try_from(request_memory)
                .ok()
                .filter(|bytes| *bytes > 0)
                .unwrap_or(self.machine.memory / 4),
            max_in_flight: self.size("max.in.flight.requests.per.connection")?,
            max_connections: self.size("max.connections")?.min(for_connections.max(64)),
            max_connections_per_ip: self.size("max.connections.per.ip")?,
            max_connections_per_ip_overrides: self.per_ip_overrides()?,
            max_connection_creation_rate: clamp(self.number("max.connection.creation.rate")?, 0, u32::MAX),
            idle_timeout: self.ms("connections.max.idle.ms")?,
            frame_timeout: self.ms("request.frame.timeout.ms")?,
            send_timeout: self.ms("response.send.timeout.ms")?,
            send_buffer: self.buffer("socket.send.buffer.bytes")?,
            receive_buffer: self.buffer("socket.receive.buffer.bytes")?,
            backlog: clamp(self.number("socket.listen.backlog.size")?, 1, u32::MAX),
            controller_timeout: self.ms("request.timeout.ms")?,
        })
    }

    fn is_set(&self, key: &str) -> bool {
        self.layers.settings.get(key).is_some()
    }

    fn topics(&self) -> Built<TopicDefaults> {
        let replicas: i64 = self.number("default.replication.factor")?;
        Ok(TopicDefaults {
            auto_create: self.layers.flag("auto.create.topics.enable")?,
            delete_enable: self.layers.flag("delete.topic.enable")?,
            num_partitions: self.int("num.partitions")?,
            default_replication_factor: self.is_set("default.replication.factor").then_some(clamp(
                replicas,
                i16::MIN,
                i16::MAX,
            )),
            max_request_partitions: self.size("max.request.partition.size.limit")?,
        })
    }

    fn log(&self) -> Built<LogConfig> {
        let dirs_key = if self.text("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
        let dirs: Vec<PathBuf> = self.layers.list(dirs_key).map(PathBuf::from).collect();
        let first = dirs.first().cloned().ok_or_else(|| self.invalid("log.dirs", "must name a directory"))?;
        Ok(LogConfig {
            metadata_dir: self.text("metadata.log.dir").map_or(first, PathBuf::from),
            dirs,
            cordoned_dirs: self.layers.list("cordoned.log.dirs").map(str::to_owned).collect(),
            reserve_bytes: clamp(self.number("log.dir.reserve.bytes")?, 0, u64::MAX),
            reserve_percent: clamp(self.number("log.dir.reserve.percent")?, 0, 100),
            retention_check_interval: self.ms("log.retention.check.interval.ms")?,
            initial_task_delay: self.ms("log.initial.task.delay.ms")?,
            flush_scheduler_interval: self.ms("log.flush.scheduler.interval.ms")?,
            open_files: usize::try_from(self.machine.open_files).unwrap_or(usize::MAX) / 10,
            recovery_threads: self.size("num.recovery.threads.per.data.dir")?,
        })
    }

    fn cleaner(&self) -> Built<CleanerConfig> {
        Ok(CleanerConfig {
            enabled: self.layers.flag("log.cleaner.enable")?,
            threads: self.size("log.cleaner.threads")?,
            dedupe_buffer_bytes: clamp(self.number("log.cleaner.dedupe.buffer.size")?, 0, u64::MAX),
            load_factor: self.layers.get("log.cleaner.io.buffer.load.factor")?,
            max_bytes_per_second: self.layers.get("log.cleaner.io.max.bytes.per.second")?,
            backoff: self.ms("log.cleaner.backoff.ms")?,
        })
    }

    fn balance(&self) -> Built<BalanceSettings> {
        let key = "balancer.drain";
        let id = |item: &str| {
            let id = item.parse().ok().filter(|id| *id >= 0);
            id.ok_or_else(|| self.invalid(key, format!("{item:?} is not the id of a broker")))
        };
        let seconds = self.number("leader.imbalance.check.interval.seconds")?;
        Ok(BalanceSettings {
            mode: self.layers.get("balancer.mode")?,
            repair_delay: self.ms("balancer.repair.delay.ms")?,
            interval: self.ms("balancer.interval.ms")?,
            moves_per_broker: self.size("balancer.moves.per.broker")?,
            drain: self.layers.list(key).map(id).collect::<Built<_>>()?,
            restore_leaders: self.layers.flag("auto.leader.rebalance.enable")?,
            leader_interval: Duration::from_secs(clamp(seconds, 1, u64::MAX)).min(FOR_EVER),
        })
    }

    fn throttle(&self, rate: &'static str, windows: &'static str, seconds: &'static str) -> Built<ThrottleConfig> {
        let seconds = self.number(seconds)?;
        Ok(ThrottleConfig {
            rate: clamp(self.number(rate)?, 0, u64::MAX),
            windows: self.size(windows)?,
            window: Duration::from_secs(clamp(seconds, 1, u64::MAX)),
        })
    }

    fn replication_throttle(&self, rate: &'static str) -> Built<ThrottleConfig> {
        self.throttle(rate, "replication.quota.window.num", "replication.quota.window.size.seconds")
    }

    fn groups(&self) -> Built<GroupConfig> {
        Ok(GroupConfig {
            min_session_timeout: self.ms("group.min.session.timeout.ms")?,
            max_session_timeout: self.ms("group.max.session.timeout.ms")?,
            initial_rebalance_delay: self.ms("group.initial.rebalance.delay.ms")?,
            max_size: self.size("group.max.size")?,
        })
    }

    fn offsets(&self) -> Built<OffsetsConfig> {
        const KEY: &str = "offsets.topic.replication.factor";
        let minutes = self.number("offsets.retention.minutes")?;
        Ok(OffsetsConfig {
            partitions: self.int("offsets.topic.num.partitions")?,
            replication_factor: self.is_set(KEY).then_some(clamp(self.number(KEY)?, 1, i16::MAX)),
            segment_bytes: self.int("offsets.topic.segment.bytes")?,
            compression_codec: clamp(self.number("offsets.topic.compression.codec")?, 0, i8::MAX),
            retention: Duration::from_secs(clamp::<u64>(minutes, 0, u64::MAX).saturating_mul(60)).min(FOR_EVER),
            retention_check_interval: self.ms("offsets.retention.check.interval.ms")?,
            metadata_max_bytes: self.size("offset.metadata.max.bytes")?,
            commit_timeout: self.ms("offsets.commit.timeout.ms")?,
            load_buffer_bytes: self.size("offsets.load.buffer.size")?,
        })
    }
}

/// The items of a list of listeners, for a look at them before the layers are complete.
pub(super) fn listener_hosts_are_loopback(listeners: &str) -> bool {
    let names: Vec<_> = list_items(listeners).filter_map(|item| item.split_once("://")).map(|(name, _)| name).collect();
    let plain = SecurityMap::parse(std::iter::empty(), names.into_iter()).unwrap_or_default();
    list_items(listeners).all(|item| Listener::parse(item, &plain).is_ok_and(|listener| listener.is_loopback()))
}
