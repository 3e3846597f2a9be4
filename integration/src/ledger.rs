//! What a client was told, against what the log says afterwards.

use std::collections::BTreeMap;

use thiserror::Error;

/// Where a record is: partition and offset.
pub type Place = (i32, i64);

/// A broken promise.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Broken {
    /// An acknowledged value is not at the place its acknowledgement named.
    #[error("value {value} was acknowledged at {place:?} and is not there: {found:?}")]
    Lost {
        /// The value.
        value: u64,
        /// Where it should be.
        place: Place,
        /// What is there.
        found: Option<u64>,
    },
    /// One value stands at two places although its producer is idempotent.
    #[error("value {value} is at {first:?} and again at {second:?}")]
    Twice {
        /// The value.
        value: u64,
        /// Its first place.
        first: Place,
        /// Its second place.
        second: Place,
    },
    /// An offset between two others holds nothing.
    #[error("partition {partition}: offset {offset} is missing")]
    Gap {
        /// The partition.
        partition: i32,
        /// The missing offset.
        offset: i64,
    },
    /// A record that was read once reads differently now.
    #[error("{place:?} was {before} and is {now}")]
    Changed {
        /// Where.
        place: Place,
        /// What it was.
        before: u64,
        /// What it is.
        now: u64,
    },
}

/// Acknowledgements and readings of unique values.
#[derive(Debug, Default)]
pub struct Ledger {
    acknowledged: BTreeMap<Place, u64>,
    read: BTreeMap<Place, u64>,
}

impl Ledger {
    /// The broker said: `value` is at `place`.
    pub fn acknowledge(&mut self, value: u64, place: Place) {
        self.acknowledged.insert(place, value);
    }

    /// How many values were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// A full reading of all partitions, first to last offset. Every promise is checked against it.
    pub fn read_all(&mut self, records: impl IntoIterator<Item = (Place, u64)>) -> Result<(), Broken> {
        let now: BTreeMap<Place, u64> = records.into_iter().collect();
        let mut places = BTreeMap::new();
        let mut previous: Option<Place> = None;
        for (&place, &value) in &now {
            if let Some(first) = places.insert(value, place) {
                return Err(Broken::Twice { value, first, second: place });
            }
            if let Some(before) = previous.filter(|before| before.0 == place.0 && before.1 + 1 != place.1) {
                return Err(Broken::Gap { partition: place.0, offset: before.1 + 1 });
            }
            previous = Some(place);
        }
        for (&place, &value) in &self.acknowledged {
            let found = now.get(&place).copied();
            if found != Some(value) {
                return Err(Broken::Lost { value, place, found });
            }
        }
        for (&place, &before) in &self.read {
            match now.get(&place) {
                Some(&value) if value == before => {}
                Some(&value) => return Err(Broken::Changed { place, before, now: value }),
                None => return Err(Broken::Lost { value: before, place, found: None }),
            }
        }
        self.read = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(acknowledged: &[(u64, Place)]) -> Ledger {
        let mut ledger = Ledger::default();
        acknowledged.iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
        ledger
    }

    #[test]
    fn a_clean_history_passes() {
        let mut ledger = ledger(&[(1, (0, 0)), (3, (1, 0))]);
        assert_eq!(ledger.read_all([((0, 0), 1), ((0, 1), 2), ((1, 0), 3)]), Ok(()));
    }

    #[test]
    fn a_lost_value_is_found() {
        let lost = Broken::Lost { value: 2, place: (0, 1), found: None };
        assert_eq!(ledger(&[(1, (0, 0)), (2, (0, 1))]).read_all([((0, 0), 1)]), Err(lost));
    }

    #[test]
    fn a_duplicate_is_found() {
        let twice = Broken::Twice { value: 1, first: (0, 0), second: (0, 1) };
        assert_eq!(ledger(&[(1, (0, 0))]).read_all([((0, 0), 1), ((0, 1), 1)]), Err(twice));
    }

    #[test]
    fn a_gap_is_found() {
        let gap = Broken::Gap { partition: 0, offset: 1 };
        assert_eq!(ledger(&[]).read_all([((0, 0), 1), ((0, 2), 2)]), Err(gap));
    }

    #[test]
    fn a_record_that_changes_after_it_was_read_is_found() {
        let mut ledger = ledger(&[]);
        ledger.read_all([((0, 0), 1)]).unwrap();
        let changed = Broken::Changed { place: (0, 0), before: 1, now: 2 };
        assert_eq!(ledger.read_all([((0, 0), 2)]), Err(changed));
    }
}
