//! Leaders are killed under load.

use goatq_integration::client;
use goatq_integration::workload::Writer;

use crate::support::{PARTITIONS, Reader, TOPIC, cluster, finish, in_sync, leader};

#[test]
fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let mut cluster = cluster(&[]);
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    let mut reader = Reader::new(&cluster.nodes);
    writer.until_more(300).unwrap();
    for round in 0..3 {
        let victim = leader(cluster.any().unwrap(), 0);
        writer.longest_gap();
        cluster.node(victim).kill().unwrap();
        writer.until_more(300).unwrap();
        println!("round {round}: {:?} without an acknowledgement after a kill of {victim}", writer.longest_gap());
        reader.read(50);
        in_sync(&cluster.nodes, 2);
        assert_ne!(leader(cluster.any().unwrap(), 0), victim);
        cluster.node(victim).restart().unwrap();
        in_sync(&cluster.nodes, 3);
        writer.until_more(300).unwrap();
        reader.read(50);
    }
    // A consumer that nobody answers any more takes its time to end.
    drop(reader);
    finish(cluster, writer);
}
