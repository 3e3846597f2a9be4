use goatq_storage::io::sim::SimDisk;
use proptest::prelude::*;

use super::*;
use crate::{
    image::{ConfigResource, Endpoint, PartitionImage, TopicImage},
    raft::{Membership, QuorumNode},
};
use goatq_protocol::Uuid;

fn content(topics: u32) -> SnapshotContent {
    let mut image =
        MetadataImage { cluster_id: "c".into(), applied_index: 77, changed_index: 70, ..MetadataImage::default() };
    image.next_producer_id = 5_000;
    image.next_broker_epoch = 3;
    for number in 0..topics {
        let partition = PartitionImage {
            leader: 1,
            leader_epoch: 2,
            partition_epoch: 3,
            replicas: vec![1, 2],
            isr: vec![1],
            elr: vec![2],
            last_known_elr: vec![2],
            unclean_epoch: 3,
            directories: vec![Uuid::ZERO; 2],
            adding_replicas: vec![2],
            removing_replicas: vec![1],
        };
        let name = format!("topic-{number}");
        let partitions = (0..3).map(|_| Arc::new(partition.clone())).collect();
        image.topics.add(TopicImage {
            id: Uuid::from_u128(1_000 + u128::from(number)),
            name: name.as_str().into(),
            partitions,
        });
        image.configs.set(&ConfigResource::topic(name), "k", Some("v"));
    }
    let endpoint = Endpoint { listener: "C".into(), host: "h".into(), port: 9, ..Endpoint::default() };
    let node = QuorumNode { directory_id: Uuid::from_u128(9), endpoints: vec![endpoint] };
    let members = Membership::new(
        vec![[1].into(), [1, 2].into()],
        [(1, node.clone()), (2, node.clone()), (3, node)].into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    )
    .unwrap();
    SnapshotContent { last: Some(log_id(6, 77)), membership: StoredMembership::new(Some(log_id(2, 5)), members), image }
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_snapshot_gives_everything_back() {
    for topics in [0, 1, 2_000] {
        let content = content(topics);
        let found = decode(run(encode(&content)).unwrap()).unwrap();
        assert_eq!(found.image, content.image);
        assert_eq!(found.meta(), content.meta());
    }
}

#[test]
fn a_snapshot_that_was_cut_is_noticed_wherever() {
    let bytes = run(encode(&content(20))).unwrap();
    for len in 0..bytes.len() {
        decode(bytes.slice(..len)).unwrap_err();
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_is_noticed(at in 0..10_000usize, bit in 0..8u8) {
        let mut bytes = run(encode(&content(20))).unwrap().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        decode(bytes.into()).unwrap_err();
    }

    #[test]
    fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        decode(bytes.into()).unwrap_err();
    }
}

#[test]
fn power_cuts_leave_the_old_or_the_new_snapshot() {
    let dir = std::path::PathBuf::from("/s");
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(&dir).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let (mut store, none) = SnapshotStore::open(Arc::new(disk.clone()), &dir).unwrap();
        assert!(none.is_none());
        let save = |store: &mut SnapshotStore, index: u64| {
            let content = SnapshotContent { last: Some(log_id(1, index)), ..content(3) };
            let bytes = run(encode(&content)).unwrap();
            run(store.save(content.meta(), &bytes)).unwrap();
        };
        save(&mut store, 10);
        save(&mut store, 20);
        save(&mut store, 30);
        let name = format!("{:020}-{:010}.checkpoint.tmp", 40, 1);
        let half = disk.open(&dir.join(name), OpenMode::Create).unwrap();
        half.write_at(&[IoSlice::new(&[7; 999])], 0).unwrap();
        let disk = disk.crash();
        let (store, found) = SnapshotStore::open(Arc::new(disk.clone()), &dir).unwrap();
        assert_eq!(found.unwrap().last, Some(log_id(1, 30)), "seed {seed}");
        let names: Vec<String> = disk.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
        assert!(names.iter().all(|name| name.ends_with(SUFFIX)) && names.len() <= KEPT + 1, "{names:?}");
        let (meta, data) = store.current().unwrap().unwrap();
        assert_eq!(meta.last_log_id, Some(log_id(1, 30)));
        let bytes = run(data.read(0, usize::try_from(data.len()).unwrap())).unwrap();
        assert_eq!(decode(bytes).unwrap().last, meta.last_log_id);
    }
}
