//! A simulated disk that takes a picture of what a power cut would leave, before each operation that changes something.

use std::sync::Arc;

use goatq_storage::io::{Disk, sim::SimDisk};
use parking_lot::Mutex;

use super::super::hooked_disk::HookedDisk;

/// How often each moment is looked at: by other seeds other changes survive.
const IMAGES: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct TripDisk {
    pub(super) sim: SimDisk,
    images: Arc<Mutex<Option<Vec<SimDisk>>>>,
}

impl TripDisk {
    pub(super) fn new(sim: SimDisk) -> TripDisk {
        TripDisk { sim, images: Arc::default() }
    }

    /// The disk for a log.
    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        let trip = self.clone();
        Arc::new(HookedDisk::new(self.sim.clone(), move |_, _| trip.trip()))
    }

    /// Begins to take pictures.
    pub(super) fn arm(&self) {
        *self.images.lock() = Some(Vec::new());
    }

    /// Ends it: the pictures, one more of the end among them.
    pub(super) fn disarm(&self) -> Vec<SimDisk> {
        self.trip();
        self.images.lock().take().unwrap_or_default()
    }

    fn trip(&self) {
        if let Some(images) = self.images.lock().as_mut() {
            images.extend((0..IMAGES).map(|_| self.sim.crash_image()));
        }
    }
}
