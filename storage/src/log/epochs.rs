//! The leader epochs of a log and where each began (KIP-101, KIP-320), with their file `leader-epoch-checkpoint`.
//!
//! The file is Kafka's: a line with the version 0, one with the number of entries, then one per entry, `<epoch> <first offset>`.
//! It is written by checkpoints only; what came later is found again in the batches.

use std::fmt::Write;

/// Name of the file.
pub(crate) const EPOCHS_FILE: &str = "leader-epoch-checkpoint";

/// The longest file that is read.
pub(crate) const MAX_EPOCHS_BYTES: usize = 16 << 20;

/// Epochs with the offsets of their first records; both grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    entries: Vec<(i32, i64)>,
}

impl Epochs {
    /// Notes that a batch of an epoch begins at an offset. Whether that was news.
    pub(crate) fn assign(&mut self, epoch: i32, offset: i64) -> bool {
        if epoch < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return false;
        }
        self.truncate_end(offset);
        self.entries.push((epoch, offset));
        true
    }

    pub(crate) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    pub(crate) fn entries(&self) -> &[(i32, i64)] {
        &self.entries
    }

    /// The newest epoch that is not above `epoch`, and where it ends; `None` when `epoch` is above all. An epoch below all
    /// ends where the first one begins.
    pub(crate) fn end_offset(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        if epoch < 0 {
            return None;
        }
        let above = self.entries.partition_point(|(known, _)| *known <= epoch);
        let found = above.checked_sub(1).and_then(|at| self.entries.get(at));
        match (found, self.entries.get(above)) {
            (Some((known, _)), Some((_, end))) => Some((*known, *end)),
            (Some((known, _)), None) if *known == epoch => Some((epoch, log_end)),
            (None, Some((_, first))) => Some((epoch, *first)),
            (_, None) => None,
        }
    }

    /// The log now ends at an offset.
    pub(crate) fn truncate_end(&mut self, end: i64) {
        let kept = self.entries.partition_point(|(_, first)| *first < end);
        self.entries.truncate(kept);
    }

    /// The log now begins at an offset: the epoch it belongs to begins there.
    pub(crate) fn truncate_start(&mut self, start: i64) {
        let before = self.entries.partition_point(|(_, first)| *first <= start);
        if before > 0 {
            self.entries.drain(..before - 1);
            self.entries[0].1 = start;
        }
    }

    /// The content of the file.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, offset) in &self.entries {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{epoch} {offset}");
        }
        text
    }

    /// Reads the content of the file; `None` when it is damaged.
    pub(crate) fn decode(text: &str) -> Option<Epochs> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut epochs = Epochs::default();
        for line in lines {
            let (epoch, offset) = line.trim().split_once(' ')?;
            let (epoch, offset): (i32, i64) = (epoch.parse().ok()?, offset.trim().parse().ok()?);
            let follows = epochs.entries.last().is_none_or(|(last, first)| epoch > *last && offset >= *first);
            if epoch < 0 || offset < 0 || !follows {
                return None;
            }
            epochs.entries.push((epoch, offset));
        }
        (epochs.entries.len() == count).then_some(epochs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        Epochs { entries: entries.to_vec() }
    }

    #[test]
    fn end_offsets_are_kafkas() {
        let known = epochs(&[(2, 10), (4, 30), (7, 40)]);
        assert_eq!(known.end_offset(7, 55), Some((7, 55)));
        assert_eq!(known.end_offset(8, 55), None, "above all");
        assert_eq!(known.end_offset(4, 55), Some((4, 40)));
        assert_eq!(known.end_offset(5, 55), Some((4, 40)), "the next lower one");
        assert_eq!(known.end_offset(1, 55), Some((1, 10)), "below all");
        assert_eq!(known.end_offset(-1, 55), None);
        assert_eq!(epochs(&[]).end_offset(0, 0), None);
    }

    #[test]
    fn follows_the_ends_of_the_log() {
        let mut known = epochs(&[(2, 10), (4, 30), (7, 40)]);
        known.truncate_start(35);
        assert_eq!(known, epochs(&[(4, 35), (7, 40)]));
        known.truncate_start(5);
        assert_eq!(known, epochs(&[(4, 35), (7, 40)]));
        assert!(!known.assign(7, 50));
        assert!(!known.assign(-1, 50));
        assert!(known.assign(9, 50));
        known.truncate_end(40);
        assert_eq!(known, epochs(&[(4, 35)]));
    }

    #[test]
    fn the_file_is_kafkas() {
        let known = epochs(&[(0, 0), (3, 17)]);
        assert_eq!(known.encode(), "0\n2\n0 0\n3 17\n");
        assert_eq!(Epochs::decode("0\n2\n0 0\n3 17\n"), Some(known));
        for damaged in ["", "1\n0\n", "0\n1\n", "0\n2\n3 17\n0 0\n", "0\n1\n0\n", "0\n1\nx 1\n", "0\n1\n0 0\n1 1\n"] {
            assert_eq!(Epochs::decode(damaged), None, "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_epochs_or_none(text in "[0-9 \n-]{0,40}") {
            if let Some(known) = Epochs::decode(&text) {
                prop_assert_eq!(Epochs::decode(&known.encode()), Some(known));
            }
        }
    }
}
