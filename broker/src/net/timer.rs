//! One timer for everything that the requests of a connection wait for.
//!
//! A long poll of half a second that is answered after a hundred microseconds, thousands of times a second, must not set
//! and clear a timer each time: setting one may cost a system call to wake the thread's own timer wheel. The timer here
//! is only ever set earlier; when it goes off too early, it is set again to what is waited for by then.

use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of one connection. Whoever waits is polled by the connection's own task.
#[derive(Debug, Default)]
pub struct LazyTimer {
    sleep: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl LazyTimer {
    /// Runs `future` until `deadline` at most; `None` when that came first. Cancel-safe if the future is.
    pub async fn limit<T>(&self, deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
        let passed = std::future::poll_fn(|cx| self.poll_until(deadline, cx));
        tokio::select! {
            biased;
            value = future => Some(value),
            () = passed => None,
        }
    }

    fn poll_until(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        let mut slot = self.sleep.lock();
        let sleep = slot.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            // It was set for a request that did not need it.
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn deadlines_are_kept_whatever_the_timer_was_set_for_before() {
        let timer = LazyTimer::default();
        let begun = Instant::now();
        let never = std::future::pending::<()>;
        // Answered long before its deadline, which stays set.
        assert_eq!(timer.limit(begun + 50 * MS, async { 7 }).await, Some(7));
        let soon = timer.limit(begun + 50 * MS, tokio::time::sleep(10 * MS));
        assert_eq!(soon.await, Some(()));
        // A later deadline outlives the earlier one.
        assert_eq!(timer.limit(begun + 400 * MS, never()).await, None);
        assert!((400 * MS..405 * MS).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        // An earlier one than what is set comes in time.
        assert_eq!(timer.limit(begun + 10_000 * MS, tokio::time::sleep(MS)).await, Some(()));
        assert_eq!(timer.limit(begun + 500 * MS, never()).await, None);
        assert!((500 * MS..505 * MS).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert_eq!(timer.limit(begun, never()).await, None, "a deadline that has passed");
    }
}
