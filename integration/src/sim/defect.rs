//! Defects that worlds can have, to see that they are found.

use goatq_controller::planted::Planted;

/// What is wrong in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Syncs report success before they have their effect.
    AckBeforeSync,
    /// Nodes have one of their own.
    Node(Planted),
}

impl Defect {
    /// Every defect of this build, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("ack-before-sync", Self::AckBeforeSync),
        #[cfg(feature = "planted")]
        ("high-watermark-before-isr", Self::Node(Planted::HighWatermarkBeforeIsr)),
        #[cfg(feature = "planted")]
        ("isr-without-epoch", Self::Node(Planted::IsrWithoutEpoch)),
        #[cfg(feature = "planted")]
        ("stale-controller", Self::Node(Planted::StaleController)),
        #[cfg(feature = "planted")]
        ("truncation-to-high-watermark", Self::Node(Planted::TruncationToHighWatermark)),
    ];

    /// The defect of a name.
    ///
    /// # Errors
    /// There is none; the names that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
        found.map(|(_, defect)| *defect).ok_or_else(|| format!("one of {}", names.join(", ")))
    }

    /// The name of a defect.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// That of nodes.
    pub fn planted(self) -> Option<Planted> {
        match self {
            Self::AckBeforeSync => None,
            Self::Node(planted) => Some(planted),
        }
    }
}
