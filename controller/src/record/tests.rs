use proptest::prelude::*;

use super::*;
use goatq_protocol::Uuid;

fn every_kind() -> Vec<MetadataRecord> {
    let id = Uuid::from_u128(500);
    let endpoint = EndpointPart { listener: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 1 };
    let feature = FeaturePart { name: "metadata.version".into(), min: 7, max: 33 };
    vec![
        ClusterRecord { cluster_id: "c".into() }.into(),
        FeatureLevelRecord { name: "f".into(), level: 3 }.into(),
        RegisterBrokerRecord {
            broker_id: 1,
            incarnation_id: id,
            broker_epoch: 5,
            endpoints: vec![endpoint],
            features: vec![feature],
            rack: Some("r".into()),
            fenced: false,
            in_controlled_shutdown: true,
            log_dirs: vec![id],
            ..RegisterBrokerRecord::default()
        }
        .into(),
        BrokerChangeRecord {
            broker_id: 1,
            broker_epoch: 5,
            fenced: -1,
            in_controlled_shutdown: 1,
            log_dirs: Some(vec![id]),
            ..BrokerChangeRecord::default()
        }
        .into(),
        UnregisterBrokerRecord { broker_id: 1, broker_epoch: 5 }.into(),
        TopicRecord { name: "t".into(), topic_id: id }.into(),
        PartitionRecord {
            topic_id: id,
            partition_id: 3,
            replicas: vec![1, 2],
            isr: vec![1],
            leader: 1,
            elr: vec![2],
            ..PartitionRecord::default()
        }
        .into(),
        PartitionChangeRecord {
            topic_id: id,
            partition_id: 3,
            leader: -1,
            isr: Some(vec![]),
            ..PartitionChangeRecord::default()
        }
        .into(),
        PartitionChangeRecord { topic_id: id, ..PartitionChangeRecord::default() }.into(),
        RemoveTopicRecord { topic_id: id }.into(),
        ConfigRecord { resource_type: 2, resource_name: "t".into(), key: "k".into(), value: None }.into(),
        ConfigRecord { resource_type: 2, resource_name: "t".into(), key: "k".into(), value: Some("v".into()) }.into(),
        ProducerIdsRecord { broker_id: 1, broker_epoch: 5, next_producer_id: 1_000 }.into(),
        BrokerEpochRecord { next_broker_epoch: 6 }.into(),
    ]
}

fn encoded(records: &[MetadataRecord]) -> Bytes {
    let mut out = BytesMut::new();
    records.iter().for_each(|record| record.encode(&mut out).unwrap());
    out.freeze()
}

#[test]
fn records_of_every_kind_round_trip() {
    let records = every_kind();
    assert_eq!(MetadataRecord::decode_all(encoded(&records)).unwrap(), records);
    let kinds: std::collections::BTreeSet<u16> = records.iter().map(MetadataRecord::kind).collect();
    assert!(kinds.into_iter().eq(1..=12), "a kind is missing here");
}

/// The bytes of version 0 of every record. They are on disks: a change of them needs a new version.
#[test]
fn records_keep_their_bytes() {
    let mut out = String::new();
    for record in every_kind() {
        out += &format!("{}:", record.kind());
        encoded(std::slice::from_ref(&record)).iter().for_each(|byte| out += &format!("{byte:02x}"));
        out.push('\n');
    }
    assert_eq!(out, include_str!("../../testdata/records.hex"));
}

#[test]
fn a_cut_list_is_noticed() {
    let bytes = encoded(&every_kind());
    let mut whole = 0;
    for len in 0..bytes.len() {
        whole += usize::from(MetadataRecord::decode_all(bytes.slice(..len)).is_ok());
    }
    // Only where a record ends, or nothing was there.
    assert_eq!(whole, every_kind().len());
}

#[test]
fn what_is_not_known_is_an_error() {
    let mut unknown = encoded(&every_kind()[..1]).to_vec();
    unknown[1] = 200;
    assert_eq!(MetadataRecord::decode_all(unknown.into()), Err(RecordError::UnknownType(200)));
    let mut newer = encoded(&every_kind()[..1]).to_vec();
    newer[3] = 9;
    assert!(matches!(MetadataRecord::decode_all(newer.into()), Err(RecordError::Body { version: 9, .. })));
}

proptest! {
    #[test]
    fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..14u16) {
        let mut framed = BytesMut::new();
        framed.put_u16(kind);
        framed.put_i16(0);
        framed.put_u32(u32::try_from(bytes.len()).unwrap());
        framed.put_slice(&bytes);
        let _ = MetadataRecord::decode_all(framed.freeze());
        let _ = MetadataRecord::decode_all(bytes.into());
    }
}
