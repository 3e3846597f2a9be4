//! The follower's side of a fetch session with one leader (KIP-227): what has to be told again, and what the leader still knows. Pure.

use std::collections::BTreeMap;

use goatq_protocol::Uuid;

use crate::fetch::session::{INITIAL_EPOCH, NO_SESSION, next_epoch};
use crate::replication::follower::FetchPosition;

/// A partition as Fetch names it: id of the topic and index.
pub(super) type PartitionId = (Uuid, i32);

/// What a request says of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    /// Session id.
    pub(super) id: i32,
    /// Session epoch.
    pub(super) epoch: i32,
    /// Partitions that are new or have moved.
    pub(super) partitions: Vec<(PartitionId, FetchPosition)>,
    /// Partitions that are not wanted any more.
    pub(super) forgotten: Vec<PartitionId>,
}

/// A session with one leader, on one connection.
#[derive(Debug, Default)]
pub(super) struct FetchSession {
    id: i32,
    epoch: i32,
    /// What the leader knows, and was asked for last.
    known: BTreeMap<PartitionId, FetchPosition>,
}

impl FetchSession {
    /// The next request, for exactly these partitions.
    pub(super) fn ask(&mut self, wanted: BTreeMap<PartitionId, FetchPosition>) -> Ask {
        let fresh = self.epoch == INITIAL_EPOCH;
        if fresh {
            self.known.clear();
        }
        let news = wanted.iter().filter(|(key, position)| self.known.get(key) != Some(position));
        let partitions = news.map(|(key, position)| (*key, *position)).collect();
        let forgotten = self.known.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        self.known = wanted;
        Ask { id: self.id, epoch: self.epoch, partitions, forgotten }
    }

    /// What the leader was last asked for in a partition.
    pub(super) fn asked(&self, key: PartitionId) -> Option<FetchPosition> {
        self.known.get(&key).copied()
    }

    /// The leader answered with this session id: it goes on, or every request has to say everything.
    pub(super) fn on_answer(&mut self, id: i32) {
        self.id = id;
        self.epoch = if id == NO_SESSION { INITIAL_EPOCH } else { next_epoch(self.epoch) };
    }

    /// The leader does not know the session: a new one begins, and the old one, if it has one, ends.
    pub(super) fn on_refused(&mut self) {
        self.epoch = INITIAL_EPOCH;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> FetchPosition {
        FetchPosition { leader_epoch: 1, offset, last_epoch: 1, log_start: 0 }
    }

    fn key(index: i32) -> PartitionId {
        (Uuid::from_u128(7), index)
    }

    #[test]
    fn only_news_are_told() {
        let mut session = FetchSession::default();
        let first = session.ask([(key(0), at(5)), (key(1), at(6))].into());
        assert_eq!((first.id, first.epoch, first.partitions.len()), (0, 0, 2));
        session.on_answer(77);
        let second = session.ask([(key(0), at(5)), (key(1), at(9)), (key(2), at(1))].into());
        assert_eq!((second.id, second.epoch, second.forgotten.len()), (77, 1, 0));
        assert_eq!(second.partitions, [(key(1), at(9)), (key(2), at(1))]);
        assert_eq!(session.asked(key(0)), Some(at(5)));
        session.on_answer(77);
        let third = session.ask([(key(2), at(1))].into());
        assert_eq!((third.epoch, third.partitions.len(), third.forgotten), (2, 0, vec![key(0), key(1)]));
        assert_eq!(session.asked(key(0)), None);
    }

    #[test]
    fn a_lost_session_begins_anew() {
        let mut session = FetchSession::default();
        session.ask([(key(0), at(5))].into());
        session.on_answer(77);
        session.ask([(key(0), at(5))].into());
        session.on_refused();
        let again = session.ask([(key(0), at(5))].into());
        assert_eq!((again.id, again.epoch, again.partitions.len()), (77, 0, 1));
        // The leader has no room for sessions.
        session.on_answer(0);
        let full = session.ask([(key(0), at(5))].into());
        assert_eq!((full.id, full.epoch, full.partitions.len()), (0, 0, 1));
    }
}
