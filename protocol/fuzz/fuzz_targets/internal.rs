//! Keys and values of internal topics, and what group members tell each other.
#![no_main]

use bytes::Bytes;
use goatq_protocol::message::internal::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, EndTxnMarker, GroupMetadataKey, GroupMetadataValue,
    LeaderChangeMessage, OffsetCommitKey, OffsetCommitValue, decode_lenient, encode_versioned,
};
use goatq_protocol::wire::Versioned;
use libfuzzer_sys::fuzz_target;

fn check<M: Versioned>(bytes: &Bytes) {
    if let Ok((version, message)) = decode_lenient::<M>(bytes.clone()) {
        let version = version.min(M::VERSIONS.max);
        let encoded = encode_versioned(&message, version).expect("what was decoded can be encoded");
        let (_, again) = decode_lenient::<M>(encoded.clone()).expect("what was encoded can be decoded");
        assert_eq!(encode_versioned(&again, version), Ok(encoded));
    }
}

fuzz_target!(|data: &[u8]| {
    let [kind, bytes @ ..] = data else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    match kind % 8 {
        0 => check::<OffsetCommitKey>(&bytes),
        1 => check::<OffsetCommitValue>(&bytes),
        2 => check::<GroupMetadataKey>(&bytes),
        3 => check::<GroupMetadataValue>(&bytes),
        4 => check::<ConsumerProtocolSubscription>(&bytes),
        5 => check::<ConsumerProtocolAssignment>(&bytes),
        6 => check::<EndTxnMarker>(&bytes),
        _ => check::<LeaderChangeMessage>(&bytes),
    }
});
