//! What must be true of a compacted log, whatever happened to it.

use std::collections::{BTreeMap, BTreeSet};

use goatq_protocol::record::{
    Batch, Record,
    control::{ControlRecordType, control_record},
};

use super::{
    super::bench::{batches_of, wait},
    model::{Appended, Fate},
    world::World,
};

impl World {
    pub(super) fn check(&self) {
        let batches = self.read_all();
        let records = data_of(&batches);
        self.check_order(&batches);
        self.check_content(&records);
        self.check_nothing_lost(&records);
        self.check_compacted(&records);
        self.check_consumer(&batches);
        self.check_producers();
        self.check_reads(&batches, &records);
    }

    fn read_all(&self) -> Vec<Batch> {
        let log = self.log();
        let mut batches = Vec::new();
        let mut offset = log.log_start_offset();
        while offset < log.log_end_offset() {
            let slice = log.read(offset, 300, i64::MAX, true).unwrap();
            let read = batches_of(&wait(slice.load()).unwrap());
            let Some(last) = read.last() else { break };
            offset = last.header().next_offset();
            batches.extend(read);
        }
        batches
    }

    fn check_order(&self, batches: &[Batch]) {
        let mut next = i64::MIN;
        for batch in batches {
            batch.verify_crc().unwrap();
            assert!(batch.header().base_offset >= next, "offsets go back at {}", batch.header().base_offset);
            next = batch.header().next_offset();
        }
        assert_eq!(next.max(self.log().log_start_offset()), self.log().log_end_offset(), "the end is known");
    }

    /// Whatever is there is what was appended at that offset.
    fn check_content(&self, records: &[Record]) {
        let model: BTreeMap<i64, &Appended> = self.model.records.iter().map(|record| (record.offset, record)).collect();
        for record in records {
            let appended = model.get(&record.offset).unwrap_or_else(|| panic!("nobody appended {record:?}"));
            assert_eq!(appended.marker, None);
            let found = (record.timestamp, record.key.as_deref(), record.value.as_deref());
            assert_eq!(found, (appended.timestamp, appended.key.as_deref(), appended.value.as_deref()));
        }
    }

    /// A record goes for one of these reasons: its transaction was aborted, it has no key, there is a newer one, or it is a
    /// tombstone whose time has come.
    fn check_nothing_lost(&self, records: &[Record]) {
        let present: BTreeSet<i64> = records.iter().map(|record| record.offset).collect();
        let start = self.log().log_start_offset();
        let mut newer: BTreeSet<&[u8]> = BTreeSet::new();
        for (record, fate) in self.model.fates().into_iter().rev() {
            let key = record.key.as_deref();
            let seen = record.seen_ms.is_some();
            if record.offset >= start && !present.contains(&record.offset) {
                let pushed_out = key.is_none_or(|key| newer.contains(key));
                let expired = record.value.is_none() && record.seen_ms.is_some_and(|seen| self.now_ms >= seen + 50);
                assert!(
                    seen && (fate == Fate::Aborted || (fate == Fate::Committed && (pushed_out || expired))),
                    "lost: {record:?} {fate:?}"
                );
            }
            // What no compaction can have seen cannot have pushed anything out.
            if fate == Fate::Committed && seen {
                newer.extend(key);
            }
        }
    }

    /// Below the first dirty offset there is one record per key, nothing aborted and nothing without a key.
    fn check_compacted(&self, records: &[Record]) {
        let first_dirty = self.log().first_dirty_offset();
        let aborted: BTreeSet<i64> = self
            .model
            .fates()
            .into_iter()
            .filter(|(_, fate)| *fate == Fate::Aborted)
            .map(|(record, _)| record.offset)
            .collect();
        let mut keys = BTreeSet::new();
        // Retention moves the first dirty offset too, to the log start.
        let start = self.log().log_start_offset();
        let compacted = first_dirty > start;
        for record in records.iter().filter(|record| compacted && (start..first_dirty).contains(&record.offset)) {
            let Some(key) = &record.key else { panic!("a record without a key below {first_dirty}: {record:?}") };
            assert!(keys.insert(key.clone()), "twice below {first_dirty}: {record:?}");
            assert!(!aborted.contains(&record.offset), "aborted, below {first_dirty}: {record:?}");
        }
    }

    /// A consumer that reads committed data only ends with the last values of all keys.
    fn check_consumer(&self, batches: &[Batch]) {
        let log = self.log();
        let (start, stable) = (log.log_start_offset(), log.last_stable_offset(log.durable_end()));
        let mut aborted = wait(log.aborted_transactions(start, stable)).unwrap();
        aborted.sort_by_key(|txn| std::cmp::Reverse(txn.first_offset));
        let (mut skipped, mut table) = (BTreeSet::new(), BTreeMap::new());
        for batch in batches.iter().filter(|batch| batch.header().last_offset() < stable) {
            let header = batch.header();
            while aborted.last().is_some_and(|txn| txn.first_offset <= header.last_offset()) {
                skipped.extend(aborted.pop().map(|txn| txn.producer_id));
            }
            if header.is_control() {
                if matches!(control_record(batch).unwrap(), Some((ControlRecordType::Abort, _))) {
                    skipped.remove(&header.producer_id);
                }
                continue;
            }
            if header.is_transactional() && skipped.contains(&header.producer_id) {
                continue;
            }
            for record in batch.records(Default::default()).map(|record| record.unwrap()) {
                let Some(key) = record.key.filter(|_| record.offset >= start) else { continue };
                match record.value {
                    Some(value) => drop(table.insert(key.to_vec(), value.to_vec())),
                    None => drop(table.remove(&key.to_vec())),
                }
            }
        }
        assert_eq!(table, self.model.table(start, stable), "stable at {stable}");
    }

    fn check_producers(&self) {
        let model = self.model.known();
        let known: BTreeMap<i64, (i16, i32, i64)> = self
            .log()
            .producers()
            .into_iter()
            .map(|info| (info.producer_id, (info.producer_epoch, info.last_sequence, info.current_txn_start_offset)))
            .collect();
        let model: BTreeMap<i64, (i16, i32, i64)> =
            model.into_iter().map(|(id, known)| (id, (known.epoch, known.last_sequence, known.txn_start))).collect();
        assert_eq!(known, model);
    }

    /// Reads by offset and by time find what a walk over the whole log finds.
    fn check_reads(&self, batches: &[Batch], records: &[Record]) {
        let log = self.log();
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        for offset in (start..end).step_by(3) {
            let slice = log.read(offset, 1, i64::MAX, true).unwrap();
            let found = batches_of(&wait(slice.load()).unwrap()).first().map(|batch| batch.header().base_offset);
            let expected = batches.iter().find(|batch| batch.header().last_offset() >= offset);
            assert_eq!(found, expected.map(|batch| batch.header().base_offset), "read at {offset}");
        }
        let all: Vec<(i64, i64)> = batches
            .iter()
            .flat_map(|batch| batch.records(Default::default()))
            .map(|record| record.map(|record| (record.offset, record.timestamp)).unwrap())
            .filter(|(offset, _)| *offset >= start)
            .collect();
        for timestamp in (900..self.now_ms + 40).step_by(17) {
            let found = wait(log.offset_for_timestamp(timestamp)).unwrap().map(|found| found.offset);
            let expected = all.iter().find(|(_, time)| *time >= timestamp).map(|(offset, _)| *offset);
            assert_eq!(found, expected, "time {timestamp}");
        }
        let newest = wait(log.max_timestamp_offset()).unwrap().map(|found| found.timestamp);
        assert_eq!(newest, all.iter().map(|(_, time)| *time).max(), "of {} records", records.len());
    }
}

/// The records that are no markers.
fn data_of(batches: &[Batch]) -> Vec<Record> {
    let data = batches.iter().filter(|batch| !batch.header().is_control());
    data.flat_map(|batch| batch.records(Default::default())).map(|record| record.unwrap()).collect()
}
