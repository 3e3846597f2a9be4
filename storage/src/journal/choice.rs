//! What goes where: the rules by which appends are left to the journal, and a turn's logs given to it or written to their files.
//!
//! A frame costs less than the sync of one file and takes any number of logs, and what is in one may be written late, in large
//! pieces; but it is written twice. A disk that keeps up with that, which shows in slots that are free, gains by it for all but the
//! largest appends. On a disk that does not keep up only small appends go to the journal, since a sync for few bytes is the
//! dearest way to write them. Nor does it gain anything where more waits than a frame takes: what a log has by then is long enough to be
//! written to its file past the page cache and synced, once, while the disk would have to take it twice. Appends that need no sync gain
//! nothing either: two writes past the page cache cost more than one into it.

/// Sizes that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Up to so many bytes of a log the journal is always right.
    pub(crate) small: usize,
    /// So many of a log that go past the page cache into its file are as good there when a frame cannot take all that waits.
    pub(crate) direct: usize,
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

/// A turn writes so many frames' worth to files beside its frame, at most: the next turn waits for it.
const FRAMES_BESIDE: usize = 2;

/// The way of each log of a turn, given the bytes that each has for the journal.
pub(crate) fn choose(offers: impl Iterator<Item = usize> + Clone, rule: Rule, room: Room) -> Vec<Way> {
    let crowded = offers.clone().fold(0, usize::saturating_add) > room.longest;
    let mut left = room.frame;
    let mut beside = if crowded { FRAMES_BESIDE * room.longest } else { 0 };
    offers
        .map(|bytes| {
            // What is behind something that is on its way to the journal may be more than an append.
            if bytes > room.longest || (room.scarce && bytes > rule.small) {
                return Way::Files;
            }
            if bytes >= rule.direct && bytes <= beside {
                beside -= bytes;
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

    const RULE: Rule = Rule { small: 4_000, direct: 50_000 };
    const ROOM: Room = Room { frame: 150_000, longest: 200_000, scarce: false };

    fn chosen(offers: &[usize], room: Room) -> Vec<Way> {
        choose(offers.iter().copied(), RULE, room)
    }

    #[test]
    fn a_frame_takes_what_fits_and_leaves_the_rest_to_the_next() {
        let ways = chosen(&[90_000, 61_000, 40_000, 1], ROOM);
        assert_eq!(ways, [Way::Frame, Way::Later, Way::Frame, Way::Frame]);
        let ways = chosen(&[49_000, 49_000, 49_000, 49_000, 49_000], ROOM);
        assert_eq!(
            ways,
            [Way::Frame, Way::Frame, Way::Frame, Way::Later, Way::Later],
            "none is worth a sync of its own"
        );
    }

    #[test]
    fn what_is_long_goes_to_its_file_when_more_waits_than_a_frame_takes() {
        let ways = chosen(&[90_000, 40_000, 200_001, 60_000], ROOM);
        assert_eq!(ways, [Way::Files, Way::Frame, Way::Files, Way::Files]);
        let many = chosen(&[100_000; 8], ROOM);
        let files = many.iter().filter(|way| **way == Way::Files).count();
        let framed = many.iter().filter(|way| **way == Way::Frame).count();
        assert_eq!((files, framed), (4, 1), "a turn has a bound");
    }

    #[test]
    fn a_journal_that_is_almost_full_takes_what_is_small() {
        let ways = chosen(&[90_000, 4_000, 4_001], Room { scarce: true, ..ROOM });
        assert_eq!(ways, [Way::Files, Way::Frame, Way::Files]);
    }
}
