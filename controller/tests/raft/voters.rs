//! Voters that come and go while the quorum works.

use std::{collections::BTreeSet, time::Duration};

use goatq_controller::{
    raft::voters::VoterError,
    service::voters::{AddVoter, ForgetNode, RemoveVoter},
};

use crate::{
    quorum::{NODES, Quorum, number},
    support::directory_id,
};

fn add(node: u64) -> AddVoter {
    AddVoter { cluster_id: None, id: number(node), directory_id: directory_id(number(node)) }
}

fn remove(node: u64) -> RemoveVoter {
    RemoveVoter { cluster_id: None, id: number(node), directory_id: directory_id(number(node)) }
}

/// Who votes and who follows, as the leader sees it.
async fn members(quorum: &Quorum) -> (Vec<i32>, Vec<i32>) {
    let status = quorum.node(quorum.leader().await).status();
    (status.voters.keys().copied().collect(), status.learners.keys().copied().collect())
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_a_vote_and_another_loses_it() {
    let mut quorum = Quorum::start().await;
    quorum.set(1).await;
    let asked = quorum.node(2);
    // Before it runs, it gets none.
    let lagging = VoterError::Lagging { id: 4, directory: directory_id(4) };
    assert_eq!(asked.submit(add(4)).await, Ok(Err(lagging)));
    quorum.start_node(4).await;
    assert_eq!(asked.submit(add(4)).await, Ok(Ok(())));
    assert_eq!(members(&quorum).await, (vec![1, 2, 3, 4], vec![]));
    assert_eq!(asked.submit(add(4)).await, Ok(Err(VoterError::Duplicate(4))));
    let other = AddVoter { cluster_id: Some("another".into()), ..add(4) };
    assert!(matches!(asked.submit(other).await, Ok(Err(VoterError::Cluster { .. }))));

    // The leader goes: it hands over, and follows.
    let old = quorum.leader().await;
    assert_eq!(asked.submit(remove(old)).await, Ok(Ok(())));
    assert_ne!(quorum.leader().await, old);
    let (voters, learners) = members(&quorum).await;
    assert_eq!((voters.len(), learners), (3, vec![number(old)]));
    quorum.set(2).await;
    quorum.agree_on(2).await;
    let gone = VoterError::NotFound { id: number(old), directory: directory_id(number(old)) };
    assert_eq!(asked.submit(remove(old)).await, Ok(Err(gone)));
    assert_eq!(asked.submit(ForgetNode { id: number(old) }).await, Ok(Err(VoterError::InUse(number(old)))));

    // It has no vote any more: with one of the others away, the rest decides, and not with two.
    let leader = quorum.leader().await;
    let others: Vec<u64> = [1, 2, 3, 4].into_iter().filter(|node| ![old, leader].contains(node)).collect();
    quorum.wires.cut_off.lock().extend(&others);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(quorum.node(old).status().leader.is_none_or(|id| id != number(old)), "who has no vote leads");
    quorum.wires.cut_off.lock().clear();
    quorum.set(3).await;
    quorum.agree_on(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_voter_is_replaced_by_one_with_an_empty_disk() {
    let mut quorum = Quorum::start().await;
    quorum.set(1).await;
    let leader = quorum.leader().await;
    let victim = NODES.into_iter().find(|node| *node != leader).unwrap();
    quorum.crash(victim).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = quorum.node(leader);
    assert_eq!(asked.submit(ForgetNode { id: number(victim) }).await, Ok(Err(VoterError::InUse(number(victim)))));
    assert_eq!(asked.submit(remove(victim)).await, Ok(Ok(())));
    let alive = NODES.into_iter().filter(|node| *node != victim).map(number).collect();
    assert_eq!(members(&quorum).await, (alive, vec![]));
    assert_eq!(asked.submit(ForgetNode { id: number(victim) }).await, Ok(Err(VoterError::Unknown(number(victim)))));

    quorum.wipe(victim);
    quorum.start_with(victim, directory_id(99)).await;
    let again = AddVoter { directory_id: directory_id(99), ..add(victim) };
    assert_eq!(asked.submit(again).await, Ok(Ok(())));
    assert_eq!(members(&quorum).await.0.into_iter().collect::<BTreeSet<_>>(), NODES.map(number).into());
    quorum.set(2).await;
    quorum.agree_on(2).await;

    // Configured as before, all start again.
    for node in NODES {
        quorum.crash(node).await;
    }
    for node in NODES {
        let directory = if node == victim { directory_id(99) } else { directory_id(number(node)) };
        quorum.start_with(node, directory).await;
    }
    quorum.set(3).await;
    quorum.agree_on(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lost_its_vote_while_it_was_cut_off_follows_again() {
    let mut quorum = Quorum::start().await;
    quorum.start_node(4).await;
    let leader = quorum.leader().await;
    let asked = quorum.node(leader);
    assert_eq!(asked.submit(add(4)).await, Ok(Ok(())));
    let victim = NODES.into_iter().find(|node| *node != leader).unwrap();
    quorum.wires.cut_off.lock().insert(victim);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let leader = quorum.leader().await;
    assert_eq!(quorum.node(leader).submit(remove(victim)).await, Ok(Ok(())));
    let (voters, learners) = members(&quorum).await;
    assert_eq!((voters.contains(&number(victim)), learners), (false, vec![]));
    quorum.set(1).await;

    // It runs on, takes itself for a voter, and nobody sends it anything.
    quorum.wires.cut_off.lock().clear();
    quorum.agree_on(1).await;
    assert_eq!(members(&quorum).await.1, vec![number(victim)]);
    assert_eq!(quorum.node(leader).submit(add(victim)).await, Ok(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_voters_is_ended_whenever_its_leader_goes() {
    for after in 0..10 {
        let mut quorum = Quorum::start().await;
        quorum.start_node(4).await;
        quorum.set(1).await;
        quorum.agree_on(1).await;
        let leader = quorum.leader().await;
        let asked = quorum.node(leader);
        let begun = tokio::spawn(async move { asked.submit(add(4)).await });
        tokio::time::sleep(Duration::from_millis(after)).await;
        quorum.wires.cut_off.lock().insert(leader);
        let settled = async {
            loop {
                match quorum.node(quorum.leader().await).submit(add(4)).await {
                    Ok(Ok(()) | Err(VoterError::Duplicate(4))) => return,
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(60), settled).await;
        assert!(settled.is_ok(), "the leader went after {after} ms");
        assert_eq!(members(&quorum).await, (vec![1, 2, 3, 4], vec![]));
        begun.abort();
    }
}
