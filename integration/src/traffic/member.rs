//! A member of a group: it joins, gets partitions, says that it is alive, commits an offset after the other for them, leaves, comes back, and
//! is forgotten without a word.
//!
//! Each commit is one more than what was committed before, so an acknowledged one may not be below or at one that was acknowledged before
//! it was sent: of two members that have the same partition, the one of the older generation is refused.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::heartbeat::HeartbeatRequest;
use goatq_protocol::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use goatq_protocol::message::leave_group::{LeaveGroupRequest, MemberIdentity};
use goatq_protocol::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use rand::RngExt;

use super::client::Client;
use super::group::{Committer, commit, committed, coordinator};
use super::{PARTITIONS, Shared, Task, rest};

const GROUP: &str = "members";
const PROTOCOL: &str = "shares";
const JOIN_GROUP: i16 = 7;
const SYNC_GROUP: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE_GROUP: i16 = 4;
/// Without a sign of life for so long a member is gone; the group waits as long for those that are to join again, ms.
const SESSION_MS: i32 = 1_000;
/// How often the last offsets are asked for at the end, until they are there.
const LAST_CHECKS: u32 = 50;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::once_ready(&shared, task.rng).await;
    let mut member = Member { id: ByteString::new(), node: 0, generation: -1, positions: BTreeMap::new() };
    loop {
        let last = shared.draining();
        if member.enter(&shared, &mut client).await {
            let stays = member.work(&shared, &mut client, last).await;
            if stays && last {
                break;
            }
        }
        rest(&mut client.rng, 100).await;
    }
    member.leave(&mut client).await;
    for partition in 0..PARTITIONS {
        check(&shared, &mut client, partition).await;
    }
}

struct Member {
    /// Empty before it joins.
    id: ByteString,
    /// The coordinator.
    node: i32,
    generation: i32,
    /// What was committed of the partitions that it has.
    positions: BTreeMap<i32, i64>,
}

impl Member {
    /// Whether it is in the group, knows its partitions, and what was committed of them.
    async fn enter(&mut self, shared: &Shared, client: &mut Client) -> bool {
        self.positions.clear();
        self.node = coordinator(client, GROUP).await;
        let Some(joined) = self.join(client).await else { return false };
        let code = ErrorCode::from_code(joined.error_code);
        shared.history.borrow_mut().trace.note(
            shared.now(),
            format_args!("join {} at {}: {code:?} {}", joined.member_id, self.node, joined.generation_id),
        );
        match code {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::MemberIdRequired) => {
                self.id = joined.member_id;
                return false;
            }
            Some(ErrorCode::UnknownMemberId) => {
                self.id = ByteString::new();
                return false;
            }
            _ => return false,
        }
        (self.id, self.generation) = (joined.member_id.clone(), joined.generation_id);
        let Some(mine) = self.sync(client, &joined).await else { return false };
        for partition in mine {
            let Some(offset) = committed(client, self.node, GROUP, partition).await else { return false };
            self.positions.insert(partition, offset.max(0));
        }
        let what = format_args!("{} has {:?} in {} at {}", self.id, self.positions, self.generation, self.node);
        shared.history.borrow_mut().trace.note(shared.now(), what);
        true
    }

    async fn join(&self, client: &mut Client) -> Option<JoinGroupResponse> {
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: SESSION_MS,
            member_id: self.id.clone(),
            protocol_type: "sim".into(),
            protocols: vec![JoinGroupRequestProtocol { name: PROTOCOL.into(), metadata: Bytes::new() }],
            ..JoinGroupRequest::default()
        };
        client.ask(self.node, &request, JOIN_GROUP).await.ok()
    }

    /// The partitions that it gets; the leader deals them out.
    async fn sync(&mut self, client: &mut Client, joined: &JoinGroupResponse) -> Option<Vec<i32>> {
        let others = joined.members.len().max(1);
        let share =
            |at: usize| (0..PARTITIONS).filter(move |part| usize::try_from(*part).is_ok_and(|p| p % others == at));
        let assignment = |(at, member_id): (usize, ByteString)| SyncGroupRequestAssignment {
            member_id,
            assignment: share(at).flat_map(i32::to_be_bytes).collect(),
        };
        let members = joined.members.iter().map(|member| member.member_id.clone());
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some("sim".into()),
            protocol_name: Some(PROTOCOL.into()),
            assignments: members.enumerate().map(assignment).collect(),
            ..SyncGroupRequest::default()
        };
        let answer = client.ask(self.node, &request, SYNC_GROUP).await.ok()?;
        if ErrorCode::from_code(answer.error_code) == Some(ErrorCode::UnknownMemberId) {
            self.id = ByteString::new();
        }
        let (parts, _) = answer.assignment.as_chunks::<4>();
        (answer.error_code == 0).then(|| parts.iter().map(|part| i32::from_be_bytes(*part)).collect())
    }

    /// Goes on until it has to join again, or, if this is the end, has committed once more; whether it is still in the group.
    async fn work(&mut self, shared: &Shared, client: &mut Client, last: bool) -> bool {
        loop {
            rest(&mut client.rng, 250).await;
            let partitions: Vec<_> = self.positions.keys().copied().collect();
            if !partitions.is_empty() {
                let partition = partitions[client.rng.random_range(0..partitions.len())];
                if !self.commit_next(shared, client, partition).await {
                    return false;
                }
            }
            if last {
                return true;
            }
            if shared.draining() || !self.heartbeat(client).await {
                return false;
            }
            match client.rng.random_range(0..40) {
                0 => {
                    self.leave(client).await;
                    return false;
                }
                1 => {
                    self.id = ByteString::new();
                    return false;
                }
                _ => {}
            }
        }
    }

    async fn commit_next(&mut self, shared: &Shared, client: &mut Client, partition: i32) -> bool {
        let who = Committer { group: GROUP, member: self.id.clone(), generation: self.generation };
        let offset = self.positions.get(&partition).map_or(0, |position| position + 1);
        let acked = |shared: &Shared| shared.history.borrow().member_commits.get(&partition).copied().unwrap_or(-1);
        let before = acked(shared);
        let code = commit(client, self.node, &who, (partition, offset)).await;
        let mut history = shared.history.borrow_mut();
        let what = format_args!("{} commits {partition}:{offset} in {}: {code:?}", self.id, self.generation);
        history.trace.note(shared.now(), what);
        match code {
            Some(ErrorCode::None) => {
                if offset <= before {
                    let what =
                        format!("members follow one another: {partition}:{offset} was taken, after {before} was");
                    history.violation(shared.now(), what);
                }
                let most = history.member_commits.entry(partition).or_insert(-1);
                *most = (*most).max(offset);
                self.positions.insert(partition, offset);
                true
            }
            Some(ErrorCode::RebalanceInProgress) => false,
            // Without an answer it may still arrive, and must not do so in the name of a member that goes on.
            None | Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RequestTimedOut) => {
                self.id = ByteString::new();
                false
            }
            Some(_) => false,
        }
    }

    async fn heartbeat(&mut self, client: &mut Client) -> bool {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..HeartbeatRequest::default()
        };
        let answer = client.ask(self.node, &request, HEARTBEAT).await.ok();
        let code = answer.and_then(|answer| ErrorCode::from_code(answer.error_code));
        if code == Some(ErrorCode::UnknownMemberId) {
            self.id = ByteString::new();
        }
        code == Some(ErrorCode::None)
    }

    async fn leave(&mut self, client: &mut Client) {
        let identity = MemberIdentity { member_id: std::mem::take(&mut self.id), ..MemberIdentity::default() };
        let request =
            LeaveGroupRequest { group_id: GROUP.into(), members: vec![identity], ..LeaveGroupRequest::default() };
        // Whoever does not hear of it misses the member soon.
        let _ = client.ask(self.node, &request, LEAVE_GROUP).await;
    }
}

/// At the end the last offset that was acknowledged is there, or a later one.
async fn check(shared: &Shared, client: &mut Client, partition: i32) {
    let mut patience = LAST_CHECKS;
    let least = shared.history.borrow().member_commits.get(&partition).copied().unwrap_or(-1);
    loop {
        let node = coordinator(client, GROUP).await;
        match committed(client, node, GROUP, partition).await {
            Some(found) if found >= least => return,
            Some(found) if patience == 0 => {
                let what = format!("committed offsets: {partition}:{least} of a member was taken, {node} has {found}");
                return shared.history.borrow_mut().violation(shared.now(), what);
            }
            Some(_) => patience -= 1,
            None => {}
        }
        rest(&mut client.rng, 200).await;
    }
}
