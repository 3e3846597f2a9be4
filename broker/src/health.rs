//! How a node is, as probes see it.

use parking_lot::Mutex;
use tokio::sync::watch;

/// What the node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It opens directories, metadata and logs.
    Starting(&'static str),
    /// It serves.
    Serving,
    /// It drains.
    Stopping,
    /// It cannot go on: the disk or the controller failed. The process should end and be started again.
    Failed(String),
}

/// The phase of a node, shared by all who set it and ask for it.
#[derive(Debug)]
pub struct Health {
    phase: watch::Sender<Phase>,
    /// Once failed or stopping, never serving again.
    gate: Mutex<()>,
}

impl Default for Health {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Starting("configuration")), gate: Mutex::new(()) }
    }
}

impl Health {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Whether requests are served.
    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Enters a phase. A failure stays, and what stops does not serve again.
    pub fn enter(&self, phase: Phase) {
        let _gate = self.gate.lock();
        let order = |phase: &Phase| match phase {
            Phase::Starting(_) => 0,
            Phase::Serving => 1,
            Phase::Stopping => 2,
            Phase::Failed(_) => 3,
        };
        self.phase.send_if_modified(|now| {
            let moves_on = order(&phase) >= order(now) && !matches!(now, Phase::Failed(_));
            if moves_on {
                *now = phase;
            }
            moves_on
        });
    }

    /// Waits for a failure and says what failed. Never returns for a healthy node.
    pub async fn failure(&self) -> String {
        let mut phases = self.phase.subscribe();
        let failed = phases.wait_for(|phase| matches!(phase, Phase::Failed(_))).await;
        match failed.as_deref() {
            Ok(Phase::Failed(reason)) => reason.clone(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_way_back() {
        let health = Health::default();
        health.enter(Phase::Serving);
        assert!(health.is_serving());
        health.enter(Phase::Starting("again"));
        assert!(health.is_serving());
        health.enter(Phase::Failed("disk".into()));
        for phase in [Phase::Serving, Phase::Stopping, Phase::Failed("other".into())] {
            health.enter(phase);
            assert_eq!(health.phase(), Phase::Failed("disk".into()));
        }
    }
}
