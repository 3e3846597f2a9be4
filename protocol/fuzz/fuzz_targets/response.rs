//! Response bodies of any API and version that is known; the first two bytes choose.
#![no_main]

use bytes::Bytes;
use goatq_protocol::message::CODECS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [api, version, body @ ..] = data else { return };
    let codec = &CODECS[usize::from(*api) % CODECS.len()];
    let versions = codec.versions;
    let version = versions.min + i16::from(*version) % (versions.max - versions.min + 1);
    if let Ok(encoded) = (codec.recode_response)(Bytes::copy_from_slice(body), version) {
        let encoded = encoded.expect("what was decoded can be encoded");
        let again = (codec.recode_response)(encoded.clone(), version).expect("what was encoded can be decoded");
        assert_eq!(again, Ok(encoded));
    }
});
