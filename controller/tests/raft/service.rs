//! The running controller of a quorum of one: start, work, restart, crash, faults.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use crate::support::{self, AnyConfig, sim_storage, single};
use goatq_controller::{
    Controller,
    decide::{
        brokers::RegisterBroker,
        configs::{AlterConfigs, AlterConfigsResponse},
        producer_ids::AllocateProducerIds,
        topics::{CreateTopicError, CreateTopics, DeleteTopics, NewTopic, TopicReference},
    },
    feature::SupportedFeatures,
    image::{ConfigResource, Endpoint, MetadataDelta, MetadataImage},
    service::{ClusterConfig, QuorumTiming, StartError, SubmitError},
};
use goatq_protocol::Uuid;
use goatq_storage::{
    io::{
        Disk,
        sim::{Fault, SimDisk},
    },
    log_dir::health::POISON_MARKER,
};

async fn start(disk: &SimDisk, config: ClusterConfig) -> Result<Controller, StartError> {
    Controller::start(config, sim_storage(disk), Arc::new(AnyConfig)).await
}

fn broker(incarnation: u128) -> RegisterBroker {
    let features = SupportedFeatures::current();
    RegisterBroker {
        id: 1,
        cluster_id: None,
        incarnation: Uuid::from_u128(incarnation),
        replaces: None,
        endpoints: vec![Endpoint { host: "localhost".into(), port: 9092, ..Endpoint::default() }],
        rack: None,
        features: features.iter().map(|(name, range)| (name.clone(), (range.min, range.max))).collect(),
        log_dirs: vec![support::directory_id(1)],
        before: Vec::new(),
        losses: Vec::new(),
        fenced: false,
    }
}

fn topic(name: &str) -> CreateTopics {
    CreateTopics { topics: vec![NewTopic { partitions: 3, ..NewTopic::named(name) }], validate_only: false }
}

async fn create(controller: &Controller, name: &str) -> Result<bool, SubmitError> {
    let mut response = controller.submit(topic(name)).await?;
    match response.topics.remove(0).1 {
        Ok(_) => Ok(true),
        Err(CreateTopicError::Exists(_)) => Ok(false),
        Err(error) => panic!("{error}"),
    }
}

/// A disk on which a controller has lived that was only ever asked for three topics.
async fn with_three_topics(disk: &SimDisk) -> Controller {
    let controller = start(disk, single(1)).await.unwrap();
    controller.submit(broker(1)).await.unwrap().unwrap();
    for name in ["a", "b", "c"] {
        assert!(create(&controller, name).await.unwrap());
    }
    controller
}

#[tokio::test]
async fn a_new_cluster_is_led_at_once() {
    let disk = SimDisk::new(1);
    let controller = start(&disk, single(1)).await.unwrap();
    let image = controller.image();
    assert_eq!(image.cluster_id.len(), 22);
    assert_eq!(image.features.level("metadata.version"), 33);
    let status = controller.status();
    assert_eq!((status.leader, status.node_id, status.term), (Some(1), 1, 1));
    assert_eq!(status.voters.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(status.voters[&1].directory_id, support::directory_id(1));
    assert_eq!(status.applied_index, image.applied_index);
    assert_eq!(status.failure, None);
    controller.shutdown().await;
    controller.shutdown().await;
    assert_eq!(controller.submit(topic("late")).await.unwrap_err(), SubmitError::Stopped);
}

#[tokio::test]
async fn what_was_asked_is_in_the_image_when_it_is_answered() {
    let disk = SimDisk::new(1);
    let controller = with_three_topics(&disk).await;
    let mut watch = controller.watch();
    let before = watch.borrow_and_update().clone();
    assert!(create(&controller, "d").await.unwrap());
    assert!(!create(&controller, "d").await.unwrap());
    let after = controller.image();
    assert!(watch.has_changed().unwrap());
    let delta = MetadataDelta::between(&before, &after);
    let changed: Vec<_> = delta.topics.iter().map(|change| (&*change.name, change.partitions.as_slice())).collect();
    assert_eq!(changed, [("d", &[0, 1, 2][..])]);
    let block = controller.submit(AllocateProducerIds { broker_id: 1, broker_epoch: 0, count: 1_000 }).await.unwrap();
    assert_eq!(block.unwrap().first, 0);
}

#[tokio::test]
async fn commands_at_the_same_time_see_each_other() {
    let disk = SimDisk::new(1);
    let controller = with_three_topics(&disk).await;
    let before = controller.status().last_index;
    let requests = (0..100).map(|number| {
        let controller = controller.clone();
        // Two ask for each name.
        tokio::spawn(async move { create(&controller, &format!("t{}", number / 2)).await.unwrap() })
    });
    let mut created = 0;
    for request in requests.collect::<Vec<_>>() {
        created += u32::from(request.await.unwrap());
    }
    assert_eq!(created, 50);
    assert_eq!(controller.image().topics.len(), 53);
    let entries = controller.status().last_index - before;
    assert!(entries < 50, "100 commands took {entries} entries: they were not gathered");
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let disk = SimDisk::new(1);
    let controller = with_three_topics(&disk).await;
    let alter = AlterConfigs {
        resources: vec![(ConfigResource::topic("a"), vec![("retention.ms".into(), Some("5".into()))])],
        validate_only: false,
    };
    let AlterConfigsResponse { resources } = controller.submit(alter).await.unwrap();
    assert_eq!(resources[0].1, Ok(()));
    let deleted = controller.submit(DeleteTopics { topics: vec![TopicReference::name("b")] }).await.unwrap();
    assert_eq!(deleted.topics[0].1, Ok(()));
    let before = controller.image();
    controller.shutdown().await;
    for life in 2..5 {
        let disk = disk.restart();
        let controller = start(&disk, single(life)).await.unwrap();
        assert!(controller.image().same_content(&before), "life {life}");
        assert_eq!(controller.status().term, i32::from(life));
        controller.shutdown().await;
    }
}

#[tokio::test]
async fn a_restarted_broker_leads_under_a_new_epoch() {
    let disk = SimDisk::new(1);
    with_three_topics(&disk).await.shutdown().await;
    let disk = disk.restart();
    let controller = start(&disk, single(2)).await.unwrap();
    assert_eq!(controller.submit(broker(2)).await.unwrap(), Ok(1));
    for topic in controller.image().topics.iter() {
        assert!(topic.partitions.iter().all(|partition| (partition.leader, partition.leader_epoch) == (1, 1)));
    }
}

/// Power cuts at every stage: what was answered is there again, in whole, and what was not is there in whole or not at all.
#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_answered() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let controller = start(&disk, single(1)).await.unwrap();
        controller.submit(broker(1)).await.unwrap().unwrap();
        let (mut disk, mut controller) = (disk, controller);
        let mut answered: BTreeMap<String, Uuid> = BTreeMap::new();
        for round in 0..4u8 {
            for number in 0..=seed % 5 {
                let name = format!("t{round}.{number}");
                assert!(create(&controller, &name).await.unwrap());
                answered.insert(name.clone(), controller.image().topics.id_of(&name).unwrap());
            }
            // One more is under way when the power goes.
            let asked = {
                let controller = controller.clone();
                tokio::spawn(async move { create(&controller, "last").await })
            };
            for _ in 0..seed % 13 {
                tokio::task::yield_now().await;
            }
            let image = disk.crash();
            asked.abort();
            controller.shutdown().await;
            disk = image;
            controller = start(&disk, single(round + 2)).await.unwrap();
            let found = controller.image();
            for (name, id) in &answered {
                assert_eq!(found.topics.id_of(name), Some(*id), "seed {seed}, round {round}: {name} is lost");
            }
            if let Some(last) = found.topics.by_name("last") {
                assert_eq!(last.partitions.len(), 3, "seed {seed}, round {round}");
                answered.insert("last".to_owned(), last.id);
            }
            assert_eq!(found.topics.len(), answered.len(), "seed {seed}, round {round}");
        }
    }
}

/// Snapshots are made, the log behind them is purged, and a restart stands on them.
#[tokio::test]
async fn snapshots_shorten_the_log() {
    let disk = SimDisk::new(1);
    let config =
        |seed| ClusterConfig { timing: QuorumTiming { snapshot_every: 20, ..QuorumTiming::default() }, ..single(seed) };
    let controller = start(&disk, config(1)).await.unwrap();
    controller.submit(broker(1)).await.unwrap().unwrap();
    let alter = |value: u32| AlterConfigs {
        resources: vec![(ConfigResource::all_brokers(), vec![("k".into(), Some(value.to_string().into()))])],
        validate_only: false,
    };
    for value in 0..200 {
        controller.submit(alter(value)).await.unwrap();
    }
    let before = controller.image();
    // Snapshots are made in the background.
    while controller.status().snapshot_index < 150 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    controller.shutdown().await;
    let files = disk.list(std::path::Path::new("/data/__cluster_metadata-0")).unwrap();
    let snapshots: Vec<_> = files.iter().filter(|file| file.name.ends_with(".checkpoint")).collect();
    assert_eq!(snapshots.len(), 2, "{files:?}");
    let disk = disk.restart();
    let controller = start(&disk, config(2)).await.unwrap();
    assert!(controller.image().same_content(&before));
    controller.shutdown().await;

    // The newest snapshot is damaged: the one before it and the log give the same.
    let newest = std::path::Path::new("/data/__cluster_metadata-0").join(&snapshots[1].name);
    let disk = disk.restart();
    disk.flip_bit(&newest, snapshots[1].len / 2, 3).unwrap();
    let controller = start(&disk, config(3)).await.unwrap();
    assert!(controller.image().same_content(&before));
    controller.shutdown().await;

    // Both are: that is said, and nothing is made up.
    let disk = disk.restart();
    for file in disk.list(std::path::Path::new("/data/__cluster_metadata-0")).unwrap() {
        if file.name.ends_with(".checkpoint") {
            disk.flip_bit(&std::path::Path::new("/data/__cluster_metadata-0").join(&file.name), 30, 1).unwrap();
        }
    }
    let error = start(&disk, config(4)).await.unwrap_err();
    assert!(matches!(&error, StartError::Storage(reason) if reason.contains("snapshot")), "{error}");
}

#[tokio::test]
async fn a_damaged_entry_stops_the_start() {
    let disk = SimDisk::new(1);
    with_three_topics(&disk).await.shutdown().await;
    let log = std::path::Path::new("/data/__cluster_metadata-0/00000000000000000000.log");
    let len = disk.list(log.parent().unwrap()).unwrap().iter().find(|file| file.name.ends_with(".log")).unwrap().len;
    let disk = disk.restart();
    disk.flip_bit(log, len / 2, 5).unwrap();
    let error = start(&disk, single(2)).await.unwrap_err();
    assert!(matches!(error, StartError::Storage(_) | StartError::Raft(_)), "{error}");
}

#[tokio::test]
async fn another_cluster_and_another_node_are_refused() {
    let disk = SimDisk::new(1);
    let id = with_three_topics(&disk).await.image().cluster_id.clone();
    let disk = disk.restart();
    let same = ClusterConfig { cluster_id: Some(id), ..single(2) };
    start(&disk, same).await.unwrap().shutdown().await;
    let disk = disk.restart();
    let another = ClusterConfig { cluster_id: Some("another-another-anothe".into()), ..single(2) };
    assert!(matches!(start(&disk, another).await.unwrap_err(), StartError::WrongCluster(_)));
    let disk = disk.restart();
    let swapped = ClusterConfig { node_id: 2, ..single(2) };
    assert!(matches!(start(&disk, swapped).await.unwrap_err(), StartError::Storage(_)));
}

#[tokio::test]
async fn a_failed_sync_stops_the_controller() {
    let disk = SimDisk::new(1);
    let controller = with_three_topics(&disk).await;
    disk.inject(Fault::FailSync("__cluster_metadata".to_owned()));
    assert_eq!(create(&controller, "d").await.unwrap_err(), SubmitError::Stopped);
    assert_eq!(create(&controller, "e").await.unwrap_err(), SubmitError::Stopped);
    assert!(controller.image().topics.by_name("d").is_none());
    assert!(controller.status().failure.is_some());
    controller.shutdown().await;
    // What was answered before is there.
    let controller = start(&disk.crash(), single(2)).await.unwrap();
    assert!(controller.image().topics.len() >= 3);
}

#[tokio::test]
async fn a_full_disk_stops_the_controller_until_there_is_room() {
    let disk = SimDisk::new(1);
    let controller = with_three_topics(&disk).await;
    disk.set_capacity(disk.used());
    let mut made = 0;
    while create(&controller, &format!("d{made}")).await.is_ok() {
        made += 1;
        assert!(made < 10_000, "there is still room");
    }
    assert!(controller.status().failure.is_some());
    // The disk is only full: with room again, even before the process has ended, the next one starts, and nobody has to tidy up.
    disk.set_capacity(1 << 40);
    controller.shutdown().await;
    assert!(!disk.exists(&Path::new("/data").join(POISON_MARKER)).unwrap());
    let controller = start(&disk.restart(), single(2)).await.unwrap();
    assert!(controller.image().topics.len() >= 3 + made);
    assert!(create(&controller, "e").await.unwrap());
}

/// Syncs are what a start and a change cost: none more than needed.
#[tokio::test]
async fn syncs_are_counted() {
    let disk = SimDisk::new(1);
    let count = |disk: &SimDisk| disk.counters().syncs + disk.counters().dir_syncs;
    let controller = start(&disk, single(1)).await.unwrap();
    let started = count(&disk);
    assert!(started <= 12, "the first start took {started} syncs");
    controller.submit(broker(1)).await.unwrap().unwrap();
    assert_eq!(count(&disk) - started, 1, "for one change");
    controller.shutdown().await;
    let disk = disk.restart();
    let before = count(&disk);
    start(&disk, single(2)).await.unwrap();
    let again = count(&disk) - before;
    assert!(again <= 8, "the second start took {again} syncs");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_metadata() {
    let run = |seed: u8| async move {
        let disk = SimDisk::new(9);
        let controller = start(&disk, single(seed)).await.unwrap();
        controller.submit(broker(1)).await.unwrap().unwrap();
        create(&controller, "a").await.unwrap();
        MetadataImage::clone(&controller.image())
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}
