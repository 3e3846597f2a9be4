//! Who is alive, by the scripts in `testdata/liveness`; `REWRITE=1` writes the outputs anew. Times are seconds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fmt::Write as _, time::Duration};

use datadriven::TestCase;
use goatq_controller::{
    image::BrokerImage,
    liveness::{BrokerHeartbeat, BrokerSessions, LostNodes, change},
    raft::network::Loss,
};
use goatq_protocol::Uuid;

fn brokers(case: &TestCase) -> Vec<(i32, i64)> {
    let words = case.args.iter().filter_map(|(word, epoch)| Some((word.strip_prefix('b')?, &epoch[0])));
    let mut brokers: Vec<_> = words.map(|(id, epoch)| (id.parse().unwrap(), epoch.parse().unwrap())).collect();
    brokers.sort_unstable();
    brokers
}

fn step(sessions: &mut BrokerSessions, lost: &mut LostNodes, case: &TestCase) -> String {
    let number = |name: &str, default: i64| case.args.get(name).map_or(default, |at| at[0].parse().unwrap());
    let now = Duration::from_secs(number("at", 0).try_into().unwrap());
    let applied = number("applied", 0);
    let mut out = String::new();
    match case.directive.as_str() {
        "follow" => sessions.follow(brokers(case).into_iter(), now),
        "heard" => brokers(case).into_iter().for_each(|(id, epoch)| sessions.heard(id, epoch, applied, now)),
        "gave-up" => {
            for (id, epoch) in brokers(case) {
                let knows = sessions.gave_up((id, epoch), number("index", 0), applied);
                writeln!(out, "{id}: {knows:?}").unwrap();
            }
        }
        "lost" | "refused" | "is-heard" | "lead-after" | "gone" => return losing(lost, case, now),
        "forget" => sessions.forget(),
        "expired" => writeln!(out, "expired: {:?}", sessions.expired(now)).unwrap(),
        "beat" => return beat(case),
        other => panic!("{other} is no directive"),
    }
    writeln!(out, "next end: {:?}", sessions.next_end()).unwrap();
    out
}

fn losing(lost: &mut LostNodes, case: &TestCase, now: Duration) -> String {
    for (id, _) in brokers(case) {
        match case.directive.as_str() {
            "lost" => drop(lost.lost(id, Loss::Ended, now)),
            "refused" => drop(lost.lost(id, Loss::Refused, now)),
            "is-heard" => lost.heard(id),
            "lead-after" => lost.lead_after(Some(id)),
            _ => {}
        }
    }
    let unheard: Vec<_> = lost.unheard().collect();
    let gone: Vec<_> = unheard.iter().filter(|id| lost.is_gone(**id, Duration::ZERO, now)).collect();
    format!("unheard: {unheard:?}, gone: {gone:?}\n")
}

fn beat(case: &TestCase) -> String {
    let has = |word: &str| case.args.contains_key(word);
    let broker = BrokerImage {
        id: 2,
        epoch: 5,
        incarnation: Uuid::from_u128(100),
        endpoints: Vec::new(),
        rack: None,
        fenced: has("fenced"),
        in_controlled_shutdown: has("stopping"),
        features: Default::default(),
        log_dirs: Vec::new(),
        cordoned_dirs: Vec::new(),
    };
    let beat = BrokerHeartbeat {
        id: 2,
        epoch: 5,
        ready: has("ready"),
        want_shut_down: has("want-shut-down"),
        applied: 0,
        ..Default::default()
    };
    format!("{:?}\n", change(&broker, has("leads"), &beat))
}

#[test]
fn scripts() {
    datadriven::walk("testdata/liveness", |file| {
        let mut sessions = BrokerSessions::new(Duration::from_secs(9), 1);
        let mut lost = LostNodes::new(Duration::from_secs(4));
        file.run(|case| step(&mut sessions, &mut lost, case));
    });
}
