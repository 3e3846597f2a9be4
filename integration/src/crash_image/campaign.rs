//! One node under load on one image, and its copies.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::book::Trims;
use super::check::{self, Taken, Verdict};
use super::disk::{Image, Kind, Mounted, Shelf};
use super::load::Load;
use super::reading::{self, Reading};
use crate::node::Node;
use crate::peer::Peer;

/// Of the node under load: background work as often as it gets.
const BUSY: &[&str] = &[
    "auto.create.topics.enable=false",
    "log.cleaner.backoff.ms=100",
    "log.dir.reserve.bytes=0",
    "log.initial.task.delay.ms=50",
    "log.retention.check.interval.ms=300",
    "offsets.topic.num.partitions=4",
];
/// Of a node on a crash image: what it finds is to stay as it is.
const STILL: &[&str] = &[
    "auto.create.topics.enable=false",
    "log.cleaner.enable=false",
    "log.dir.reserve.bytes=0",
    "log.initial.task.delay.ms=600000",
    "offsets.topic.num.partitions=4",
];
/// Most batches between two images.
const BATCHES: u64 = 1_000;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file system.
    pub kind: Kind,
    /// How many images to take.
    pub images: usize,
    /// Partitions of the topic with many.
    pub many: i32,
    /// `log.durability` of the node.
    pub durability: &'static str,
    /// Decides what is sent, and when images are taken as far as sleeping can.
    pub seed: u64,
    /// Where images are left that broke a promise.
    pub keep: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Images that were taken and judged.
    pub images: usize,
    /// Those of them that were crashed once more while a node recovered on them.
    pub twice: usize,
    /// How often the node under load was killed or ended.
    pub restarts: usize,
    /// Batches acknowledged.
    pub batches: u64,
    /// Records that had to be there, over all images.
    pub demanded: u64,
    /// Those that were not.
    pub lost: u64,
    /// Images in which anything was lost or any other promise was broken, with what.
    pub broken: Vec<String>,
    /// What took how long: copying, starting on copies, judging.
    pub spent: [Duration; 3],
}

/// Runs `plan` in `folder`.
///
/// # Errors
/// What is needed is not there, or the node under load misbehaves. What is wrong with an image is part of the outcome.
pub fn run(folder: &Path, plan: &Plan) -> anyhow::Result<Outcome> {
    let shelf = Shelf::make(folder)?;
    let image = shelf.format("live", plan.kind)?;
    let mounted = image.mount()?;
    let durability = format!("log.durability={}", plan.durability);
    let settings: Vec<&str> = BUSY.iter().copied().chain([durability.as_str()]).collect();
    let node = Node::start_on(&mounted.place().join("data"), &settings)?;
    let load = Load::new(node.address(), plan.many)?;
    let rng = StdRng::seed_from_u64(plan.seed);
    std::thread::scope(|scope| {
        load.spawn(scope, plan.seed);
        // Whatever happens, the threads end.
        let _stop = StopAtEnd(&load);
        let outcome = Outcome::default();
        let mut campaign =
            Campaign { plan, shelf: &shelf, image: &image, mounted: &mounted, load: &load, node, rng, outcome };
        for number in 0..plan.images {
            campaign.step(number).with_context(|| format!("image {number}, {plan:?}"))?;
        }
        campaign.outcome.batches = load.book().batches;
        // The node has to let go of the mount before the mount goes.
        let Campaign { outcome, node, .. } = campaign;
        drop(node);
        Ok(outcome)
    })
}

struct StopAtEnd<'a>(&'a Load);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

struct Campaign<'a> {
    plan: &'a Plan,
    shelf: &'a Shelf,
    image: &'a Image,
    mounted: &'a Mounted,
    load: &'a Load,
    node: Node,
    rng: StdRng,
    outcome: Outcome,
}

impl Campaign<'_> {
    /// Some load, an image, a verdict.
    fn step(&mut self, number: usize) -> anyhow::Result<()> {
        self.load.go();
        self.work()?;
        match self.rng.random_range(0..20) {
            0..2 => self.restart(Node::kill)?,
            2 => self.restart(|node| node.terminate().map(drop))?,
            _ => {}
        }
        let begun = Instant::now();
        let (copy, taken) = self.copy(&format!("copy-{number}"))?;
        self.outcome.spent[0] += begun.elapsed();
        self.load.rest()?;
        let live = self.live_starts()?;
        let copy = if self.rng.random_bool(0.2) { self.crash_again(copy, number)? } else { copy };
        self.outcome.images += 1;
        let verdict = match self.judge(&copy, taken, &live) {
            Ok(verdict) => verdict,
            // It cannot be mounted, or no node starts on it, or the node says nothing.
            Err(error) => Verdict { broken: 1, told: vec![format!("{error:#}")], ..Verdict::default() },
        };
        self.outcome.demanded += verdict.demanded;
        self.outcome.lost += verdict.lost;
        if !verdict.is_clean() {
            let name = format!("{}-{}-{number}", self.plan.kind.name().replace(' ', "-"), self.plan.seed);
            if let Some(folder) = &self.plan.keep {
                copy.keep(folder, &name)?;
            }
            self.outcome.broken.push(format!(
                "{name}: {} of {} records lost, {} other promises broken:\n  {}",
                verdict.lost,
                verdict.demanded,
                verdict.broken,
                verdict.told.join("\n  ")
            ));
        }
        Ok(())
    }

    /// Waits until some more batches are acknowledged, and a little longer.
    fn work(&mut self) -> anyhow::Result<()> {
        let wanted = self.load.book().batches + self.rng.random_range(1..BATCHES);
        let begun = Instant::now();
        while self.load.book().batches < wanted && !self.load.gave_up() {
            ensure!(begun.elapsed() < PATIENCE, "{wanted} batches take long, {} are there", self.load.book().batches);
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(self.rng.random_range(0..10_000)));
        Ok(())
    }

    fn restart(&mut self, end: impl FnOnce(&mut Node) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.outcome.restarts += 1;
        end(&mut self.node)?;
        self.node.restart()?;
        self.work()
    }

    /// A copy at this moment. Now and then the kernel is just writing back what nobody asked it to.
    fn copy(&mut self, name: &str) -> anyhow::Result<(Image, Taken)> {
        let (writes_back, lead) = (self.rng.random_bool(0.3), self.rng.random_range(0..4_000));
        std::thread::scope(|scope| {
            let writing = writes_back.then(|| scope.spawn(|| self.mounted.write_back()));
            if writes_back {
                std::thread::sleep(Duration::from_micros(lead));
            }
            let before = self.load.book().now();
            let copy = self.shelf.copy(self.image, name)?;
            let after = self.load.book().now();
            if let Some(writing) = writing {
                writing.join().map_err(|_| anyhow::anyhow!("writing back panicked"))??;
            }
            Ok((copy, Taken { before, after }))
        })
    }

    /// A node starts on the copy, and the power goes again in the midst of it.
    fn crash_again(&mut self, copy: Image, number: usize) -> anyhow::Result<Image> {
        self.outcome.twice += 1;
        let mounted = copy.mount()?;
        let rng = &mut self.rng;
        let moment = Duration::from_millis(rng.random_range(0..200));
        let data = mounted.place().join("data");
        std::thread::scope(|scope| {
            let node = scope.spawn(move || Node::start_on(&data, STILL));
            std::thread::sleep(moment);
            let again = self.shelf.copy(&copy, &format!("copy-{number}-again"));
            drop(node.join());
            again
        })
    }

    /// Where the logs of the live node begin by now.
    fn live_starts(&self) -> anyhow::Result<Reading> {
        let topics = reading::topics(&mut Peer::connect(self.node.address())?)?;
        Ok(Reading { topics, committed: -1 })
    }

    fn judge(&mut self, copy: &Image, taken: Taken, live: &Reading) -> anyhow::Result<Verdict> {
        let begun = Instant::now();
        let mounted = copy.mount()?;
        let node = Node::start_on(&mounted.place().join("data"), STILL)?;
        self.outcome.spent[1] += begun.elapsed();
        let begun = Instant::now();
        let mut peer = Peer::connect(node.address())?;
        let reading = Reading::of(&mut peer).with_context(|| node.log())?;
        let mut book = self.load.book();
        let mut verdict = check::compare(&reading, &mut book, taken);
        for (id, topic) in &reading.topics {
            let aged = book.topics.get(id).is_some_and(|topic| topic.trims == Trims::Aged);
            for (index, log) in topic.logs.iter().filter(|_| aged) {
                let now = live.topics.get(id).and_then(|topic| topic.logs.get(index)).map(|log| log.start);
                if now.is_none_or(|now| now < log.start) {
                    verdict.broken += 1;
                    verdict
                        .told
                        .push(format!("{}-{index} begins at {}, later still at {now:?}", topic.name, log.start));
                }
            }
        }
        if verdict.is_clean() {
            check::go_on(&mut peer, &reading, &book, &mut verdict).with_context(|| node.log())?;
        } else {
            verdict.told.push(node.log());
        }
        self.outcome.spent[2] += begun.elapsed();
        Ok(verdict)
    }
}
