//! A snapshot on its way from node to node, in pieces. Pure: who sends and receives is elsewhere.

use bytes::{Bytes, BytesMut};

use super::{SnapshotMeta, Vote, snapshot::MAX_SNAPSHOT};

/// Bytes of a piece at most.
pub const PIECE: usize = 1 << 20;

/// One piece.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The vote of the leader that sends it.
    pub vote: Vote,
    /// What the snapshot holds.
    pub meta: SnapshotMeta,
    /// Where in the snapshot the piece begins.
    pub offset: u64,
    /// Bytes of the whole snapshot.
    pub total: u64,
    /// The piece.
    pub bytes: Bytes,
}

/// The answer to every piece but the last, which is answered as the whole snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceAnswer {
    /// The piece that begins here is wanted next.
    Next(u64),
}

/// Puts the pieces of one snapshot together. A piece of another snapshot, or of another leader, begins anew; so one is in memory at
/// most, and of it only what has arrived.
#[derive(Debug, Default)]
pub struct Assembly {
    begun: Option<(Vote, SnapshotMeta, u64)>,
    bytes: BytesMut,
}

/// What a piece came to.
#[derive(Debug)]
pub enum Assembled {
    /// More is needed, from here on.
    Next(u64),
    /// The snapshot is whole.
    Whole(Bytes),
}

/// A piece that cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the piece from {offset} with {len} bytes is none of a snapshot of {total} bytes")]
pub struct WrongPiece {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes.
    pub len: usize,
    /// Bytes of the snapshot.
    pub total: u64,
}

impl Assembly {
    /// Takes a piece.
    ///
    /// # Errors
    /// It is longer than pieces are, or does not lie within its snapshot.
    pub fn take(&mut self, piece: &Piece) -> Result<Assembled, WrongPiece> {
        let len = piece.bytes.len();
        let wrong = WrongPiece { offset: piece.offset, len, total: piece.total };
        let end = piece.offset.checked_add(len as u64).ok_or(wrong)?;
        if len > PIECE || end > piece.total || piece.total > MAX_SNAPSHOT || (len == 0 && piece.total > 0) {
            return Err(wrong);
        }
        let same = self
            .begun
            .as_ref()
            .is_some_and(|(vote, meta, total)| *vote == piece.vote && *meta == piece.meta && *total == piece.total);
        if !same || piece.offset == 0 {
            self.bytes.clear();
            self.begun = Some((piece.vote, piece.meta.clone(), piece.total));
        }
        if piece.offset != self.bytes.len() as u64 {
            // A piece that came twice, or one whose predecessors were lost with another connection.
            return Ok(Assembled::Next(self.bytes.len() as u64));
        }
        self.bytes.extend_from_slice(&piece.bytes);
        if end < piece.total {
            return Ok(Assembled::Next(end));
        }
        self.begun = None;
        Ok(Assembled::Whole(std::mem::take(&mut self.bytes).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{StoredMembership, log_id};

    fn piece(offset: u64, total: u64, bytes: &'static [u8]) -> Piece {
        let meta = SnapshotMeta { last_log_id: Some(log_id(1, 7)), last_membership: StoredMembership::default() };
        Piece { vote: Vote::new_committed(1, 1), meta, offset, total, bytes: Bytes::from_static(bytes) }
    }

    fn next(assembled: Result<Assembled, WrongPiece>) -> u64 {
        match assembled.unwrap() {
            Assembled::Next(next) => next,
            Assembled::Whole(bytes) => panic!("whole with {} bytes", bytes.len()),
        }
    }

    #[test]
    fn pieces_make_a_whole_whatever_comes_twice_or_anew() {
        let mut assembly = Assembly::default();
        assert_eq!(next(assembly.take(&piece(0, 6, b"ab"))), 2);
        assert_eq!(next(assembly.take(&piece(0, 6, b"ab"))), 2);
        assert_eq!(next(assembly.take(&piece(4, 6, b"ef"))), 2);
        assert_eq!(next(assembly.take(&piece(2, 6, b"cd"))), 4);
        let newer = Piece { vote: Vote::new_committed(2, 3), ..piece(4, 6, b"ef") };
        assert_eq!(next(assembly.take(&newer)), 0);
        let newer = Piece { vote: Vote::new_committed(2, 3), ..piece(0, 3, b"xyz") };
        let Assembled::Whole(bytes) = assembly.take(&newer).unwrap() else { panic!("not whole") };
        assert_eq!(bytes, "xyz");
        let Assembled::Whole(empty) = assembly.take(&piece(0, 0, b"")).unwrap() else { panic!("not whole") };
        assert!(empty.is_empty());
    }

    #[test]
    fn impossible_pieces_are_refused() {
        let mut assembly = Assembly::default();
        for wrong in
            [piece(u64::MAX, 6, b"ab"), piece(5, 6, b"ab"), piece(0, MAX_SNAPSHOT + 1, b"ab"), piece(0, 9, b"")]
        {
            assert!(assembly.take(&wrong).is_err(), "{wrong:?}");
        }
        let long = Piece { bytes: vec![0; PIECE + 1].into(), ..piece(0, 2 << 20, b"") };
        assert!(assembly.take(&long).is_err());
    }
}
