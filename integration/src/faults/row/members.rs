//! Membership: brokers and voters come, go and are replaced, while the leader of the quorum is killed and nodes are cut off.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use goatq_protocol::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use goatq_protocol::message::elect_leaders::ElectLeadersRequest;
use goatq_protocol::message::{RemoveRaftVoterRequest, UnregisterBrokerRequest};
use goatq_protocol::{ErrorCode, Uuid};

use super::Fault;
use crate::faults::field::{self, Field, GUEST, until};
use crate::faults::site::{Role, Site};
use crate::traffic::{LOAD, PARTITIONS};

/// How long each step may take.
const STEP: Duration = Duration::from_secs(60);
/// How long a change of voters may take to be answered.
const ANSWER: Duration = Duration::from_secs(15);
/// How long somebody is cut off.
const CUT: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(200);

/// Brokers and voters that come and go.
#[derive(Debug, Default)]
pub struct Members {
    guest: Option<Site>,
}

impl Fault for Members {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        match round % 3 {
            0 => self.broker_for_a_while(field),
            1 => self.voter_for_a_while(field),
            _ => replace(field),
        }
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        field.ground.heal()?;
        if let Some(mut guest) = self.guest.take() {
            guest.kill()?;
        }
        Ok(())
    }
}

impl Members {
    fn start(&mut self, field: &mut Field, role: Role) -> anyhow::Result<()> {
        let mut guest = field.guest(role)?;
        // Whoever comes with this id comes for the first time.
        wipe(&guest.data)?;
        guest.start()?;
        self.guest = Some(guest);
        until("the guest is shown", STEP, || shows(field, GUEST).then_some(()))
    }

    /// Ends the guest in order, and has the cluster forget it.
    fn end(&mut self, field: &Field) -> anyhow::Result<()> {
        let mut guest = self.guest.take().context("no guest")?;
        if guest.is_running() {
            guest.terminate()?;
        }
        let request = UnregisterBrokerRequest { broker_id: GUEST };
        until("the guest is forgotten", STEP, || {
            field.ask_any(&request, 0, ANSWER).is_some_and(|answer| answer.error_code == 0).then_some(())
        })
    }

    fn broker_for_a_while(&mut self, field: &mut Field) -> anyhow::Result<String> {
        self.start(field, Role::Broker)?;
        for partition in 0..PARTITIONS {
            let others = [1, 2, 3].into_iter().filter(|id| *id != 1 + partition % 3);
            reassign(field, partition, &[GUEST].into_iter().chain(others).collect::<Vec<_>>())?;
        }
        let killed = kill_controller(field)?;
        field.site(killed).start()?;
        until_settled(field)?;
        elect_preferred(field);
        until("the guest leads", STEP, || (field.leader(0).ok()? == GUEST).then_some(()))?;
        let since = field.watch.now();
        field.until_acked(since, STEP).context("the guest is written to")?;
        for partition in 0..PARTITIONS {
            reassign(field, partition, &[1, 2, 3])?;
        }
        until_settled(field)?;
        self.end(field)?;
        Ok(format!("broker {GUEST} came, led and went; the leader of the quorum, {killed}, was killed meanwhile"))
    }

    fn voter_for_a_while(&mut self, field: &mut Field) -> anyhow::Result<String> {
        self.start(field, Role::Both)?;
        let directory = until_voter(field, GUEST)?;
        let killed = kill_controller(field)?;
        field.until_acked(field.watch.now(), STEP).context("writes go on without the leader of the quorum")?;
        field.site(killed).start()?;
        let cut = field.any_broker();
        for other in field.brokers().into_iter().chain([GUEST]).filter(|other| *other != cut) {
            field.ground.cut(cut, other)?;
        }
        std::thread::sleep(CUT);
        field.ground.heal()?;
        // Who runs and is configured to vote would ask for its vote again.
        self.guest.as_mut().context("no guest")?.terminate()?;
        remove_voter(field, GUEST, directory)?;
        self.end(field)?;
        Ok(format!("voter {GUEST} came and went, {killed}, which led the quorum, was killed, and {cut} was cut off"))
    }
}

/// A node loses its process, its vote and its disk, and comes back with an empty one for a new vote.
fn replace(field: &mut Field) -> anyhow::Result<String> {
    let id = field.any_broker();
    let directory = until_voter(field, id)?;
    field.site(id).kill()?;
    remove_voter(field, id, directory)?;
    let site = field.site(id);
    wipe(&site.data)?;
    // From now on it asks the quorum who it is.
    site.joins = true;
    site.start()?;
    let begun = Instant::now();
    let now = until_voter(field, id)?;
    ensure!(now != directory, "{id} has a vote with the disk that it lost");
    Ok(format!("{id} was replaced, and has a vote again after {:.1?}", begun.elapsed()))
}

fn wipe(data: &PathBuf) -> anyhow::Result<()> {
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    Ok(())
}

fn kill_controller(field: &mut Field) -> anyhow::Result<i32> {
    // Nobody kills the guest: it may be the only one that knows what is asked of it.
    let id = until("a leader of the quorum that is no guest", STEP, || {
        field.controller().ok().map(|(id, _)| id).filter(|id| field.brokers().contains(id))
    })?;
    field.site(id).kill()?;
    Ok(id)
}

fn shows(field: &Field, broker: i32) -> bool {
    let shown = |site: &Site| {
        field::metadata(site).is_ok_and(|answer| answer.brokers.iter().any(|known| known.node_id == broker))
    };
    field.sites.iter().filter(|site| site.pid().is_some()).all(shown)
}

/// Waits until a node has a vote: the directory that it has it with.
fn until_voter(field: &Field, id: i32) -> anyhow::Result<Uuid> {
    until(&format!("{id} has a vote"), STEP, || {
        let quorum = field.sites.iter().find_map(|site| field::describe_quorum(site).ok())?;
        let voter = quorum.current_voters.into_iter().find(|voter| voter.replica_id == id)?;
        Some(voter.replica_directory_id).filter(|directory| !directory.is_zero())
    })
}

fn remove_voter(field: &Field, id: i32, directory: Uuid) -> anyhow::Result<()> {
    let request = RemoveRaftVoterRequest { cluster_id: None, voter_id: id, voter_directory_id: directory };
    let done = [ErrorCode::None.code(), ErrorCode::VoterNotFound.code()];
    until(&format!("{id} has no vote"), STEP, || {
        let answer = field.ask_any(&request, 0, ANSWER);
        answer.is_some_and(|answer| done.contains(&answer.error_code)).then_some(())
    })
}

fn reassign(field: &Field, partition: i32, replicas: &[i32]) -> anyhow::Result<()> {
    let part = ReassignablePartition { partition_index: partition, replicas: Some(replicas.to_vec()) };
    let topic = ReassignableTopic { name: LOAD.into(), partitions: vec![part] };
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: 5_000,
        topics: vec![topic],
        ..AlterPartitionReassignmentsRequest::default()
    };
    until("replicas are on their way", STEP, || {
        let answer = field.ask_any(&request, 1, ANSWER).filter(|answer| answer.error_code == 0)?;
        let mut parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
        parts.all(|part| part.error_code == 0).then_some(())
    })
}

/// Waits until nothing is on its way and all replicas are in sync, as all nodes tell it.
fn until_settled(field: &Field) -> anyhow::Result<()> {
    until("replicas are where they shall be", STEP, || {
        let settled = |site: &Site| {
            let Ok(answer) = field::metadata(site) else { return false };
            let load = answer.topics.iter().filter(|topic| topic.name.as_deref() == Some(LOAD));
            let mut parts = load.flat_map(|topic| &topic.partitions);
            parts.all(|part| part.replica_nodes.len() == 3 && part.isr_nodes.len() == 3)
        };
        field.sites.iter().all(settled).then_some(())
    })
}

fn elect_preferred(field: &Field) {
    let request = ElectLeadersRequest { timeout_ms: 5_000, ..ElectLeadersRequest::default() };
    // Whether it came to that is asked afterwards.
    let _ = field.ask_any(&request, 2, ANSWER);
    std::thread::sleep(AGAIN);
}
