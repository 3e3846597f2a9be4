//! Every node is stopped in order and started again, under load.

use goatq_integration::client;
use goatq_integration::workload::Writer;

use crate::support::{PARTITIONS, Reader, TOPIC, cluster, finish, in_sync};

#[test]
fn a_rolling_restart_is_not_noticed() {
    let mut cluster = cluster(&[]);
    let writer = Writer::start(client::config_of(&cluster.nodes), TOPIC, PARTITIONS).unwrap();
    let mut reader = Reader::new(&cluster.nodes);
    writer.until_more(300).unwrap();
    for id in 1..=3 {
        writer.longest_gap();
        assert!(cluster.node(id).terminate().unwrap().success());
        writer.until_more(300).unwrap();
        println!("node {id}: {:?} without an acknowledgement while it stopped", writer.longest_gap());
        reader.read(50);
        cluster.node(id).restart().unwrap();
        in_sync(&cluster.nodes, 3);
        writer.until_more(300).unwrap();
        println!("node {id}: {:?} while it came back", writer.longest_gap());
        reader.read(50);
    }
    drop(reader);
    finish(cluster, writer);
}
