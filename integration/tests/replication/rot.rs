//! Bits flip in closed segments of one node: what was committed stays readable, and its replicas heal from the others.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use goatq_integration::client;
use goatq_integration::cluster::until;
use goatq_integration::ledger::Ledger;
use goatq_integration::workload::{Writer, read_all};

use crate::racks::RACKS;
use crate::support::{PARTITIONS, TOPIC, cluster, in_sync, metric, replicas_are_equal, segments};

const VICTIM: i32 = 2;

/// Flips a byte in the middle of a file, on the disk.
fn rot(segment: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let (middle, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], middle).unwrap();
    file.sync_all().unwrap();
    forget(segment);
}

/// Leaves nothing of a file in the page cache.
fn forget(segment: &Path) {
    let file = OpenOptions::new().read(true).open(segment).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

#[test]
fn damaged_segments_are_fetched_again() {
    let mut cluster = cluster(&[RACKS[0], RACKS[1], "log.roll.ms=300", "min.insync.replicas=2"]);
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    let data = cluster.node(VICTIM).data();
    until("several segments", || {
        writer.until_more(100)?;
        Ok((0..PARTITIONS).all(|index| segments(&data, index).len() > 3).then_some(()))
    })
    .unwrap();
    let mut ledger = Ledger::default();
    writer.finish().unwrap().iter().for_each(|&(value, place)| ledger.acknowledge(value, place));
    assert!(cluster.node(VICTIM).terminate().unwrap().success());
    (0..PARTITIONS).for_each(|index| rot(&segments(&data, index)[0]));
    cluster.node(VICTIM).restart().unwrap();
    in_sync(&cluster.nodes, 3);
    let mut config = client::config_of(&cluster.nodes);
    config.set("client.rack", format!("rack-{VICTIM}"));
    let damaged = u64::from(PARTITIONS.unsigned_abs());
    let healed = || metric(&cluster.nodes[1], "goatq_replication_healed_logs_total");
    let read = || {
        // What was read before is not to be found in the page cache.
        (0..PARTITIONS).for_each(|index| forget(&segments(&data, index)[0]));
        read_all(&config, TOPIC, PARTITIONS)
    };
    ledger.read_all(read().unwrap()).unwrap();
    // Leaders send a consumer to a follower only once that one has what it asks for, so not every reading finds the damage.
    until("each damaged segment is healed", || {
        read()?;
        // A reader that began before the end of it may report a segment once more.
        Ok((healed() >= damaged).then_some(()))
    })
    .unwrap();
    replicas_are_equal(&mut cluster);
}
