//! Request frames: the header of anything, and bodies of any API and version that is known.
#![no_main]

use bytes::Bytes;
use goatq_protocol::header::RequestHeader;
use goatq_protocol::message::Codec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok((header, body)) = RequestHeader::decode(Bytes::copy_from_slice(frame)) else { return };
    let Some(codec) = Codec::find(header.api_key) else { return };
    if let Ok(encoded) = (codec.recode_request)(body, header.api_version) {
        let encoded = encoded.expect("what was decoded can be encoded");
        let again = (codec.recode_request)(encoded.clone(), header.api_version).expect("what was encoded can be decoded");
        assert_eq!(again, Ok(encoded));
    }
});
