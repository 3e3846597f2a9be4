//! Transactions met by a walk over the log: which data was aborted, and which markers have no data left.

use std::collections::{BTreeMap, BTreeSet};

use goatq_protocol::record::{BatchHeader, control::ControlRecordType};

use crate::log::AbortedTxn;

/// What a walk has met. Batches and aborted transactions are told to it in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted transactions that the walk has not reached, by first offset.
    ahead: BTreeSet<(i64, AbortedTxn)>,
    /// Aborted transactions under way by producer, and whether data of theirs was met.
    aborted: BTreeMap<i64, (AbortedTxn, bool)>,
    /// Producers with data that no marker has ended and that was not aborted.
    committed: BTreeSet<i64>,
    /// Aborted transactions whose markers stay.
    noted: Vec<AbortedTxn>,
}

impl Transactions {
    /// Tells which aborted transactions touch the segment that comes next. Those that touch more than one may be told again.
    pub(crate) fn expect(&mut self, aborted: impl IntoIterator<Item = AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| (txn.first_offset, txn)));
    }

    /// The next batch of data. Whether it was aborted.
    pub(crate) fn data(&mut self, header: &BatchHeader) -> bool {
        if !header.is_transactional() {
            return false;
        }
        self.advance(header.last_offset());
        match self.aborted.get_mut(&header.producer_id) {
            Some((txn, met)) if txn.last_offset >= header.base_offset => {
                *met = true;
                true
            }
            _ => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// The next control batch, by what its record says; `None` for one without records. Whether nothing needs it any more.
    pub(crate) fn control(&mut self, header: &BatchHeader, kind: Option<ControlRecordType>) -> bool {
        self.advance(header.last_offset());
        let id = header.producer_id;
        match kind {
            None => true,
            Some(ControlRecordType::Commit) => !self.committed.remove(&id),
            Some(ControlRecordType::Abort) => {
                let ended = self.aborted.get(&id).copied();
                if ended.is_some_and(|(txn, _)| txn.last_offset <= header.last_offset()) {
                    self.aborted.remove(&id);
                }
                let kept = self.committed.remove(&id);
                match ended {
                    Some((txn, true)) if txn.last_offset == header.last_offset() => {
                        self.noted.push(txn);
                        false
                    }
                    // Data that no index calls aborted was kept: its marker is too.
                    _ => !kept,
                }
            }
            Some(_) => false,
        }
    }

    /// The aborted transactions whose markers were met and stay, since this was last asked.
    pub(crate) fn take_noted(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.noted)
    }

    fn advance(&mut self, offset: i64) {
        while let Some((first, txn)) = self.ahead.first().copied().filter(|(first, _)| *first <= offset) {
            self.ahead.remove(&(first, txn));
            let known = self.aborted.entry(txn.producer_id).or_insert((txn, false));
            if known.0.last_offset < txn.first_offset {
                *known = (txn, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

    use super::*;

    fn header(producer_id: i64, offset: i64, control: bool) -> BatchHeader {
        let options =
            BatchOptions { base_offset: offset, producer_id, transactional: true, control, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.push(NewRecord::default()).unwrap();
        *builder.build_batch().unwrap().header()
    }

    fn txn(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTxn {
        AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
    }

    const ABORT: Option<ControlRecordType> = Some(ControlRecordType::Abort);
    const COMMIT: Option<ControlRecordType> = Some(ControlRecordType::Commit);

    #[test]
    fn markers_are_needed_as_long_as_there_is_data() {
        let mut walk = Transactions::default();
        walk.expect([txn(1, 10, 12), txn(1, 20, 22)]);
        assert!(!walk.data(&header(2, 9, false)), "committed later");
        assert!(walk.data(&header(1, 10, false)));
        // The next segment begins, and the index says it again.
        walk.expect([txn(1, 10, 12)]);
        assert!(!walk.control(&header(1, 12, true), ABORT));
        assert_eq!(walk.take_noted(), [txn(1, 10, 12)]);
        assert!(!walk.data(&header(1, 13, false)), "the next transaction of the producer, committed");
        assert!(!walk.control(&header(1, 14, true), COMMIT));
        assert!(walk.control(&header(1, 22, true), ABORT), "its data is gone");
        assert_eq!(walk.take_noted(), []);
        assert!(!walk.control(&header(2, 23, true), COMMIT));
        assert!(walk.control(&header(2, 24, true), COMMIT), "without data");
        assert!(walk.control(&header(2, 25, true), None), "emptied");
        assert!(!walk.control(&header(2, 26, true), Some(ControlRecordType::LeaderChange)));
    }

    #[test]
    fn a_marker_without_index_entry_stays_with_its_data() {
        let mut walk = Transactions::default();
        assert!(!walk.data(&header(1, 0, false)));
        assert!(!walk.control(&header(1, 1, true), ABORT));
        assert!(walk.control(&header(1, 2, true), COMMIT));
    }
}
