//! Blocking work, much of it at a time: recovery of many logs at start-up.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use futures_util::future::join_all;
use parking_lot::Mutex;

use super::DiskFile;
use crate::block_on::block_on;

/// Files synced side by side.
const SYNCS: usize = 64;

/// Syncs files, many at a time, as far as the results are taken: they come in the order of the files. Blocks.
pub(crate) fn sync_all(files: &[Arc<dyn DiskFile>]) -> impl Iterator<Item = io::Result<()>> {
    files.chunks(SYNCS).flat_map(|files| block_on(join_all(files.iter().map(|file| file.sync()))))
}

/// Calls `work` on every item, on the calling thread and up to `threads - 1` more that end before this returns. Results come in
/// the order of the items. With one thread the order of the calls is that of the items.
pub fn map<T: Send, R: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<(Option<T>, Option<R>)>> =
        items.into_iter().map(|item| Mutex::new((Some(item), None))).collect();
    let run = || {
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let item = slot.lock().0.take();
            let result = item.map(&work);
            slot.lock().1 = result;
        }
    };
    thread::scope(|scope| {
        for index in 1..threads.min(slots.len()) {
            // Fewer threads than asked for only take longer.
            let builder = thread::Builder::new().name(format!("recovery-{index}"));
            if builder.spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
    slots.into_iter().filter_map(|slot| slot.into_inner().1).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        for threads in [0, 1, 3, 100] {
            assert_eq!(
                map(threads, (0..50).collect(), |item| item * 2),
                (0..50).map(|item| item * 2).collect::<Vec<_>>()
            );
        }
        assert_eq!(map(4, Vec::<u8>::new(), |item| item), []);
    }

    #[test]
    fn items_are_worked_on_side_by_side() {
        // Would hang if one thread did both.
        let barrier = Barrier::new(2);
        assert_eq!(map(2, vec![1, 2], |item| (barrier.wait(), item).1), [1, 2]);
    }
}
