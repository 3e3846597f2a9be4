//! What goes where: the rule by which a turn's logs are given to the journal or synced file by file.
//!
//! A journal write costs less than the sync of one file and takes any number of logs; but what it takes is written twice. So small
//! appends always go to the journal, since a sync for few bytes is the dearest way to write them. Larger ones do while their
//! stream is thin, for the sake of their latency; a stream that could fill the disk goes straight to its files, which is
//! cheaper per byte the more bytes each sync has. Appends larger still are worth a sync of their own.

/// Sizes that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Up to so many bytes of a log the journal is always right.
    pub(crate) small: usize,
    /// Up to so many while there is credit.
    pub(crate) large: usize,
}

/// What the journal can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that a frame may still hold where it would be written.
    pub(crate) frame: usize,
    /// Whether half of the journal is free: its files are synced behind it faster than it fills.
    pub(crate) half_free: bool,
    /// Bytes of larger appends that may be written twice in the present second.
    pub(crate) credit: u64,
}

/// Which of the logs of a turn go to the journal, given the bytes that each has for it (`None` for those that must be synced), and
/// how much credit that takes.
pub(crate) fn choose(offers: impl Iterator<Item = Option<usize>>, rule: Rule, room: Room) -> (Vec<bool>, u64) {
    let (mut left, mut credit) = (room.frame, if room.half_free { room.credit } else { 0 });
    let before = credit;
    let mut taken = Vec::new();
    for offer in offers {
        let Some(bytes) = offer.filter(|bytes| *bytes <= left) else {
            taken.push(false);
            continue;
        };
        let cost = if bytes <= rule.small { 0 } else { bytes as u64 };
        let take = bytes <= rule.small || (bytes <= rule.large && cost <= credit);
        if take {
            left -= bytes;
            credit -= cost;
        }
        taken.push(take);
    }
    (taken, before - credit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { small: 4_000, large: 100_000 };
    const ROOM: Room = Room { frame: 1_000_000, half_free: true, credit: 200_000 };

    fn chosen(offers: &[Option<usize>], room: Room) -> (Vec<bool>, u64) {
        choose(offers.iter().copied(), RULE, room)
    }

    #[test]
    fn small_appends_are_journaled_and_large_ones_are_not() {
        let offers = [Some(200), Some(100_001), None, Some(4_000), Some(60_000)];
        assert_eq!(chosen(&offers, ROOM), (vec![true, false, false, true, true], 60_000));
    }

    #[test]
    fn a_frame_takes_what_fits() {
        let offers = [Some(3_000); 5];
        assert_eq!(chosen(&offers, Room { frame: 10_000, ..ROOM }).0, [true, true, true, false, false]);
        assert_eq!(chosen(&[Some(300)], Room { frame: 0, ..ROOM }).0, [false]);
    }

    #[test]
    fn a_stream_that_fills_the_disk_goes_to_its_files() {
        let offers = [Some(90_000), Some(90_000), Some(90_000), Some(100)];
        assert_eq!(chosen(&offers, ROOM), (vec![true, true, false, true], 180_000));
        assert_eq!(chosen(&offers, Room { half_free: false, ..ROOM }), (vec![false, false, false, true], 0));
    }
}
