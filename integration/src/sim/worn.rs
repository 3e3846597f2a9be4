//! What the nodes of a world have gone through, and what they still bear.

use super::machine::End;

/// How nodes have ended since everything was whole. What page caches have is promised while fewer replicas lose theirs than are needed in
/// sync, of which there are two; and to the controller, who was killed may have lost its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worn {
    /// In order, if at all.
    Not,
    /// By signals.
    Killed,
    /// This one lost its page cache.
    Torn(i32),
}

impl Worn {
    /// How a node may end that is to end so; not at all, if nothing is said.
    pub fn bears(&mut self, id: i32, how: End) -> Option<End> {
        let (next, instead) = match (*self, how) {
            (Self::Torn(torn), _) if torn != id => return None,
            (Self::Torn(_), _) | (Self::Not, End::PowerCut) => (Self::Torn(id), how),
            (Self::Not | Self::Killed, _) => (Self::Killed, End::Kill),
        };
        *self = next;
        Some(instead)
    }
}
