//! Whose a directory is, and how it is found. What its logs do is in `storage/tests/log_dir.rs`.

use std::io::IoSlice;

use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

use super::*;
use crate::{
    io::{Disk, OpenMode, sim::SimDisk},
    journal::JournalLimits,
    log::{AppendOptions, Origin},
};

const DIR: &str = "/data/logs";
const META: &str =
    "#\n#Sat Nov 21 11:48:22 UTC 2026\nnode.id=1\ndirectory.id=rGEy-fKaQXzR7Q-7pLFgkQ\nversion=1\ncluster.id=cluster\n";

fn config() -> LogDirConfig {
    LogDirConfig {
        cluster_id: "cluster".to_owned(),
        node_id: 1,
        fresh_directory_id: Uuid([7; 16]),
        reserve: Reserve::default(),
        caches: CacheLimits::default(),
        recovery_threads: 1,
        journal: JournalLimits::default(),
    }
}

fn open(disk: &SimDisk) -> Result<Arc<LogDir>, LogDirError> {
    LogDir::open(Arc::new(disk.clone()), Path::new(DIR), config())
}

fn write(disk: &SimDisk, name: &str, content: &str) {
    let path = Path::new(DIR).join(name);
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    let file = disk.open(&path, OpenMode::Create).unwrap();
    file.truncate(0).unwrap();
    file.write_at(&[IoSlice::new(content.as_bytes())], 0).unwrap();
}

#[track_caller]
fn refusal(disk: &SimDisk, advice: &str) {
    let error = open(disk).expect_err("it is not to be opened").to_string();
    assert!(error.contains(DIR) && error.contains(advice), "{error}");
}

#[test]
fn a_new_directory_gets_an_identity_that_survives_any_crash() {
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let dir = open(&disk).unwrap();
        assert_eq!((dir.directory_id(), dir.last_shutdown()), (Uuid([7; 16]), LastShutdown::Unclean));
        let disk = disk.crash();
        let again = LogDirConfig { fresh_directory_id: Uuid([8; 16]), ..config() };
        let dir = LogDir::open(Arc::new(disk), Path::new(DIR), again).unwrap();
        assert_eq!(dir.directory_id(), Uuid([7; 16]), "seed {seed}");
    }
}

#[test]
fn one_process_at_a_time() {
    let disk = SimDisk::new(1);
    let dir = open(&disk).unwrap();
    refusal(&disk, "stop that process");
    drop(dir);
    let _again = open(&disk).unwrap();
    open(&disk.restart()).unwrap();
}

#[test]
fn a_directory_of_someone_else_is_refused_with_advice() {
    let disk = SimDisk::new(1);
    write(&disk, "meta.properties", &META.replace("cluster.id=cluster", "cluster.id=other"));
    refusal(&disk, "belongs to cluster other");
    write(&disk, "meta.properties", &META.replace("node.id=1", "node.id=2"));
    refusal(&disk, "set node.id=2");
    write(&disk, "meta.properties", "version=1\n");
    refusal(&disk, "has no node.id");
    disk.remove_file(&Path::new(DIR).join("meta.properties")).unwrap();
    disk.create_dir_all(&Path::new(DIR).join("orders-0")).unwrap();
    refusal(&disk, "restore that file");
    assert!(LogDir::identity(&disk, Path::new(DIR)).unwrap().is_none());
    write(&disk, "meta.properties", META);
    open(&disk).unwrap();
    assert_eq!(LogDir::identity(&disk, Path::new(DIR)).unwrap().unwrap().node_id, 1);
}

#[test]
fn a_directory_without_an_id_of_its_own_gets_one() {
    let disk = SimDisk::new(1);
    write(&disk, "meta.properties", "version=1\nnode.id=1\ncluster.id=cluster\n");
    assert_eq!(open(&disk).unwrap().directory_id(), Uuid([7; 16]));
    let id = LogDir::identity(&disk, Path::new(DIR)).unwrap().unwrap().directory_id;
    assert_eq!(id, Some(Uuid([7; 16])));
}

#[test]
fn a_directory_that_failed_is_refused_until_someone_decides() {
    let disk = SimDisk::new(1);
    let dir = open(&disk).unwrap();
    dir.health().poison("a sync failed: EIO");
    dir.commit().close();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(dir.run());
    drop(dir);
    refusal(&disk, "a sync failed: EIO");
    refusal(&disk, "remove the file .goatq-poisoned");
    disk.remove_file(&Path::new(DIR).join(POISON_MARKER)).unwrap();
    open(&disk).unwrap();
    // Not even readable.
    disk.create_dir_all(&Path::new(DIR).join(POISON_MARKER)).unwrap();
    refusal(&disk, "Repair or replace");
}

#[test]
fn a_directory_of_kafka_is_understood() {
    let disk = SimDisk::new(1);
    write(&disk, "meta.properties", META);
    write(&disk, ".kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":17}");
    write(&disk, "cleaner-offset-checkpoint", "");
    write(&disk, "recovery-point-offset-checkpoint", "0\n1\na.b-c_1 1 0\n");
    write(&disk, "bootstrap.checkpoint", "binary");
    write(&disk, "a.b-c_1-10/partition.metadata", "version: 0\ntopic_id: 5Bc7sS2lQZmaQVzSUcR8Zg");
    write(&disk, "a.b-c_1-9/partition.metadata", "damaged");
    write(&disk, "__cluster_metadata-0/00000000000000000000.log", "");
    write(&disk, "gone-0.6943267a3e7a4eb78a1c3ef58c70bc41-delete/00000000000000000000.log", "");
    write(&disk, "moved-0.6943267a3e7a4eb78a1c3ef58c70bc41-future/00000000000000000000.log", "");
    write(&disk, "lost+found/x", "");
    let dir = open(&disk).unwrap();
    assert_eq!(dir.directory_id().to_string(), "rGEy-fKaQXzR7Q-7pLFgkQ");
    assert_eq!(dir.last_shutdown(), LastShutdown::Clean { broker_epoch: Some(17) });
    let partition = |partition, id: Option<&str>| FoundPartition {
        topic: "a.b-c_1".to_owned(),
        partition,
        topic_id: id.map(|id| id.parse().unwrap()),
    };
    assert_eq!(dir.found(), [partition(9, None), partition(10, Some("5Bc7sS2lQZmaQVzSUcR8Zg"))]);
    dir.maintain(0).unwrap();
    let left: Vec<String> = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(!left.iter().any(|name| name.ends_with("-delete")), "{left:?}");
    assert!(left.iter().any(|name| name.ends_with("-future")), "what is not understood is left alone: {left:?}");
}

#[test]
fn a_clean_end_counts_for_one_start_only() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        open(&disk).unwrap().close_clean(5, 0).unwrap();
        let clean = open(&disk).unwrap();
        assert_eq!(clean.last_shutdown(), LastShutdown::Clean { broker_epoch: Some(5) });
        let disk = disk.crash();
        let after = open(&disk).unwrap();
        assert_eq!(after.last_shutdown(), LastShutdown::Unclean, "seed {seed}");
        after.close_clean(-1, 0).unwrap();
        let disk = disk.crash();
        assert_eq!(open(&disk).unwrap().last_shutdown(), LastShutdown::Clean { broker_epoch: None });
    }
}

#[test]
fn a_directory_knows_the_processes_that_used_it() {
    let disk = SimDisk::new(3);
    let first = open(&disk).unwrap();
    assert!(first.is_new() && first.lives().is_empty());
    first.begin_life(Uuid([1; 16])).unwrap();
    drop(first);
    let disk = disk.crash();
    let second = open(&disk).unwrap();
    assert!(!second.is_new());
    assert_eq!(second.lives(), [Uuid([1; 16])]);
    second.begin_life(Uuid([2; 16])).unwrap();
    drop(second);
    for life in 3..100 {
        let next = open(&disk).unwrap();
        assert_eq!(next.lives().last(), Some(&Uuid([life - 1; 16])));
        assert!(next.lives().len() <= 64);
        next.begin_life(Uuid([life; 16])).unwrap();
    }
    write(&disk, ".goatq-lives", "nonsense");
    assert!(open(&disk).unwrap().lives().is_empty());
}

#[test]
fn a_directory_that_failed_ends_without_the_marker_of_a_clean_end() {
    let disk = SimDisk::new(1);
    let dir = open(&disk).unwrap();
    dir.health().poison("a write failed");
    dir.close_clean(5, 0).unwrap_err();
    assert!(!disk.exists(&Path::new(DIR).join(clean_shutdown::FILE_NAME)).unwrap());
}

#[test]
fn what_a_start_has_to_read_is_bounded_for_all_logs_together() {
    let disk = SimDisk::new(1);
    let mut dir = open(&disk).unwrap();
    Arc::get_mut(&mut dir).unwrap().unproven_bytes = 10_000;
    let logs: Vec<Arc<Log>> = (0..10).map(|partition| dir.open_log(request(partition), 0).unwrap()).collect();
    let mut now_ms = 0;
    for round in 1..30 {
        for (index, log) in logs.iter().enumerate() {
            append(log, 100 * index * (round % 4));
        }
        now_ms += 10;
        dir.maintain(now_ms).unwrap();
        let unproven: u64 = logs.iter().map(|log| log.unproven_bytes()).sum();
        assert!(unproven <= 10_000, "{unproven} bytes in round {round}");
    }
    let never = logs.iter().filter(|log| log.recovery_point() == 0).count();
    assert!((1..9).contains(&never), "those with the most go first: {never}");
}

fn request(partition: i32) -> LogRequest {
    LogRequest {
        topic: "t".to_owned(),
        partition,
        topic_id: None,
        config: crate::config::LogConfig::default(),
        listener: Arc::new(crate::group_commit::NoListener),
    }
}

fn append(log: &Log, size: usize) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { value: Some(&vec![0; size]), ..NewRecord::default() }).unwrap();
    let options = AppendOptions { leader_epoch: 0, origin: Origin::Client, now_ms: 0 };
    log.append(vec![builder.build_batch().unwrap()], options).unwrap();
}
