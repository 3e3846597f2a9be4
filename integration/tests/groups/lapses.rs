//! Members that let time pass: sessions, rebalances and first steps that nobody completes, and who comes back when.

use std::time::{Duration, Instant};

use goatq_protocol::message::heartbeat::HeartbeatRequest;
use goatq_protocol::message::join_group::{JoinGroupRequest, JoinGroupResponse};
use goatq_protocol::message::list_groups::ListGroupsRequest;
use goatq_protocol::message::sync_group::SyncGroupRequest;

use super::requests::{commit, describe, heartbeat, join, leave, sync};
use super::walk::{REBALANCE_IN_PROGRESS, TOPIC, Walk, prepare};
use super::wire::Connection;

/// The shortest session that a broker grants by default.
const SESSION_MS: i32 = 6_000;
/// Rebalance time-out of members that are to miss it.
const REBALANCE_MS: i32 = 3_000;
const PATIENCE: Duration = Duration::from_secs(30);
const JOIN: i16 = 9;
const SYNC: i16 = 5;
const BEAT: i16 = 4;
const DESCRIBE: i16 = 6;

/// One life of groups, on a connection of its own.
type Scene = fn(&mut Walk);

/// Plays all scenes side by side: they wait most of the time.
pub(crate) fn walk(address: &str) -> String {
    let topic_id = prepare(&mut Connection::open(address));
    let scenes: [Scene; 8] = [
        missed_rebalance,
        leader_that_does_not_assign,
        expired_session,
        expired_static_session,
        unused_member_id,
        joins_of_a_stable_group,
        static_member_with_other_protocols,
        leaving_while_others_wait,
    ];
    std::thread::scope(|scope| {
        let play = |scene: Scene| {
            scope.spawn(move || {
                let mut walk = Walk::new(address, topic_id);
                scene(&mut walk);
                walk.text()
            })
        };
        let played: Vec<_> = scenes.map(play).into_iter().collect();
        played.into_iter().map(|scene| scene.join().unwrap()).collect()
    })
}

/// A join with short time-outs.
fn short_join(group: &str, member: &str, instance: Option<&str>) -> JoinGroupRequest {
    let request = join(group, member, instance, &["range", "sticky"]);
    JoinGroupRequest { session_timeout_ms: SESSION_MS, rebalance_timeout_ms: REBALANCE_MS, ..request }
}

/// A new member id. It begins with `client`, so that members are shown in a known order.
fn member_id(walk: &Walk, group: &str, client: &str) -> String {
    let mut connection = Connection::open_as(&walk.address, client);
    connection.ask(JOIN, &short_join(group, "", None)).member_id.to_string()
}

/// A call that waits for others, on a connection of its own.
fn waiting(walk: &Walk, request: &JoinGroupRequest) -> Connection {
    let mut connection = Connection::open(&walk.address);
    connection.send(JOIN, request);
    connection
}

fn received(connection: &mut Connection) -> JoinGroupResponse {
    connection.receive::<JoinGroupRequest>(JOIN)
}

/// Keeps a member alive until its heartbeat is answered so.
fn beat_until(walk: &mut Walk, request: &HeartbeatRequest, code: i16) {
    let begun = Instant::now();
    while walk.connection.ask(BEAT, request).error_code != code {
        assert!(begun.elapsed() < PATIENCE, "{request:?} is never answered {code}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn await_state(walk: &mut Walk, group: &str, state: &str) {
    let begun = Instant::now();
    while &*walk.connection.ask(DESCRIBE, &describe(&[group])).groups[0].group_state != state {
        assert!(begun.elapsed() < PATIENCE, "{group} is never {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A stable group of two, the first of which leads, in generation 2. Their ids.
fn pair(walk: &mut Walk, group: &str) -> (String, String) {
    let one = member_id(walk, group, "one");
    walk.ask(&format!("{group}: joins first"), 0, JOIN, &short_join(group, &one, None));
    walk.connection.ask(SYNC, &sync(SYNC, group, (&one, 1), None, &[(&one, "A")]));
    let two = member_id(walk, group, "two");
    let mut other = waiting(walk, &short_join(group, &two, None));
    beat_until(walk, &heartbeat(group, (&one, 1), None), REBALANCE_IN_PROGRESS);
    walk.ask(&format!("{group}: joins again"), 0, JOIN, &short_join(group, &one, None));
    walk.say(&format!("{group}: joins second"), 0, &received(&mut other));
    walk.ask(&format!("{group}: assigns"), 0, SYNC, &sync(SYNC, group, (&one, 2), None, &[(&one, "A"), (&two, "B")]));
    walk.ask(&format!("{group}: asks"), 0, SYNC, &sync(SYNC, group, (&two, 2), None, &[]));
    (one, two)
}

/// The second of two does not come back when a third joins.
fn missed_rebalance(walk: &mut Walk) {
    let group = "missed";
    let (one, two) = pair(walk, group);
    let three = member_id(walk, group, "three");
    let mut third = waiting(walk, &short_join(group, &three, None));
    beat_until(walk, &heartbeat(group, (&one, 2), None), REBALANCE_IN_PROGRESS);
    walk.ask("missed: heartbeat of the second", 0, BEAT, &heartbeat(group, (&two, 2), None));
    let offsets = [(TOPIC, 0, 1)];
    walk.ask("missed: commit of the second", 0, 9, &commit(walk.topic_id, group, (&two, 2), &offsets, None));
    let list = ListGroupsRequest { states_filter: vec!["preparingrebalance".into()], ..ListGroupsRequest::default() };
    let listed = walk.connection.ask(5, &list).groups.iter().any(|one| &*one.group_id == group);
    assert!(listed, "listed by a state in other letters");
    walk.ask("missed: first", 0, JOIN, &short_join(group, &one, None));
    walk.say("missed: third", 0, &received(&mut third));
    walk.ask("missed: late heartbeat", 0, BEAT, &heartbeat(group, (&two, 2), None));
    walk.ask("missed: late commit", 0, 9, &commit(walk.topic_id, group, (&two, 2), &offsets, None));
    walk.ask("missed: late sync", 0, SYNC, &sync(SYNC, group, (&two, 3), None, &[]));
    walk.ask("missed: late join", 0, JOIN, &short_join(group, &two, None));
    walk.ask("missed: heartbeat before the sync", 0, BEAT, &heartbeat(group, (&three, 3), None));
    walk.ask("missed: commit before the sync", 0, 9, &commit(walk.topic_id, group, (&three, 3), &offsets, None));
    walk.ask("missed: join before the sync", 0, JOIN, &short_join(group, &three, None));
    walk.ask("missed: describe before the sync", 0, DESCRIBE, &describe(&[group]));
}

/// The leader joins and never says who gets what.
fn leader_that_does_not_assign(walk: &mut Walk) {
    let group = "unassigned";
    let (one, two) = pair(walk, group);
    let mut second = waiting(walk, &JoinGroupRequest { reason: Some("again".into()), ..changed_join(group, &two) });
    beat_until(walk, &heartbeat(group, (&one, 2), None), REBALANCE_IN_PROGRESS);
    walk.ask("unassigned: first", 0, JOIN, &short_join(group, &one, None));
    walk.say("unassigned: second", 0, &received(&mut second));
    walk.ask("unassigned: second waits", 0, SYNC, &sync(SYNC, group, (&two, 3), None, &[]));
    walk.ask("unassigned: heartbeat of the second", 0, BEAT, &heartbeat(group, (&two, 3), None));
    walk.ask("unassigned: heartbeat of the first", 0, BEAT, &heartbeat(group, (&one, 3), None));
    walk.ask("unassigned: sync of the first", 0, SYNC, &sync(SYNC, group, (&one, 3), None, &[(&one, "A")]));
    walk.ask("unassigned: second alone", 0, JOIN, &short_join(group, &two, None));
}

/// A join that offers something new.
fn changed_join(group: &str, member: &str) -> JoinGroupRequest {
    let mut request = short_join(group, member, None);
    request.protocols[0].metadata = vec![0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff].into();
    request
}

fn expired_session(walk: &mut Walk) {
    let group = "expired";
    let one = member_id(walk, group, "one");
    walk.ask("expired: join", 0, JOIN, &short_join(group, &one, None));
    walk.ask("expired: sync", 0, SYNC, &sync(SYNC, group, (&one, 1), None, &[(&one, "A")]));
    await_state(walk, group, "Empty");
    walk.ask("expired: heartbeat", 0, BEAT, &heartbeat(group, (&one, 1), None));
    walk.ask("expired: commit", 0, 9, &commit(walk.topic_id, group, (&one, 1), &[(TOPIC, 0, 1)], None));
    walk.ask("expired: join with the id", 0, JOIN, &short_join(group, &one, None));
    walk.ask("expired: leave", 0, 5, &leave(group, &[(&one, None)]));
    walk.ask("expired: describe", 0, DESCRIBE, &describe(&[group]));
    let again = member_id(walk, group, "again");
    walk.ask("expired: join anew", 0, JOIN, &short_join(group, &again, None));
}

fn expired_static_session(walk: &mut Walk) {
    let group = "expired-static";
    let one = walk.ask("static: join", 0, JOIN, &short_join(group, "", Some("i1"))).member_id.to_string();
    walk.ask("static: sync", 0, SYNC, &sync(SYNC, group, (&one, 1), Some("i1"), &[(&one, "A")]));
    await_state(walk, group, "Empty");
    walk.ask("static: heartbeat", 0, BEAT, &heartbeat(group, (&one, 1), Some("i1")));
    walk.ask("static: join with the id", 0, JOIN, &short_join(group, &one, Some("i1")));
    walk.ask("static: leave", 0, 5, &leave(group, &[("", Some("i1"))]));
    walk.ask("static: join anew", 0, JOIN, &short_join(group, "", Some("i1")));
}

/// A first step without the second.
fn unused_member_id(walk: &mut Walk) {
    let group = "unused";
    let (one, two) = (member_id(walk, group, "one"), member_id(walk, group, "two"));
    walk.ask("unused: heartbeat", 0, BEAT, &heartbeat(group, (&one, 0), None));
    walk.ask("unused: sync", 0, SYNC, &sync(SYNC, group, (&one, 0), None, &[]));
    walk.ask("unused: commit", 0, 9, &commit(walk.topic_id, group, (&one, 0), &[(TOPIC, 0, 1)], None));
    walk.ask("unused: leave", 0, 5, &leave(group, &[(&two, None), (&two, None)]));
    walk.ask("unused: join after leaving", 0, JOIN, &short_join(group, &two, None));
    std::thread::sleep(Duration::from_millis(SESSION_MS as u64 + 500));
    walk.ask("unused: join after the session", 0, JOIN, &short_join(group, &one, None));
    walk.ask("unused: describe", 0, DESCRIBE, &describe(&[group]));
}

fn joins_of_a_stable_group(walk: &mut Walk) {
    let group = "stable";
    let (one, two) = pair(walk, group);
    walk.ask("stable: follower joins again", 0, JOIN, &short_join(group, &two, None));
    walk.ask("stable: it asks", 0, SYNC, &sync(SYNC, group, (&two, 2), None, &[]));
    let mut first = waiting(walk, &short_join(group, &one, None));
    beat_until(walk, &heartbeat(group, (&two, 2), None), REBALANCE_IN_PROGRESS);
    walk.ask("stable: after the leader has joined again", 0, JOIN, &short_join(group, &two, None));
    walk.say("stable: leader joins again", 0, &received(&mut first));
    let mut asks = Connection::open(&walk.address);
    asks.send(SYNC, &sync(SYNC, group, (&two, 3), None, &[]));
    walk.ask("stable: assigned to strangers", 0, SYNC, &sync(SYNC, group, (&one, 3), None, &[("who", "A")]));
    walk.say("stable: who was left out", 0, &asks.receive::<SyncGroupRequest>(SYNC));
    walk.ask("stable: sync of the past", 0, SYNC, &sync(SYNC, group, (&two, 2), None, &[]));
}

fn static_member_with_other_protocols(walk: &mut Walk) {
    let group = "turned";
    let one = walk.ask("turned: join", 0, JOIN, &short_join(group, "", Some("i1"))).member_id.to_string();
    walk.ask("turned: sync", 0, SYNC, &sync(SYNC, group, (&one, 1), Some("i1"), &[(&one, "A")]));
    let mut request = short_join(group, "", Some("i1"));
    request.protocols.remove(0);
    let again = walk.ask("turned: returns with another protocol", 0, JOIN, &request).member_id.to_string();
    walk.ask("turned: heartbeat of the past", 0, BEAT, &heartbeat(group, (&one, 1), Some("i1")));
    walk.ask("turned: commit of the past", 0, 9, &commit(walk.topic_id, group, (&one, 1), &[(TOPIC, 0, 1)], None));
    walk.ask("turned: leave of the past", 0, 5, &leave(group, &[(&one, Some("i1"))]));
    walk.ask("turned: describe", 0, DESCRIBE, &describe(&[group]));
    walk.ask("turned: leaves by its instance", 0, 5, &leave(group, &[("", Some("i1")), (&again, None)]));
}

/// The first waits for the second, who leaves.
fn leaving_while_others_wait(walk: &mut Walk) {
    let group = "left";
    let (one, two) = pair(walk, group);
    let mut first = waiting(walk, &short_join(group, &one, None));
    beat_until(walk, &heartbeat(group, (&two, 2), None), REBALANCE_IN_PROGRESS);
    walk.ask("left: second", 0, 5, &leave(group, &[(&two, None), (&two, None), ("who", None)]));
    walk.say("left: first", 0, &received(&mut first));
    walk.ask("left: sync", 0, SYNC, &sync(SYNC, group, (&one, 3), None, &[(&one, "A")]));
    walk.ask("left: describe", 0, DESCRIBE, &describe(&[group]));
}
