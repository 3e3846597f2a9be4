//! The rules of idempotent and transactional producers (KIP-98), as Kafka applies them.
//!
//! - The last five batches of each producer are known: a repeat of one of them is a duplicate, anything else must follow in
//!   sequence. Sequences wrap from `i32::MAX` to 0.
//! - A batch of an older epoch is refused, a newer epoch begins at sequence 0. A producer of whom nothing is known (any more)
//!   may go on at any sequence.
//! - The first batch of a transaction opens it, a marker ends it. What is in or behind an open transaction is not stable.
//!
//! Batches from replication are taken as they are: the leader has checked them.

use std::collections::{BTreeMap, VecDeque};

use goatq_protocol::record::BatchHeader;

use crate::{
    error::AppendError,
    log::{AbortedTxn, Origin, ProducerInfo},
};

/// How many batches of a producer are known for duplicates.
pub(crate) const KNOWN_BATCHES: usize = 5;

/// Most producers known of one log. Beyond it those idle longest are forgotten, as if they had expired.
pub(crate) const MAX_PRODUCERS: usize = 100_000;

/// One of the last batches of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

impl KnownBatch {
    fn of(header: &BatchHeader) -> KnownBatch {
        KnownBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// Offset of its first record.
    pub(crate) fn base_offset(&self) -> i64 {
        self.last_offset.saturating_sub(i64::from(self.offset_delta))
    }

    /// Sequence of its first record.
    pub(crate) fn base_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        // Sequences wrap at 2^31.
        i32::try_from(first.rem_euclid(1 << 31)).unwrap_or(0)
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    /// Newest epoch; -1 when only created by an unknown one.
    pub(crate) epoch: i16,
    /// Epoch of the coordinator of its last marker, -1 for none.
    pub(crate) coordinator_epoch: i32,
    /// Timestamp of its last batch or marker; -1 for none.
    pub(crate) last_timestamp: i64,
    /// First offset of the open transaction.
    pub(crate) txn_first_offset: Option<i64>,
    /// Its last batches, oldest first, at most [`KNOWN_BATCHES`].
    pub(crate) batches: VecDeque<KnownBatch>,
}

impl Producer {
    fn unknown() -> Producer {
        Producer {
            epoch: -1,
            coordinator_epoch: -1,
            last_timestamp: -1,
            txn_first_offset: None,
            batches: VecDeque::new(),
        }
    }

    fn begin_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn push(&mut self, batch: KnownBatch) {
        if self.batches.len() == KNOWN_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
        self.last_timestamp = batch.timestamp;
    }

    fn check_epoch(&self, header: &BatchHeader) -> Result<(), AppendError> {
        if header.producer_epoch < self.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id: header.producer_id,
                got: header.producer_epoch,
                current: self.epoch,
            });
        }
        Ok(())
    }

    fn check_sequence(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let got = header.base_sequence;
        let expected = if self.epoch == -1 {
            return Ok(());
        } else if header.producer_epoch != self.epoch {
            0
        } else {
            match self.batches.back() {
                Some(last) if last.last_sequence == i32::MAX => 0,
                Some(last) => last.last_sequence + 1,
                None => 0,
            }
        };
        if got != expected {
            let (producer_id, epoch) = (header.producer_id, header.producer_epoch);
            return Err(AppendError::OutOfOrderSequence { producer_id, epoch, got, expected });
        }
        Ok(())
    }
}

/// The marker that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndMarker {
    pub(crate) commit: bool,
    pub(crate) coordinator_epoch: i32,
}

/// A transaction that a marker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CompletedTxn {
    producer_id: i64,
    first_offset: i64,
    last_offset: i64,
    aborted: bool,
}

/// What batches about to be appended change; see [`ProducerState::stage`].
#[derive(Debug, Default)]
pub(crate) struct Changes {
    producers: Vec<(i64, Producer)>,
    completed: Vec<CompletedTxn>,
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerState {
    producers: BTreeMap<i64, Producer>,
    /// Open transactions: first offset, producer.
    open: BTreeMap<i64, i64>,
    /// Ended transactions whose marker may still be above the high watermark: first offset, offset of the marker.
    unreplicated: BTreeMap<i64, i64>,
}

/// A check of batches against the state, without changing it.
pub(crate) struct Stage<'a> {
    state: &'a ProducerState,
    origin: Origin,
    changes: Changes,
}

impl Stage<'_> {
    /// The batch that this one repeats.
    pub(crate) fn duplicate(&self, header: &BatchHeader) -> Option<KnownBatch> {
        let producer = self.state.producers.get(&header.producer_id)?;
        if producer.epoch != header.producer_epoch {
            return None;
        }
        let same = |known: &&KnownBatch| {
            known.base_sequence() == header.base_sequence && known.last_sequence == header.last_sequence()
        };
        producer.batches.iter().find(same).copied()
    }

    /// Checks the next batch, whose offsets are set, and notes what it changes.
    pub(crate) fn add(&mut self, header: &BatchHeader, marker: Option<EndMarker>) -> Result<(), AppendError> {
        let emptied = header.is_control() && header.record_count == 0;
        if !header.has_producer_id() || (header.is_control() && marker.is_none() && !emptied) {
            return Ok(());
        }
        let id = header.producer_id;
        let known = match self.changes.producers.iter().position(|(staged, _)| *staged == id) {
            Some(at) => at,
            None => {
                let producer = self.state.producers.get(&id).cloned().unwrap_or_else(Producer::unknown);
                self.changes.producers.push((id, producer));
                self.changes.producers.len() - 1
            }
        };
        let (_, producer) = &mut self.changes.producers[known];
        match marker {
            Some(marker) => {
                let completed = end_txn(producer, header, marker, self.origin)?;
                self.changes.completed.extend(completed);
                Ok(())
            }
            // Compaction leaves a marker without its record if it is all that tells of the producer: its epoch is what counts.
            None if emptied => {
                producer.begin_epoch(header.producer_epoch);
                producer.last_timestamp = header.max_timestamp;
                Ok(())
            }
            None => add_data(producer, header, self.origin),
        }
    }

    /// What all batches change together.
    pub(crate) fn finish(self) -> Changes {
        self.changes
    }
}

fn add_data(producer: &mut Producer, header: &BatchHeader, origin: Origin) -> Result<(), AppendError> {
    if origin != Origin::Replication {
        producer.check_epoch(header)?;
        if producer.txn_first_offset.is_some() && !header.is_transactional() {
            return Err(AppendError::InvalidTxnState { producer_id: header.producer_id });
        }
    }
    if origin == Origin::Client {
        if header.base_sequence < 0 || header.producer_epoch < 0 {
            return Err(AppendError::Malformed("a producer id without epoch or sequence"));
        }
        producer.check_sequence(header)?;
    }
    producer.begin_epoch(header.producer_epoch);
    producer.push(KnownBatch::of(header));
    if header.is_transactional() && producer.txn_first_offset.is_none() {
        producer.txn_first_offset = Some(header.base_offset);
    }
    Ok(())
}

fn end_txn(
    producer: &mut Producer,
    header: &BatchHeader,
    marker: EndMarker,
    origin: Origin,
) -> Result<Option<CompletedTxn>, AppendError> {
    let producer_id = header.producer_id;
    if origin != Origin::Replication {
        producer.check_epoch(header)?;
        if marker.coordinator_epoch < producer.coordinator_epoch {
            let (got, current) = (marker.coordinator_epoch, producer.coordinator_epoch);
            return Err(AppendError::CoordinatorFenced { producer_id, got, current });
        }
    }
    producer.begin_epoch(header.producer_epoch);
    producer.coordinator_epoch = marker.coordinator_epoch;
    producer.last_timestamp = header.max_timestamp;
    let completed = producer.txn_first_offset.take().map(|first_offset| CompletedTxn {
        producer_id,
        first_offset,
        last_offset: header.last_offset(),
        aborted: !marker.commit,
    });
    Ok(completed)
}

impl ProducerState {
    /// From the entries of a snapshot.
    pub(crate) fn from_producers(producers: impl IntoIterator<Item = (i64, Producer)>) -> ProducerState {
        let mut state = ProducerState::default();
        for (id, producer) in producers {
            if let Some(first) = producer.txn_first_offset {
                state.open.insert(first, id);
            }
            state.producers.insert(id, producer);
        }
        state
    }

    /// Begins the check of batches that come together.
    pub(crate) fn stage(&self, origin: Origin) -> Stage<'_> {
        Stage { state: self, origin, changes: Changes::default() }
    }

    /// Makes staged changes true. The aborted transactions to be noted in the index, with their last stable offsets.
    pub(crate) fn apply(&mut self, changes: Changes) -> Vec<AbortedTxn> {
        let mut aborted = Vec::new();
        for (id, producer) in changes.producers {
            if let Some(first) = producer.txn_first_offset {
                self.open.entry(first).or_insert(id);
            }
            self.producers.insert(id, producer);
        }
        for txn in changes.completed {
            self.open.remove(&txn.first_offset);
            if txn.aborted {
                let last_stable_offset = match self.open.first_key_value() {
                    Some((first, _)) => (*first).min(txn.last_offset.saturating_add(1)),
                    None => txn.last_offset.saturating_add(1),
                };
                aborted.push(AbortedTxn {
                    producer_id: txn.producer_id,
                    first_offset: txn.first_offset,
                    last_offset: txn.last_offset,
                    last_stable_offset,
                });
            }
            self.unreplicated.insert(txn.first_offset, txn.last_offset);
        }
        self.bound();
        aborted
    }

    /// Takes a batch of the log in, as recovery does. The aborted transaction if it ends one.
    pub(crate) fn replay(&mut self, header: &BatchHeader, marker: Option<EndMarker>) -> Option<AbortedTxn> {
        let mut stage = self.stage(Origin::Replication);
        // Replication is never refused.
        stage.add(header, marker).ok()?;
        let changes = stage.finish();
        self.apply(changes).pop()
    }

    /// Forgets the tenth that was idle longest when there are too many; open transactions stay.
    fn bound(&mut self) {
        if self.producers.len() <= MAX_PRODUCERS {
            return;
        }
        let idle = self.producers.iter().filter(|(_, producer)| producer.txn_first_offset.is_none());
        let mut oldest: Vec<(i64, i64)> = idle.map(|(id, producer)| (producer.last_timestamp, *id)).collect();
        oldest.sort_unstable();
        for (_, id) in oldest.into_iter().take(MAX_PRODUCERS / 10) {
            self.producers.remove(&id);
        }
    }

    /// The first offset that is not stable for reasons of transactions, given the high watermark.
    pub(crate) fn first_unstable_offset(&mut self, high_watermark: i64) -> Option<i64> {
        self.unreplicated.retain(|_, last| *last >= high_watermark);
        let open = self.open.first_key_value().map(|(first, _)| *first);
        let unreplicated = self.unreplicated.first_key_value().map(|(first, _)| *first);
        open.into_iter().chain(unreplicated).min()
    }

    /// Whether no transaction is open or just ended: then everything below the high watermark is stable.
    pub(crate) fn all_stable(&self) -> bool {
        self.open.is_empty() && self.unreplicated.is_empty()
    }

    /// Forgets producers without an open transaction whose last record is older than `expiration_ms`. How many.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, producer| {
            producer.txn_first_offset.is_some() || now_ms.saturating_sub(producer.last_timestamp) < expiration_ms
        });
        before - self.producers.len()
    }

    /// All producers by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    /// How many producers there are.
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    /// What DescribeProducers tells.
    pub(crate) fn describe(&self) -> Vec<ProducerInfo> {
        let describe = |(id, producer): (i64, &Producer)| ProducerInfo {
            producer_id: id,
            producer_epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.txn_first_offset.unwrap_or(-1),
        };
        self.iter().map(describe).collect()
    }
}

#[cfg(test)]
mod tests;
