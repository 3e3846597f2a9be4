//! What clients do: make topics, produce, consume, commit offsets; each of them a host of the network.
//!
//! They go on while faults strike ([`Stage::Load`]). When those are over, everybody finishes: what was begun has to succeed, one more of
//! everything has to, and readers have to get to the end ([`Stage::Drain`]). That they all come to an end is the liveness of the
//! cluster.

mod committer;
mod consumer;
mod creator;
mod producer;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::history::{History, Place};
use super::machine::Shape;

/// The topic that producers and consumers work on.
const LOAD: &str = "load";
/// Its partitions.
const PARTITIONS: i32 = 3;
/// Producers, each with a task for each partition.
const PRODUCERS: u32 = 2;

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Go on.
    Load,
    /// Come to an end.
    Drain,
}

/// What clients share, with one another and with the world.
pub struct Shared {
    /// The machines.
    pub shape: Shape,
    /// What happened.
    pub history: RefCell<History>,
    /// What is to be done.
    pub stage: Cell<Stage>,
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
    /// For a world.
    pub fn new(shape: Shape, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            shape,
            history: RefCell::default(),
            stage: Cell::new(Stage::Load),
            ready: Cell::new(false),
            producing: Cell::new(0),
            working: Cell::new(0),
            seed,
        })
    }

    fn draining(&self) -> bool {
        self.stage.get() == Stage::Drain
    }
}

/// The time of the world, as clients see it.
pub fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// Rests for a while that chance decides.
async fn rest(rng: &mut StdRng, at_most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(1..=at_most_ms))).await;
}

/// The partitions of the load.
pub fn places() -> Vec<Place> {
    (0..PARTITIONS).map(|partition| (LOAD.to_owned(), partition)).collect()
}

/// What a client does.
type Client = fn(Rc<Shared>, Task) -> Pin<Box<dyn Future<Output = ()>>>;

/// Every client: its name in the network, what it does, its number and its partition.
fn clients() -> Vec<(String, Client, u32, Place)> {
    let first: Place = (LOAD.to_owned(), 0);
    let mut clients: Vec<(String, Client, u32, Place)> = vec![
        ("creator".to_owned(), |shared, task| Box::pin(creator::run(shared, task)), 0, first.clone()),
        ("committer".to_owned(), |shared, task| Box::pin(committer::run(shared, task)), 0, first),
    ];
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

/// The names of all clients.
pub fn names() -> impl Iterator<Item = String> {
    clients().into_iter().map(|(name, ..)| name)
}

/// Adds the clients to a network.
pub fn start(sim: &mut turmoil::Sim<'_>, shared: &Rc<Shared>) {
    shared.producing.set(PRODUCERS * PARTITIONS.unsigned_abs());
    for (client_number, (name, client, number, place)) in (0..).zip(clients()) {
        let rng = StdRng::seed_from_u64(shared.seed.wrapping_add(client_number));
        shared.working.set(shared.working.get() + 1);
        let (shared, task) = (shared.clone(), Task { number, place, rng });
        sim.client(name, async move {
            client(shared.clone(), task).await;
            shared.working.set(shared.working.get() - 1);
            Ok(())
        });
    }
}

/// Who a client is.
struct Task {
    number: u32,
    place: Place,
    rng: StdRng,
}
