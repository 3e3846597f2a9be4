//! A whole node with several log directories on a simulated disk.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use goatq_controller::decide::configs::{ConfigChange, ConfigOperation, IncrementalAlterConfigs};
use goatq_controller::decide::topics::{CreateTopics, NewTopic};
use goatq_controller::image::{ConfigResource, LOST_DIRECTORY};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord, split};
use goatq_storage::io::sim::SimDisk;

use super::*;
use crate::assembly::RunningNode;
use crate::assembly::testing::started;
use crate::health::Phase;
use crate::partition::Partition;

/// Nothing here takes long; whoever waits for so long waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

async fn node(disk: &SimDisk) -> RunningNode {
    let settings = [
        ("node.id", "1"),
        ("log.dirs", "/a,/b,/c"),
        ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
        ("log.dir.reserve.bytes", "0"),
        ("broker.heartbeat.interval.ms", "50"),
    ];
    started(&settings, Arc::new(disk.clone())).await
}

async fn create(node: &RunningNode, name: &str, partitions: i32) {
    let topic = NewTopic { partitions, replication_factor: 1, ..NewTopic::named(name.to_owned()) };
    let created = node.node().controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await;
    assert!(created.expect("decided").topics.iter().all(|(_, created)| created.is_ok()));
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok(), "never: {what}");
}

/// The first partition of a topic, once this node leads it.
async fn led(node: &RunningNode, topic: &str) -> Arc<Partition> {
    let partition = || node.node().partitions.get(topic, 0).filter(|partition| partition.is_leader());
    until("the partition is led", || partition().is_some()).await;
    partition().expect("it was a moment ago")
}

/// In which directories the metadata says that the replicas of a topic are, and who leads them.
fn places(node: &RunningNode, topic: &str) -> Vec<(Uuid, i32)> {
    let image = node.node().controller.image();
    let topic = image.topics.by_name(topic).expect("there");
    topic.partitions.iter().map(|partition| (partition.directory(1).expect("has one"), partition.leader)).collect()
}

async fn cordon(node: &RunningNode, directories: &str) {
    let change = ConfigChange {
        key: "cordoned.log.dirs".into(),
        operation: ConfigOperation::Set,
        value: Some(directories.to_owned().into()),
    };
    let resources = vec![(ConfigResource::broker(1), vec![change])];
    let set = IncrementalAlterConfigs { resources, validate_only: false };
    let set = node.node().controller.submit(set).await.expect("decided");
    assert!(set.resources.iter().all(|(_, set)| set.is_ok()), "{set:?}");
}

fn on_a_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_node_goes_on_without_a_directory_that_failed() {
    on_a_runtime(async {
        let disk = SimDisk::new(1);
        let running = node(&disk).await;
        let ids = running.node().directories.online();
        create(&running, "t", 6).await;
        let all = || places(&running, "t").iter().map(|(directory, _)| *directory).collect::<BTreeSet<_>>();
        until("the controller knows where replicas are", || all() == ids.iter().copied().collect()).await;
        running.node().directories.open()[1].health().poison("for the test");
        until("the controller knows of the failure", || {
            let image = running.node().controller.image();
            image.brokers.get(1).is_some_and(|broker| broker.log_dirs == [ids[0], ids[2]])
        })
        .await;
        let lost = places(&running, "t").into_iter().filter(|place| *place == (LOST_DIRECTORY, -1)).count();
        assert_eq!(lost, 2, "{:?}", places(&running, "t"));
        assert!(places(&running, "t").iter().all(|(directory, leader)| *leader == 1 || *directory == LOST_DIRECTORY));
        // What is new goes to the others.
        create(&running, "u", 4).await;
        until("it is where it can be", || {
            places(&running, "u").iter().all(|(directory, leader)| *leader == 1 && [ids[0], ids[2]].contains(directory))
        })
        .await;
        assert_eq!(running.health().phase(), Phase::Serving);
        running.shutdown().await;

        // It starts without it, and does not make anew what was in it.
        let running = node(&disk.restart()).await;
        assert_eq!(running.node().directories.failed(), [PathBuf::from("/b")]);
        assert_eq!(running.node().partitions.all().len(), 8);
        assert_eq!(places(&running, "t").iter().filter(|(_, leader)| *leader == -1).count(), 2);
        // Without the directory of the metadata it cannot go on.
        running.node().directories.open()[0].health().poison("for the test");
        until("it ends", || matches!(running.health().phase(), Phase::Failed(_))).await;
    });
}

#[test]
fn nothing_new_goes_to_a_cordoned_directory() {
    on_a_runtime(async {
        let running = node(&SimDisk::new(2)).await;
        let ids = running.node().directories.online();
        cordon(&running, "/a,/c").await;
        let cordoned = |ids: &[Uuid]| {
            let image = running.node().controller.image();
            image.brokers.get(1).is_some_and(|broker| broker.cordoned_dirs == ids)
        };
        until("the controller knows", || cordoned(&[ids[0], ids[2]])).await;
        create(&running, "t", 3).await;
        until("the controller knows where they are", || places(&running, "t") == [(ids[1], 1); 3]).await;
        cordon(&running, "*").await;
        until("the controller knows", || cordoned(&ids)).await;
        let topic = NewTopic { partitions: 1, replication_factor: 1, ..NewTopic::named("u") };
        let refused =
            running.node().controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await;
        assert!(refused.expect("decided").topics[0].1.is_err());
        running.shutdown().await;
    });
}

fn append(partition: &Partition, value: &str) -> i64 {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord { timestamp: 1, key: None, value: Some(value.as_bytes()), headers: &[] };
    builder.push(record).expect("fits");
    let batch = builder.build().expect("valid");
    partition.append_internal(batch, 1).expect("appended").base_offset
}

/// How many records a partition has that are committed, each in its place.
async fn committed(partition: &Partition) -> i64 {
    let mut next = 0;
    loop {
        let chunks = partition.read_committed_batches(next, 1 << 20).await.expect("readable");
        let before = next;
        for batch in split(&chunks.concat().into()) {
            let header = *batch.expect("whole").header();
            assert!(header.base_offset == next, "{} instead of {next}", header.base_offset);
            next = header.next_offset();
        }
        if next == before {
            return next;
        }
    }
}

#[test]
fn a_replica_moves_while_it_is_written_to() {
    on_a_runtime(async {
        let disk = SimDisk::new(3);
        let running = node(&disk).await;
        create(&running, "t", 1).await;
        let (directories, name) = (running.node().directories.clone(), ReplicaName::from(("t".into(), 0)));
        let partition = led(&running, "t").await;
        for _ in 0..100 {
            append(&partition, &"x".repeat(1_000));
        }
        let home = || directories.home(&name).expect("known").path().to_owned();
        for path in ["/b", "/c", "/a"] {
            let is_elsewhere = home() != Path::new(path);
            assert_eq!(directories.ask_move(name.clone(), path, true), Ok(()));
            while home() != Path::new(path) {
                append(&partition, "while it moves");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let id = directories.open().iter().find(|dir| dir.path() == Path::new(path)).map(|dir| dir.directory_id());
            until("the controller knows", || Some(places(&running, "t")[0].0) == id).await;
            let last = append(&partition, "afterwards");
            assert_eq!(partition.wait_committed(last, partition.leader_epoch()).await, Ok(()));
            assert_eq!(committed(&partition).await, last + 1, "{is_elsewhere}");
            assert!(directories.copies().is_empty());
        }
        assert_eq!(directories.ask_move(name.clone(), "/d", true), Err(MoveRefusal::Unknown));
        assert_eq!(directories.ask_move(("x".repeat(249).into(), 0), "/b", true), Err(MoveRefusal::Name));
        let end = committed(&partition).await;

        // A crash in the middle of a move: it goes on, and nothing is lost.
        assert_eq!(directories.ask_move(name.clone(), "/b", true), Ok(()));
        until("it has begun", || !directories.copies().is_empty() || home() == Path::new("/b")).await;
        let disk = disk.crash();
        running.shutdown().await;
        let running = node(&disk).await;
        let directories = running.node().directories.clone();
        let partition = led(&running, "t").await;
        assert_eq!(committed(&partition).await, end);
        until("it is there or stays", || !directories.is_wanted(&name, 1)).await;
        assert_eq!(committed(&partition).await, end);
        running.shutdown().await;
    });
}

#[test]
fn a_replica_is_made_where_it_was_asked_to_be() {
    on_a_runtime(async {
        let running = node(&SimDisk::new(4)).await;
        let directories = running.node().directories.clone();
        for number in 0..3 {
            assert_eq!(directories.ask_move(("t".into(), number), "/c", false), Ok(()));
        }
        create(&running, "t", 4).await;
        let home = |number| directories.home(&("t".into(), number));
        until("the replicas are here", || (0..4).all(|number| home(number).is_some())).await;
        let path = |number| home(number).expect("known").path().to_owned();
        assert!((0..3).all(|number| path(number) == Path::new("/c")));
        assert!(path(3) != Path::new("/c"), "the others have fewer");
        running.shutdown().await;
    });
}

#[test]
fn a_directory_without_room_for_the_name_of_a_process_is_not_marked_as_failed() {
    on_a_runtime(async {
        let disk = SimDisk::new(3);
        let running = node(&disk).await;
        disk.set_capacity(0);
        let refused = running.node().directories.begin_life(Uuid::from_u128(5)).expect_err("no room");
        assert!(refused.may_pass(), "{refused}");
        until("all are out of use", || running.node().directories.online().is_empty()).await;
        disk.set_capacity(1 << 30);
        // Were a marker to be left, there would be room for it now.
        until("it ends", || matches!(running.health().phase(), Phase::Failed(_))).await;
        running.shutdown().await;
        let running = node(&disk.restart()).await;
        assert_eq!(running.node().directories.online().len(), 3);
        running.shutdown().await;
    });
}
