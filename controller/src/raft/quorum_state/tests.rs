use std::path::PathBuf;

use goatq_storage::io::sim::{Fault, SimDisk};
use proptest::prelude::*;

use super::*;

const NODE: u32 = 3;
const DIRECTORY: Uuid = Uuid::from_u128(500);

fn dir() -> PathBuf {
    PathBuf::from("/q")
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(&dir()).unwrap();
    disk.sync_dir(std::path::Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> io::Result<QuorumStateFile> {
    QuorumStateFile::open(disk, &dir(), NODE, DIRECTORY)
}

fn state(term: u64) -> QuorumState {
    QuorumState {
        node_id: NODE,
        directory_id: DIRECTORY,
        vote: Some(Vote::new_committed(term, 7)),
        committed: Some(log_id(term, term * 10)),
        purged: (term > 3).then(|| log_id(1, term)),
        proven: term * 11,
    }
}

fn save(file: &mut QuorumStateFile, state: QuorumState) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(file.save(state))
}

proptest! {
    #[test]
    fn slots_round_trip(
        sequence: u64, node_id: u32, directory: u128, vote in proptest::option::of((any::<u64>(), any::<u64>(), any::<bool>())),
        committed in proptest::option::of((any::<u64>(), any::<u64>())), proven: u64,
    ) {
        let vote = vote.map(|(term, node, committed)| if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) });
        let committed = committed.map(|(term, index)| log_id(term, index));
        let state = QuorumState { node_id, directory_id: Uuid::from_u128(directory), vote, committed, purged: committed, proven };
        let slot = encode(sequence, &state);
        prop_assert_eq!(decode(&slot), Some((sequence, state)));
    }

    #[test]
    fn damaged_slots_are_noticed(at in 0..USED, bit in 0..8u8) {
        let mut slot = encode(5, &state(4));
        slot[at] ^= 1 << bit;
        prop_assert_eq!(decode(&slot), None);
    }

    #[test]
    fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..2 * SLOT)) {
        prop_assert_eq!(decode(&bytes), None);
    }

    /// Saved states survive any power cut; notes may or may not; never does an older state come back.
    #[test]
    fn saved_states_survive_power_cuts(seed: u64, steps in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..30)) {
        let mut disk = disk(seed);
        let mut file = open(&disk).unwrap();
        let mut saved = *file.state();
        for (term, (sync, crash)) in (1..).zip(steps) {
            if sync {
                saved = state(term);
                save(&mut file, saved).unwrap();
            } else {
                file.note(Some(log_id(1, term)), term).unwrap();
            }
            if crash {
                disk = disk.crash();
                file = open(&disk).unwrap();
                let found = *file.state();
                prop_assert_eq!((found.vote, found.purged), (saved.vote, saved.purged));
                // What was found counts from now on.
                saved = found;
            }
        }
    }
}

#[test]
fn a_new_file_is_there_whole_or_not_at_all() {
    for seed in 0..200 {
        let disk = disk(seed);
        disk.set_slowness(2);
        let _ = open(&disk);
        let found = open(&disk.crash()).unwrap();
        assert_eq!(found.state().vote, None);
    }
}

#[test]
fn a_failed_sync_is_reported() {
    let disk = disk(1);
    let mut file = open(&disk).unwrap();
    disk.inject(Fault::FailSync(FILE_NAME.to_owned()));
    save(&mut file, state(1)).unwrap_err();
}

#[test]
fn a_damaged_copy_does_not_bring_an_old_vote_back() {
    for slot in 0..2u64 {
        let disk = disk(1);
        let mut file = open(&disk).unwrap();
        save(&mut file, state(1)).unwrap();
        save(&mut file, state(2)).unwrap();
        drop(file);
        disk.flip_bit(&dir().join(FILE_NAME), slot * SLOT as u64 + 20, 3).unwrap();
        assert_eq!(open(&disk.restart()).unwrap().state().vote, state(2).vote, "slot {slot}");
    }
}

#[test]
fn damage_and_foreign_disks_are_refused() {
    let disk = disk(1);
    save(&mut open(&disk).unwrap(), state(1)).unwrap();
    let other = QuorumStateFile::open(&disk, &dir(), NODE + 1, DIRECTORY).unwrap_err();
    assert!(other.to_string().contains("belongs to node 3"), "{other}");
    QuorumStateFile::open(&disk, &dir(), NODE, Uuid::from_u128(501)).unwrap_err();
    for slot in 0..2 {
        disk.flip_bit(&dir().join(FILE_NAME), slot * SLOT as u64, 0).unwrap();
    }
    let damaged = open(&disk).unwrap_err();
    assert!(damaged.to_string().contains("damaged"), "{damaged}");
}
