//! What travels, as messages of the wire: all of version 0.

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::wire::Message;

#[derive(Debug, Clone, PartialEq, Message)]
pub(super) struct LogIdPart {
    pub(super) term: i64,
    pub(super) index: i64,
}

#[derive(Debug, Clone, PartialEq, Message)]
pub(super) struct VotePart {
    pub(super) term: i64,
    pub(super) node: i64,
    pub(super) committed: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct AppendValue {
    pub(super) vote: VotePart,
    pub(super) previous: Option<LogIdPart>,
    pub(super) committed: Option<LogIdPart>,
    pub(super) entries: Vec<EntryPart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
pub(super) struct EntryPart {
    pub(super) batch: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct AppendAnswer {
    /// 0 taken, 1 taken up to `last`, 2 does not fit, 3 another leader.
    pub(super) outcome: i8,
    pub(super) last: Option<LogIdPart>,
    pub(super) vote: Option<VotePart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct VoteValue {
    pub(super) vote: VotePart,
    pub(super) last: Option<LogIdPart>,
    pub(super) transfer: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct VoteAnswer {
    pub(super) vote: VotePart,
    pub(super) granted: bool,
    pub(super) last: Option<LogIdPart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct TransferValue {
    pub(super) from: VotePart,
    pub(super) to: i64,
    pub(super) last: Option<LogIdPart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct TransferAnswer {
    /// 0 done, 1 the vote changed, 2 the log is not on disk yet.
    pub(super) outcome: i8,
    pub(super) expected_vote: Option<VotePart>,
    pub(super) actual_vote: Option<VotePart>,
    pub(super) expected_log: Option<LogIdPart>,
    pub(super) actual_log: Option<LogIdPart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct PieceValue {
    pub(super) vote: VotePart,
    pub(super) last: Option<LogIdPart>,
    pub(super) membership_log: Option<LogIdPart>,
    pub(super) membership: Bytes,
    pub(super) offset: i64,
    pub(super) total: i64,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct PieceAnswerValue {
    pub(super) next: i64,
    pub(super) vote: Option<VotePart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct CallValue {
    pub(super) name: ByteString,
    pub(super) body: Bytes,
    pub(super) deadline_ms: i32,
    pub(super) relayed: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub(super) struct CallAnswerValue {
    pub(super) body: Bytes,
    /// JSON of why it was not carried out.
    pub(super) error: Option<ByteString>,
    pub(super) applied: i64,
}
