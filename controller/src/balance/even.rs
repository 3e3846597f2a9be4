//! Making brokers even.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use super::{Reason, state::State};

/// Two brokers of which one has more than the other, with what they have.
type Pair = ((i32, usize), (i32, usize));
/// A partition, which of two brokers hands it on, and to which.
type Step = (usize, i32, i32);

/// Pairs of members that differ by more than is left alone, the most different ones first.
fn uneven(state: &State<'_>, members: &[i32], count: impl Fn(&State<'_>, i32) -> usize) -> Vec<Pair> {
    let counts: Vec<(i32, usize)> = members.iter().map(|broker| (*broker, count(state, *broker))).collect();
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let mean = total.checked_div(counts.len()).unwrap_or(0);
    let slack = (mean.saturating_mul(state.limits.spread_percent) / 100).max(1);
    let mut pairs = Vec::new();
    for most in &counts {
        let less = counts.iter().filter(|least| most.1.saturating_sub(least.1) > slack);
        pairs.extend(less.map(|least| (*most, *least)));
    }
    pairs.sort_by_key(|(most, least)| (Reverse(most.1 - least.1), most.0, least.0));
    pairs
}

/// The shortest way from one broker to another along which each hands something to the next. `step` says what one can hand to another.
fn way(members: &[i32], from: i32, to: i32, step: impl Fn(i32, i32) -> Option<usize>) -> Option<Vec<Step>> {
    let mut came: BTreeMap<i32, (i32, usize)> = BTreeMap::new();
    let mut seen = BTreeSet::from([from]);
    let mut queue = VecDeque::from([from]);
    while let Some(here) = queue.pop_front() {
        // The end is looked for first: most ways have one step.
        let others = std::iter::once(to).chain(members.iter().copied());
        for next in others {
            if seen.contains(&next) {
                continue;
            }
            let Some(what) = step(here, next) else { continue };
            came.insert(next, (here, what));
            seen.insert(next);
            queue.push_back(next);
            if next == to {
                let mut steps = Vec::new();
                let mut at = to;
                while let Some((before, what)) = came.get(&at) {
                    steps.push((*what, *before, at));
                    at = *before;
                }
                steps.reverse();
                return Some(steps);
            }
        }
    }
    None
}

/// Has brokers hand on to others until each has about as much as the others of what `count` counts. `step` says what one can hand to
/// another; `take` takes all the steps of a way or, where that cannot be, none.
fn level(
    state: &mut State<'_>,
    count: impl Fn(&State<'_>, i32) -> usize,
    step: impl Fn(&State<'_>, i32, i32) -> Option<usize>,
    take: impl Fn(&mut State<'_>, &[Step], Pair) -> bool,
) {
    let members = state.members();
    while state.has_room(1) {
        let pairs = uneven(state, &members, &count);
        let found = pairs.into_iter().find_map(|(most, least)| {
            let steps = way(&members, most.0, least.0, |from, to| step(state, from, to))?;
            Some((steps, (most, least)))
        });
        let Some((steps, pair)) = found else { return };
        if !state.has_room(steps.len()) || !take(state, &steps, pair) {
            return;
        }
    }
}

/// Brokers get about as many replicas as one another.
pub(super) fn replicas(state: &mut State<'_>) {
    level(
        state,
        |state, broker| state.held[&broker].len(),
        replica_to_move,
        |state, steps, (most, least)| {
            let parts: BTreeSet<usize> = steps.iter().map(|(at, _, _)| *at).collect();
            if parts.len() < steps.len() {
                return false;
            }
            for (at, from, to) in steps {
                state.exchange(*at, *from, *to, Reason::Replicas { most, least });
            }
            true
        },
    );
}

/// The replica that a broker hands to another: of the topic of which it has most more, rather not one that it leads, and one whose size
/// brings them closest.
fn replica_to_move(state: &State<'_>, from: i32, to: i32) -> Option<usize> {
    if !state.may_receive(to) {
        return None;
    }
    let gap = i128::from(state.bytes_of(from)) - i128::from(state.bytes_of(to));
    let held = state.held.get(&from)?;
    let movable = held.iter().copied().filter(|at| state.may_move(*at, from, to));
    movable.max_by_key(|at| {
        let topic = signed(state.held_of(from, *at)) - signed(state.held_of(to, *at));
        let follows = state.partition(*at).leader != from;
        let left = (gap - 2 * i128::from(state.partition(*at).bytes)).abs();
        (topic, follows, Reverse(left), Reverse(*at))
    })
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Brokers get about as many bytes as one another, without another number of replicas.
pub(super) fn bytes(state: &mut State<'_>) {
    let members = state.members();
    while state.has_room(1) {
        let sizes: Vec<(i32, u64)> = members.iter().map(|broker| (*broker, state.bytes_of(*broker))).collect();
        let total: u128 = sizes.iter().map(|(_, bytes)| u128::from(*bytes)).sum();
        let mean = total / u128::try_from(sizes.len().max(1)).unwrap_or(1);
        let slack = (mean * u128::from(state.limits.bytes_percent) / 100).max(u128::from(state.limits.bytes_floor));
        let (Some(most), Some(least)) =
            (sizes.iter().max_by_key(|(_, bytes)| *bytes), sizes.iter().min_by_key(|(_, bytes)| *bytes))
        else {
            return;
        };
        let gap = most.1 - least.1;
        if u128::from(gap) <= slack {
            return;
        }
        if !state.has_room(2) {
            return;
        }
        let Some((large, small)) = exchange_of_sizes(state, most.0, least.0, gap) else { return };
        let reason = Reason::Bytes { most: *most, least: *least };
        state.exchange(large, most.0, least.0, reason.clone());
        state.exchange(small, least.0, most.0, reason);
    }
}

/// Sizes that are looked at on either side for each partition of the other.
const NEIGHBOURS: usize = 8;

/// A partition of one broker and a smaller one of another which, when they change places, bring the brokers closest.
fn exchange_of_sizes(state: &State<'_>, from: i32, to: i32, gap: u64) -> Option<(usize, usize)> {
    let by_size = |broker: i32, other: i32| {
        let held = state.held.get(&broker)?;
        let mut sizes: Vec<(u64, usize)> = held
            .iter()
            .filter(|at| state.may_move(**at, broker, other))
            .map(|at| (state.partition(*at).bytes, *at))
            .collect();
        sizes.sort_unstable();
        Some(sizes)
    };
    let (large, small) = (by_size(from, to)?, by_size(to, from)?);
    let mut best: Option<(u64, usize, usize)> = None;
    for (bytes, at) in &large {
        let ideal = bytes.saturating_sub(gap / 2);
        let near = small.partition_point(|(bytes, _)| *bytes < ideal);
        let around = small.iter().skip(near.saturating_sub(NEIGHBOURS)).take(2 * NEIGHBOURS);
        for (other_bytes, other) in around {
            let difference = bytes.saturating_sub(*other_bytes);
            // What is gained has to be worth it, or sizes that grow could have replicas move for ever.
            if difference < gap / 20 + 1 || difference > gap - gap / 20 {
                continue;
            }
            let left = gap.abs_diff(difference.saturating_mul(2));
            if best.is_none_or(|(known, _, _)| left < known) {
                best = Some((left, *at, *other));
            }
        }
    }
    best.map(|(_, large, small)| (large, small))
}

/// Brokers become the preferred leaders of about as many partitions as one another.
pub(super) fn leaders(state: &mut State<'_>) {
    level(
        state,
        |state, broker| state.preferred[&broker].len(),
        leader_to_move,
        |state, steps, (most, least)| {
            for (at, _, to) in steps {
                state.lead(*at, *to, Reason::Leaders { most, least });
            }
            true
        },
    );
}

/// The partition that a broker lets another lead, which has it and is in sync.
fn leader_to_move(state: &State<'_>, from: i32, to: i32) -> Option<usize> {
    let preferred = state.preferred.get(&from)?;
    let able = |at: &usize| {
        state.may_change(*at) && state.replicas[*at].contains(&to) && state.partition(*at).in_sync.contains(&to)
    };
    preferred.iter().copied().filter(able).max_by_key(|at| {
        let topic = signed(state.preferred_of(from, *at)) - signed(state.preferred_of(to, *at));
        (topic, Reverse(*at))
    })
}
