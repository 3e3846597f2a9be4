//! Which thread serves which connection, and moving connections between threads.
//!
//! A connection looks at its seat whenever it has done something, and leaves for the thread that it is wanted on, with all
//! that it has read, started and not sent yet. One that does nothing stays where it is: it costs its thread nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::threads::balance::{Balance, Load};
use crate::threads::idle::idle_time;
use crate::threads::workers::{Busy, Workers};

/// How often the threads are looked at while there is work.
const PERIOD: Duration = Duration::from_millis(100);
/// How often while there is none.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    worker: AtomicUsize,
    wanted: AtomicUsize,
    work: AtomicU64,
}

impl Seat {
    /// The connection took a request of so many bytes in.
    pub(super) fn worked(&self, bytes: usize) {
        // What a request costs whatever its size is about what sixteen KiB cost.
        let work = 1 + (bytes / 16_384) as u64;
        // Nobody else writes it.
        self.work.store(self.work.load(Ordering::Relaxed).wrapping_add(work), Ordering::Relaxed);
    }

    /// The thread to leave for; from then on that is where the connection is.
    pub(super) fn leave(&self) -> Option<usize> {
        let wanted = self.wanted.load(Ordering::Relaxed);
        if wanted == self.worker() {
            return None;
        }
        self.worker.store(wanted, Ordering::Relaxed);
        Some(wanted)
    }

    /// The thread that serves the connection.
    pub(super) fn worker(&self) -> usize {
        self.worker.load(Ordering::Relaxed)
    }
}

/// The places of all connections of a server.
#[derive(Debug)]
pub(super) struct Seats {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    seats: BTreeMap<u64, Taken>,
    balance: Balance,
    /// The next connection comes to this one of the threads in use.
    next: usize,
}

#[derive(Debug)]
struct Taken {
    seat: Arc<Seat>,
    /// What had been done at the last look.
    seen: u64,
}

impl Seats {
    pub(super) fn new() -> Self {
        Self { inner: Mutex::new(Inner { seats: BTreeMap::new(), balance: Balance::default(), next: 0 }) }
    }

    /// A place for a new connection.
    pub(super) fn take(&self, connection: u64) -> Arc<Seat> {
        let mut inner = self.inner.lock();
        let worker = inner.next % inner.balance.used();
        inner.next = inner.next.wrapping_add(1);
        let (at, wanted) = (AtomicUsize::new(worker), AtomicUsize::new(worker));
        let seat = Arc::new(Seat { worker: at, wanted, work: AtomicU64::new(0) });
        inner.seats.insert(connection, Taken { seat: Arc::clone(&seat), seen: 0 });
        seat
    }

    /// The connection is gone.
    pub(super) fn free(&self, connection: u64) {
        self.inner.lock().seats.remove(&connection);
    }

    /// Looks at the threads again and again and has connections move. Ends when it is dropped; at once if there is but one
    /// thread.
    pub(super) async fn keep_balanced(&self, workers: &Workers) {
        let busy = workers.busy();
        if busy.threads() < 2 {
            return;
        }
        let mut watch = Watch::new(busy);
        let mut period = QUIET_PERIOD;
        loop {
            tokio::time::sleep(period).await;
            let (shares, idle_cores) = watch.look();
            let worked = self.tick(&shares, idle_cores);
            period = if worked { PERIOD } else { QUIET_PERIOD };
        }
    }

    /// Has every connection have done something.
    #[cfg(test)]
    pub(super) fn touch(&self) {
        self.inner.lock().seats.values().for_each(|taken| taken.seat.worked(0));
    }

    /// One look. Whether any connection had done anything since the last one.
    pub(super) fn tick(&self, busy: &[f64], idle_cores: f64) -> bool {
        let mut inner = self.inner.lock();
        let Inner { seats, balance, .. } = &mut *inner;
        let loads: Vec<Load> = seats
            .iter_mut()
            .map(|(connection, taken)| {
                let done = taken.seat.work.load(Ordering::Relaxed);
                let work = done.wrapping_sub(std::mem::replace(&mut taken.seen, done));
                // Where it is about to be counts: who is asked to move is not asked again.
                Load { connection: *connection, worker: taken.seat.wanted.load(Ordering::Relaxed), work }
            })
            .filter(|load| load.work > 0)
            .collect();
        for step in balance.on_tick(busy, idle_cores, &loads) {
            if let Some(taken) = seats.get(&step.connection) {
                taken.seat.wanted.store(step.to, Ordering::Relaxed);
            }
        }
        !loads.is_empty()
    }
}

/// Turns times that only grow into shares of the time that passed.
struct Watch {
    busy: Busy,
    last: Vec<Duration>,
    idle: Option<Duration>,
    at: Instant,
}

impl Watch {
    fn new(busy: Busy) -> Self {
        Self { last: busy.each(), busy, idle: idle_time(), at: Instant::now() }
    }

    /// The share of time that each thread was busy since the last look, and how many cores of the machine were idle.
    fn look(&mut self) -> (Vec<f64>, f64) {
        let (now, each, idle) = (Instant::now(), self.busy.each(), idle_time());
        let elapsed = now.duration_since(self.at).as_secs_f64().max(1e-6);
        let shares = each.iter().zip(&self.last).map(|(new, old)| new.saturating_sub(*old).as_secs_f64() / elapsed);
        let shares = shares.map(|share| share.min(1.0)).collect();
        // Where nobody says, there may be one.
        let idle_cores = idle.zip(self.idle).map_or(1.0, |(new, old)| new.saturating_sub(old).as_secs_f64() / elapsed);
        (self.last, self.idle, self.at) = (each, idle, now);
        (shares, idle_cores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_connections_are_asked_to_move_once_and_idle_ones_never() {
        let seats = Seats::new();
        let taken: Vec<_> = (0..5).map(|id| seats.take(id)).collect();
        assert!(taken.iter().all(|seat| seat.worker() == 0));
        for _ in 0..3 {
            assert!(taken.iter().all(|seat| seat.leave().is_none()), "full for a moment only");
            taken[..4].iter().for_each(|seat| seat.worked(100));
            assert!(seats.tick(&[1.0, 0.0], 1.0));
        }
        let left: Vec<_> = taken.iter().filter_map(|seat| seat.leave()).collect();
        assert_eq!(left, [1, 1]);
        assert_eq!(taken[4].worker(), 0);
        assert!(taken.iter().all(|seat| seat.leave().is_none()), "who has moved stays");
        assert!(!seats.tick(&[0.0, 0.0], 2.0), "nothing was done");
        let workers: Vec<_> = (5..7).map(|id| seats.take(id).worker()).collect();
        assert_eq!(workers, [1, 0], "new connections come to both threads now");
        seats.free(0);
        assert_eq!(seats.inner.lock().seats.len(), 6);
    }
}
