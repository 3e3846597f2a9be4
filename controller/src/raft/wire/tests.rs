use std::time::Duration;

use openraft::EntryPayload;
use proptest::prelude::*;

use super::*;
use crate::{
    raft::{EntryData, Membership, QuorumNode},
    service::SubmitError,
};

fn entry(term: u64, index: u64, payload: super::super::Payload) -> super::super::Entry {
    super::super::Entry { log_id: log_id(term, index), payload }
}

fn append() -> QuorumRequest {
    let data = EntryData { based_on: 3, records: Bytes::from_static(b"records") };
    let membership = Membership::new_with_defaults(vec![[1, 2].into()], [3]);
    QuorumRequest::Append(AppendEntriesRequest {
        vote: Vote::new_committed(7, 2),
        prev_log_id: Some(log_id(6, 9)),
        entries: vec![
            entry(6, 10, EntryPayload::Normal(data)),
            entry(7, 11, EntryPayload::Blank),
            entry(7, 12, EntryPayload::Membership(membership)),
        ],
        leader_commit: Some(log_id(6, 8)),
    })
}

fn requests() -> Vec<QuorumRequest> {
    let vote = VoteRequest::new(Vote::new(9, 1), None);
    let mut handed_over = VoteRequest::new(Vote::new(9, 1), Some(log_id(8, 4)));
    handed_over.leadership_transfer = true;
    vec![
        append(),
        QuorumRequest::Append(AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        }),
        QuorumRequest::Vote(vote),
        QuorumRequest::PreVote(handed_over),
        QuorumRequest::TransferLeader(TransferLeaderRequest::new(Vote::new_committed(3, 1), 2, Some(log_id(3, 3)))),
        QuorumRequest::Call(LeaderCall {
            name: "CreateTopics".into(),
            body: Bytes::from_static(b"{}"),
            deadline: Duration::from_millis(1_500),
            relayed: true,
        }),
    ]
}

fn piece() -> Piece {
    let node = QuorumNode { directory_id: goatq_protocol::Uuid::from_u128(7_000), endpoints: Vec::new() };
    let membership = Membership::new(vec![[1].into()], std::collections::BTreeMap::from([(1, node)])).unwrap();
    let last_membership = StoredMembership::new(Some(log_id(1, 0)), membership);
    let meta = super::super::SnapshotMeta { last_log_id: Some(log_id(2, 40)), last_membership };
    Piece { vote: Vote::new_committed(2, 1), meta, offset: 10, total: 20, bytes: Bytes::from_static(b"0123456789") }
}

#[test]
fn requests_survive_the_wire() {
    for request in requests() {
        let (kind, bytes) = encode_request(&request).unwrap();
        assert_eq!(RequestKind::from_id(kind.id()), Some(kind));
        let WireRequest::Whole(read) = decode_request(kind, bytes).unwrap() else { panic!("a piece") };
        assert_eq!(format!("{read:?}"), format!("{request:?}"));
    }
    let bytes = encode_piece(&piece()).unwrap();
    let WireRequest::Piece(read) = decode_request(RequestKind::SnapshotPiece, bytes).unwrap() else { panic!("whole") };
    assert_eq!(format!("{read:?}"), format!("{:?}", piece()));
}

#[test]
fn answers_survive_the_wire() {
    let votes = (Vote::new(1, 2), Vote::new_committed(3, 4));
    let transfer = |error| QuorumResponse::TransferLeader(Err(error));
    let not_leader = SubmitError::NotLeader { leader: Some(3) };
    let changed = TransferLeaderError::VoteChanged { expected: votes.0, actual: votes.1 };
    let behind = TransferLeaderError::LogNotFlushed { expected: Some(log_id(1, 1)), actual: None };
    let whole = [
        (RequestKind::Append, QuorumResponse::Append(AppendEntriesResponse::Success)),
        (RequestKind::Append, QuorumResponse::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(1, 2))))),
        (RequestKind::Append, QuorumResponse::Append(AppendEntriesResponse::Conflict)),
        (RequestKind::Append, QuorumResponse::Append(AppendEntriesResponse::HigherVote(votes.1))),
        (RequestKind::Vote, QuorumResponse::Vote(VoteResponse::new(votes.0, Some(log_id(4, 4)), true))),
        (RequestKind::SnapshotPiece, QuorumResponse::Snapshot(SnapshotResponse::new(votes.1))),
        (RequestKind::TransferLeader, QuorumResponse::TransferLeader(Ok(()))),
        (RequestKind::TransferLeader, transfer(changed)),
        (RequestKind::TransferLeader, transfer(behind)),
        (RequestKind::Call, QuorumResponse::Call(CallAnswer { result: Ok(Bytes::from_static(b"[]")), applied: 7 })),
        (RequestKind::Call, QuorumResponse::Call(CallAnswer { result: Err(not_leader), applied: -1 })),
    ];
    let whole = whole.into_iter().map(|(kind, response)| (kind, WireResponse::Whole(response)));
    let piece = (RequestKind::SnapshotPiece, WireResponse::Piece(PieceAnswer::Next(99)));
    for (kind, response) in whole.chain([piece]) {
        let read = decode_response(kind, encode_response(&response).unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{response:?}"));
    }
}

#[test]
fn a_flipped_bit_of_an_entry_is_found() {
    let (kind, bytes) = encode_request(&append()).unwrap();
    let at = bytes.windows(7).position(|window| window == b"records").unwrap();
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1;
    let fault = decode_request(kind, damaged.into()).unwrap_err();
    assert!(matches!(fault, WireFault::Entry(EntryError::Batch { offset: 10, .. })), "{fault}");
}

const KINDS: [RequestKind; 6] = [
    RequestKind::Append,
    RequestKind::Vote,
    RequestKind::PreVote,
    RequestKind::SnapshotPiece,
    RequestKind::TransferLeader,
    RequestKind::Call,
];

proptest! {
    /// Whatever bytes come: an error or a message, never a panic, and no memory that the bytes do not pay for.
    #[test]
    fn strange_bytes_are_refused_or_read(kind in 0..KINDS.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_request(KINDS[kind], bytes.clone().into()).ok();
        decode_response(KINDS[kind], bytes.into()).ok();
    }

    /// The same for messages that were cut or changed in places.
    #[test]
    fn damaged_messages_are_refused_or_read(which in 0..7usize, cut in 0..400usize, at in 0..400usize, to: u8) {
        let whole = requests().get(which).map(|request| encode_request(request).unwrap());
        let (kind, bytes) = whole.unwrap_or_else(|| (RequestKind::SnapshotPiece, encode_piece(&piece()).unwrap()));
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        bytes.truncate(cut);
        decode_request(kind, bytes.into()).ok();
    }
}
