//! One row, from begin to end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::field::{self, Field, GUEST, until};
use super::ground::{Ground, Kind};
use super::replicas;
use super::rows::Row;
use super::second::{PARTITIONS, Second, TOPIC};
use super::site::{CONTROLLER_PORT, PORT, Role, Site};
use super::system::System;
use super::watch::Watch;
use crate::diary;
use crate::traffic::verdict;

/// Within which writes have to go on once a fault is healed.
pub const RESUME: Duration = Duration::from_secs(10);
/// How long a cluster without faults may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Peace before a fault strikes.
const PEACE: Duration = Duration::from_secs(1);
/// The number of the first controller where they are processes of their own.
const FIRST_CONTROLLER: i32 = 11;

/// How to run a row.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `log.durability`.
    pub durability: &'static str,
    /// For how long faults strike.
    pub lasts: Duration,
    /// The begin of all chances.
    pub seed: u64,
    /// A script that starts Kafka, which then takes the place of goatq.
    pub kafka: Option<PathBuf>,
    /// Prints what happens.
    pub loud: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Faults that struck.
    pub strikes: usize,
    /// Records that were acknowledged, to our clients and to librdkafka's.
    pub acked: (usize, usize),
    /// The longest time without an acknowledgement of a partition.
    pub gap: Duration,
    /// The longest time from healing to an acknowledgement of every partition.
    pub resumed: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Runs a row in `folder`. Everything that it starts is to be alone in its namespaces.
///
/// # Errors
/// It cannot be begun. What goes wrong later is part of the outcome.
pub fn run(row: &Row, plan: &Plan, folder: &Path) -> anyhow::Result<Outcome> {
    let mut fault = (row.fault)();
    let (ground, mut sites) = lay_out(row.ground, row.split, plan, folder)?;
    fault.prepare(&mut sites)?;
    sites.iter_mut().try_for_each(Site::spawn)?;
    sites.iter_mut().try_for_each(|site| site.until_open(PATIENCE))?;
    let mut addresses: BTreeMap<_, _> =
        sites.iter().filter(|site| site.is_broker()).map(|site| (site.id, site.listener())).collect();
    let bootstrap: Vec<_> = addresses.values().map(ToString::to_string).collect();
    let brokers = addresses.keys().copied().collect();
    addresses.insert(GUEST, (ground.address(GUEST), PORT).into());
    let watch = Watch::start(brokers, addresses, plan.seed);
    let field = Field::new(sites, ground, watch, plan);
    field.until_acked(Duration::ZERO, PATIENCE).context("the cluster starts")?;
    until("a topic", PATIENCE, || field::create_topic(&field.sites[0], TOPIC, PARTITIONS).ok())?;
    field.until_whole(PATIENCE)?;
    let second = Second::start(&bootstrap.join(","))?;
    let mut campaign = Campaign { field, fault, plan, outcome: Outcome::default() };
    if let Err(error) = campaign.strikes() {
        campaign.violation(format!("{error:#}"));
    }
    Ok(campaign.judge(second))
}

/// A network, and places on it.
///
/// # Errors
/// There can be no network.
pub fn lay_out(kind: Kind, split: bool, plan: &Plan, folder: &Path) -> anyhow::Result<(Ground, Vec<Site>)> {
    let ids: Vec<i32> =
        if split { (1..=3).chain(FIRST_CONTROLLER..FIRST_CONTROLLER + 3).collect() } else { (1..=3).collect() };
    let ground = Ground::lay(kind, &ids)?;
    let votes = |id: &&i32| !split || **id >= FIRST_CONTROLLER;
    let voters: Vec<_> =
        ids.iter().filter(votes).map(|id| format!("{id}@{}:{CONTROLLER_PORT}", ground.address(*id))).collect();
    let voters = voters.join(",");
    let system = match &plan.kafka {
        Some(script) => System::Kafka { script: script.clone(), voters },
        None => System::Goatq { durability: plan.durability, voters },
    };
    let place = |id: &i32| {
        let role = match (split, *id >= FIRST_CONTROLLER) {
            (false, _) => Role::Both,
            (true, false) => Role::Broker,
            (true, true) => Role::Controller,
        };
        let mut site = Site::new(*id, role, ground.address(*id), folder.join(format!("n{id}")), system.clone());
        site.entrance = ground.entrance(*id);
        site
    };
    let sites = ids.iter().map(place).collect();
    Ok((ground, sites))
}

struct Campaign<'a> {
    field: Field,
    fault: Box<dyn super::row::Fault>,
    plan: &'a Plan,
    outcome: Outcome,
}

impl Campaign<'_> {
    fn say(&self, what: &str) {
        if self.plan.loud {
            println!("{:>8.3} {what}", self.field.watch.now().as_secs_f64());
        }
    }

    fn violation(&mut self, what: String) {
        self.say(&format!("VIOLATION {what}"));
        self.outcome.violations.push(what);
    }

    fn strikes(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        for round in 0.. {
            if begun.elapsed() >= self.plan.lasts {
                break;
            }
            std::thread::sleep(PEACE);
            let what = self.fault.strike(&mut self.field, round)?;
            self.outcome.strikes += 1;
            self.field.is_healed_now();
            self.fault.heal(&mut self.field).with_context(|| what.clone())?;
            let resumed = self.field.until_acked(self.field.healed, PATIENCE).with_context(|| what.clone())?;
            let gap = self.field.watch.progress().gap;
            self.say(&format!("{what}; healed, and written to within {resumed:.3?}, longest gap so far {gap:.3?}"));
            self.outcome.resumed = self.outcome.resumed.max(resumed);
            if resumed > RESUME {
                self.violation(format!("writes go on: {resumed:.1?} after healing: {what}"));
            }
            self.field.until_whole(PATIENCE).with_context(|| what.clone())?;
            self.fault.look(&mut self.field).with_context(|| what.clone())?;
            let wrong = self.field.watch.progress().violations;
            anyhow::ensure!(wrong.is_empty(), "after: {what}: {wrong:?}");
        }
        Ok(())
    }

    /// Everybody comes to an end, and all that they know is held together.
    fn judge(mut self, second: Second) -> Outcome {
        // After a violation something may still be broken.
        let healed = self.fault.heal(&mut self.field).and_then(|()| self.field.ground.heal());
        if let Err(error) = healed {
            self.violation(format!("healing: {error:#}"));
        }
        self.field.watch.drain();
        let drained = until("every client comes to its end", PATIENCE, || {
            (self.field.watch.progress().working == Some(0)).then_some(())
        });
        let finished = second.finish();
        match drained.and(finished) {
            Ok(acked) => self.outcome.acked.1 = acked,
            Err(error) => self.violation(format!("{error:#}")),
        }
        if let Err(error) = self.field.until_whole(PATIENCE) {
            self.violation(format!("{error:#}"));
        }
        self.say("stops");
        let progress = self.field.watch.progress();
        (self.outcome.acked.0, self.outcome.gap) = (progress.acked, progress.gap);
        if let Err(error) = self.stop() {
            self.violation(format!("{error:#}"));
        }
        let Self { field, mut outcome, .. } = self;
        match field.watch.finish() {
            Ok(history) => {
                outcome.violations.extend(history.violations.clone());
                match replicas::read(&field.sites) {
                    Ok(found) => outcome.violations.extend(verdict::check(&history, &found)),
                    Err(error) => outcome.violations.push(format!("{error:#}")),
                }
            }
            Err(error) => outcome.violations.push(format!("{error:#}")),
        }
        match replicas::unequal(&field.sites) {
            Ok(unequal) => outcome.violations.extend(unequal),
            Err(error) => outcome.violations.push(format!("{error:#}")),
        }
        if let Some(shelf) = diary::shelf() {
            field.sites.iter().for_each(|site| {
                // For who looks; nothing hangs on it.
                let _ = std::fs::write(shelf.join(format!("node-{}", site.id)), site.whole_log());
            });
        }
        if !outcome.violations.is_empty() {
            field.sites.iter().for_each(|site| println!("node {}:\n{}", site.id, site.log()));
        }
        outcome
    }

    /// Stops the nodes one after the other, controllers that are nothing else last.
    fn stop(&mut self) -> anyhow::Result<()> {
        self.field.sites.iter_mut().try_for_each(|site| if site.is_running() { site.terminate() } else { Ok(()) })
    }
}
