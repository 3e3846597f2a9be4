//! An exhaustive model of one partition's replication: the real rules of leader, follower and controller, on logs that crash and in
//! a network that delays, repeats, reorders and loses. See [`world`] for what can happen and [`search`] for how all of it is tried.
//!
//! The search is our own: a crate such as stateright brings its own notion of actors, an HTTP explorer and threads, and what is
//! needed here is a queue and a set of hashes.
//!
//! What makes it worth anything is [`world::Fault`]: each breaks one rule, by lying to the rules or by passing them over, and the
//! model has to notice. A fault that it does not notice means that it does not look.

mod controller;
mod log;
mod node;
mod search;
mod world;

pub(super) use log::{ModelLog, Record, spans};
use search::{Found, search, walk};
use world::{Budget, Disks, Fault, Fetches, Scope, World};

/// States of an exhaustive search at most: no scope may outgrow the time tests have.
const MAX_STATES: usize = 100_000;

const ONCE: Budget = Budget { appends: 1, crashes: 0, fences: 0, ticks: 0, retries: 0, repeats: 0 };

/// Sees all states, none of which may break anything; there must be at least so many, or the scope is not what it seems.
fn exhaustive(min_insync: usize, nodes: i32, fetches: Fetches, budget: Budget, at_least: usize) {
    // Without crashes nobody has anything to remember.
    let remembering: &[bool] = if budget.crashes > 0 { &[false, true] } else { &[false] };
    for &remembers in remembering {
        search_all(
            Scope { min_insync, disks: Disks::Synced, nodes, fetches, budget, remembers, fault: None },
            at_least,
        );
    }
}

fn search_all(scope: Scope, at_least: usize) {
    match search(World::new(scope), MAX_STATES) {
        Found::Nothing { states } => {
            println!("{states} states: {scope:?}");
            assert!(states >= at_least, "only {states} states");
        }
        Found::Violation { what, trace } => panic!("{what}\n{trace}"),
        Found::TooMany => panic!("more than {MAX_STATES} states: {scope:?}"),
    }
}

/// A node crashes with records that only it, or only another, has on its disk; requests and answers are late.
#[test]
fn crashes_with_late_requests() {
    exhaustive(1, 2, Fetches::Late, Budget { crashes: 1, ..ONCE }, 1_000);
}

#[test]
fn crashes_and_fencing() {
    exhaustive(1, 2, Fetches::AtOnce, Budget { crashes: 1, fences: 1, ..ONCE }, 1_000);
    exhaustive(2, 2, Fetches::AtOnce, Budget { crashes: 2, ..ONCE }, 1_000);
}

/// Leaders are deposed and come back; their records do not.
#[test]
fn leader_changes() {
    exhaustive(1, 2, Fetches::LateAnswers, Budget { fences: 2, ..ONCE }, 1_000);
}

#[test]
fn leader_changes_with_late_requests() {
    exhaustive(1, 2, Fetches::Late, Budget { appends: 2, fences: 1, ..ONCE }, 1_000);
    exhaustive(1, 2, Fetches::Late, Budget { fences: 1, repeats: 1, ..ONCE }, 1_000);
}

/// Replicas leave and join the ISR under proposals that are late, sent again and outdated.
#[test]
fn proposals() {
    exhaustive(1, 2, Fetches::AtOnce, Budget { appends: 2, ticks: 1, retries: 1, ..ONCE }, 1_000);
    exhaustive(1, 2, Fetches::AtOnce, Budget { appends: 1, ticks: 2, retries: 1, ..ONCE }, 1_000);
}

#[test]
fn proposals_and_fencing() {
    exhaustive(2, 2, Fetches::AtOnce, Budget { ticks: 1, fences: 1, retries: 1, ..ONCE }, 1_000);
}

#[test]
fn three_replicas() {
    exhaustive(2, 3, Fetches::AtOnce, Budget { fences: 1, ..ONCE }, 1_000);
}

/// `min.insync.replicas` less one may come back without records that they had acknowledged.
#[test]
fn lossy_crashes() {
    for disks in [Disks::Cached, Disks::Replaced] {
        for (nodes, budget) in [
            (2, Budget { crashes: 1, fences: 1, ..ONCE }),
            (2, Budget { appends: 2, crashes: 1, ..ONCE }),
            (3, Budget { crashes: 1, ..ONCE }),
        ] {
            let fetches = Fetches::AtOnce;
            search_all(Scope { min_insync: 2, disks, nodes, fetches, budget, remembers: false, fault: None }, 500);
        }
    }
}

/// Deep rather than everything: long random histories with plenty of everything.
#[test]
fn long_histories() {
    let budget = Budget { appends: 6, crashes: 5, fences: 5, ticks: 8, retries: 5, repeats: 6 };
    for (min_insync, nodes) in [(1, 2), (1, 3), (2, 3)] {
        for fetches in [Fetches::AtOnce, Fetches::Late] {
            for seed in 0..150 {
                let remembers = seed % 2 == 0;
                let scope = Scope { min_insync, disks: Disks::Synced, nodes, fetches, budget, remembers, fault: None };
                if let Some((what, trace)) = walk(World::new(scope), seed, 120) {
                    panic!("seed {seed}: {what}\n{trace}");
                }
            }
        }
    }
}

/// Each planted fault is found.
#[test]
fn planted_faults_are_found() {
    let mut missed = Vec::new();
    for fault in Fault::ALL {
        match search(World::new(fault.scope()), MAX_STATES) {
            Found::Violation { .. } => {}
            Found::Nothing { states } => missed.push(format!("{fault:?}: not in {states} states")),
            Found::TooMany => missed.push(format!("{fault:?}: not in {MAX_STATES} states")),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
