//! Carries out ambushes.

use std::time::Duration;

use rand::RngExt;

use super::super::ambush::{Ambush, Move};
use super::super::invariants::Sight;
use super::super::machine::{End, host};
use super::super::worn::Worn;
use super::World;
use crate::traffic::Stage;

impl World {
    /// Lays an ambush where there is occasion, and goes on with it.
    pub(super) fn lie_in_wait(&mut self, nodes: &[Sight], now: Duration) {
        let Some(ambush) = &mut self.ambush else {
            let may = self.page_cache
                && self.worn == Worn::Not
                && self.broken.is_none()
                && self.shared.stage.get() == Stage::Load;
            if may && let Some((ambush, first)) = Ambush::lay(nodes, now) {
                self.note("an ambush");
                self.ambush = Some(ambush);
                self.make(first);
            }
            return;
        };
        let moves = ambush.next(nodes, now);
        if ambush.is_over() {
            self.ambush = None;
        }
        moves.into_iter().for_each(|next| self.make(next));
    }

    pub(super) fn make(&mut self, next: Move) {
        self.note(&format!("ambush: {next:?}"));
        match next {
            Move::Hold(one, other) => self.sim.hold(host(one), host(other)),
            Move::Release(one, other) => self.sim.release(host(one), host(other)),
            Move::Cut(id) => {
                let until = self.sim.elapsed() + Duration::from_millis(self.rng.random_range(20..150));
                self.end(id, End::PowerCut, until);
            }
        }
    }
}
