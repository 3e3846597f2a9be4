use openraft::entry::RaftEntry;
use proptest::prelude::*;

use super::*;
use crate::raft::{Membership, QuorumNode};

fn entries() -> impl Strategy<Value = Entry> {
    let data = (any::<i64>(), proptest::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(based_on, records)| EntryPayload::Normal(EntryData { based_on, records: records.into() }));
    let members = proptest::collection::btree_set(0..9u64, 1..5).prop_map(|voters| {
        let nodes = voters.iter().map(|id| (*id, QuorumNode::default()));
        let nodes: std::collections::BTreeMap<_, _> = nodes.collect();
        EntryPayload::Membership(Membership::new(vec![voters], nodes).unwrap())
    });
    let payload = prop_oneof![Just(EntryPayload::Blank), data, members];
    (0..=i32::MAX as u64, 0..i64::MAX as u64, payload)
        .prop_map(|(term, index, payload)| Entry::new(log_id(term, index), payload))
}

proptest! {
    #[test]
    fn entries_round_trip_through_batches(entry in entries()) {
        let batch = encode(&entry).unwrap();
        prop_assert_eq!(batch.header().base_offset, entry.log_id.index as i64);
        prop_assert_eq!(batch.header().last_offset(), entry.log_id.index as i64);
        prop_assert_eq!(batch.header().partition_leader_epoch, entry.log_id.leader_id.term as i32);
        let read = Batch::parse(batch.to_bytes()).unwrap();
        prop_assert_eq!(decode(&read).unwrap(), entry);
    }

    #[test]
    fn a_flipped_bit_is_noticed(entry in entries(), at: usize, bit in 0..8u8) {
        let mut bytes = encode(&entry).unwrap().to_bytes().to_vec();
        // Offset, length and epoch are outside the CRC: others guard them.
        let at = 21 + at % (bytes.len() - 21);
        bytes[at] ^= 1 << bit;
        prop_assert!(Batch::parse(bytes.into()).is_ok_and(|batch| decode(&batch).is_err()));
    }

    #[test]
    fn data_of_any_shape_can_be_read(value in proptest::collection::vec(any::<u8>(), 0..60), control: bool, key: u32) {
        let mut builder = BatchBuilder::new(BatchOptions { partition_leader_epoch: 1, control, ..BatchOptions::default() });
        let key = key.to_be_bytes();
        builder.push(NewRecord { timestamp: 0, key: Some(&key), value: Some(&value), headers: &[] }).unwrap();
        let _ = decode(&builder.build_batch().unwrap());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let far = Entry::new(log_id(1, u64::MAX), EntryPayload::Blank);
    assert!(matches!(encode(&far), Err(EntryError::Position { .. })));
    let late = Entry::new(log_id(1 << 31, 1), EntryPayload::Blank);
    assert!(matches!(encode(&late), Err(EntryError::Position { .. })));
    let mut two = BatchBuilder::new(BatchOptions { partition_leader_epoch: 1, ..BatchOptions::default() });
    for _ in 0..2 {
        two.push(NewRecord::default()).unwrap();
    }
    assert!(matches!(decode(&two.build_batch().unwrap()), Err(EntryError::Content { .. })));
}
