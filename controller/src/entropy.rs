//! Randomness that is passed in: ids and starting points of placement, repeatable from a seed.

use goatq_protocol::Uuid;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// A source of random numbers. Two of the same seed give the same numbers.
#[derive(Debug)]
pub struct Entropy {
    rng: StdRng,
}

impl Entropy {
    /// From a seed. In production its 32 bytes come from the operating system: ids must not meet those of another cluster.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Entropy { rng: StdRng::from_seed(seed) }
    }

    /// From a small seed, for tests and simulation.
    pub fn from_number(seed: u64) -> Self {
        Entropy { rng: StdRng::seed_from_u64(seed) }
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.rng.random_range(0..bound) }
    }

    /// Puts a slice into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = self.below(end + 1);
            items.swap(end, other);
        }
    }

    /// A new random id.
    pub fn uuid(&mut self) -> Uuid {
        let mut bytes = [0u8; 16];
        self.rng.fill_bytes(&mut bytes);
        Uuid::from_random(bytes)
    }

    /// A new cluster id, written as Kafka writes ids.
    pub fn cluster_id(&mut self) -> String {
        self.uuid().to_string()
    }
}
