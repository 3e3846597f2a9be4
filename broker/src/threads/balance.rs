//! On how many threads connections are served, and on which: pure.
//!
//! Few threads are better than many as long as they keep up. A producer and a consumer that live on one thread hand
//! records over without waking another core, and a turn of the thread serves more requests with fewer system calls.
//! So connections gather on the first thread, spread over one more when the threads in use are full for some time and the
//! machine has some of a core to spare for it, and gather again when one less has been enough for longer. A thread for which no
//! core has time only takes turns with those that it is to help.

/// Share of time that the threads in use may be busy before one more is used.
const SPREAD_ABOVE: f64 = 0.85;
/// So many looks in a row.
const SPREAD_AFTER: u32 = 3;
/// Idle cores without which one more thread is of no use.
const SPARE: f64 = 0.2;
/// One thread less is used when the remaining ones would be busy for less than this.
const GATHER_BELOW: f64 = 0.60;
/// So many looks in a row.
const GATHER_AFTER: u32 = 10;
/// Threads may differ by this much of their time before connections move between them.
const UNEVEN: f64 = 0.20;
/// What a move between threads in use has to take off the fuller one's lead, at least.
const GAIN: f64 = 0.05;

/// What a connection did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Which connection.
    pub connection: u64,
    /// The thread that serves it.
    pub worker: usize,
    /// How much work it was, in a measure that is the same for all connections.
    pub work: u64,
}

/// A connection is to be served by another thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Which connection.
    pub connection: u64,
    /// The thread that is to serve it.
    pub to: usize,
}

/// Decides how many threads serve connections.
#[derive(Debug, Clone)]
pub struct Balance {
    used: usize,
    /// Looks in a row at which one more thread was called for.
    full: u32,
    /// Looks in a row at which one less would have done.
    slack: u32,
}

impl Default for Balance {
    fn default() -> Self {
        Self { used: 1, full: 0, slack: 0 }
    }
}

impl Balance {
    /// Threads that connections are to be put on: the first ones.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Looks at what happened since the last look: the share of time that each thread was busy, how many cores of the machine
    /// were idle, and what the connections did. Says which connections are to move.
    pub fn on_tick(&mut self, busy: &[f64], idle_cores: f64, loads: &[Load]) -> Vec<Move> {
        let threads = busy.len().max(1);
        self.used = self.used.min(threads);
        let total: f64 = busy.iter().sum();
        let full = self.used < threads && total > SPREAD_ABOVE * self.used as f64 && idle_cores > SPARE;
        let slack = self.used > 1 && total < GATHER_BELOW * (self.used - 1) as f64;
        self.full = if full { self.full + 1 } else { 0 };
        self.slack = if slack { self.slack + 1 } else { 0 };
        if self.full >= SPREAD_AFTER {
            self.used += 1;
            self.full = 0;
        } else if self.slack >= GATHER_AFTER {
            self.used -= 1;
            self.slack = 0;
        }
        self.moves(busy, loads)
    }

    fn moves(&self, busy: &[f64], loads: &[Load]) -> Vec<Move> {
        let mut work = vec![0_u64; busy.len()];
        for load in loads.iter().filter(|load| load.worker < busy.len()) {
            work[load.worker] = work[load.worker].saturating_add(load.work);
        }
        let mut level = busy.to_vec();
        let mut active: Vec<&Load> = loads.iter().filter(|load| load.work > 0 && load.worker < busy.len()).collect();
        // Few large moves rather than many small ones.
        active.sort_by_key(|load| (std::cmp::Reverse(load.work), load.connection));
        let mut moves = Vec::new();
        for load in active {
            let Some(to) = lowest(&level[..self.used.min(level.len())]) else { break };
            let share = busy[load.worker] * load.work as f64 / work[load.worker] as f64;
            let from = load.worker;
            let unused = from >= self.used;
            // Only if that leaves the two clearly closer together than they are: what merely swaps them would do so for ever.
            let uneven = level[from] - level[to] > UNEVEN && level[to] + share < level[from] - GAIN;
            if from != to && (unused || uneven) {
                level[from] -= share;
                level[to] += share;
                moves.push(Move { connection: load.connection, to });
            }
        }
        moves
    }
}

fn lowest(level: &[f64]) -> Option<usize> {
    (0..level.len()).min_by(|a, b| level[*a].total_cmp(&level[*b]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loads(per_worker: &[&[u64]]) -> Vec<Load> {
        let mut loads = Vec::new();
        for (worker, works) in per_worker.iter().enumerate() {
            for work in *works {
                loads.push(Load { connection: loads.len() as u64, worker, work: *work });
            }
        }
        loads
    }

    /// The same measurement again and again: the first moves that come of it, and how many looks that took.
    fn looks(balance: &mut Balance, busy: &[f64], idle: f64, loads: &[Load]) -> (usize, Vec<Move>) {
        let tick = |count| (count, balance.on_tick(busy, idle, loads));
        (1..50).map(tick).find(|(_, moves)| !moves.is_empty()).unwrap_or_default()
    }

    #[test]
    fn light_load_stays_on_one_thread() {
        let mut balance = Balance::default();
        assert_eq!(looks(&mut balance, &[0.8, 0.0], 1.0, &loads(&[&[5, 5, 5], &[]])), (0, vec![]));
        assert_eq!(balance.used(), 1);
    }

    #[test]
    fn a_full_thread_gives_half_of_its_work_away() {
        let mut balance = Balance::default();
        let (ticks, moves) = looks(&mut balance, &[0.98, 0.0], 1.0, &loads(&[&[10, 10, 10, 10, 0], &[]]));
        assert_eq!((ticks, balance.used()), (3, 2));
        assert_eq!(moves.iter().map(|step| step.to).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn without_a_core_to_spare_another_thread_is_no_help() {
        let mut balance = Balance::default();
        assert_eq!(looks(&mut balance, &[0.98, 0.0], 0.1, &loads(&[&[10, 10], &[]])), (0, vec![]));
    }

    #[test]
    fn one_connection_that_fills_a_thread_has_nowhere_better_to_go() {
        let mut balance = Balance::default();
        assert_eq!(looks(&mut balance, &[1.0, 0.0], 1.0, &loads(&[&[10], &[]])), (0, vec![]));
        // With others beside it, it gets a thread of its own.
        let moves = balance.on_tick(&[1.0, 0.0], 1.0, &loads(&[&[90, 5, 5], &[]]));
        assert_eq!(moves, [Move { connection: 0, to: 1 }]);
    }

    #[test]
    fn what_could_be_done_by_one_less_gathers() {
        let mut balance = Balance { used: 2, ..Balance::default() };
        assert_eq!(looks(&mut balance, &[0.4, 0.3], 1.0, &loads(&[&[3], &[2]])), (0, vec![]), "not yet");
        let (ticks, moves) = looks(&mut balance, &[0.3, 0.2], 1.0, &loads(&[&[3, 0], &[2, 0]]));
        assert_eq!(moves, [Move { connection: 2, to: 0 }], "those that do nothing stay");
        assert_eq!((ticks, balance.used()), (10, 1));
    }

    /// Lets steady load move until it should have come to rest.
    fn comes_to_rest_with(works: &[u64], threads: usize, scale: f64) {
        let mut balance = Balance::default();
        let total: u64 = works.iter().sum::<u64>().max(1);
        let mut seats: Vec<Load> =
            works.iter().enumerate().map(|(id, work)| Load { connection: id as u64, worker: 0, work: *work }).collect();
        let mut last = Vec::new();
        for _ in 0..60 {
            let mut busy = vec![0.0; threads];
            for seat in &seats {
                busy[seat.worker] += scale * seat.work as f64 / total as f64;
            }
            last = balance.on_tick(&busy, 1.0, &seats);
            for step in &last {
                assert!(step.to < balance.used());
                seats[step.connection as usize].worker = step.to;
            }
        }
        assert_eq!(last, []);
    }

    #[test]
    fn two_connections_that_each_fill_a_thread_come_to_rest() {
        comes_to_rest_with(&[35, 73], 3, 2.9691673462759725);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever was measured: connections go to threads in use, and steady load comes to rest.
        #[test]
        fn comes_to_rest(works in prop::collection::vec(0_u64..100, 0..40), threads in 1_usize..6, scale in 0.0..4.0_f64) {
            comes_to_rest_with(&works, threads, scale);
        }
    }
}
