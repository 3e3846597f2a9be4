//! What can be wrong with a request to a group, in the coordinator's own words.

use crate::coordinator::runtime::log::WriteError;
use crate::coordinator::runtime::shard::CallError;

/// Why a group refused a request, or why a part of it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupError {
    /// The group id is empty where that is not allowed.
    #[error("the group id is empty")]
    InvalidGroupId,
    /// The session timeout is outside `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    #[error("the session timeout is out of range")]
    InvalidSessionTimeout,
    /// No member of this id, or no group.
    #[error("the member is unknown")]
    UnknownMember,
    /// Another member holds the group instance id.
    #[error("another member joined with the same group instance id")]
    FencedInstance,
    /// The generation is not the group's.
    #[error("the generation is not current")]
    IllegalGeneration,
    /// The group rebalances: the member has to join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The member's protocol type or protocols do not fit the group's.
    #[error("the protocol does not fit the group")]
    InconsistentProtocol,
    /// The member has to join again with the id that comes with the answer (KIP-394).
    #[error("a member id is required")]
    MemberIdRequired,
    /// The group has `group.max.size` members.
    #[error("the group is full")]
    GroupFull,
    /// There is no such group.
    #[error("the group does not exist")]
    GroupNotFound,
    /// The group has members.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// The group consumes the topic.
    #[error("the group is subscribed to the topic")]
    SubscribedToTopic,
    /// The metadata of an offset is longer than `offset.metadata.max.bytes`.
    #[error("the metadata of the offset is too long")]
    OffsetMetadataTooLarge,
    /// A transaction that is still open wrote a newer offset.
    #[error("the offset is part of an open transaction")]
    UnstableOffset,
    /// This node does not coordinate the group.
    #[error("this node does not coordinate the group")]
    NotCoordinator,
    /// The coordinator loads, or has too much to do; ask again later.
    #[error("the coordinator is loading")]
    Loading,
    /// The coordinator cannot write at present.
    #[error("the coordinator is not available")]
    NotAvailable,
    /// Larger than the coordinator can store, or an answer of the wrong kind: not the client's fault to mend.
    #[error("the request could not be stored")]
    Unexpected,
}

impl From<WriteError> for GroupError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotLeader | WriteError::Storage => Self::NotCoordinator,
            WriteError::TimedOut => Self::NotAvailable,
            WriteError::TooLarge => Self::Unexpected,
        }
    }
}

impl From<CallError> for GroupError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotCoordinator => Self::NotCoordinator,
            CallError::Loading | CallError::Overloaded => Self::Loading,
            CallError::Write(error) => error.into(),
        }
    }
}
