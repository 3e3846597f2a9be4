//! Defects that are planted on purpose, to see whether simulated worlds find them. Without the feature `planted` there are none: no value
//! of [`Planted`] can be made, and what asks for one is compiled to nothing.

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A leader takes for committed what is durable on its own disk.
    #[cfg(feature = "planted")]
    HighWatermarkBeforeIsr,
    /// A follower cuts its log to the high watermark that it knows when a leader begins (what KIP-101 ended).
    #[cfg(feature = "planted")]
    TruncationToHighWatermark,
    /// A leader does not say which process of a broker it saw catch up (what KIP-903 ended).
    #[cfg(feature = "planted")]
    IsrWithoutEpoch,
    /// What a controller decided takes effect although another one has been elected since.
    #[cfg(feature = "planted")]
    StaleController,
}

impl Planted {
    /// Whether a leader commits without its followers.
    pub fn commits_alone(self) -> bool {
        #[cfg(feature = "planted")]
        return self == Self::HighWatermarkBeforeIsr;
        #[cfg(not(feature = "planted"))]
        match self {}
    }

    /// Whether a follower cuts to its high watermark.
    pub fn cuts_to_high_watermark(self) -> bool {
        #[cfg(feature = "planted")]
        return self == Self::TruncationToHighWatermark;
        #[cfg(not(feature = "planted"))]
        match self {}
    }

    /// Whether reports of who is in sync leave out broker epochs.
    pub fn leaves_out_broker_epochs(self) -> bool {
        #[cfg(feature = "planted")]
        return self == Self::IsrWithoutEpoch;
        #[cfg(not(feature = "planted"))]
        match self {}
    }

    /// Whether a deposed controller is obeyed.
    pub fn obeys_the_deposed(self) -> bool {
        #[cfg(feature = "planted")]
        return self == Self::StaleController;
        #[cfg(not(feature = "planted"))]
        match self {}
    }
}
