//! What compaction knows of transactions while it goes through the log in order.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use goatq_protocol::record::BatchHeader;

use crate::{log::AbortedTxn, producer::state::EndMarker};

/// The transactions around the batch that was read last.
#[derive(Debug, Default)]
pub(crate) struct CleanedTxns {
    /// Aborted transactions that begin further on, by first offset.
    ahead: BinaryHeap<Reverse<(i64, i64, AbortedTxn)>>,
    /// Aborted transactions under way, by producer, and whether one of their batches was seen.
    aborted: BTreeMap<i64, (AbortedTxn, bool)>,
    /// Producers with a batch of a transaction under way that was committed.
    committed: BTreeSet<i64>,
    /// Aborted transactions whose marker stays, for the new index.
    kept: Vec<AbortedTxn>,
}

impl CleanedTxns {
    /// Adds what the transaction indexes of the next segment say.
    pub(crate) fn add(&mut self, aborted: impl IntoIterator<Item = AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| Reverse((txn.first_offset, txn.producer_id, txn))));
    }

    fn reach(&mut self, offset: i64) {
        while self.ahead.peek().is_some_and(|Reverse((first, _, _))| *first <= offset) {
            if let Some(Reverse((_, producer_id, txn))) = self.ahead.pop() {
                self.aborted.entry(producer_id).or_insert((txn, false));
            }
        }
    }

    /// Whether nothing needs the batch: it was aborted, or it is a marker of which no batch is left. `marker` is what a control
    /// batch says; one without a record was compacted before.
    pub(crate) fn may_discard(&mut self, header: &BatchHeader, marker: Option<EndMarker>) -> bool {
        self.reach(header.last_offset());
        if !header.is_control() {
            return self.may_discard_data(header);
        }
        match marker {
            Some(EndMarker { commit: true, .. }) => !self.committed.remove(&header.producer_id),
            Some(EndMarker { commit: false, .. }) => match self.aborted.remove(&header.producer_id) {
                Some((txn, true)) => {
                    self.kept.push(txn);
                    false
                }
                _ => true,
            },
            None => header.record_count == 0,
        }
    }

    fn may_discard_data(&mut self, header: &BatchHeader) -> bool {
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, seen)) => {
                *seen = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// The aborted transactions since the last call whose markers stay.
    pub(crate) fn take_kept(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.kept)
    }
}
