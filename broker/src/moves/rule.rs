//! What the copy of a log does next. Pure.
//!
//! The log goes on changing meanwhile: it grows, its begin is deleted, and a follower's end may be cut off and written anew in a later leader
//! epoch. Within an epoch all copies of a partition are the same, so it is the epochs that tell how much of the copy is still right.

use crate::replication::follower::ReplicaLog;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The copy is of no use: it begins anew at this offset.
    StartOver(i64),
    /// What the copy has from this offset on goes.
    Cut(i64),
    /// Records from this offset on are copied.
    Copy(i64),
    /// It has everything.
    Complete,
}

pub(super) fn next(log: &impl ReplicaLog, copy: &impl ReplicaLog) -> Step {
    let (start, end) = (log.start(), copy.end());
    let is_empty = copy.start() == end;
    if is_empty && end != start || end < start {
        return Step::StartOver(start);
    }
    let same = if is_empty { end } else { same_until(log, copy) };
    match same {
        same if same >= end && end == log.end() => Step::Complete,
        same if same >= end => Step::Copy(end),
        same if same > copy.start() => Step::Cut(same),
        _ => Step::StartOver(start),
    }
}

/// Where the copy ceases to be what the log is.
fn same_until(log: &impl ReplicaLog, copy: &impl ReplicaLog) -> i64 {
    let Some(epoch) = copy.last_epoch() else { return copy.end().min(log.end()) };
    // The newest epoch of the log that is not above the copy's last one.
    let known = log.end_of_epoch(epoch).or_else(|| log.end_of_epoch(log.last_epoch()?));
    let Some((known, end)) = known else { return i64::MIN };
    if known == epoch {
        return end.min(copy.end());
    }
    copy.end_of_epoch(known).map_or(i64::MIN, |(_, copied)| end.min(copied))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Records by their leader epoch.
    #[derive(Debug, Clone, Default)]
    struct Model {
        start: i64,
        epochs: Vec<i32>,
    }

    impl Model {
        fn cut(&mut self, offset: i64) {
            self.epochs.truncate(usize::try_from(offset - self.start).unwrap_or(0));
        }

        fn begin_at(&mut self, offset: i64) {
            let gone = usize::try_from(offset - self.start).unwrap_or(0).min(self.epochs.len());
            self.epochs.drain(..gone);
            self.start = offset;
        }
    }

    impl ReplicaLog for Model {
        fn start(&self) -> i64 {
            self.start
        }

        fn end(&self) -> i64 {
            self.start + i64::try_from(self.epochs.len()).unwrap_or(i64::MAX)
        }

        fn durable_end(&self) -> i64 {
            self.end()
        }

        fn last_epoch(&self) -> Option<i32> {
            self.epochs.last().copied()
        }

        fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
            self.last_epoch().filter(|last| epoch <= *last)?;
            let upto = self.epochs.iter().filter(|known| **known <= epoch).count();
            let known = upto.checked_sub(1).map_or(epoch, |last| self.epochs[last]);
            Some((known, self.start + i64::try_from(upto).unwrap_or(i64::MAX)))
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Append(usize),
        /// A follower's log is cut and goes on in a later epoch.
        Diverge(usize),
        Delete(usize),
        Step,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1..5_usize).prop_map(Event::Append),
            (0..8_usize).prop_map(Event::Diverge),
            (0..8_usize).prop_map(Event::Delete),
            Just(Event::Step),
            Just(Event::Step),
        ]
    }

    /// Carries a step out; `piece` records at a time. Whether there was anything to do.
    fn carry_out(step: Step, log: &Model, copy: &mut Model, piece: usize) -> bool {
        match step {
            Step::StartOver(offset) => *copy = Model { start: offset, epochs: Vec::new() },
            Step::Cut(offset) => {
                assert!(offset < copy.end());
                copy.cut(offset);
            }
            Step::Copy(from) => {
                assert_eq!(from, copy.end());
                let at = usize::try_from(from - log.start).unwrap();
                copy.epochs.extend(log.epochs[at..].iter().take(piece));
            }
            Step::Complete => return false,
        }
        true
    }

    proptest! {
        #[test]
        fn a_copy_becomes_the_log_whatever_happens_to_it(events in prop::collection::vec(event(), 0..60), piece in 1..4_usize) {
            let (mut log, mut copy, mut epoch) = (Model::default(), Model::default(), 0);
            for event in events {
                match event {
                    Event::Append(count) => log.epochs.extend(std::iter::repeat_n(epoch, count)),
                    Event::Diverge(lost) => {
                        let end = log.end() - i64::try_from(lost.min(log.epochs.len())).unwrap();
                        log.cut(end);
                        epoch += 1;
                    }
                    Event::Delete(count) => {
                        let count = count.min(log.epochs.len());
                        log.begin_at(log.start + i64::try_from(count).unwrap());
                    }
                    Event::Step => {
                        let step = next(&log, &copy);
                        carry_out(step, &log, &mut copy, piece);
                    }
                }
            }
            let mut steps = 0;
            while carry_out(next(&log, &copy), &log, &mut copy, piece) {
                steps += 1;
                prop_assert!(steps < 1_000, "no end: {log:?} {copy:?}");
            }
            prop_assert!(copy.start <= log.start && copy.end() == log.end());
            copy.begin_at(log.start);
            prop_assert_eq!(copy.epochs, log.epochs);
        }
    }
}
