use proptest::prelude::*;

use super::super::model::{ModelLog, Record, spans};
use super::*;

fn log(epochs: &[i32]) -> ModelLog {
    let records = epochs.iter().map(|epoch| Record { epoch: *epoch, value: 0 }).collect::<Vec<_>>();
    ModelLog { start: 0, durable: records.len(), records }
}

proptest! {
    /// However two logs have parted, asking again and again ends with the same log, and never touches what both have.
    #[test]
    fn logs_come_together(
        common in 0_usize..5,
        left in prop::collection::vec(1_i32..5, 0..6),
        right in prop::collection::vec(1_i32..5, 0..6),
    ) {
        // Of one epoch only one of the two can have records that the other lacks: one leader per epoch.
        let (mut mine, mut theirs) = (vec![1; common], vec![1; common]);
        let mut own: Vec<i32> = left.iter().map(|epoch| epoch * 2).collect();
        let mut others: Vec<i32> = right.iter().map(|epoch| epoch * 2 + 1).collect();
        own.sort_unstable();
        others.sort_unstable();
        mine.extend(own);
        theirs.extend(others);
        let (mut mine, theirs) = (log(&mine), log(&theirs));
        let mut follower = Follower::new(20, 0, Duration::ZERO);
        for _ in 0..20 {
            let asked = follower.next_fetch(&mine, Duration::ZERO).expect("nothing to wait for");
            let parted = (asked.last_epoch >= 0).then(|| {
                let found = theirs.end_of_epoch(asked.last_epoch);
                let above = (theirs.last_epoch().unwrap_or(asked.last_epoch), theirs.end());
                found.unwrap_or(above)
            });
            let parted = parted.filter(|(epoch, end)| *epoch < asked.last_epoch || *end < asked.offset);
            match parted {
                Some((epoch, end_offset)) => {
                    let objection = Objection::Diverging { epoch, end_offset };
                    match follower.on_objection(&asked, objection, &mine, Duration::ZERO) {
                        Step::Truncate(end) => {
                            prop_assert!(end < mine.end());
                            prop_assert!(end >= i64::try_from(common).unwrap_or(0).min(theirs.end()));
                            mine.cut(end);
                        }
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                None => {
                    let at = usize::try_from(asked.offset).expect("not negative");
                    let records = theirs.records[at..].to_vec();
                    let Step::Append(taken) = follower.on_records(&asked, &spans(asked.offset, &records), &mine) else {
                        return Err(TestCaseError::fail("not taken"));
                    };
                    mine.records.extend_from_slice(&records[taken]);
                    mine.durable = mine.records.len();
                    break;
                }
            }
        }
        prop_assert_eq!(mine.records, theirs.records);
    }
}
