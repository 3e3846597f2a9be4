//! Requests and answers of the quorum as bytes, for transports that leave the process.
//!
//! Everything here may come from a stranger: numbers are checked, lengths are bounded by the bytes that are there, entries carry the CRC
//! of their batch. A snapshot travels in pieces, see [`super::pieces`].

use bytes::{Bytes, BytesMut};
use goatq_protocol::{
    record::{Batch, BatchError, split},
    wire::{DecodeError, EncodeError, Versioned},
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};

use super::{
    LogId, MetadataRaft, StoredMembership, Vote,
    entry::{self, EntryError},
    log_id,
    membership::{self, MembershipFault},
    network::{CallAnswer, LeaderCall, QuorumRequest, QuorumResponse},
    pieces::{Piece, PieceAnswer},
};

mod schema;

use schema::{
    AppendAnswer, AppendValue, CallAnswerValue, CallValue, EntryPart, LogIdPart, PieceAnswerValue, PieceValue,
    TransferAnswer, TransferValue, VoteAnswer, VotePart, VoteValue,
};

/// What a request is, as a number of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// [`QuorumRequest::Append`].
    Append,
    /// [`QuorumRequest::Vote`].
    Vote,
    /// [`QuorumRequest::PreVote`].
    PreVote,
    /// A [`Piece`] of a [`QuorumRequest::Snapshot`].
    SnapshotPiece,
    /// [`QuorumRequest::TransferLeader`].
    TransferLeader,
    /// [`QuorumRequest::Call`].
    Call,
}

impl RequestKind {
    /// Its number.
    pub fn id(self) -> i16 {
        match self {
            RequestKind::Append => 1,
            RequestKind::Vote => 2,
            RequestKind::PreVote => 3,
            RequestKind::SnapshotPiece => 4,
            RequestKind::TransferLeader => 5,
            RequestKind::Call => 6,
        }
    }

    /// The kind with that number.
    pub fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            1 => RequestKind::Append,
            2 => RequestKind::Vote,
            3 => RequestKind::PreVote,
            4 => RequestKind::SnapshotPiece,
            5 => RequestKind::TransferLeader,
            6 => RequestKind::Call,
            _ => return None,
        })
    }
}

/// A request as it travels.
#[derive(Debug)]
pub enum WireRequest {
    /// Whole.
    Whole(QuorumRequest),
    /// A part of a snapshot.
    Piece(Piece),
}

/// An answer as it travels.
#[derive(Debug)]
pub enum WireResponse {
    /// To [`WireRequest::Whole`].
    Whole(QuorumResponse),
    /// To [`WireRequest::Piece`].
    Piece(PieceAnswer),
}

/// Why something cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum WireFault {
    /// The bytes are not the message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The message cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An entry is damaged or cannot be written.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The batch of an entry is none.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The membership is damaged.
    #[error(transparent)]
    Membership(#[from] MembershipFault),
    /// An error that travels as JSON is none.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Says something impossible.
    #[error("{0}")]
    Invalid(&'static str),
}

fn signed(number: u64) -> Result<i64, WireFault> {
    i64::try_from(number).map_err(|_| WireFault::Invalid("a number is beyond 2^63"))
}

fn unsigned(number: i64) -> Result<u64, WireFault> {
    u64::try_from(number).map_err(|_| WireFault::Invalid("a term, index, node or length is negative"))
}

fn vote_part(vote: &Vote) -> Result<VotePart, WireFault> {
    let leader = &vote.leader_id;
    Ok(VotePart { term: signed(leader.term)?, node: signed(leader.voted_for)?, committed: vote.committed })
}

fn vote(part: &VotePart) -> Result<Vote, WireFault> {
    let (term, node) = (unsigned(part.term)?, unsigned(part.node)?);
    Ok(if part.committed { Vote::new_committed(term, node) } else { Vote::new(term, node) })
}

fn log_part(id: Option<&LogId>) -> Result<Option<LogIdPart>, WireFault> {
    id.map(|id| Ok(LogIdPart { term: signed(id.leader_id.term)?, index: signed(id.index)? })).transpose()
}

fn log(part: Option<&LogIdPart>) -> Result<Option<LogId>, WireFault> {
    part.map(|part| Ok(log_id(unsigned(part.term)?, unsigned(part.index)?))).transpose()
}

fn joined(batch: &Batch) -> Bytes {
    let mut out = BytesMut::with_capacity(batch.size());
    batch.chunks().into_iter().for_each(|chunk| out.extend_from_slice(chunk));
    out.freeze()
}

/// Writes a request; a snapshot is written piece by piece, by [`encode_piece`].
///
/// # Errors
/// A number or a list is larger than the wire can carry.
pub fn encode_request(request: &QuorumRequest) -> Result<(RequestKind, Bytes), WireFault> {
    Ok(match request {
        QuorumRequest::Append(request) => {
            let entries = request.entries.iter().map(|entry| Ok(EntryPart { batch: joined(&entry::encode(entry)?) }));
            let value = AppendValue {
                vote: vote_part(&request.vote)?,
                previous: log_part(request.prev_log_id.as_ref())?,
                committed: log_part(request.leader_commit.as_ref())?,
                entries: entries.collect::<Result<_, WireFault>>()?,
            };
            (RequestKind::Append, value.to_bytes(0)?)
        }
        QuorumRequest::Vote(request) => (RequestKind::Vote, encode_vote(request)?),
        QuorumRequest::PreVote(request) => (RequestKind::PreVote, encode_vote(request)?),
        QuorumRequest::Snapshot { .. } => return Err(WireFault::Invalid("a snapshot travels in pieces")),
        QuorumRequest::TransferLeader(request) => {
            let value = TransferValue {
                from: vote_part(request.from_leader())?,
                to: signed(*request.to_node_id())?,
                last: log_part(request.last_log_id())?,
            };
            (RequestKind::TransferLeader, value.to_bytes(0)?)
        }
        QuorumRequest::Call(call) => {
            let value = CallValue {
                name: call.name.clone(),
                body: call.body.clone(),
                deadline_ms: i32::try_from(call.deadline.as_millis()).unwrap_or(i32::MAX),
                relayed: call.relayed,
            };
            (RequestKind::Call, value.to_bytes(0)?)
        }
    })
}

fn encode_vote(request: &VoteRequest<MetadataRaft>) -> Result<Bytes, WireFault> {
    let value = VoteValue {
        vote: vote_part(&request.vote)?,
        last: log_part(request.last_log_id.as_ref())?,
        transfer: request.leadership_transfer,
    };
    Ok(value.to_bytes(0)?)
}

/// Writes a piece of a snapshot.
///
/// # Errors
/// A number is larger than the wire can carry.
pub fn encode_piece(piece: &Piece) -> Result<Bytes, WireFault> {
    let stored = &piece.meta.last_membership;
    let value = PieceValue {
        vote: vote_part(&piece.vote)?,
        last: log_part(piece.meta.last_log_id.as_ref())?,
        membership_log: log_part(stored.log_id().as_ref())?,
        membership: membership::encode(stored.membership())?,
        offset: signed(piece.offset)?,
        total: signed(piece.total)?,
        bytes: piece.bytes.clone(),
    };
    Ok(value.to_bytes(0)?)
}

/// Reads what [`encode_request`] and [`encode_piece`] wrote.
///
/// # Errors
/// See [`WireFault`].
pub fn decode_request(kind: RequestKind, bytes: Bytes) -> Result<WireRequest, WireFault> {
    Ok(WireRequest::Whole(match kind {
        RequestKind::Append => QuorumRequest::Append(decode_append(bytes)?),
        RequestKind::Vote => QuorumRequest::Vote(decode_vote(bytes)?),
        RequestKind::PreVote => QuorumRequest::PreVote(decode_vote(bytes)?),
        RequestKind::SnapshotPiece => return Ok(WireRequest::Piece(decode_piece(bytes)?)),
        RequestKind::TransferLeader => {
            let value = TransferValue::from_bytes(bytes, 0)?;
            let last = log(value.last.as_ref())?;
            QuorumRequest::TransferLeader(TransferLeaderRequest::new(vote(&value.from)?, unsigned(value.to)?, last))
        }
        RequestKind::Call => {
            let value = CallValue::from_bytes(bytes, 0)?;
            let deadline_ms =
                u64::try_from(value.deadline_ms).map_err(|_| WireFault::Invalid("a deadline is negative"))?;
            QuorumRequest::Call(LeaderCall {
                name: value.name,
                body: value.body,
                deadline: std::time::Duration::from_millis(deadline_ms),
                relayed: value.relayed,
            })
        }
    }))
}

fn decode_append(bytes: Bytes) -> Result<AppendEntriesRequest<MetadataRaft>, WireFault> {
    let value = AppendValue::from_bytes(bytes, 0)?;
    let prev_log_id = log(value.previous.as_ref())?;
    let mut entries: Vec<super::Entry> = Vec::with_capacity(value.entries.len().min(1_000));
    let mut next = prev_log_id.map_or(0, |previous| previous.index.saturating_add(1));
    for part in &value.entries {
        let mut batches = split(&part.batch);
        let batch = batches.next().ok_or(WireFault::Invalid("an entry has no batch"))??;
        if batches.next().is_some() {
            return Err(WireFault::Invalid("an entry has more than one batch"));
        }
        let entry = entry::decode(&batch)?;
        if entry.log_id.index != next {
            return Err(WireFault::Invalid("entries do not follow one another"));
        }
        next = next.saturating_add(1);
        entries.push(entry);
    }
    let leader_commit = log(value.committed.as_ref())?;
    Ok(AppendEntriesRequest { vote: vote(&value.vote)?, prev_log_id, entries, leader_commit })
}

fn decode_vote(bytes: Bytes) -> Result<VoteRequest<MetadataRaft>, WireFault> {
    let value = VoteValue::from_bytes(bytes, 0)?;
    let mut request = VoteRequest::new(vote(&value.vote)?, log(value.last.as_ref())?);
    request.leadership_transfer = value.transfer;
    Ok(request)
}

fn decode_piece(bytes: Bytes) -> Result<Piece, WireFault> {
    let value = PieceValue::from_bytes(bytes, 0)?;
    let stored =
        StoredMembership::new(log(value.membership_log.as_ref())?, membership::decode(value.membership.clone())?);
    Ok(Piece {
        vote: vote(&value.vote)?,
        meta: super::SnapshotMeta { last_log_id: log(value.last.as_ref())?, last_membership: stored },
        offset: unsigned(value.offset)?,
        total: unsigned(value.total)?,
        bytes: value.bytes,
    })
}

/// Writes an answer.
///
/// # Errors
/// A number is larger than the wire can carry.
pub fn encode_response(response: &WireResponse) -> Result<Bytes, WireFault> {
    Ok(match response {
        WireResponse::Whole(QuorumResponse::Append(response)) => append_answer(response)?.to_bytes(0)?,
        WireResponse::Whole(QuorumResponse::Vote(response)) => {
            let (vote, last) = (vote_part(&response.vote)?, log_part(response.last_log_id.as_ref())?);
            VoteAnswer { vote, granted: response.vote_granted, last }.to_bytes(0)?
        }
        WireResponse::Whole(QuorumResponse::Snapshot(response)) => {
            PieceAnswerValue { next: 0, vote: Some(vote_part(&response.vote)?) }.to_bytes(0)?
        }
        WireResponse::Whole(QuorumResponse::TransferLeader(response)) => {
            let value = match response {
                Ok(()) => TransferAnswer::default(),
                Err(TransferLeaderError::VoteChanged { expected, actual }) => TransferAnswer {
                    outcome: 1,
                    expected_vote: Some(vote_part(expected)?),
                    actual_vote: Some(vote_part(actual)?),
                    ..TransferAnswer::default()
                },
                Err(TransferLeaderError::LogNotFlushed { expected, actual }) => TransferAnswer {
                    outcome: 2,
                    expected_log: log_part(expected.as_ref())?,
                    actual_log: log_part(actual.as_ref())?,
                    ..TransferAnswer::default()
                },
            };
            value.to_bytes(0)?
        }
        WireResponse::Whole(QuorumResponse::Call(answer)) => call_answer(answer)?.to_bytes(0)?,
        WireResponse::Piece(PieceAnswer::Next(next)) => {
            PieceAnswerValue { next: signed(*next)?, vote: None }.to_bytes(0)?
        }
    })
}

fn call_answer(answer: &CallAnswer) -> Result<CallAnswerValue, WireFault> {
    let (body, error) = match &answer.result {
        Ok(body) => (body.clone(), None),
        Err(error) => (Bytes::new(), Some(serde_json::to_string(error)?.into())),
    };
    Ok(CallAnswerValue { body, error, applied: answer.applied })
}

fn append_answer(response: &AppendEntriesResponse<MetadataRaft>) -> Result<AppendAnswer, WireFault> {
    let plain = |outcome| AppendAnswer { outcome, ..AppendAnswer::default() };
    Ok(match response {
        AppendEntriesResponse::Success => plain(0),
        AppendEntriesResponse::PartialSuccess(last) => AppendAnswer { last: log_part(last.as_ref())?, ..plain(1) },
        AppendEntriesResponse::Conflict => plain(2),
        AppendEntriesResponse::HigherVote(vote) => AppendAnswer { vote: Some(vote_part(vote)?), ..plain(3) },
    })
}

/// Reads the answer to a request of that kind.
///
/// # Errors
/// See [`WireFault`].
pub fn decode_response(kind: RequestKind, bytes: Bytes) -> Result<WireResponse, WireFault> {
    Ok(WireResponse::Whole(match kind {
        RequestKind::Append => {
            let value = AppendAnswer::from_bytes(bytes, 0)?;
            QuorumResponse::Append(match (value.outcome, &value.vote) {
                (0, _) => AppendEntriesResponse::Success,
                (1, _) => AppendEntriesResponse::PartialSuccess(log(value.last.as_ref())?),
                (2, _) => AppendEntriesResponse::Conflict,
                (3, Some(higher)) => AppendEntriesResponse::HigherVote(vote(higher)?),
                _ => return Err(WireFault::Invalid("an answer to an append has no meaning")),
            })
        }
        RequestKind::Vote | RequestKind::PreVote => {
            let value = VoteAnswer::from_bytes(bytes, 0)?;
            let last = log(value.last.as_ref())?;
            QuorumResponse::Vote(VoteResponse::new(vote(&value.vote)?, last, value.granted))
        }
        RequestKind::SnapshotPiece => {
            let value = PieceAnswerValue::from_bytes(bytes, 0)?;
            match &value.vote {
                Some(part) => QuorumResponse::Snapshot(SnapshotResponse::new(vote(part)?)),
                None => return Ok(WireResponse::Piece(PieceAnswer::Next(unsigned(value.next)?))),
            }
        }
        RequestKind::TransferLeader => decode_transfer(TransferAnswer::from_bytes(bytes, 0)?)?,
        RequestKind::Call => {
            let value = CallAnswerValue::from_bytes(bytes, 0)?;
            let result = match value.error {
                None => Ok(value.body),
                Some(error) => Err(serde_json::from_str(&error)?),
            };
            QuorumResponse::Call(CallAnswer { result, applied: value.applied })
        }
    }))
}

fn decode_transfer(value: TransferAnswer) -> Result<QuorumResponse, WireFault> {
    Ok(QuorumResponse::TransferLeader(match (value.outcome, &value.expected_vote, &value.actual_vote) {
        (0, _, _) => Ok(()),
        (1, Some(expected), Some(actual)) => {
            Err(TransferLeaderError::VoteChanged { expected: vote(expected)?, actual: vote(actual)? })
        }
        (2, _, _) => Err(TransferLeaderError::LogNotFlushed {
            expected: log(value.expected_log.as_ref())?,
            actual: log(value.actual_log.as_ref())?,
        }),
        _ => return Err(WireFault::Invalid("an answer to a transfer has no meaning")),
    }))
}

#[cfg(test)]
mod tests;
