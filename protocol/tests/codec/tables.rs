//! The tables of APIs and errors, against the other implementation.

use goatq_protocol::message::CODECS;
use goatq_protocol::wire::VersionRange;
use goatq_protocol::{ApiKey, ErrorCode};
use kafka_protocol::ResponseError;

#[test]
fn there_are_91_keys() {
    assert_eq!(ApiKey::ALL.len(), 91);
    let codes: Vec<i16> = ApiKey::ALL.iter().map(|key| key.code()).collect();
    assert_eq!(codes, (0..=94).filter(|code| !(4..=7).contains(code)).collect::<Vec<i16>>());
    for code in i16::MIN..=i16::MAX {
        assert_eq!(ApiKey::from_code(code).is_some(), codes.contains(&code));
    }
    let broker = ApiKey::ALL.iter().filter(|key| key.scope().on_broker()).count();
    let controller = ApiKey::ALL.iter().filter(|key| key.scope().on_controller()).count();
    assert_eq!((broker, controller), (79, 42));
}

#[test]
fn messages_have_the_versions_of_their_key() {
    for codec in CODECS {
        assert_eq!(codec.versions, codec.key.versions(), "{}", codec.key);
        assert_eq!(codec.flexible_from, codec.key.flexible_from(), "{}", codec.key);
    }
    assert!(CODECS.is_sorted_by_key(|codec| codec.key));
}

#[test]
fn only_two_phase_commit_is_unstable() {
    let unstable: Vec<ApiKey> =
        ApiKey::ALL.iter().copied().filter(|key| key.stable_versions() != key.versions()).collect();
    assert_eq!(unstable, [ApiKey::InitProducerId]);
    assert_eq!(ApiKey::InitProducerId.stable_versions(), VersionRange::new(0, 5));
}

#[test]
fn header_versions_are_those_of_the_other_implementation() {
    for key in ApiKey::ALL {
        let Ok(theirs) = kafka_protocol::messages::ApiKey::try_from(key.code()) else { continue };
        for version in key.versions().iter().filter(|version| *version <= theirs.valid_versions().max) {
            let (request, response) = (theirs.request_header_version(version), theirs.response_header_version(version));
            assert_eq!(key.is_flexible(version), request == 2, "{key} {version}");
            let ours = goatq_protocol::header::response_header_is_flexible(*key, version);
            assert_eq!(ours, response == 1, "{key} {version}");
        }
    }
}

#[test]
fn error_codes_run_from_minus_1_to_136() {
    assert_eq!(ErrorCode::ALL.len(), 138);
    for code in -1..=136 {
        let error = ErrorCode::from_code(code).expect("no code is missing");
        assert_eq!(error.code(), code);
        assert_eq!(error.is_none(), code == 0);
    }
    assert_eq!(ErrorCode::from_code(137), None);
    assert_eq!(ErrorCode::from_code(-2), None);
}

#[test]
fn errors_are_named_and_retried_as_in_the_other_implementation() {
    let (mut compared, mut differing) = (0, vec![]);
    for error in ErrorCode::ALL {
        let Some(theirs) = ResponseError::try_from_code(error.code()) else { continue };
        if matches!(theirs, ResponseError::Unknown(_)) {
            continue;
        }
        compared += 1;
        let squeezed = error.name().replace('_', "").to_lowercase();
        assert_eq!(squeezed, format!("{theirs:?}").to_lowercase(), "{}", error.code());
        if error.is_retriable() != theirs.is_retriable() {
            differing.push(*error);
        }
    }
    assert!(compared > 125, "{compared}");
    // Retriable since Kafka 4.0, which the crate has missed.
    assert_eq!(differing, [ErrorCode::ConcurrentTransactions]);
}
