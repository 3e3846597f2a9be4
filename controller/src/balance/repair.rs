//! Replicas that must not stay where they are.

use std::collections::BTreeSet;

use super::{Reason, Standing, state::State};

/// Replicas go from brokers that are lost, or shall have none, to those that have fewest, in a rack that the partition is not in yet if
/// there is one. They take the place in the order of preference.
pub(super) fn leave_brokers(state: &mut State<'_>) {
    for at in 0..state.replicas.len() {
        for replica in state.replicas[at].clone() {
            let reason = match state.standing(replica) {
                Standing::Lost => Reason::Lost(replica),
                Standing::Drained => Reason::Drained(replica),
                Standing::Serving | Standing::Cordoned | Standing::Away => continue,
            };
            if !state.has_room(1) {
                return;
            }
            // Without a leader a new replica has nobody to catch up with.
            if state.partition(at).leader < 0 {
                state.stuck(at, reason);
                continue;
            }
            let able = state.members().into_iter().filter(|broker| state.can_have(*broker, at));
            let racks: Vec<(usize, i32)> = able.map(|to| (state.racks_after(at, replica, to), to)).collect();
            // A broker that is busy is waited for if the others are in no rack as good.
            let most_racks = racks.iter().map(|(racks, _)| *racks).max();
            let ready = racks.iter().filter(|(racks, to)| Some(*racks) == most_racks && state.may_receive(*to));
            let best = ready
                .map(|(_, to)| *to)
                .min_by_key(|to| (state.held[to].len(), state.held_of(*to, at), state.bytes_of(*to), *to));
            match best {
                Some(target) => state.exchange(at, replica, target, reason),
                None if racks.is_empty() => state.stuck(at, reason),
                // Its turn comes when others have arrived.
                None => {}
            }
        }
    }
}

/// Partitions that could be in more racks get there.
pub(super) fn spread_over_racks(state: &mut State<'_>) {
    let members = state.members();
    let racks: BTreeSet<_> = members.iter().map(|broker| state.rack(*broker)).collect();
    if racks.len() < 2 {
        return;
    }
    for at in 0..state.replicas.len() {
        if !state.has_room(1) {
            return;
        }
        let now = state.racks_now(at);
        if now >= racks.len().min(state.replicas[at].len()) || !state.may_change(at) {
            continue;
        }
        // The last in order of preference goes first.
        let found = state.replicas[at].iter().rev().find_map(|replica| {
            let better = |broker: &i32| {
                state.can_have(*broker, at)
                    && state.may_receive(*broker)
                    && state.racks_after(at, *replica, *broker) > now
            };
            let free = members.iter().copied().filter(better);
            let target = free.min_by_key(|broker| (state.held[broker].len(), state.held_of(*broker, at), *broker))?;
            Some((*replica, target))
        });
        if let Some((from, to)) = found {
            state.exchange(at, from, to, Reason::Racks);
        }
    }
}
