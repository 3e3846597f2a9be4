//! Which sessions are kept, and which go when there are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    Asked, Begun, Cached, FINAL_EPOCH, Finished, INITIAL_EPOCH, Kind, NO_SESSION, PartitionKey, Position, Session,
    SessionError, SessionRequest, Told, Watches, next_epoch,
};

/// Limits of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// `max.incremental.fetch.session.cache.slots`: sessions at a time.
    pub slots: usize,
    /// A session unused for longer makes room for any other; one that lives longer may be displaced by a larger one.
    pub eviction: Duration,
    /// Partitions in all sessions together. A request that would exceed it gets no session, which costs the client
    /// larger requests and nothing else.
    pub max_partitions: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { slots: 1000, eviction: Duration::from_secs(120), max_partitions: 500_000 }
    }
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Sessions now.
    pub sessions: usize,
    /// Partitions in them.
    pub partitions: usize,
    /// Sessions displaced since the start.
    pub evictions: u64,
}

/// All sessions of a node.
#[derive(Debug)]
pub struct SessionCache<W> {
    config: SessionConfig,
    sessions: BTreeMap<i32, Session<W>>,
    /// By last use, least recent first.
    used: BTreeMap<(Duration, i32), ()>,
    partitions: usize,
    evictions: u64,
}

impl<W: Watches> SessionCache<W> {
    /// An empty cache.
    pub fn new(config: SessionConfig) -> Self {
        Self { config, sessions: BTreeMap::new(), used: BTreeMap::new(), partitions: 0, evictions: 0 }
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> SessionStats {
        SessionStats { sessions: self.sessions.len(), partitions: self.partitions, evictions: self.evictions }
    }

    /// Merges a request into its session.
    ///
    /// # Errors
    /// See [`SessionError`]; the client then starts a new session.
    pub fn begin(&mut self, request: SessionRequest, now: Duration) -> Result<Begun<W>, SessionError> {
        let SessionRequest { id, epoch, uses_ids, privileged, isolation, partitions, forgotten } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            if id != NO_SESSION {
                self.remove(id);
            }
            let new = epoch == INITIAL_EPOCH;
            let kind = if new { Kind::New { uses_ids, privileged, isolation } } else { Kind::Sessionless };
            return Ok(Begun { partitions: distinct(partitions), quiet: 0, watch: W::default(), kind });
        }
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
        if session.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.uses_ids != uses_ids {
            return Err(SessionError::TopicIdMismatch);
        }
        let before = session.len();
        for (key, position) in partitions {
            session.set(key, position);
        }
        for key in &forgotten {
            session.forget(key);
        }
        let after = session.len();
        session.epoch = next_epoch(epoch);
        self.used.remove(&(session.last_used, id));
        session.last_used = now;
        self.used.insert((now, id), ());
        self.partitions = self.partitions - before + after;
        if after == 0 || self.partitions > self.config.max_partitions {
            // The reply says "no session": the client goes on with a full request.
            let partitions = session.asked(session.order.keys().copied());
            self.remove(id);
            return Ok(Begun { partitions, quiet: 0, watch: W::default(), kind: Kind::Sessionless });
        }
        let (watch, partitions) = session.lend(isolation);
        let quiet = after - partitions.len();
        Ok(Begun { partitions, quiet, watch, kind: Kind::Incremental { id, epoch: next_epoch(epoch) } })
    }

    /// The partitions at these turns, which the watch that was lent to a request has named while it ran. `None` when the session is
    /// no longer that of the request.
    pub fn wake(&mut self, kind: Kind, turns: Vec<u64>) -> Option<Vec<Asked>> {
        let Kind::Incremental { id, epoch } = kind else { return None };
        let session = self.sessions.get_mut(&id).filter(|session| session.epoch == epoch)?;
        let turns = session.wake(turns);
        Some(session.asked(turns.into_iter()))
    }

    /// Takes what is about to be told of each partition, and says which of it the client has to hear. The watch is
    /// given back with it. `fresh_id` gives random numbers for a new session.
    ///
    /// # Errors
    /// [`SessionError::InvalidEpoch`] when another request used the session meanwhile.
    pub fn finish(
        &mut self,
        kind: Kind,
        told: &[(&Asked, Told)],
        watch: W,
        now: Duration,
        fresh_id: impl FnMut() -> i32,
    ) -> Result<Finished, SessionError> {
        let everything = || vec![true; told.len()];
        match kind {
            Kind::Sessionless => Ok(Finished { session_id: NO_SESSION, include: everything() }),
            Kind::New { .. } => {
                let session_id = self.create(kind, told, watch, now, fresh_id);
                Ok(Finished { session_id, include: everything() })
            }
            Kind::Incremental { id, epoch } => {
                // Displaced meanwhile: this reply still stands, the next request will not find it.
                let Some(session) = self.sessions.get_mut(&id) else {
                    return Ok(Finished { session_id: id, include: everything() });
                };
                if session.epoch != epoch {
                    return Err(SessionError::InvalidEpoch);
                }
                let told: Vec<(u64, Told)> = told.iter().map(|(asked, told)| (asked.turn, *told)).collect();
                Ok(Finished { session_id: id, include: session.tell(&told, watch) })
            }
        }
    }

    fn create(
        &mut self,
        kind: Kind,
        told: &[(&Asked, Told)],
        watch: W,
        now: Duration,
        mut fresh_id: impl FnMut() -> i32,
    ) -> i32 {
        let Kind::New { uses_ids, privileged, isolation } = kind else { return NO_SESSION };
        let size = told.len();
        let fits = self.partitions.saturating_add(size) <= self.config.max_partitions;
        if size == 0 || !fits || !self.make_room(privileged, size, now) {
            return NO_SESSION;
        }
        let mut id = fresh_id().checked_abs().unwrap_or(1).max(1);
        while self.sessions.contains_key(&id) {
            // At most as many steps as there are sessions.
            id = if id == i32::MAX { 1 } else { id + 1 };
        }
        let mut session = Session {
            id,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_ids,
            privileged,
            isolation,
            created: now,
            last_used: now,
            order: BTreeMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
            ready: BTreeSet::new(),
            watch: None,
        };
        for (asked, _) in told {
            // The same turns as in the request: places are watched under them already.
            session.next_turn = asked.turn;
            session.append(Cached::new(asked.key.clone(), asked.position));
        }
        let told: Vec<(u64, Told)> = told.iter().map(|(asked, told)| (asked.turn, *told)).collect();
        session.tell(&told, watch);
        self.partitions += session.len();
        self.used.insert((now, id), ());
        self.sessions.insert(id, session);
        id
    }

    /// Whether there is a slot for a session of `size` partitions, after displacing another one if that is allowed.
    fn make_room(&mut self, privileged: bool, size: usize, now: Duration) -> bool {
        if self.sessions.len() < self.config.slots {
            return true;
        }
        let Some(&(last_used, oldest)) = self.used.keys().next() else { return false };
        let victim = if now.saturating_sub(last_used) > self.config.eviction {
            Some(oldest)
        } else {
            let old = |session: &&Session<W>| now.saturating_sub(session.created) > self.config.eviction;
            let candidates = self.sessions.values().filter(|s| old(s) || (privileged && !s.privileged));
            let weakest = candidates.min_by_key(|s| (s.privileged, s.len(), s.id));
            weakest.filter(|s| (s.privileged, s.len(), s.id) < (privileged, size, 0)).map(|s| s.id)
        };
        let Some(victim) = victim else { return false };
        self.remove(victim);
        self.evictions += 1;
        true
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.len();
            self.used.remove(&(session.last_used, id));
        }
    }
}

/// A partition named twice is read once, as last named, in its first place.
fn distinct(partitions: Vec<(PartitionKey, Position)>) -> Vec<Asked> {
    let mut places: BTreeMap<PartitionKey, usize> = BTreeMap::new();
    let mut distinct: Vec<Asked> = Vec::with_capacity(partitions.len());
    for (key, position) in partitions {
        match places.get(&key) {
            Some(&place) => distinct[place].position = position,
            None => {
                places.insert(key.clone(), distinct.len());
                distinct.push(Asked { turn: distinct.len() as u64, key, position });
            }
        }
    }
    distinct
}
