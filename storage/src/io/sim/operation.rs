//! Operations of the simulated disk that take a number of polls.

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use super::SimDisk;

/// An operation that looks at the state when it is first polled and takes effect some polls later.
pub(super) struct SimOp<S, E, T> {
    disk: SimDisk,
    /// The file that is written, which may be slow.
    path: Option<PathBuf>,
    stage: Stage<S, E, T>,
}

enum Stage<S, E, T> {
    New { start: S, end: E },
    Started { number: u64, polls: u32, begun: T, end: E },
    Done,
}

impl<S, E, T> SimOp<S, E, T> {
    pub(super) fn new(disk: SimDisk, start: S, end: E) -> SimOp<S, E, T> {
        SimOp { disk, path: None, stage: Stage::New { start, end } }
    }

    /// A sync, or a direct write.
    pub(super) fn write(disk: SimDisk, path: PathBuf, start: S, end: E) -> SimOp<S, E, T> {
        SimOp { disk, path: Some(path), stage: Stage::New { start, end } }
    }
}

impl<S, E, T, R> Future for SimOp<S, E, T>
where
    S: FnOnce() -> T + Unpin,
    E: FnOnce(T) -> io::Result<R> + Unpin,
    T: Unpin,
{
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Stage::New { .. } = this.stage {
            let (number, polls) = match this.disk.state() {
                Ok(mut state) => (state.begin(), state.draw_polls()),
                Err(error) => return Poll::Ready(Err(error)),
            };
            if let Stage::New { start, end } = std::mem::replace(&mut this.stage, Stage::Done) {
                this.stage = Stage::Started { number, polls, begun: start(), end };
            }
        }
        match std::mem::replace(&mut this.stage, Stage::Done) {
            Stage::Started { number, polls: 0, begun, end } => {
                // On a disk that is off by now the end says so.
                let may_end = |path: &PathBuf| {
                    this.disk.state().map_or(true, |mut state| state.may_end(number, path, cx.waker()))
                };
                if !this.path.as_ref().is_none_or(may_end) {
                    this.stage = Stage::Started { number, polls: 0, begun, end };
                    return Poll::Pending;
                }
                Poll::Ready(end(begun))
            }
            Stage::Started { number, polls, begun, end } => {
                this.stage = Stage::Started { number, polls: polls - 1, begun, end };
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Stage::New { .. } | Stage::Done => Poll::Pending,
        }
    }
}
