//! What clients do with a cluster, what they are told and see of it, and whether that was right: the same for simulated worlds and real
//! processes.
//!
//! Clients make topics, produce, consume and commit offsets. They go on while faults strike ([`Stage::Load`]). When those are over,
//! everybody finishes: what was begun has to succeed, one more of everything has to, and readers have to get to the end
//! ([`Stage::Drain`]). That they all come to an end is the liveness of the cluster.
//!
//! - [`client`]: how they reach nodes, through a [`reach`]. [`history`]: what they were told and saw; [`trace`]: all that happened.
//! - [`verdict`]: what must be true of all of that and of the replicas' logs at the end, one file each.

mod careless;
pub mod client;
mod committer;
mod consumer;
mod creator;
mod deleter;
mod group;
pub mod history;
mod member;
mod mover;
mod producer;
pub mod reach;
pub mod trace;
pub mod verdict;
mod voters;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use history::{History, Place};
use reach::Reach;

/// The topic that producers and consumers work on.
pub const LOAD: &str = "load";
/// The topic of producers that do not care.
pub const CARELESS: &str = "careless";
/// Its partitions.
pub const PARTITIONS: i32 = 3;
/// Producers, each with a task for each partition.
const PRODUCERS: u32 = 2;

/// Members of a group.
const MEMBERS: u32 = 2;

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Go on.
    Load,
    /// Come to an end.
    Drain,
}

/// How clients work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// The nodes that they know, by id.
    pub nodes: Vec<i32>,
    /// A node that joins later.
    pub newcomer: Option<i32>,
    /// Replicas of the topics that they make.
    pub replication: i16,
    /// The longest rest of a producer between two batches, ms.
    pub rest_ms: u64,
    /// Most bytes that a producer adds to a value.
    pub padding: usize,
    /// There are also elections and reassignments, topics that grow and go, records that are deleted, members of a
    /// group, and producers that do not care.
    pub pastimes: bool,
    /// Configuration of the topic of the load.
    pub load: Vec<(&'static str, String)>,
}

/// What clients share, with one another and with whoever watches them.
pub struct Shared {
    /// How they work.
    pub manner: Manner,
    /// How they reach nodes.
    pub reach: Rc<dyn Reach>,
    /// What happened.
    pub history: RefCell<History>,
    /// What is to be done.
    pub stage: Cell<Stage>,
    /// The newcomer has joined.
    pub joined: Cell<bool>,
    /// The topic of the load is there.
    pub ready: Cell<bool>,
    /// Producers that have not come to an end.
    pub producing: Cell<u32>,
    /// Clients that have not.
    pub working: Cell<u32>,
    /// The begin of a client's chances.
    pub seed: u64,
}

impl Shared {
    /// For clients that have not begun.
    pub fn new(manner: Manner, reach: Rc<dyn Reach>, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            manner,
            reach,
            history: RefCell::default(),
            stage: Cell::new(Stage::Load),
            joined: Cell::new(false),
            ready: Cell::new(false),
            producing: Cell::new(0),
            working: Cell::new(0),
            seed,
        })
    }

    /// Time since the begin.
    pub fn now(&self) -> Duration {
        self.reach.now()
    }

    fn draining(&self) -> bool {
        self.stage.get() == Stage::Drain
    }
}

/// Rests for a while that chance decides.
async fn rest(rng: &mut StdRng, at_most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(1..=at_most_ms))).await;
}

/// The partitions of the load.
pub fn places() -> Vec<Place> {
    (0..PARTITIONS).map(|partition| (LOAD.to_owned(), partition)).collect()
}

/// What a client does until it comes to its end.
pub type Life = Pin<Box<dyn Future<Output = ()>>>;
/// What a client does.
type Client = fn(Rc<Shared>, Task) -> Life;

/// Every client: its name, what it does, its number and its partition.
fn clients() -> Vec<(String, Client, u32, Place)> {
    let first: Place = (LOAD.to_owned(), 0);
    let mut clients: Vec<(String, Client, u32, Place)> = vec![
        ("creator".to_owned(), |shared, task| Box::pin(creator::run(shared, task)), 0, first.clone()),
        ("committer".to_owned(), |shared, task| Box::pin(committer::run(shared, task)), 0, first.clone()),
        ("mover".to_owned(), |shared, task| pastime(mover::run, shared, task), 0, first),
        ("deleter".to_owned(), |shared, task| pastime(deleter::run, shared, task), 0, (LOAD.to_owned(), 2)),
    ];
    let voters: Client = |shared, task| match shared.manner.newcomer {
        Some(_) => Box::pin(voters::run(shared, task)),
        None => Box::pin(std::future::ready(())),
    };
    clients.push(("voters".to_owned(), voters, 0, (LOAD.to_owned(), 0)));
    for number in 0..MEMBERS {
        let name = format!("member-{number}");
        let anywhere = (LOAD.to_owned(), 0);
        clients.push((name, |shared, task| pastime(member::run, shared, task), number, anywhere));
    }
    for number in 0..2 {
        let name = format!("careless-{number}");
        clients.push((name, |shared, task| pastime(careless::run, shared, task), number, (CARELESS.to_owned(), 0)));
    }
    let reader: Client = |shared, task| pastime(consumer::run, shared, task);
    clients.push(("consumer-careless".to_owned(), reader, 0, (CARELESS.to_owned(), 0)));
    for place in places() {
        for producer in 0..PRODUCERS {
            let name = format!("producer-{producer}-{}", place.1);
            clients.push((name, |shared, task| Box::pin(producer::run(shared, task)), producer, place.clone()));
        }
        let name = format!("consumer-{}", place.1);
        clients.push((name, |shared, task| Box::pin(consumer::run(shared, task)), 0, place));
    }
    clients
}

/// What is done only where there are pastimes.
fn pastime<F: Future<Output = ()> + 'static>(run: fn(Rc<Shared>, Task) -> F, shared: Rc<Shared>, task: Task) -> Life {
    if shared.manner.pastimes { Box::pin(run(shared, task)) } else { Box::pin(std::future::ready(())) }
}

/// The names of all clients.
pub fn names() -> impl Iterator<Item = String> {
    clients().into_iter().map(|(name, ..)| name)
}

/// All clients: names, and lives that somebody has to drive.
pub fn begin(shared: &Rc<Shared>) -> Vec<(String, Life)> {
    shared.producing.set(PRODUCERS * PARTITIONS.unsigned_abs());
    let mut lives: Vec<(String, Life)> = Vec::new();
    for (client_number, (name, client, number, place)) in (0..).zip(clients()) {
        let rng = StdRng::seed_from_u64(shared.seed.wrapping_add(client_number));
        shared.working.set(shared.working.get() + 1);
        let (shared, task) = (shared.clone(), Task { number, place, rng });
        let life = async move {
            client(shared.clone(), task).await;
            shared.working.set(shared.working.get() - 1);
        };
        lives.push((name, Box::pin(life)));
    }
    lives
}

/// Who a client is.
struct Task {
    number: u32,
    place: Place,
    rng: StdRng,
}
