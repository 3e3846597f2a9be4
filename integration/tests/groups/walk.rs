//! The walk: the life of groups in every version, and everything that is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use goatq_protocol::Uuid;
use goatq_protocol::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use goatq_protocol::message::describe_groups::DescribeGroupsRequest;
use goatq_protocol::message::find_coordinator::FindCoordinatorRequest;
use goatq_protocol::message::join_group::JoinGroupRequest;
use goatq_protocol::message::list_groups::ListGroupsRequest;
use goatq_protocol::wire::Request;

use super::requests::{commit, delete_groups, delete_offsets, describe, fetch, heartbeat, join, leave, sync};
use super::show::Show;
use super::wire::Connection;

/// The topic that exists, with two partitions.
pub(crate) const TOPIC: &str = "walked";
/// One that does not.
const NOWHERE: &str = "nowhere";
pub(crate) const REBALANCE_IN_PROGRESS: i16 = 27;

/// Walks through the broker at an address and says what it answered.
pub(crate) fn walk(address: &str) -> String {
    let mut connection = Connection::open(address);
    let topic_id = prepare(&mut connection);
    let mut walk = Walk::new(address, topic_id);
    walk.find();
    (0..=9).for_each(|version| walk.life(version));
    (0..=9).for_each(|version| walk.refused_joins(version));
    (0..=5).for_each(|version| walk.refused(version));
    (2..=10).for_each(|version| walk.commits(version));
    (1..=10).for_each(|version| walk.fetches(version));
    walk.lists();
    [5, 7, 8, 9].into_iter().for_each(|version| walk.static_members(version));
    walk.text()
}

/// Makes the topic, and waits until the coordinator of any group serves.
pub(crate) fn prepare(connection: &mut Connection) -> Uuid {
    let topic = CreatableTopic { name: TOPIC.into(), num_partitions: 2, replication_factor: 1, ..Default::default() };
    let created =
        connection.ask(7, &CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() });
    let topic_id = created.topics[0].topic_id;
    let find = FindCoordinatorRequest { key: "any".into(), ..Default::default() };
    let tries = std::iter::repeat_n((), 300);
    for () in tries {
        let found = connection.ask(2, &find).error_code == 0;
        let loaded = (0..100).all(|n| {
            let group = format!("probe-{n}").as_str().into();
            connection.ask(5, &DescribeGroupsRequest { groups: vec![group], ..Default::default() }).groups[0].error_code
                == 0
        });
        if found && loaded {
            return topic_id;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the coordinator does not come up");
}

/// Asks, and keeps what was answered.
pub(crate) struct Walk {
    pub(crate) connection: Connection,
    pub(crate) address: String,
    pub(crate) topic_id: Uuid,
    /// Label, version, answer.
    said: Vec<(String, i16, String)>,
    /// Random parts of member ids, in order of appearance.
    ids: Vec<String>,
}

impl Walk {
    pub(crate) fn new(address: &str, topic_id: Uuid) -> Self {
        let connection = Connection::open(address);
        Self { connection, address: address.to_owned(), topic_id, said: Vec::new(), ids: Vec::new() }
    }

    pub(crate) fn ask<R: Request<Response: Show>>(
        &mut self,
        label: &str,
        walk: i16,
        version: i16,
        request: &R,
    ) -> R::Response {
        let response = self.connection.ask(version, request);
        self.say(label, walk, &response);
        response
    }

    pub(crate) fn say(&mut self, label: &str, version: i16, response: &impl Show) {
        let text = self.without_random_parts(&response.show(self.topic_id));
        self.said.push((label.to_owned(), version, text.trim().to_owned()));
    }

    /// Numbers the UUIDs in a text.
    fn without_random_parts(&mut self, text: &str) -> String {
        let is_uuid = |part: &str| {
            let mut chars = part.chars().enumerate();
            chars.all(|(at, c)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() })
        };
        let (mut out, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            match rest.get(..36).filter(|part| is_uuid(part)) {
                Some(part) => {
                    let known = self.ids.iter().position(|id| id == part);
                    let number = known.unwrap_or_else(|| {
                        self.ids.push(part.to_owned());
                        self.ids.len() - 1
                    });
                    out += &format!("#{number}");
                    rest = &rest[36..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }

    /// Versions with the same answer share a line.
    pub(crate) fn text(&self) -> String {
        let mut labels: Vec<&String> = Vec::new();
        let mut answers: BTreeMap<&String, Vec<(&String, Vec<i16>)>> = BTreeMap::new();
        for (label, version, text) in &self.said {
            if !answers.contains_key(label) {
                labels.push(label);
            }
            let known = answers.entry(label).or_default();
            match known.iter_mut().find(|(found, _)| *found == text) {
                Some((_, versions)) => versions.push(*version),
                None => known.push((text, vec![*version])),
            }
        }
        let lines = labels.iter().flat_map(|label| {
            answers[*label].iter().map(move |(text, versions)| format!("{label} {versions:?}: {text}\n"))
        });
        lines.collect()
    }

    fn find(&mut self) {
        let request = |key_type| FindCoordinatorRequest {
            key: "any".into(),
            key_type,
            coordinator_keys: vec!["any".into(), "".into()],
        };
        for version in 0..=6 {
            self.ask("find", version, version, &request(0));
        }
        for version in 4..=6 {
            self.ask("find share", version, version, &request(2));
        }
    }

    /// A group with one member, from its first join to its deletion. `v` is the version of JoinGroup; the others follow.
    fn life(&mut self, v: i16) {
        self.ids.clear();
        let group = format!("life-{v}");
        let (sync_v, heartbeat_v, describe_v, leave_v, delete_v) = (v.min(5), v.min(4), v.min(6), v.min(5), v.min(2));
        let (commit_v, fetch_v) = ((v + 1).clamp(2, 10), v + 1);
        let first = self.ask("join", v, v, &join(&group, "", None, &["range", "sticky"]));
        let member = first.member_id.to_string();
        if v >= 4 {
            self.ask("join with id", v, v, &join(&group, &member, None, &["range", "sticky"]));
        }
        self.ask("describe while it waits", v, describe_v, &describe(&[&group]));
        let one = [(TOPIC, 0, 5)];
        self.ask("commit too early", v, commit_v, &commit(self.topic_id, &group, (&member, 1), &one, None));
        self.ask("join again", v, v, &join(&group, &member, None, &["range", "sticky"]));
        self.ask("sync", v, sync_v, &sync(sync_v, &group, (&member, 1), None, &[(&member, "mine")]));
        self.ask("sync again", v, sync_v, &sync(sync_v, &group, (&member, 1), None, &[]));
        self.ask("heartbeat", v, heartbeat_v, &heartbeat(&group, (&member, 1), None));
        self.ask("heartbeat of old", v, heartbeat_v, &heartbeat(&group, (&member, 0), None));
        self.ask("heartbeat of nobody", v, heartbeat_v, &heartbeat(&group, ("nobody", 1), None));
        self.ask("describe", v, describe_v, &describe(&[&group, "none"]));
        self.ask("join with other protocol", v, v, &join(&group, "", None, &["other"]));
        self.ask("join as nobody", v, v, &join(&group, "nobody", None, &["range"]));
        let many = [(TOPIC, 0, 5), (TOPIC, 7, 5), (NOWHERE, 0, 1)];
        self.ask("commit", v, commit_v, &commit(self.topic_id, &group, (&member, 1), &many, Some("note")));
        self.ask("commit of old", v, commit_v, &commit(self.topic_id, &group, (&member, 0), &one, None));
        self.ask("commit of nobody", v, commit_v, &commit(self.topic_id, &group, ("nobody", 1), &one, None));
        self.ask("commit from outside", v, commit_v, &commit(self.topic_id, &group, ("", -1), &one, None));
        self.ask("fetch", v, fetch_v, &fetch(self.topic_id, fetch_v, &group, Some(&[(TOPIC, 0), (TOPIC, 1)])));
        self.ask("delete used offsets", v, 0, &delete_offsets(&group, &[(TOPIC, 0), (TOPIC, 9), (NOWHERE, 0)]));
        self.ask("delete used group", v, delete_v, &delete_groups(&[&group, "none"]));
        self.ask("leave as nobody", v, leave_v, &leave(&group, &[("nobody", None)]));
        self.ask("leave", v, leave_v, &leave(&group, &[(&member, None)]));
        self.ask("leave again", v, leave_v, &leave(&group, &[(&member, None)]));
        self.ask("heartbeat in empty", v, heartbeat_v, &heartbeat(&group, (&member, 2), None));
        self.ask("sync in empty", v, sync_v, &sync(sync_v, &group, (&member, 2), None, &[]));
        self.ask("join in empty", v, v, &join(&group, &member, None, &["range"]));
        self.ask("commit in empty", v, commit_v, &commit(self.topic_id, &group, (&member, 2), &one, None));
        self.ask("describe empty", v, describe_v, &describe(&[&group]));
        self.ask("delete offsets", v, 0, &delete_offsets(&group, &[(TOPIC, 0), (TOPIC, 1)]));
        self.ask("fetch deleted", v, fetch_v, &fetch(self.topic_id, fetch_v, &group, Some(&[(TOPIC, 0)])));
        self.ask("delete group", v, delete_v, &delete_groups(&[&group, &group]));
        self.ask("describe deleted", v, describe_v, &describe(&[&group]));
    }

    fn refused_joins(&mut self, v: i16) {
        self.ask("join without group", v, v, &join("", "", None, &["range"]));
        let mut request = join("refused", "", None, &["range"]);
        request.session_timeout_ms = 5_999;
        self.ask("join with short session", v, v, &request);
        request.session_timeout_ms = 1_800_001;
        request.member_id = "somebody".into();
        self.ask("join with long session", v, v, &request);
        self.ask("join without protocols", v, v, &join("refused", "", None, &[]));
        let mut request = join("refused", "", None, &["range"]);
        request.protocol_type = "".into();
        self.ask("join without type", v, v, &request);
        self.ask("join no group with id", v, v, &join("no-group", "somebody", None, &["range"]));
    }

    fn refused(&mut self, v: i16) {
        self.ask("sync without group", v, v, &sync(v, "", ("x", 1), None, &[]));
        self.ask("sync no group", v, v, &sync(v, "no-group", ("x", 1), None, &[]));
        self.ask("heartbeat without group", v, v.min(4), &heartbeat("", ("x", 1), None));
        self.ask("heartbeat no group", v, v.min(4), &heartbeat("no-group", ("x", 1), None));
        self.ask("leave without group", v, v, &leave("", &[("x", None)]));
        self.ask("leave no group", v, v, &leave("no-group", &[("x", None), ("y", None)]));
        if v == 5 {
            let mut request = sync(v, "no-group", ("x", 1), None, &[]);
            request.protocol_name = None;
            self.ask("sync without protocol", v, v, &request);
            self.ask("delete offsets of no group", v, 0, &delete_offsets("no-group", &[(TOPIC, 0)]));
            self.ask("delete offsets without group", v, 0, &delete_offsets("", &[(TOPIC, 0)]));
            self.ask("delete group without name", v, 2, &delete_groups(&[""]));
        }
    }

    /// Offsets of a group without members.
    fn commits(&mut self, v: i16) {
        let (id, offset) = (self.topic_id, i64::from(v));
        let some = [(TOPIC, 0, offset), (TOPIC, 5, 1), (NOWHERE, 0, 1)];
        self.ask("simple commit", v, v, &commit(id, "simple", ("", -1), &some, Some("note")));
        let long = "x".repeat(4_097);
        self.ask(
            "commit long note",
            v,
            v,
            &commit(id, "simple", ("", -1), &[(TOPIC, 0, 9), (TOPIC, 1, 9)], Some(&long)),
        );
        let allowed = "x".repeat(4_096);
        self.ask("commit longest note", v, v, &commit(id, "noted", ("", -1), &[(TOPIC, 0, 9)], Some(&allowed)));
        self.ask("commit -1", v, v, &commit(id, "simple", ("", -1), &[(TOPIC, 1, -1)], None));
        self.ask("commit to no group", v, v, &commit(id, "no-group", ("x", 1), &[(TOPIC, 0, 9)], None));
        self.ask("commit as member to simple", v, v, &commit(id, "simple", ("x", 1), &[(TOPIC, 0, 9)], None));
        self.ask("commit with id only", v, v, &commit(id, "simple", ("x", -1), &[(TOPIC, 0, offset)], None));
        self.ask("commit without group", v, v, &commit(id, "", ("", -1), &[(TOPIC, 0, 1)], None));
        self.ask("commit nothing", v, v, &commit(id, "nothing", ("", -1), &[], None));
    }

    fn fetches(&mut self, v: i16) {
        let id = self.topic_id;
        let some = [(TOPIC, 0), (TOPIC, 1), (TOPIC, 7), (NOWHERE, 0)];
        self.ask("simple fetch", v, v, &fetch(id, v, "simple", Some(&some)));
        self.ask("fetch nothing", v, v, &fetch(id, v, "simple", Some(&[])));
        self.ask("fetch of no group", v, v, &fetch(id, v, "no-group", Some(&[(TOPIC, 0)])));
        self.ask("fetch without group", v, v, &fetch(id, v, "", Some(&[(TOPIC, 0)])));
        if v >= 2 {
            self.ask("fetch all", v, v, &fetch(id, v, "simple", None));
            self.ask("fetch all of no group", v, v, &fetch(id, v, "no-group", None));
        }
        if v >= 8 {
            let mut request = fetch(id, v, "simple", None);
            request.groups.extend(fetch(id, v, "no-group", Some(&[(TOPIC, 1)])).groups);
            request.groups.extend(fetch(id, v, "noted", Some(&[(TOPIC, 1)])).groups);
            self.ask("fetch of many groups", v, v, &request);
            request.groups.clear();
            self.ask("fetch of no groups", v, v, &request);
        }
        if v >= 9 {
            let mut request = fetch(id, v, "simple", Some(&[(TOPIC, 0)]));
            request.groups[0].member_id = Some("x".into());
            request.groups[0].member_epoch = 3;
            self.ask("fetch as member", v, v, &request);
        }
    }

    fn lists(&mut self) {
        let none = ListGroupsRequest::default();
        let with = |states: &[&str], types: &[&str]| ListGroupsRequest {
            states_filter: states.iter().map(|one| (*one).into()).collect(),
            types_filter: types.iter().map(|one| (*one).into()).collect(),
        };
        self.ask("delete for list", 0, 2, &delete_groups(&["refused", "nothing", "noted", "simple"]));
        self.ask("commit for list", 0, 9, &commit(self.topic_id, "listed", ("", -1), &[(TOPIC, 0, 1)], None));
        for v in 0..=5 {
            self.ask("list", v, v, &none);
        }
        self.ask("list by state", 5, 5, &with(&["EMPTY", "Stable"], &[]));
        self.ask("list by other state", 5, 5, &with(&["stable"], &[]));
        self.ask("list by type", 5, 5, &with(&[], &["Classic"]));
        self.ask("list by other type", 5, 5, &with(&[], &["consumer", "share"]));
        self.ask("list by odd names", 5, 5, &with(&["odd"], &["odd"]));
        for v in 0..=6 {
            self.ask("describe many", v, v, &describe(&["listed", "", "none", "listed"]));
        }
        self.ask("describe nothing", 6, 6, &describe(&[]));
        self.ask("delete many", 2, 2, &delete_groups(&["none", "none", ""]));
        self.ask("delete nothing", 2, 2, &delete_groups(&[]));
    }

    /// Two static members, who come back without their ids.
    fn static_members(&mut self, v: i16) {
        self.ids.clear();
        let group = format!("static-{v}");
        let protocols = ["range", "sticky"];
        let one = self.ask("static join", v, v, &join(&group, "", Some("i1"), &protocols)).member_id.to_string();
        self.ask("static sync", v, 5, &sync(5, &group, (&one, 1), Some("i1"), &[(&one, "A")]));
        let mut other = Connection::open(&self.address);
        other.send(v, &join(&group, "", Some("i2"), &protocols));
        while self.connection.ask(4, &heartbeat(&group, (&one, 1), Some("i1"))).error_code != REBALANCE_IN_PROGRESS {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.ask("static join again", v, v, &join(&group, &one, Some("i1"), &protocols));
        let two = other.receive::<JoinGroupRequest>(v);
        self.say("second static join", v, &two);
        let two = two.member_id.to_string();
        let assignments = [(one.as_str(), "A"), (two.as_str(), "B")];
        self.ask("leader sync", v, 5, &sync(5, &group, (&one, 2), Some("i1"), &assignments));
        self.ask("follower sync", v, 5, &sync(5, &group, (&two, 2), Some("i2"), &[]));
        let new_two =
            self.ask("follower returns", v, v, &join(&group, "", Some("i2"), &protocols)).member_id.to_string();
        self.ask("fenced heartbeat", v, 4, &heartbeat(&group, (&two, 2), Some("i2")));
        self.ask("fenced join", v, v, &join(&group, &two, Some("i2"), &protocols));
        self.ask("fenced leave", v, 5, &leave(&group, &[(&two, Some("i2"))]));
        self.ask("follower gets what it had", v, 5, &sync(5, &group, (&new_two, 2), Some("i2"), &[]));
        let new_one = self.ask("leader returns", v, v, &join(&group, "", Some("i1"), &protocols)).member_id.to_string();
        self.ask("leader gets what it had", v, 5, &sync(5, &group, (&new_one, 2), Some("i1"), &[]));
        self.ask("static describe", v, 6, &describe(&[&group]));
        self.ask("static leave", v, 5, &leave(&group, &[("", Some("i1")), ("", Some("i9")), ("", None)]));
        self.ask("heartbeat while preparing", v, 4, &heartbeat(&group, (&new_two, 2), Some("i2")));
        let request = commit(self.topic_id, &group, (&new_two, 2), &[(TOPIC, 0, 1)], None);
        self.ask("commit while preparing", v, 9, &request);
        self.ask("sync while preparing", v, 5, &sync(5, &group, (&new_two, 2), Some("i2"), &[]));
        self.ask("describe while preparing", v, 6, &describe(&[&group]));
        self.ask("the other joins", v, v, &join(&group, &new_two, Some("i2"), &protocols));
        self.ask("sync as other instance", v, 5, &sync(5, &group, (&new_two, 3), Some("i7"), &[]));
        let mut request = sync(5, &group, (&new_two, 3), Some("i2"), &[]);
        request.protocol_name = Some("sticky".into());
        self.ask("sync with other protocol", v, 5, &request);
        self.ask("sync without assignment", v, 5, &sync(5, &group, (&new_two, 3), Some("i2"), &[]));
        self.ask("last leaves", v, 5, &leave(&group, &[(&new_two, Some("i2"))]));
    }
}
