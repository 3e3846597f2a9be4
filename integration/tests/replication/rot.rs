//! Bits flip in closed segments of one node: what was committed stays readable, and its replicas heal from the others.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use goatq_integration::client;
use goatq_integration::cluster::{Cluster, until};
use goatq_integration::ledger::Ledger;
use goatq_integration::node::Node;
use goatq_integration::peer::Peer;
use goatq_integration::workload::{Writer, read_all};
use goatq_protocol::message::fetch::{FetchPartition, FetchRequest, FetchTopic};

use crate::racks::RACKS;
use crate::support::{PARTITIONS, TOPIC, cluster, in_sync, metric, replicas_are_equal, segments};

const VICTIM: i32 = 2;
/// Where a batch has its length, which counts from there.
const LENGTH_AT: u64 = 8;
/// With names of topics.
const FETCH: i16 = 12;
/// In a segment of so many bytes more lies behind the middle than the 16 KiB at its end by which the first look at it proves its indexes. What is
/// in the page cache is sent as it is, and those bytes are then.
const UNSEEN: u64 = 64 << 10;

/// Flips a byte of the batch in the middle of a file, on the disk: its last one. Not all of a batch's header is under its CRC. The offset
/// that the batch begins with.
fn rot(segment: &Path) -> i64 {
    let file = OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let (middle, mut end) = (file.metadata().unwrap().len() / 2, 0);
    let (mut offset, mut length) = ([0; 8], [0; 4]);
    while end <= middle {
        file.read_exact_at(&mut offset, end).unwrap();
        file.read_exact_at(&mut length, end + LENGTH_AT).unwrap();
        end += LENGTH_AT + 4 + u64::from(u32::from_be_bytes(length));
    }
    let mut byte = [0];
    file.read_exact_at(&mut byte, end - 1).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], end - 1).unwrap();
    file.sync_all().unwrap();
    forget(segment);
    i64::from_be_bytes(offset)
}

/// Leaves nothing of a file in the page cache.
fn forget(segment: &Path) {
    let file = OpenOptions::new().read(true).open(segment).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// Reads each partition from an offset on from this node, whoever leads.
fn read_from(node: &Node, offsets: &[i64]) -> anyhow::Result<()> {
    let partitions = (0..).zip(offsets).map(|(partition, &fetch_offset)| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    });
    let topics = vec![FetchTopic { topic: TOPIC.into(), partitions: partitions.collect(), ..FetchTopic::default() }];
    let request =
        FetchRequest { max_wait_ms: 500, min_bytes: 1, max_bytes: 50 << 20, topics, ..FetchRequest::default() };
    let answer = Peer::connect(node.address())?.ask(&request, FETCH)?.context("closed")?;
    anyhow::ensure!(answer.error_code == 0, "{answer:?}");
    Ok(())
}

/// Writes until the victim has so many segments of each partition, and so much in the first: who goes on writing, and the victim's folder.
fn until_there_are_segments(cluster: &mut Cluster, several: usize, bytes: u64) -> (Writer, PathBuf) {
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    let data = cluster.node(VICTIM).data();
    until("several segments", || {
        writer.until_more(100)?;
        let of_each: Vec<_> = (0..PARTITIONS).map(|index| segments(&data, index)).collect();
        let there = of_each.iter().all(|some| some.len() >= several);
        Ok((there && of_each.iter().all(|some| some[0].metadata().is_ok_and(|found| found.len() >= bytes)))
            .then_some(()))
    })
    .unwrap();
    (writer, data)
}

#[test]
fn damaged_segments_are_fetched_again() {
    let mut cluster = cluster(&[RACKS[0], RACKS[1], "log.roll.ms=3000", "min.insync.replicas=2"]);
    let (writer, data) = until_there_are_segments(&mut cluster, 2, UNSEEN);
    let mut ledger = Ledger::default();
    writer.finish().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    assert!(cluster.node(VICTIM).terminate().unwrap().success());
    let damaged: Vec<_> = (0..PARTITIONS).map(|index| rot(&segments(&data, index)[0])).collect();
    cluster.node(VICTIM).restart().unwrap();
    in_sync(&cluster.nodes, 3);
    let mut config = client::config_of(&cluster.nodes);
    config.set("client.rack", format!("rack-{VICTIM}"));
    let healed = || metric(&cluster.nodes[1], "goatq_replication_healed_logs_total");
    ledger.read_all(read_all(&config, TOPIC, PARTITIONS).unwrap()).unwrap();
    // Leaders may have served all of that themselves.
    until("each damaged segment is healed", || {
        (0..PARTITIONS).for_each(|index| forget(&segments(&data, index)[0]));
        read_from(&cluster.nodes[1], &damaged)?;
        // A reader that began before the end of it may report a segment once more.
        Ok((healed() >= damaged.len() as u64).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}; {} are; node {VICTIM} says:\n{}", healed(), cluster.nodes[1].log()));
    ledger.read_all(read_all(&config, TOPIC, PARTITIONS).unwrap()).unwrap();
    replicas_are_equal(&mut cluster);
}

/// Where the process is killed as well, recovery takes the damage for the end of the log and cuts what follows: the replica says so, and gets it
/// again from the others.
#[test]
fn a_replica_that_was_cut_says_so_and_is_filled_again() {
    let mut cluster = cluster(&["log.roll.ms=300", "min.insync.replicas=2"]);
    let (writer, data) = until_there_are_segments(&mut cluster, 4, 0);
    cluster.node(VICTIM).kill().unwrap();
    // The first ones are older than the journal, which would write them again.
    for index in 0..PARTITIONS {
        rot(&segments(&data, index)[0]);
    }
    cluster.node(VICTIM).restart().unwrap();
    until("it says so of each", || {
        let said = cluster.node(VICTIM).log().matches("the log ends before what it may have acknowledged").count();
        Ok((said >= usize::try_from(PARTITIONS)?).then_some(()))
    })
    .unwrap();
    let mut ledger = Ledger::default();
    writer.finish().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    in_sync(&cluster.nodes, 3);
    ledger.read_all(read_all(&client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap()).unwrap();
    replicas_are_equal(&mut cluster);
}
