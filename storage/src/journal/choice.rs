//! What goes where: the rules by which appends are left to the journal, and a turn's logs given to it or written to their files.
//!
//! A frame costs less than the sync of one file and takes any number of logs, and what is in one may be written late, in large
//! pieces; but it is written twice. A disk that keeps up with that, which shows in slots that are free, gains by it for all but the
//! largest appends. On a disk that does not keep up only small appends go to the journal, since a sync for few bytes is the
//! dearest way to write them. Appends that need no sync gain nothing: two writes past the page cache cost more than one into it.

/// Sizes that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Up to so many bytes of a log the journal is always right.
    pub(crate) small: usize,
    /// Up to so many while it does not fill.
    pub(crate) large: usize,
}

/// What the journal can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that a frame may still hold where it would be written.
    pub(crate) frame: usize,
    /// Bytes that the longest frame of all holds.
    pub(crate) longest: usize,
    /// Hardly any of it is free.
    pub(crate) scarce: bool,
}

/// What becomes of what a log has staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is in this turn's frame.
    Frame,
    /// It is in the next one's: this one is full.
    Later,
    /// It is written to its files now, and synced if that is to be waited for.
    Files,
}

/// Whether an append of so many bytes that waits for a sync is left to the journal, in a log that has nothing there.
pub(crate) fn stages(bytes: usize, rule: Rule, scarce: bool) -> bool {
    bytes <= if scarce { rule.small } else { rule.large.max(rule.small) }
}

/// The way of each log of a turn, given the bytes that each has for the journal.
pub(crate) fn choose(offers: impl Iterator<Item = usize>, rule: Rule, room: Room) -> Vec<Way> {
    let mut left = room.frame;
    offers
        .map(|bytes| {
            // What is behind something that is on its way to the journal may be more than an append.
            if bytes > room.longest || (room.scarce && bytes > rule.small) {
                return Way::Files;
            }
            if bytes > left {
                return Way::Later;
            }
            left -= bytes;
            Way::Frame
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { small: 4_000, large: 100_000 };
    const ROOM: Room = Room { frame: 150_000, longest: 200_000, scarce: false };

    fn chosen(offers: &[usize], room: Room) -> Vec<Way> {
        choose(offers.iter().copied(), RULE, room)
    }

    #[test]
    fn what_waits_for_a_sync_is_staged_unless_it_is_large() {
        let staged = |scarce| [100, 4_000, 4_001, 100_000, 100_001].map(|bytes| stages(bytes, RULE, scarce));
        assert_eq!(staged(false), [true, true, true, true, false]);
        assert_eq!(staged(true), [true, true, false, false, false]);
    }

    #[test]
    fn a_frame_takes_what_fits_and_leaves_the_rest_to_the_next() {
        let ways = chosen(&[90_000, 90_000, 200_001, 60_000, 1], ROOM);
        assert_eq!(ways, [Way::Frame, Way::Later, Way::Files, Way::Frame, Way::Later]);
    }

    #[test]
    fn a_journal_that_is_almost_full_takes_what_is_small() {
        let ways = chosen(&[90_000, 4_000, 4_001], Room { scarce: true, ..ROOM });
        assert_eq!(ways, [Way::Files, Way::Frame, Way::Files]);
    }
}
