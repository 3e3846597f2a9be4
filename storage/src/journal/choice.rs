//! What goes where: the rule by which a turn's logs are given to the journal or synced file by file.
//!
//! A journal write costs less than the sync of one file and takes any number of logs; but what it takes is written twice. A disk
//! that keeps up with that, which shows in slots that are free, gains by it for all but the largest appends, which are worth a
//! sync of their own: one flush a turn instead of one for each file. On a disk that does not keep up only small appends go to the
//! journal, since a sync for few bytes is the dearest way to write them.

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
    /// Whether half of the journal is free: its files are synced behind it faster than it fills.
    pub(crate) half_free: bool,
}

/// Which of the logs of a turn go to the journal, given the bytes that each has for it (`None` for those that must be synced).
pub(crate) fn choose(offers: impl Iterator<Item = Option<usize>>, rule: Rule, room: Room) -> Vec<bool> {
    let most = if room.half_free { rule.large.max(rule.small) } else { rule.small };
    let mut left = room.frame;
    offers
        .map(|offer| {
            let fits = offer.filter(|bytes| *bytes <= most.min(left));
            left -= fits.unwrap_or(0);
            fits.is_some()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { small: 4_000, large: 100_000 };
    const ROOM: Room = Room { frame: 1_000_000, half_free: true };

    fn chosen(offers: &[Option<usize>], room: Room) -> Vec<bool> {
        choose(offers.iter().copied(), RULE, room)
    }

    #[test]
    fn what_is_not_large_is_journaled() {
        let offers = [Some(200), Some(100_001), None, Some(4_000), Some(60_000)];
        assert_eq!(chosen(&offers, ROOM), [true, false, false, true, true]);
    }

    #[test]
    fn a_frame_takes_what_fits() {
        let offers = [Some(3_000); 5];
        assert_eq!(chosen(&offers, Room { frame: 10_000, ..ROOM }), [true, true, true, false, false]);
        assert_eq!(chosen(&[Some(300)], Room { frame: 0, ..ROOM }), [false]);
    }

    #[test]
    fn a_stream_that_the_disk_cannot_write_twice_goes_to_its_files() {
        let offers = [Some(90_000), Some(90_000), Some(90_000), Some(100)];
        assert_eq!(chosen(&offers, ROOM), [true; 4]);
        assert_eq!(chosen(&offers, Room { half_free: false, ..ROOM }), [false, false, false, true]);
    }
}
