//! The table, the checks, the layers and the views together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use goatq_storage::config::LogConfig;

use super::key::{Kind, Scope, Status};
use super::layers::{Dynamic, Source};
use super::machine::Machine;
use super::settings::{Entry, Origin};
use super::{LiveConfig, Settings, TopicConfig, check, table};

fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
    let entry = |(name, value): &(&str, &str)| Entry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        origin: Origin::CommandLine,
    };
    pairs.iter().map(entry).collect()
}

fn live(pairs: &[(&str, &str)]) -> Result<LiveConfig, String> {
    let settings = Settings::new(entries(pairs)).map_err(|error| error.to_string())?;
    LiveConfig::new(settings, Machine::default()).map_err(|error| error.to_string())
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn tables_are_sorted_and_their_defaults_are_legal() {
    let broker: Vec<_> = table::broker_keys().collect();
    let names: BTreeSet<_> = broker.iter().map(|key| key.name).collect();
    assert_eq!(names.len(), broker.len(), "a key is there twice");
    for key in &broker {
        assert_eq!(table::broker_key(key.name), Some(*key), "{} is out of order", key.name);
    }
    let topic: Vec<_> = table::topic_keys().collect();
    assert!(topic.is_sorted_by(|a, b| a.name < b.name));
    for key in broker.iter().chain(&topic) {
        if let Some(default) = key.default.filter(|default| !default.is_empty()) {
            assert_eq!(check::check(key, default), Ok(()), "{}", key.name);
            assert!(check::is_default(key, default));
        }
        assert!(key.doc.ends_with('.') && key.doc.len() > 20, "{}", key.name);
        assert!(key.status == Status::Honoured || key.scope == Scope::ReadOnly || topic.contains(key), "{}", key.name);
    }
}

#[test]
fn synonyms_of_topics_are_keys_of_brokers() {
    for key in table::topic_keys() {
        for (synonym, factor) in table::topic_synonyms(key.name) {
            let synonym = table::broker_key(synonym).expect("a broker key");
            assert_eq!(synonym.status, key.status, "{}", key.name);
            assert!(*factor == 1 || key.kind == Kind::Long);
        }
    }
}

/// The defaults of topics follow from those of brokers, and are Kafka's.
#[test]
fn topic_defaults_are_kafkas() {
    let live = live(&[]).unwrap();
    for key in table::topic_keys() {
        let inherited = live.with_layers(|layers| layers.topic_default(key).map(|text| text.into_owned()));
        let own = key.default.map(str::to_owned);
        assert_eq!(inherited, own, "{}", key.name);
    }
    let topic = live.topic(None);
    let never = u64::try_from(i64::MAX).unwrap();
    assert_eq!(topic.log, LogConfig { flush_messages: never, ..LogConfig::default() });
    assert_eq!((topic.max_message_bytes, topic.timestamp_after_max_ms), (1_048_588, 3_600_000));
}

#[test]
fn entries_are_judged_one_by_one() {
    let cases = [
        ("num.partitions", "3", Ok(0)),
        ("num.partitions", " 3 ", Ok(0)),
        ("num.partitions", "0", Err("Invalid value 0 for configuration num.partitions: Value must be at least 1")),
        ("num.partitions", "x", Err("Invalid value x for configuration num.partitions: Not a number of type INT")),
        ("num.partitions", "3000000000", Err("Not a number of type INT")),
        ("num.partition", "3", Err("unknown key; did you mean num.partitions?")),
        ("nonsense.xyz", "3", Err("unknown key; `goatq config explain` lists all")),
        ("retention.ms", "3", Err("one of topics, not of brokers; its default for all topics is log.retention.ms")),
        ("zookeeper.connect", "h:2181", Err("not supported. There is no ZooKeeper")),
        ("listener.name.internal.max.connections", "3", Err("not supported. Settings of a single listener")),
        ("auto.create.topics.enable", "FALSE", Ok(0)),
        ("auto.create.topics.enable", "no", Err("Expected value to be either true or false")),
        ("compression.type", "zip", Err("String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer")),
        ("compression.gzip.level", "-1", Ok(0)),
        ("compression.gzip.level", "0", Err("Value must be at least 1")),
        ("compression.zstd.level", "23", Err("Value must be no more than 22")),
        ("log.cleanup.policy", "compact , delete", Ok(0)),
        ("log.cleanup.policy", "compact,purge", Err("String must be one of: compact, delete")),
        ("log.cleaner.min.cleanable.ratio", "1.5", Err("Value must be no more than 1")),
        ("log.durability", "maybe", Err("String must be one of: fsync, page-cache")),
        // Nothing here that they could govern: accepted with a word.
        ("num.io.threads", "8", Ok(0)),
        ("num.io.threads", "16", Ok(1)),
        ("num.io.threads", "0", Err("Value must be at least 1")),
        ("transaction.state.log.replication.factor", "1", Ok(1)),
        ("group.share.max.size", "300", Ok(1)),
        // Promises that would not be kept.
        ("authorizer.class.name", "", Ok(0)),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer", Err("not supported.")),
        ("ssl.keystore.location", "/k.jks", Err("only PLAINTEXT listeners are served")),
        ("remote.log.storage.system.enable", "true", Err("Tiered storage is not served")),
        ("create.topic.policy.class.name", "a.B", Err("Names a Java class")),
    ];
    for (name, value, expected) in cases {
        let found = Settings::new(entries(&[(name, value)]));
        match (&found, expected) {
            (Ok(settings), Ok(warnings)) => assert_eq!(settings.warnings().len(), warnings, "{name}={value}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{name}={value}: {error}"),
            _ => panic!("{name}={value}: {found:?}"),
        }
    }
}

#[test]
fn all_problems_are_told_at_once_with_their_place() {
    let mut list = entries(&[("a.b", "1"), ("num.partitions", "0")]);
    list[1].origin = Origin::File("server.properties".into(), 7);
    let text = Settings::new(list).unwrap_err().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("a.b (--set): unknown key"));
    assert!(lines[1].starts_with("num.partitions (server.properties:7): Invalid value 0"));
}

/// Keys with their values, and whether they go together, or what is said of them.
type Case<'a> = (&'a [(&'a str, &'a str)], Result<(), &'a str>);

fn check_cases(cases: &[Case<'_>]) {
    for (pairs, expected) in cases {
        let found = live(pairs).map(drop);
        match (&found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{pairs:?}: {error}"),
            _ => panic!("{pairs:?}: {found:?}"),
        }
    }
}

#[test]
fn rules_between_keys() {
    let cases: &[Case<'_>] = &[
        (&[], Ok(())),
        (&[("listeners", "PLAINTEXT://:9092")], Err("can be reached from other machines")),
        (&[("listeners", "PLAINTEXT://:9092"), ("allow.insecure.listeners", "true")], Ok(())),
        (
            &[("listeners", "PLAINTEXT://0.0.0.0:9092"), ("allow.insecure.listeners", "true")],
            Err("advertised.listeners"),
        ),
        (&[("listeners", "SSL://127.0.0.1:9092")], Err("only PLAINTEXT is served")),
        (&[("listeners", "IN://127.0.0.1:9092")], Err("no security protocol is defined for listener IN")),
        (
            &[
                ("listeners", "IN://127.0.0.1:1,OUT://127.0.0.1:2"),
                ("listener.security.protocol.map", "IN:PLAINTEXT,OUT:PLAINTEXT"),
                ("inter.broker.listener.name", "in"),
            ],
            Ok(()),
        ),
        (&[("listeners", "PLAINTEXT://127.0.0.1:1,PLAINTEXT://[::1]:2")], Err("a name of its own")),
        (
            &[
                ("listeners", "A://127.0.0.1:1,B://127.0.0.1:1"),
                ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT"),
            ],
            Err("a port of its own, but 1 is used twice"),
        ),
        (&[("listeners", "CONTROLLER://127.0.0.1:9093")], Err("no listener is left for clients")),
        (&[("listeners", "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2")], Ok(())),
        (&[("listeners", "PLAINTEXT://127.0.0.1:1,CONTROLLER://:2")], Err("can be reached from other machines")),
        (&[("listeners", "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:1")], Err("1 is used twice")),
        (&[("inter.broker.listener.name", "X")], Err("X is not one of listeners")),
        (&[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")], Err("no address that a client could connect to")),
        (&[("security.inter.broker.protocol", "SASL_SSL")], Err("SASL_SSL is not served")),
        (&[("process.roles", "controller,broker"), ("node.id", "7"), ("broker.id", "7")], Ok(())),
        (&[("node.id", "7"), ("broker.id", "8")], Err("differs from node.id (7)")),
        (&[("controller.quorum.voters", "1@localhost:9093")], Ok(())),
        (&[("controller.quorum.bootstrap.servers", "localhost:2"), LISTENERS], Ok(())),
        (&[("log.retention.hours", "0")], Err("must be -1 or above 0")),
        (&[("log.cleaner.threads", "200")], Err("more than 1 MiB for each")),
        (&[("group.min.session.timeout.ms", "5"), ("group.max.session.timeout.ms", "4")], Err("at least group.min")),
        (&[("offsets.topic.compression.codec", "5")], Err("must be 0 (none)")),
        (&[("queued.max.request.bytes", "5")], Err("at least socket.request.max.bytes")),
        (&[("http.listener", "")], Ok(())),
        (&[("http.listener", "nowhere")], Err("is not host:port")),
        (&[("cluster.id", "short")], Err("22 characters")),
        (&[("log.dirs", "/a, /b")], Ok(())),
    ];
    check_cases(cases);
}

/// A listener for clients and one for controllers.
const LISTENERS: (&str, &str) = ("listeners", "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2");
const THREE: (&str, &str) = ("controller.quorum.voters", "1@a:2,2@b:2,3@c:2");

#[test]
fn roles_and_voters_fit_together() {
    let broker = ("process.roles", "broker");
    let controller = ("process.roles", "controller");
    let only_controllers = ("listeners", "CONTROLLER://127.0.0.1:2");
    let servers = ("controller.quorum.bootstrap.servers", "a:2,b:2");
    let cases: &[Case<'_>] = &[
        (&[THREE, LISTENERS], Ok(())),
        (&[THREE], Err("the other controllers connect to it")),
        (&[("controller.quorum.voters", "1@a:2,2@b:2"), LISTENERS], Err("names 2 voters: a quorum has 1, 3 or 5")),
        (&[("controller.quorum.voters", "1@a:2,1@b:2"), LISTENERS], Err("node 1 is there twice")),
        (&[("controller.quorum.voters", "a:2"), LISTENERS], Err("is not id@host:port")),
        (&[THREE, LISTENERS, ("node.id", "4")], Err("must name this node (4)")),
        (&[servers, LISTENERS], Ok(())),
        (&[servers], Err("the other controllers connect to it")),
        (&[THREE, broker], Err("names this node (1), which is no controller")),
        (&[THREE, broker, ("node.id", "4")], Ok(())),
        (&[broker, servers], Ok(())),
        (&[broker], Err("must say where the controllers are")),
        (&[broker, servers, LISTENERS], Err("on a node that is only a broker")),
        (&[controller, only_controllers], Ok(())),
        (&[controller, only_controllers, THREE], Ok(())),
        (&[controller, LISTENERS], Err("must all be of controller.listener.names")),
        (&[controller], Err("on a node that is only a controller")),
        (&[("process.roles", "")], Err("process.roles")),
        (&[("process.roles", "zookeeper")], Err("must be one of")),
        (&[("broker.session.timeout.ms", "3000")], Err("twice broker.heartbeat.interval.ms")),
        (&[("controller.quorum.auto.join.enable", "true")], Ok(())),
        (&[servers, broker, ("controller.quorum.auto.join.enable", "true")], Err("is for controllers")),
    ];
    check_cases(cases);
    let alone = |pairs: &[(&str, &str)]| live(pairs).unwrap().current().quorum.votes_alone(1);
    assert!(alone(&[]) && alone(&[LISTENERS, ("controller.quorum.voters", "1@a:2")]));
    assert!(!alone(&[LISTENERS, THREE]) && !alone(&[broker, servers]));

    let peers = |pairs: &[(&str, &str)]| live(pairs).unwrap().current().quorum.peers();
    assert_eq!((peers(&[]), peers(&[LISTENERS, THREE]), peers(&[LISTENERS, servers])), (1, 3, 3));
    assert_eq!(peers(&[broker, servers]), 0, "those are controllers");
}

#[test]
fn views_take_values_defaults_and_the_machine() {
    let config = live(&[]).unwrap().current();
    assert_eq!(config.network.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    assert_eq!((config.network.threads, config.network.request_memory_bytes), (2, 1 << 30));
    assert_eq!(config.network.max_connections, 1000 / 100 * 75);
    assert_eq!(config.log.dirs, [std::path::PathBuf::from("goatq-data")]);
    assert_eq!((config.topics.default_replication_factor, config.offsets.replication_factor), (None, None));
    assert!(config.topics.auto_create);
    let factor = [("offsets.topic.replication.factor", "2")];
    assert_eq!(live(&factor).unwrap().current().offsets.replication_factor, Some(2));

    let open = [("listeners", "PLAINTEXT://:9092"), ("allow.insecure.listeners", "true")];
    let config = live(&open).unwrap().current();
    assert!(!config.topics.auto_create, "topics are not made for strangers");
    assert_eq!(config.network.advertised["PLAINTEXT"].to_string(), "PLAINTEXT://localhost:9092");

    let explicit = [open[0], open[1], ("auto.create.topics.enable", "true"), ("connections.max.idle.ms", "-1")];
    let config = live(&explicit).unwrap().current();
    assert!(config.topics.auto_create);
    assert!(config.network.idle_timeout > std::time::Duration::from_secs(86_400));

    let rack = |value| live(&[("broker.rack", value)]).unwrap().current().identity.rack.clone();
    assert_eq!((rack("a").as_deref(), rack("")), (Some("a"), None));
}

#[test]
fn the_layer_that_wins_and_the_synonyms_that_are_shown() {
    let live = live(&[("log.retention.hours", "2"), ("num.partitions", "3")]).unwrap();
    let dynamic = Dynamic {
        cluster: map(&[("log.segment.bytes", "2000000"), ("message.max.bytes", "5")]),
        broker: map(&[("log.segment.bytes", "3000000")]),
    };
    live.apply(dynamic).unwrap();
    let shown = |name: &str| -> Vec<(String, Source)> {
        let key = table::broker_key(name).unwrap();
        live.with_layers(|layers| {
            layers.synonyms(key).into_iter().map(|l| (format!("{}={}", l.name, l.value), l.source)).collect()
        })
    };
    let segment = |value: &str, source| (format!("log.segment.bytes={value}"), source);
    assert_eq!(
        shown("log.segment.bytes"),
        [
            segment("3000000", Source::DynamicBroker),
            segment("2000000", Source::DynamicDefault),
            segment("1073741824", Source::Default)
        ]
    );
    assert_eq!(shown("log.retention.ms"), []);
    let hours = |value: &str, source| (format!("log.retention.hours={value}"), source);
    assert_eq!(shown("log.retention.hours"), [hours("2", Source::Static), hours("168", Source::Default)]);

    let topic = live.topic(Some(&map(&[("segment.bytes", "4000000"), ("cleanup.policy", "compact")])));
    assert_eq!(topic.log.segment_bytes, 4_000_000);
    assert!(topic.compact && !topic.delete);
    assert_eq!(topic.max_message_bytes, 5);
    assert_eq!(topic.log.retention_ms, 2 * 3_600_000);
    let plain = live.topic(None);
    assert_eq!(plain.log.segment_bytes, 3_000_000);
}

#[test]
fn units_of_time_and_odd_stored_values() {
    let cases = [
        (&[("log.retention.hours", "-1")][..], -1),
        (&[("log.retention.minutes", "5"), ("log.retention.hours", "9")][..], 300_000),
        (&[("log.retention.ms", "7"), ("log.retention.minutes", "5")][..], 7),
    ];
    for (pairs, expected) in cases {
        let live = live(pairs).unwrap();
        let topic: TopicConfig = (*live.topic(None)).clone();
        assert_eq!(topic.log.retention_ms, expected, "{pairs:?}");
    }
    let live = live(&[]).unwrap();
    let odd = live.topic(Some(&map(&[("segment.bytes", "many"), ("no.such.key", "1")])));
    assert_eq!(*odd, *live.topic(None));
}

#[test]
fn a_dynamic_change_that_breaks_a_rule_is_not_applied() {
    let live = live(&[]).unwrap();
    let before = live.current();
    let bad = Dynamic { cluster: map(&[("log.cleaner.threads", "500")]), broker: BTreeMap::new() };
    assert!(live.check(&bad).is_err());
    assert!(live.apply(bad).is_err());
    assert_eq!(*live.current(), *before);
}

/// A key that says it is honoured must be read by somebody: either by a view or as the default of a topic key.
#[test]
fn honoured_keys_are_read() {
    let sources =
        [include_str!("build.rs"), include_str!("rules.rs"), include_str!("live.rs"), include_str!("topic.rs")]
            .concat();
    let of_topics: BTreeSet<_> =
        table::topic_keys().flat_map(|key| table::topic_synonyms(key.name)).map(|(name, _)| *name).collect();
    for key in table::broker_keys().filter(|key| key.status == Status::Honoured) {
        let read = sources.contains(&format!("\"{}\"", key.name)) || of_topics.contains(key.name);
        assert!(read, "nobody reads {}", key.name);
    }
    for key in table::topic_keys().filter(|key| key.status == Status::Honoured) {
        assert!(sources.contains(&format!("\"{}\"", key.name)), "nobody reads {}", key.name);
    }
}

/// Fields that no code outside of the configuration reads, with the reason.
const READ_WITHIN: &[(&str, &str)] =
    &[("id_expiration", "logs get it with the rest of their configuration, from topic.rs")];

/// A value that is parsed but never looked at would be a promise that nobody keeps: each field of a view is read by code
/// outside of the configuration, and each field of the storage's view by the storage.
#[test]
fn every_field_of_a_view_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let broker = sources(&root.join("src"), &["config", "tests.rs", "tests"]);
    let storage = sources(&root.join("../storage/src"), &["tests.rs", "tests"]);
    let views = [
        (include_str!("broker.rs"), &broker),
        (include_str!("topic.rs"), &broker),
        (include_str!("../../../storage/src/config.rs"), &storage),
    ];
    let mut unread = Vec::new();
    for (view, code) in views {
        let fields: Vec<_> = view.lines().filter_map(field).collect();
        assert!(!fields.is_empty());
        unread.extend(fields.into_iter().filter(|field| !reads(code, field)));
    }
    let allowed: Vec<_> = READ_WITHIN.iter().map(|(field, _)| *field).collect();
    unread.sort_unstable();
    assert_eq!(unread, allowed);
}

/// The name of a field, if the line declares a public one.
fn field(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("    pub ")?.split_once(": ")?;
    name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(name)
}

/// Whether code has `.field` with nothing behind it that would make it another name or a call.
fn reads(code: &str, field: &str) -> bool {
    let access = format!(".{field}");
    code.match_indices(&access).any(|(at, _)| {
        let next = code[at + access.len()..].chars().next().unwrap_or(' ');
        !(next.is_alphanumeric() || next == '_' || next == '(')
    })
}

/// All source text below a folder, without files and folders of these names and without tests inside of files.
fn sources(folder: &Path, without: &[&str]) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if without.contains(&name) {
            continue;
        }
        if path.is_dir() {
            text += &sources(&path, without);
        } else {
            let file = std::fs::read_to_string(&path).unwrap();
            text += file.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        }
    }
    text
}
