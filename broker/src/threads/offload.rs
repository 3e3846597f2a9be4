//! Work that blocks: on threads of its own, or at once where everything has to be repeatable.

/// Where blocking work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// On tokio's threads for blocking calls.
    Threads,
    /// Within the caller: in simulations, where the disk never really blocks.
    Inline,
}

impl Offload {
    /// Runs `work` to its end, also when the caller stops waiting for it. A panic in it goes on in the caller.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self {
            Self::Inline => work(),
            Self::Threads => match tokio::task::spawn_blocking(work).await {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Only a runtime that is shutting down refuses such work; nobody polls the caller then.
                    Err(_) => std::future::pending().await,
                },
            },
        }
    }
}
