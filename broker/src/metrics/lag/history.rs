//! Lag in seconds: how long ago the high watermark was where a group's committed offset is now.
//!
//! Records need not be read for that: each scrape notes the high watermark of every partition that some group has yet to read
//! from, and an offset in between gets a time in between. An offset from before the first note is placed by the speed since
//! then. This is how kafka-lag-exporter defines the figure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use goatq_protocol::Uuid;

/// Notes of one partition; when there are more, every second one goes, so that old times are coarser than recent ones.
const NOTES: usize = 64;
/// Scrapes that follow each other faster than this move the last note instead of adding one.
const GAP: Duration = Duration::from_secs(1);

/// A partition of a topic.
pub(crate) type PartitionKey = (Uuid, i32);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Note {
    offset: i64,
    at: Duration,
}

/// Notes of the partitions that were looked at last; bounded by who calls [`Self::note`].
#[derive(Debug, Default)]
pub(crate) struct LagHistory {
    notes: BTreeMap<PartitionKey, VecDeque<Note>>,
}

impl LagHistory {
    /// Takes in high watermarks at a monotonic time, and forgets the partitions that are not among them.
    pub(crate) fn note(&mut self, now: Duration, watermarks: impl IntoIterator<Item = (PartitionKey, i64)>) {
        let mut known = std::mem::take(&mut self.notes);
        for (key, offset) in watermarks {
            let mut notes = known.remove(&key).unwrap_or_default();
            add(&mut notes, Note { offset, at: now });
            self.notes.insert(key, notes);
        }
    }

    /// Seconds since the high watermark passed `committed`; None until two different ones were noted.
    pub(crate) fn seconds_behind(&self, key: PartitionKey, committed: i64, now: Duration) -> Option<f64> {
        let notes = self.notes.get(&key)?;
        let (first, last) = (notes.front()?, notes.back()?);
        if committed >= last.offset {
            return Some(0.0);
        }
        let later = notes.partition_point(|note| note.offset <= committed);
        let (from, to) = match later.checked_sub(1) {
            Some(earlier) => (notes.get(earlier)?, notes.get(later)?),
            None => (first, last),
        };
        if from.offset == to.offset {
            return None;
        }
        let share = (committed - from.offset) as f64 / (to.offset - from.offset) as f64;
        let passed = from.at.as_secs_f64() + share * (to.at.as_secs_f64() - from.at.as_secs_f64());
        Some((now.as_secs_f64() - passed).max(0.0))
    }
}

/// Keeps the notes in order of time and offset.
fn add(notes: &mut VecDeque<Note>, note: Note) {
    // A topic that was truncated or made anew under its id begins again.
    if notes.back().is_some_and(|last| last.offset > note.offset) {
        notes.clear();
    }
    let before = notes.len().checked_sub(2).and_then(|at| notes.get(at).copied());
    if let (Some(before), Some(last)) = (before, notes.back_mut()) {
        // Nothing was written since the note before the last: when the watermark came there is what counts.
        if before.offset == note.offset || note.at.saturating_sub(before.at) < GAP {
            *last = note;
            return;
        }
    }
    notes.push_back(note);
    if notes.len() > NOTES {
        let mut at = 0;
        notes.retain(|_| {
            at += 1;
            at % 2 == 1 || at > NOTES
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PartitionKey = (Uuid([7; 16]), 3);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn history(notes: &[(u64, i64)]) -> LagHistory {
        let mut history = LagHistory::default();
        for (seconds, offset) in notes {
            history.note(at(*seconds), [(KEY, *offset)]);
        }
        history
    }

    #[test]
    fn an_offset_between_two_notes_has_a_time_between_them() {
        let history = history(&[(100, 1000), (110, 2000), (120, 2500)]);
        assert_eq!(history.seconds_behind(KEY, 1500, at(120)), Some(15.0));
        assert_eq!(history.seconds_behind(KEY, 2250, at(121)), Some(6.0));
        assert_eq!(history.seconds_behind(KEY, 2500, at(125)), Some(0.0), "all is read");
        assert_eq!(history.seconds_behind(KEY, 250, at(120)), Some(30.0), "by the speed since the first");
        assert_eq!(history.seconds_behind((Uuid([8; 16]), 3), 0, at(120)), None);
    }

    #[test]
    fn without_two_watermarks_nothing_is_known_but_that_all_is_read() {
        let history = history(&[(100, 1000), (110, 1000), (500, 1000)]);
        assert_eq!(history.seconds_behind(KEY, 999, at(500)), None);
        assert_eq!(history.seconds_behind(KEY, 1000, at(500)), Some(0.0));
    }

    #[test]
    fn a_pause_of_the_producer_counts() {
        let history = history(&[(100, 0), (110, 1000), (120, 1000), (130, 1000), (140, 2000)]);
        assert_eq!(history.seconds_behind(KEY, 500, at(140)), Some(35.0));
        assert_eq!(history.seconds_behind(KEY, 1000, at(140)), Some(10.0), "the next record came after 130");
    }

    #[test]
    fn memory_is_bounded_and_a_partition_nobody_asks_for_is_forgotten() {
        let mut history = LagHistory::default();
        for second in 0..10_000 {
            history.note(at(second), [(KEY, i64::try_from(second).unwrap() * 10)]);
            history.note(at(second) + Duration::from_millis(200), [(KEY, i64::try_from(second).unwrap() * 10 + 2)]);
        }
        assert!(history.notes[&KEY].len() <= NOTES);
        let behind = history.seconds_behind(KEY, 50_000, at(10_000)).unwrap();
        assert!((behind - 5_000.0).abs() < 2.0, "{behind}");
        history.note(at(10_001), []);
        assert_eq!(history.seconds_behind(KEY, 50_000, at(10_001)), None);
    }

    #[test]
    fn a_watermark_that_went_back_begins_anew() {
        let history = history(&[(100, 1000), (110, 2000), (120, 10)]);
        assert_eq!(history.seconds_behind(KEY, 5, at(120)), None);
    }
}
