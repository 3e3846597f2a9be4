//! Runs `testdata/groups/*.txt`: what a script does, one line per event, and all that comes of it. After every line the
//! live state is compared with the replay of the log.
//!
//! `REWRITE=1 cargo test` writes what happens into the scripts.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_protocol::record::control::EndTxnMarker;
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

use super::super::records::{GroupRecord, StoredOffset};
use super::super::request::{
    CommitRequest, FetchRequest, GroupRequest, GroupResponse, HeartbeatRequest, JoinRequest, LeavingMember, ListFilter,
    OffsetToCommit, Protocol, SyncRequest, TopicToCommit,
};
use super::super::shard::GroupShard;
use super::show;
use crate::coordinator::runtime::log::{CoordinatorLog, WriteError};
use crate::coordinator::runtime::testing::{TestAnswer, TestShard};
use crate::script_args::Args;

#[test]
fn scripts() {
    datadriven::walk("testdata/groups", |file| {
        let mut script = Script::new(super::rules());
        file.run(|case| match case.directive.as_str() {
            "run" => script.run(&case.input),
            other => panic!("no such directive: {other}"),
        });
    });
}

struct Script {
    shard: TestShard<GroupShard>,
    waiting: VecDeque<(String, TestAnswer<GroupResponse>)>,
    shown: usize,
    /// For the id of the next new member.
    members: usize,
}

/// What lines say in the words of groups.
impl Args {
    fn text(&self, name: &str) -> Option<ByteString> {
        self.get::<String>(name).map(ByteString::from)
    }

    fn group(&self) -> ByteString {
        self.text("group").unwrap_or_else(|| "g".into())
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.list(name)
    }

    /// `topic/partition`, each with what follows a colon.
    fn partitions(&self, name: &str) -> Vec<(ByteString, i32, String)> {
        let parse = |item: String| {
            let (place, rest) = item.split_once(':').unwrap_or((&item, ""));
            let (topic, partition) = place.split_once('/').expect("topic/partition");
            (topic.into(), partition.parse().expect("a partition"), rest.to_owned())
        };
        self.texts(name).into_iter().map(parse).collect()
    }

    fn topics(&self, name: &str) -> Vec<(ByteString, Vec<i32>)> {
        self.partitions(name).into_iter().map(|(topic, partition, _)| (topic, vec![partition])).collect()
    }
}

/// A topic's id in scripts.
fn topic_id(number: u8) -> Uuid {
    let mut bytes = [0; 16];
    bytes[15] = number;
    Uuid(bytes)
}

impl Script {
    fn new(rules: super::GroupRules) -> Self {
        Self { shard: super::shard(rules), waiting: VecDeque::new(), shown: 0, members: 0 }
    }

    fn run(&mut self, input: &str) -> String {
        input.lines().flat_map(|line| self.line(line)).map(|line| line + "\n").collect()
    }

    /// One line of a script, and all that came of it.
    fn line(&mut self, line: &str) -> Vec<String> {
        let (directive, args) = Args::parse(line);
        self.step(&directive, &args);
        assert!(args.left_over().is_empty(), "arguments without a meaning: {:?}", args.left_over());
        self.shard.turn();
        super::check_replay(&self.shard);
        let mut lines = Vec::new();
        for batch in self.shard.log.batches_from(self.shown) {
            lines.extend(show::batch(&batch));
            self.shown += 1;
        }
        let waiting = std::mem::take(&mut self.waiting);
        for (name, mut answer) in waiting {
            match answer.try_recv() {
                Ok(answer) => lines.push(format!("{name}: {}", show::answer(answer))),
                Err(_) => self.waiting.push_back((name, answer)),
            }
        }
        lines
    }

    fn step(&mut self, directive: &str, args: &Args) {
        match directive {
            "rules" => self.change_rules(args),
            "advance" => self.shard.advance(Duration::from_millis(args.or("ms", 0))),
            "reload" => self.shard.reload(),
            "hold" => self.shard.log.hold(true),
            "release" => self.shard.log.hold(false),
            "refuse" => self.shard.log.refuse(Some(match args.or("with", "storage".to_owned()).as_str() {
                "too-large" => WriteError::TooLarge,
                _ => WriteError::Storage,
            })),
            "accept" => self.shard.log.refuse(None),
            "transaction" => self.transaction(args),
            "end-transaction" => self.end_transaction(args),
            _ => {
                let name = args.or("as", directive.to_owned());
                let request = self.request(directive, args);
                self.waiting.push_back((name, self.shard.call(request)));
            }
        }
    }

    fn change_rules(&mut self, args: &Args) {
        let mut rules = super::rules();
        rules.max_members = args.or("max-members", rules.max_members);
        rules.max_groups = args.or("max-groups", rules.max_groups);
        rules.initial_rebalance_delay = Duration::from_millis(args.or("initial-delay", 3_000));
        let log = self.shard.log.copy();
        *self = Self { members: self.members, shown: self.shown, ..Self::new(rules) };
        self.shard.log = log;
        self.shard.reload();
    }

    fn request(&mut self, directive: &str, args: &Args) -> GroupRequest {
        let group = args.group();
        match directive {
            "join" => self.join(group, args),
            "sync" => sync(group, args),
            "heartbeat" => GroupRequest::Heartbeat(HeartbeatRequest {
                group,
                member: args.text("id").unwrap_or_default(),
                instance: args.text("instance"),
                generation: args.or("generation", 1),
            }),
            "leave" => {
                GroupRequest::Leave { group, members: args.texts("members").iter().map(|item| leaving(item)).collect() }
            }
            "commit" => commit(group, args),
            "fetch" => {
                let id = topic_id(args.or("topic-id", 0));
                let topics = args.topics("topics").into_iter().map(|(topic, partitions)| (topic, id, partitions));
                let topics = Some(topics.collect::<Vec<_>>()).filter(|topics| !topics.is_empty());
                GroupRequest::Fetch(FetchRequest { group, topics, require_stable: args.has("stable") })
            }
            "delete-offsets" => GroupRequest::DeleteOffsets { group, topics: args.topics("topics") },
            "delete-groups" => GroupRequest::DeleteGroups(args.texts("groups").into_iter().map(Into::into).collect()),
            "describe" => GroupRequest::Describe(group),
            "list" => GroupRequest::List(ListFilter {
                states: args.texts("states").into_iter().map(Into::into).collect(),
                types: args.texts("types").into_iter().map(Into::into).collect(),
            }),
            "topics-deleted" => {
                let id = topic_id(args.or("topic-id", 0));
                GroupRequest::TopicsDeleted(args.texts("topics").into_iter().map(|topic| (topic.into(), id)).collect())
            }
            other => panic!("no such directive: {other}"),
        }
    }

    fn join(&mut self, group: ByteString, args: &Args) -> GroupRequest {
        let version: i16 = args.or("version", 9);
        let member = args.text("id").unwrap_or_default();
        let client_id = args.text("client").unwrap_or_else(|| "c".into());
        let instance = args.text("instance");
        let protocol_type = args.text("type").unwrap_or_else(|| "consumer".into());
        let protocols = args.texts("protocols").into_iter().map(|offer| {
            let (name, said) = offer.split_once(':').unwrap_or((&offer, "t"));
            let metadata =
                if protocol_type == *"consumer" { show::subscription(said) } else { Bytes::from(said.to_owned()) };
            Protocol { name: name.into(), metadata }
        });
        let protocols = protocols.collect();
        if member.is_empty() {
            self.members += 1;
        }
        let new_member = format!("{}-{}", instance.as_ref().unwrap_or(&client_id), self.members).into();
        GroupRequest::Join(JoinRequest {
            group,
            member,
            instance,
            client_id,
            client_host: "/host".into(),
            session_timeout_ms: args.or("session", 10_000),
            rebalance_timeout_ms: args.or("rebalance", 60_000),
            protocol_type,
            protocols,
            new_member,
            two_steps: version >= 4,
            skips_assignment: version >= 9,
        })
    }

    /// Offsets that a transaction wrote, put straight into the log; a reload takes notice.
    fn transaction(&mut self, args: &Args) {
        let (producer_id, group) = (args.or("producer", 1), args.group());
        let options = BatchOptions {
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            transactional: true,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options);
        for (topic, partition, offset) in args.partitions("offsets") {
            let value = StoredOffset {
                offset: offset.parse().expect("an offset"),
                leader_epoch: -1,
                metadata: ByteString::new(),
                commit_ms: self.shard.now.wall_ms,
                expire_ms: None,
                topic_id: Uuid::ZERO,
            };
            let record = GroupRecord::Offset { group: group.clone(), topic, partition, value: Some(value) };
            let encoded = record.encode().expect("short");
            let (key, value) = (Some(&encoded.key[..]), encoded.value.as_deref());
            builder.push(NewRecord { timestamp: 0, key, value, headers: &[] }).expect("short");
        }
        self.shard.log.append(builder.build().expect("short"), 0).expect("a log in memory");
        self.shard.reload();
    }

    fn end_transaction(&mut self, args: &Args) {
        let marker = EndTxnMarker { committed: !args.has("abort"), coordinator_epoch: 0 };
        let batch = marker.to_batch(args.or("producer", 1), 0, 0).expect("short");
        self.shard.log.append(batch.to_bytes(), 0).expect("a log in memory");
        // A marker has no line of its own.
        self.shown += 1;
        self.shard.reload();
    }
}

fn sync(group: ByteString, args: &Args) -> GroupRequest {
    let assign = |item: &String| {
        let (member, assignment) = item.split_once(':').expect("member:assignment");
        (member.into(), Bytes::from(assignment.to_owned()))
    };
    GroupRequest::Sync(SyncRequest {
        group,
        member: args.text("id").unwrap_or_default(),
        instance: args.text("instance"),
        generation: args.or("generation", 1),
        protocol_type: args.text("type"),
        protocol: args.text("protocol"),
        assignments: args.texts("assign").iter().map(assign).collect(),
    })
}

/// `id`, `id/instance` or `/instance`.
fn leaving(item: &str) -> LeavingMember {
    let (member, instance) = match item.split_once('/') {
        Some((member, instance)) => (member, Some(instance.into())),
        None => (item, None),
    };
    LeavingMember { member: member.into(), instance, reason: None }
}

fn commit(group: ByteString, args: &Args) -> GroupRequest {
    let topic_id = topic_id(args.or("topic-id", 0));
    let topics = args.partitions("offsets").into_iter().map(|(topic, partition, rest)| {
        let (offset, metadata) = rest.split_once(':').map_or((rest.as_str(), None), |(offset, m)| (offset, Some(m)));
        let offset = offset.parse().expect("an offset");
        let metadata = metadata.map(ByteString::from);
        TopicToCommit {
            topic,
            topic_id,
            offsets: vec![OffsetToCommit { partition, offset, leader_epoch: -1, metadata }],
        }
    });
    GroupRequest::Commit(CommitRequest {
        topics: topics.collect(),
        group,
        member: args.text("id").unwrap_or_default(),
        instance: args.text("instance"),
        generation: args.or("generation", -1),
        retention_ms: args.get("retention"),
        knows_group_not_found: args.or("version", 9) >= 9,
    })
}
