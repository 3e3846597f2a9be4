//! A world: machines, a network, clients and faults, made from one seed and run to its end.
//!
//! 1. Everything starts, and the topic of the load is made.
//! 2. Faults strike while clients work.
//! 3. Faults are over: every node serves again, every partition has a leader and all its replicas in sync, every client comes to
//!    its end, all within 40 s of the world's time.
//! 4. All that was noted is held against what the nodes have.

mod ambushes;
mod disks;
mod network;

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use goatq_controller::image::PartitionImage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use turmoil::{Builder, Sim};

use super::ambush::Ambush;
use super::defect::Defect;
use super::invariants::coordinators::LiveIsReplay;
use super::invariants::{self, Invariant, Sight};
use super::machine::{Disks, End, Machine, Shape};
use super::nemesis::{Fault, Nemesis, Roles, Strike};
use super::net::SimReach;
use super::worn::Worn;
use crate::traffic::verdict::{self, Replicas};
use crate::traffic::{self, LOAD, Manner, Shared, Stage};

/// Nodes of a world.
const MACHINES: i32 = 3;
/// A step of the network's clock.
const TICK: Duration = Duration::from_millis(4);
/// How often the invariants are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often the state of all nodes becomes part of the trace.
const NOTE: Duration = Duration::from_millis(250);
/// How long a producer rests at most, ms.
const LONGEST_REST_MS: u64 = 120;
/// Bytes that are added to a value at most, so that segments are full soon.
const LONGEST_PADDING: usize = 60_000;
/// How long a cluster without faults may take for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// What came of a world.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Hash of all that happened.
    pub trace: u64,
    /// Time that passed in it.
    pub lasted: Duration,
    /// Faults that struck.
    pub faults: usize,
    /// Records that were acknowledged.
    pub acked: usize,
    /// What must not be.
    pub violations: Vec<String>,
    /// The last that happened.
    pub lines: Vec<String>,
}

/// How a world is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Prints everything that happens.
    pub loud: bool,
    /// What is wrong on purpose.
    pub defect: Option<Defect>,
}

/// Runs the world of a seed.
pub fn run(seed: u64, options: Options) -> Report {
    let mut world = World::new(seed, options);
    let outcome = world.history_of_it();
    let at = world.sim.elapsed();
    if let Err(what) = outcome {
        world.shared.history.borrow_mut().violation(at, what);
    }
    let history = world.shared.history.borrow();
    Report {
        seed,
        trace: history.trace.hash(),
        lasted: at,
        faults: world.strikes,
        acked: history.acked_count(),
        violations: history.violations.clone(),
        lines: history.trace.lines().map(str::to_owned).collect(),
    }
}

struct World {
    sim: Sim<'static>,
    machines: Vec<Arc<Machine>>,
    /// A machine that is not there yet, and when it comes.
    later: Option<(Arc<Machine>, Duration)>,
    shared: Rc<Shared>,
    nemesis: Nemesis,
    rng: StdRng,
    invariants: Vec<Box<dyn Invariant>>,
    coordinators: LiveIsReplay,
    /// Machines that are down, and when they start again.
    down: Vec<(Arc<Machine>, Duration)>,
    /// The load is in page caches only.
    page_cache: bool,
    /// How nodes have ended since everything was whole.
    worn: Worn,
    ambush: Option<Ambush>,
    disks: disks::Ward,
    /// What is wrong with the network, and until when.
    broken: Option<(Fault, Duration)>,
    strikes: usize,
    looked: Duration,
    noted: Duration,
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let page_cache = rng.random_bool(0.3);
        let shape = Shape {
            machines: MACHINES,
            replication: 3,
            min_insync: 2,
            page_cache,
            disks: match rng.random_range(0..5) {
                0..=1 => Disks::Lost,
                // Who is killed with the only copy in sync in its page cache, and finds it rotten, has lost it: nobody else is asked what it has.
                2 if !page_cache => Disks::Rotten(rng.random_range(1..=MACHINES)),
                _ => Disks::Sound,
            },
            rolls: rng.random_bool(0.5),
            defect: options.defect,
        };
        // Segments have to be full to be old.
        let is_long = matches!(shape.disks, Disks::Rotten(_)) || rng.random_bool(0.1);
        let mut sim = Builder::new()
            .rng_seed(rng.random())
            .epoch(std::time::UNIX_EPOCH)
            .simulation_duration(Duration::from_secs(600))
            .tick_duration(TICK)
            .min_message_latency(TICK)
            .max_message_latency(Duration::from_millis(rng.random_range(5..15)))
            .tcp_capacity(4_096)
            .enable_random_order()
            .build();
        let newcomer = rng.random_bool(0.3).then_some(MACHINES + 1);
        let manner = Manner {
            newcomer,
            nodes: (1..=shape.machines).collect(),
            replication: shape.replication,
            rest_ms: LONGEST_REST_MS,
            padding: if is_long { LONGEST_PADDING } else { 0 },
            pastimes: rng.random_bool(0.5),
            load: if shape.page_cache { vec![("durability", "page-cache".to_owned())] } else { Vec::new() },
        };
        let shared = Shared::new(manner, Rc::new(SimReach), rng.random());
        shared.history.borrow_mut().trace.loud = options.loud;
        let machines: Vec<_> = (1..=shape.machines).map(|id| Machine::new(id, &shape, rng.random())).collect();
        machines.iter().for_each(|machine| settle(&mut sim, machine));
        let later = newcomer.map(|id| {
            let at = Duration::from_millis(rng.random_range(1_000..5_000));
            (Machine::new(id, &shape, rng.random()), at)
        });
        for (name, life) in traffic::begin(&shared) {
            sim.client(name, async move {
                life.await;
                Ok(())
            });
        }
        Self {
            sim,
            machines,
            later,
            page_cache: shape.page_cache,
            worn: Worn::Not,
            ambush: None,
            disks: disks::Ward::of(shape.disks),
            shared,
            nemesis: Nemesis::new(StdRng::seed_from_u64(rng.random()), shape.machines, shape.disks),
            rng,
            invariants: invariants::all(),
            coordinators: LiveIsReplay::default(),
            down: Vec::new(),
            broken: None,
            strikes: 0,
            looked: Duration::ZERO,
            noted: Duration::ZERO,
        }
    }

    /// All of it; the error is what must not be.
    fn history_of_it(&mut self) -> Result<(), String> {
        self.until("the cluster starts", |world| world.shared.ready.get() && world.all_serve())?;
        let end = self.sim.elapsed() + Duration::from_millis(self.rng.random_range(4_000..12_000));
        while self.sim.elapsed() < end {
            let next = self.sim.elapsed() + self.nemesis.pause();
            while self.sim.elapsed() < next {
                self.step()?;
            }
            let strike = self.nemesis.choose(self.roles());
            self.strike(strike);
        }
        self.heal();
        self.shared.stage.set(Stage::Drain);
        self.note("faults are over");
        self.until("every node serves", |world| world.all_serve())?;
        self.until("every partition is whole", |world| world.whole())?;
        self.until("every client comes to its end", |world| world.shared.working.get() == 0)?;
        self.until("every partition is whole", |world| world.whole())?;
        self.judge()
    }

    /// Goes on until something is true, which it has to be in time.
    fn until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) -> Result<(), String> {
        let begun = self.sim.elapsed();
        while !reached(self) {
            if self.sim.elapsed() > begun + PATIENCE {
                return Err(format!("liveness: in {PATIENCE:?} it never came to this: {what}; {}", self.describe()));
            }
            self.step()?;
        }
        self.note(what);
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| format!("a node or a client ended: {error:#}"))?;
        let now = self.sim.elapsed();
        self.mend(now);
        if now >= self.looked + LOOK {
            self.looked = now;
            let nodes = self.nodes();
            if (self.worn != Worn::Not || self.disks.has_lost()) && self.whole() {
                self.worn = Worn::Not;
                self.disks.whole();
            }
            self.lie_in_wait(&nodes, now);
            for invariant in &mut self.invariants {
                invariant.look(&nodes)?;
            }
            if !self.disks.is_any_slow() {
                promptly(self.coordinators.look(&nodes, false)).unwrap_or(Ok(()))?;
            }
            let violation = self.shared.history.borrow().violations.first().cloned();
            if violation.is_some() {
                // It is noted already.
                return Err("see above".to_owned());
            }
        }
        if now >= self.noted + NOTE {
            self.noted = now;
            let state = self.describe();
            self.note(&state);
        }
        Ok(())
    }

    /// Ends what is over by now.
    fn mend(&mut self, now: Duration) {
        if let Some((machine, _)) = self.later.take_if(|later| now >= later.1 && self.shared.ready.get()) {
            self.note(&format!("{} joins", machine.host));
            settle(&mut self.sim, &machine);
            self.machines.push(machine);
            self.nemesis.welcome();
            self.shared.joined.set(true);
        }
        let (over, still): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.down).into_iter().partition(|down| now >= down.1);
        self.down = still;
        for (machine, _) in over {
            self.start(&machine);
        }
        // Those that were asked to stop, and have.
        for machine in self.machines.clone() {
            if !self.is_down(machine.id) && !self.sim.is_host_running(machine.host.as_str()) {
                self.note(&format!("{} has stopped", machine.host));
                self.down.push((machine, now + Duration::from_millis(self.rng.random_range(10..1_000))));
            }
        }
        if let Some((fault, _)) = self.broken.take_if(|broken| now >= broken.1) {
            self.note(&format!("over: {fault:?}"));
            self.repair_network(&fault);
        }
        self.visit_disks(now);
    }

    fn start(&mut self, machine: &Arc<Machine>) {
        self.look_after_failed_disk(machine);
        self.note(&format!("{} starts", machine.host));
        machine.begin_again();
        self.sim.bounce(machine.host.as_str());
    }

    fn strike(&mut self, Strike { fault, lasts }: Strike) {
        let until = self.sim.elapsed() + lasts;
        match &fault {
            Fault::End(id, how) => self.end(*id, *how, until),
            Fault::EndAll(how) => {
                let how = if self.page_cache { End::Kill } else { *how };
                self.machines.clone().iter().for_each(|machine| self.end(machine.id, how, until));
            }
            Fault::Stop(id) => self.stop(*id),
            Fault::Jump(id, by_ms) => {
                self.note(&format!("{fault:?}"));
                self.machine(*id).jump(*by_ms);
            }
            Fault::Disk(id, illness) => {
                if !self.fall_ill(*id, *illness, until) {
                    return;
                }
            }
            _ if self.broken.is_some() || self.ambush.is_some() => return,
            _ => {
                self.note(&format!("{fault:?} for {lasts:?}"));
                self.break_network(&fault);
                self.broken = Some((fault, until));
            }
        }
        self.strikes += 1;
    }

    /// Who has which role, as far as the node with the newest metadata knows.
    fn roles(&self) -> Roles {
        let nodes = self.nodes();
        let newest = nodes.iter().max_by_key(|sight| sight.node.image().applied_index);
        let Some(newest) = newest else { return Roles::default() };
        let image = newest.node.image();
        let load = image.topics.by_name(LOAD).and_then(|topic| topic.partition(0)).map(|partition| partition.leader);
        Roles { controller: newest.node.controller().status().leader, leader: load.filter(|leader| *leader > 0) }
    }

    fn end(&mut self, id: i32, how: End, until: Duration) {
        let machine = self.machine(id);
        if self.is_down(id) {
            return;
        }
        let Some(how) = (if self.page_cache { self.worn.bears(id, how) } else { Some(how) }) else { return };
        self.note(&format!("{} ends: {how:?}", machine.host));
        // First the disk: what tasks write while they are dropped is too late.
        machine.end(how);
        self.sim.crash(machine.host.as_str());
        self.down.push((machine, until));
    }

    /// Asks a node to stop. It starts again when it has.
    fn stop(&mut self, id: i32) {
        let machine = self.machine(id);
        if !self.is_down(id) && machine.is_serving() {
            self.note(&format!("{} stops", machine.host));
            machine.stop();
        }
    }

    fn is_down(&self, id: i32) -> bool {
        self.down.iter().any(|(machine, _)| machine.id == id)
    }

    fn machine(&self, id: i32) -> Arc<Machine> {
        self.machines.iter().find(|machine| machine.id == id).cloned().expect("ids are those of machines")
    }

    fn heal(&mut self) {
        let now = self.sim.elapsed();
        if let Some(mut ambush) = self.ambush.take() {
            ambush.give_up(now).into_iter().for_each(|next| self.make(next));
        }
        if let Some((fault, _)) = self.broken.take() {
            self.repair_network(&fault);
        }
        self.cure();
        for down in &mut self.down {
            down.1 = Duration::ZERO;
        }
    }

    fn all_serve(&self) -> bool {
        let serves = |machine: &Arc<Machine>| machine.is_serving() && !machine.trouble().excuses_end();
        self.down.is_empty() && self.machines.iter().all(serves)
    }

    /// Every partition has a leader and all its replicas in sync, as all nodes know.
    fn whole(&self) -> bool {
        let nodes = self.nodes();
        let newest = nodes.iter().map(|sight| sight.node.image().applied_index).max();
        self.all_serve()
            && nodes.iter().all(|sight| {
                let image = sight.node.image();
                let whole =
                    image.topics.iter().flat_map(|topic| &topic.partitions).all(|partition| is_whole(partition));
                whole && Some(image.applied_index) == newest
            })
    }

    fn nodes(&self) -> Vec<Sight> {
        let running = self.machines.iter().filter_map(|machine| {
            let (life, node) = machine.node()?;
            Some(Sight { id: machine.id, life, node })
        });
        running.collect()
    }

    /// What nodes have now, in one line.
    fn describe(&self) -> String {
        let mut text = String::new();
        for machine in &self.machines {
            let disk = machine.disk().counters();
            text += &format!("{} writes {} syncs {}", machine.host, disk.writes, disk.syncs);
            let Some((life, node)) = machine.node() else {
                text += " down; ";
                continue;
            };
            let image = node.image();
            text += &format!(" life {life} serving {} metadata {}", machine.is_serving(), image.applied_index);
            for partition in node.partitions().all() {
                let (leader, epoch) = partition.leader();
                let (end, committed) = (partition.log_end_offset(), partition.high_watermark());
                text += &format!(" {partition:?}:{leader}/{epoch}:{committed}/{end}");
            }
            text += "; ";
        }
        text
    }

    fn note(&self, what: &str) {
        self.shared.history.borrow_mut().trace.note(self.sim.elapsed(), format_args!("{what}"));
    }

    fn judge(&mut self) -> Result<(), String> {
        let nodes = self.nodes();
        let waits = || "at the end nothing has to wait for a disk".to_owned();
        promptly(self.coordinators.look(&nodes, true)).ok_or_else(waits)??;
        let replicas: Replicas = promptly(invariants::read_all(&nodes, self.disks.rotten())).ok_or_else(waits)??;
        let mut history = self.shared.history.borrow_mut();
        let mut found = verdict::check(&history, &replicas);
        found.extend(invariants::topics::check(&history, &nodes));
        for what in found {
            history.violation(self.sim.elapsed(), what);
        }
        Ok(())
    }
}

/// A leader, all replicas in sync, and none that comes or goes.
fn is_whole(partition: &PartitionImage) -> bool {
    let all = partition.isr.len() == partition.replicas.len();
    partition.has_leader() && all && !partition.is_reassigning()
}

/// A machine gets its place in the network, and begins to live.
fn settle(sim: &mut Sim<'_>, machine: &Arc<Machine>) {
    let lives = machine.clone();
    sim.host(machine.host.as_str(), move || {
        let machine = lives.clone();
        async move { Ok(machine.live().await?) }
    });
}

/// Runs what looks at nodes while they stand still; nothing if it waits for one of them.
fn promptly<T>(work: impl Future<Output = T>) -> Option<T> {
    /// More than any log takes: disks end a read after a few.
    const MOST_POLLS: u32 = 1_000_000;
    let mut work = std::pin::pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    (0..MOST_POLLS).find_map(|_| match work.as_mut().poll(&mut context) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    })
}
