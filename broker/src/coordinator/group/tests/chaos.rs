//! Members that start, stop, leave, vanish and change their minds at random, on a log that stalls, refuses and changes
//! hands. Whatever happened before: when things are quiet, those who are left form a stable group soon.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use proptest::prelude::*;

use super::super::error::GroupError;
use super::super::request::{
    GroupRequest, GroupResponse, HeartbeatRequest, JoinRequest, LeavingMember, Protocol, SyncRequest,
};
use super::super::shard::GroupShard;
use super::super::state::GroupState;
use super::show;
use crate::coordinator::runtime::log::WriteError;
use crate::coordinator::runtime::testing::{TestAnswer, TestShard};

const GROUP: &str = "g";
const CLIENTS: usize = 5;
const SESSION: Duration = Duration::from_secs(6);
const REBALANCE: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often a client looks around.
const POLL: Duration = Duration::from_millis(250);

#[derive(Debug, Clone)]
enum Action {
    /// Joins; an even client is a dynamic member, an odd one a static member.
    Start(usize),
    /// Goes without a word.
    Vanish(usize),
    Leave(usize),
    /// Joins again with other metadata.
    Change(usize),
    /// Forgets to ask for its assignment after its next join.
    Forget(usize),
    Advance(u16),
    Hold(bool),
    Refuse(bool),
    Reload,
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => client.clone().prop_map(Action::Start),
        3 => client.clone().prop_map(Action::Vanish),
        2 => client.clone().prop_map(Action::Leave),
        2 => client.clone().prop_map(Action::Change),
        2 => client.prop_map(Action::Forget),
        8 => (1_u16..12_000).prop_map(Action::Advance),
        1 => any::<bool>().prop_map(Action::Hold),
        1 => any::<bool>().prop_map(Action::Refuse),
        1 => Just(Action::Reload),
    ]
}

/// Where a client is.
enum Stage {
    /// Has to join.
    Out,
    Joining(TestAnswer<GroupResponse>),
    Syncing(i32, TestAnswer<GroupResponse>),
    /// Has its assignment; heartbeats next at this time.
    In(i32, Bytes, Duration),
}

struct Client {
    number: usize,
    id: ByteString,
    stage: Stage,
    /// Counts changes of metadata.
    version: usize,
    forgets: bool,
}

impl Client {
    fn instance(&self) -> Option<ByteString> {
        (self.number % 2 == 1).then(|| format!("i{}", self.number).into())
    }

    fn poll(&mut self, world: &mut World) {
        match &mut self.stage {
            Stage::Out => self.join(world),
            Stage::Joining(answer) => match answer.try_recv() {
                Ok(Ok(GroupResponse::Join(Ok(joined)))) => {
                    self.id = joined.member.clone();
                    let leads = !joined.members.is_empty() && !joined.skip_assignment;
                    let members = joined.members.iter().filter(|_| leads);
                    let assign = |member: &ByteString| Bytes::from(format!("{member} in {}", joined.generation));
                    let assignments = members.map(|one| (one.member.clone(), assign(&one.member))).collect();
                    if std::mem::take(&mut self.forgets) {
                        self.stage = Stage::In(joined.generation, Bytes::new(), world.shard.now.monotonic);
                    } else {
                        self.sync(world, joined.generation, assignments);
                    }
                }
                Ok(Ok(GroupResponse::Join(Err(refused)))) => {
                    self.id = match refused.error {
                        GroupError::MemberIdRequired => refused.member,
                        GroupError::UnknownMember | GroupError::FencedInstance => ByteString::new(),
                        _ => self.id.clone(),
                    };
                    self.stage = Stage::Out;
                }
                Ok(_) => self.stage = Stage::Out,
                Err(_) => {}
            },
            Stage::Syncing(generation, answer) => match answer.try_recv() {
                Ok(Ok(GroupResponse::Sync(Ok(synced)))) => {
                    self.stage = Stage::In(*generation, synced.assignment, world.shard.now.monotonic + HEARTBEAT);
                }
                Ok(Ok(GroupResponse::Sync(Err(error)))) => self.out(error),
                Ok(_) => self.stage = Stage::Out,
                Err(_) => {}
            },
            Stage::In(generation, _, next) if *next <= world.shard.now.monotonic => {
                *next = world.shard.now.monotonic + HEARTBEAT;
                let (generation, group) = (*generation, GROUP.into());
                let (member, instance) = (self.id.clone(), self.instance());
                let request = HeartbeatRequest { group, member, instance, generation };
                let mut answer = world.shard.call(GroupRequest::Heartbeat(request));
                if let Ok(Ok(GroupResponse::Heartbeat(Err(error)))) = answer.try_recv() {
                    self.out(error);
                }
            }
            Stage::In(..) => {}
        }
    }

    fn out(&mut self, error: GroupError) {
        if matches!(error, GroupError::UnknownMember | GroupError::FencedInstance) {
            self.id = ByteString::new();
        }
        self.stage = Stage::Out;
    }

    fn join(&mut self, world: &mut World) {
        world.members += 1;
        let ms = |duration: Duration| i32::try_from(duration.as_millis()).expect("short");
        let metadata = show::subscription(&format!("t{}", self.version));
        let request = JoinRequest {
            group: GROUP.into(),
            member: self.id.clone(),
            instance: self.instance(),
            client_id: format!("c{}", self.number).into(),
            client_host: "/host".into(),
            session_timeout_ms: ms(SESSION),
            rebalance_timeout_ms: ms(REBALANCE),
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "range".into(), metadata }],
            new_member: format!("m{}", world.members).into(),
            two_steps: self.number < 3,
            skips_assignment: true,
        };
        self.stage = Stage::Joining(world.shard.call(GroupRequest::Join(request)));
    }

    fn sync(&mut self, world: &mut World, generation: i32, assignments: Vec<(ByteString, Bytes)>) {
        let request = SyncRequest {
            group: GROUP.into(),
            member: self.id.clone(),
            instance: self.instance(),
            generation,
            protocol_type: None,
            protocol: None,
            assignments,
        };
        self.stage = Stage::Syncing(generation, world.shard.call(GroupRequest::Sync(request)));
    }
}

struct World {
    shard: TestShard<GroupShard>,
    members: usize,
}

struct Chaos {
    world: World,
    clients: BTreeMap<usize, Client>,
}

impl Chaos {
    fn new() -> Self {
        let world = World { shard: super::shard(super::rules()), members: 0 };
        Self { world, clients: BTreeMap::new() }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(number) => {
                let fresh = Client { number, id: ByteString::new(), stage: Stage::Out, version: 0, forgets: false };
                self.clients.entry(number).or_insert(fresh);
            }
            Action::Vanish(number) => drop(self.clients.remove(&number)),
            Action::Leave(number) => {
                if let Some(client) = self.clients.remove(&number) {
                    let leaving =
                        LeavingMember { member: client.id.clone(), instance: client.instance(), reason: None };
                    let request = GroupRequest::Leave { group: GROUP.into(), members: vec![leaving] };
                    drop(self.world.shard.call(request));
                }
            }
            Action::Change(number) => {
                if let Some(client) = self.clients.get_mut(&number) {
                    client.version += 1;
                    client.stage = Stage::Out;
                }
            }
            Action::Forget(number) => {
                if let Some(client) = self.clients.get_mut(&number) {
                    client.forgets = true;
                }
            }
            Action::Advance(ms) => self.advance(Duration::from_millis(ms.into())),
            Action::Hold(held) => self.world.shard.log.hold(held),
            Action::Refuse(refused) => self.world.shard.log.refuse(refused.then_some(WriteError::Storage)),
            Action::Reload => self.reload(),
        }
        self.world.shard.turn();
        super::check_replay(&self.world.shard);
    }

    /// The next coordinator does not know who has yet to ask for its assignment, and Kafka's does not either: it puts nobody
    /// out for that. Who forgot to ask therefore does it now, as real clients do at once.
    fn reload(&mut self) {
        self.world.shard.reload();
        for client in self.clients.values_mut() {
            if let Stage::In(generation, assignment, _) = &client.stage
                && assignment.is_empty()
            {
                client.sync(&mut self.world, *generation, Vec::new());
            }
        }
    }

    fn advance(&mut self, by: Duration) {
        let until = self.world.shard.now.monotonic + by;
        while self.world.shard.now.monotonic < until {
            for client in self.clients.values_mut() {
                client.poll(&mut self.world);
            }
            self.world.shard.advance(POLL.min(until - self.world.shard.now.monotonic));
        }
    }

    /// The promise: within twice the rebalance timeout after the last trouble.
    fn check_it_settles(&mut self) {
        self.act(Action::Hold(false));
        self.act(Action::Refuse(false));
        self.clients.values_mut().for_each(|client| client.forgets = false);
        self.advance(2 * REBALANCE);
        super::check_replay(&self.world.shard);
        let Some(group) = self.world.shard.machine().groups.get(GROUP) else {
            assert!(self.clients.is_empty(), "members without a group");
            return;
        };
        if self.clients.is_empty() {
            assert_eq!(group.state, GroupState::Empty);
            return;
        }
        assert_eq!(group.state, GroupState::Stable, "not stable after twice the rebalance timeout");
        let members: Vec<_> = group.members().map(|member| member.id.clone()).collect();
        assert_eq!(members.len(), self.clients.len(), "members that are not there, or the other way round");
        assert!(group.leader.as_ref().is_some_and(|leader| members.contains(leader)), "a leader who is no member");
        for client in self.clients.values() {
            let Stage::In(generation, assignment, _) = &client.stage else { panic!("{} is not in", client.number) };
            assert_eq!(*generation, group.generation, "{} is in another generation", client.number);
            assert!(!assignment.is_empty(), "{} got nothing", client.number);
            let known = group.member(&client.id).map(|member| &member.assignment);
            assert_eq!(known, Some(assignment), "{} got something else", client.number);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_is_left_forms_a_stable_group(actions in prop::collection::vec(action(), 1..60)) {
        let mut chaos = Chaos::new();
        for action in actions {
            chaos.act(action);
        }
        chaos.check_it_settles();
    }
}

/// Found by the test above, when a client that had forgotten to ask waited for ever.
#[test]
fn who_has_not_asked_before_the_coordinator_moves_asks_the_next_one() {
    let mut chaos = Chaos::new();
    for action in [Action::Start(1), Action::Start(4), Action::Forget(4), Action::Advance(6001), Action::Reload] {
        chaos.act(action);
    }
    chaos.check_it_settles();
}
