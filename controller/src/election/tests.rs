use proptest::prelude::*;

use super::*;

fn partition(leader: i32, replicas: &[i32], isr: &[i32], elr: &[i32]) -> PartitionImage {
    PartitionImage {
        leader,
        leader_epoch: 4,
        partition_epoch: 9,
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        elr: elr.to_vec(),
        last_known_elr: Vec::new(),
        unclean_epoch: -1,
        directories: vec![Uuid::ZERO; replicas.len()],
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
    }
}

fn all(_: i32) -> bool {
    true
}

#[test]
fn the_present_leader_stays_if_it_can() {
    let of = partition(2, &[1, 2, 3], &[1, 2], &[]);
    assert_eq!(elect(&of, all, Wanted::Any).leader, 2);
    assert_eq!(elect(&of, all, Wanted::Unclean).leader, 2);
    assert_eq!(elect(&of, all, Wanted::Preferred).leader, 1);
    assert_eq!(elect(&of, |id| id != 1, Wanted::Preferred).leader, 2);
    assert_eq!(elect(&of, |id| id != 2, Wanted::Any).leader, 1);
}

#[test]
fn only_replicas_in_sync_lead_without_loss() {
    let of = partition(NO_LEADER, &[1, 2, 3], &[2], &[3]);
    assert_eq!(elect(&of, all, Wanted::Any).leader, 2);
    assert_eq!(elect(&of, all, Wanted::Preferred).leader, 2);
    assert_eq!(elect(&of, |id| id != 2, Wanted::Any).leader, 3);
    assert_eq!(elect(&of, |id| id == 1, Wanted::Any).leader, NO_LEADER);
    assert_eq!(elect(&of, |id| id == 1, Wanted::Unclean), Elected { leader: 1, unclean: true });
    // Who was in sync last and lost its disk leads only where there is nobody else.
    let lost = PartitionImage { last_known_elr: vec![1], ..partition(NO_LEADER, &[1, 2, 3], &[], &[]) };
    assert_eq!(elect(&lost, all, Wanted::Unclean), Elected { leader: 2, unclean: true });
    assert_eq!(elect(&lost, |id| id == 1, Wanted::Unclean), Elected { leader: 1, unclean: true });
}

#[test]
fn an_unclean_leader_starts_the_isr_anew() {
    let of = partition(NO_LEADER, &[1, 2, 3], &[2], &[3]);
    let mut change = Change::of(&of, 1);
    change.elect(|id| id == 1, Wanted::Unclean);
    let record = change.record(Uuid::ZERO, 0).unwrap();
    assert_eq!((record.leader, record.isr, record.elr), (1, Some(vec![1]), Some(vec![])));
}

#[test]
fn a_leader_from_the_elr_is_alone_in_sync() {
    let of = partition(NO_LEADER, &[1, 2, 3], &[2], &[3]);
    let record = Change::of(&of, 2).ready(|id| id == 3).record(Uuid::ZERO, 0).unwrap();
    assert_eq!((record.leader, record.isr, record.elr), (3, Some(vec![3]), Some(vec![2])));
}

#[test]
fn who_was_in_sync_last_stays_eligible() {
    let of = partition(1, &[1, 2, 3], &[1, 2], &[]);
    let record = Change::of(&of, 2).gone(2, |id| id != 2).record(Uuid::ZERO, 0).unwrap();
    assert_eq!((record.leader, record.isr, record.elr), (NO_LEADER_CHANGE, Some(vec![1]), Some(vec![2])));
    let restarted = |returning| Change::of(&of, 2).restarted(2, returning, |id| id != 2).record(Uuid::ZERO, 0).unwrap();
    let complete = restarted(Returning::Complete);
    assert_eq!((complete.isr, complete.elr), (Some(vec![1]), Some(vec![2])));
    for lossy in [Returning::Torn, Returning::Unknown] {
        assert_eq!((restarted(lossy).isr, restarted(lossy).elr), (Some(vec![1]), None));
    }
    // With one replica in sync being enough, the others are nothing special.
    let enough = Change::of(&of, 1).gone(2, |id| id != 2).record(Uuid::ZERO, 0).unwrap();
    assert_eq!((enough.isr, enough.elr), (Some(vec![1]), None));
}

#[test]
fn enough_in_sync_means_nobody_else_is_eligible() {
    let of = partition(1, &[1, 2, 3], &[1], &[2]);
    let record = Change::of(&of, 2).in_sync(vec![1, 3], all).record(Uuid::ZERO, 0).unwrap();
    assert_eq!((record.isr, record.elr), (Some(vec![1, 3]), Some(vec![])));
    let dead = Change::of(&of, 2).gone(1, |id| id == 2).record(Uuid::ZERO, 0).unwrap();
    assert_eq!((dead.leader, dead.isr, dead.elr), (2, Some(vec![2]), Some(vec![1])));
}

#[test]
fn a_leader_that_leaves_the_isr_is_followed_by_another() {
    let of = partition(1, &[1, 2, 3], &[1, 2, 3], &[]);
    let record = Change::of(&of, 2).in_sync(vec![2, 3], |id| id != 2).record(Uuid::ZERO, 0).unwrap();
    assert_eq!((record.leader, record.isr, record.unclean), (3, Some(vec![2, 3]), false));
}

#[test]
fn a_restart_of_the_only_replica_is_a_new_leadership() {
    let of = partition(1, &[1], &[1], &[]);
    let record = Change::of(&of, 1).gone(1, |_| false).ready(all).record(Uuid::ZERO, 7).unwrap();
    assert_eq!((record.partition_id, record.leader, record.isr), (7, 1, None));
    let fenced = Change::of(&of, 1).gone(1, |_| false).record(Uuid::ZERO, 7).unwrap();
    assert_eq!((fenced.leader, fenced.isr), (NO_LEADER, None));
}

#[test]
fn nothing_changes_for_a_follower_that_was_out_already() {
    let of = partition(1, &[1, 2], &[1], &[]);
    assert_eq!(Change::of(&of, 1).gone(2, |id| id == 1).ready(all).record(Uuid::ZERO, 0), None);
}

proptest! {
    /// Whatever comes and goes: the leader is alive and in sync, and the ISR never becomes empty nor gains what was not in sync.
    #[test]
    fn leaders_are_alive_and_in_sync(
        isr in proptest::sample::subsequence(vec![1, 2, 3, 4], 1..=4),
        leader in 0..5i32,
        alive in proptest::collection::vec(any::<bool>(), 5),
        gone in 1..5i32,
        back: bool,
    ) {
        let leader = if isr.contains(&leader) { leader } else { NO_LEADER };
        let of = partition(leader, &[1, 2, 3, 4], &isr, &[]);
        let others = |id: i32| id != gone && alive[id as usize];
        let now = |id: i32| if id == gone { back } else { alive[id as usize] };
        let mut change = Change::of(&of, 1).gone(gone, others);
        if back {
            change = change.ready(now);
        }
        let after = change.after.clone();
        prop_assert!(!after.isr.is_empty());
        prop_assert!(after.isr.iter().all(|replica| isr.contains(replica)));
        if after.has_leader() && (leader == gone || leader == NO_LEADER) {
            prop_assert!(now(after.leader) && after.isr.contains(&after.leader));
        }
        if leader == gone {
            prop_assert!(change.record(Uuid::ZERO, 0).unwrap().leader != NO_LEADER_CHANGE);
        }
    }
}

#[test]
fn the_last_one_in_sync_comes_back() {
    let restart = |of: &PartitionImage, returning| {
        let change = Change::of(of, 2).restarted(1, returning, |id| id == 3).ready(|id| id != 2);
        let record = change.record(Uuid::ZERO, 0).unwrap();
        (record.leader, record.isr, record.elr, record.last_known_elr)
    };
    // It leads as before while it has everything, or nobody is known to have more.
    let eligible = partition(NO_LEADER, &[1, 2, 3], &[1], &[2]);
    let alone = partition(NO_LEADER, &[1, 2, 3], &[1], &[]);
    assert_eq!(restart(&eligible, Returning::Complete), (1, None, None, None));
    assert_eq!(restart(&alone, Returning::Complete), (1, None, None, None));
    assert_eq!(restart(&alone, Returning::Torn), (1, None, None, None));
    assert_eq!(restart(&partition(NO_LEADER, &[1], &[1], &[]), Returning::Unknown), (1, None, None, None));
    // Who is eligible takes its place; nobody leads before that one is back.
    for lossy in [Returning::Torn, Returning::Unknown] {
        assert_eq!(restart(&eligible, lossy), (NO_LEADER_CHANGE, Some(vec![2]), Some(vec![]), None));
    }
    // An empty disk must not make the others cut what they have.
    assert_eq!(restart(&alone, Returning::Unknown), (NO_LEADER_CHANGE, Some(vec![]), None, Some(vec![1])));
}
