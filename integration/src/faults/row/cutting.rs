//! Networks that lose, refuse, or come and go.

use std::time::Duration;

use super::Fault;
use crate::faults::field::Field;

/// How long a partition lasts: longer than a session.
const LASTS: Duration = Duration::from_secs(12);
/// Terms of the quorum that one such partition may take.
const TERMS: i32 = 3;

/// Nothing passes, in both directions: between a node and the others, a node and everybody, two nodes (with three, that is a ring that is
/// open).
#[derive(Debug, Default)]
pub struct Cut;

impl Fault for Cut {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let (leader, controller) = (field.leader(0)?, field.controller()?.0);
        let what = match round % 5 {
            0 => {
                field.ground.cut_off(leader)?;
                format!("cut the leader {leader} off from the others")
            }
            1 => {
                field.ground.isolate(controller)?;
                format!("cut the leader of the quorum {controller} off from everybody")
            }
            2 => {
                let other = field.follower(0)?;
                field.ground.cut(leader, other)?;
                format!("cut between the leader {leader} and {other}")
            }
            3 => {
                field.ground.isolate(leader)?;
                format!("cut the leader {leader} off from everybody")
            }
            _ => {
                for id in field.brokers() {
                    field.ground.cut_off(id)?;
                }
                "cut everybody off from everybody".to_owned()
            }
        };
        field.hold(LASTS);
        Ok(what)
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        field.ground.heal()
    }
}

/// What is sent in one direction is lost.
#[derive(Debug, Default)]
pub struct OneWay {
    /// Of the quorum, before.
    term: i32,
}

impl Fault for OneWay {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let (leader, (controller, term)) = (field.leader(0)?, field.controller()?);
        self.term = term;
        let deaf = |id: i32| field.ground.others(id).try_for_each(|other| field.ground.deafen(id, other));
        let mute = |id: i32| field.ground.others(id).try_for_each(|other| field.ground.deafen(other, id));
        let what = match round % 5 {
            0 => {
                deaf(leader)?;
                format!("the leader {leader} hears no other node")
            }
            1 => {
                mute(controller)?;
                format!("no other node hears the leader of the quorum {controller}")
            }
            2 => {
                mute(leader)?;
                format!("no other node hears the leader {leader}")
            }
            3 => {
                deaf(controller)?;
                format!("the leader of the quorum {controller} hears no other node")
            }
            _ => {
                let follower = field.follower(0)?;
                field.ground.deafen(follower, leader)?;
                format!("{follower} does not hear the leader {leader}")
            }
        };
        field.hold(LASTS);
        Ok(what)
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        field.ground.heal()
    }

    fn look(&mut self, field: &mut Field) -> anyhow::Result<()> {
        let terms = field.controller()?.1 - self.term;
        anyhow::ensure!(terms <= TERMS, "an election storm: {terms} terms");
        Ok(())
    }
}

/// Addresses on the loopback device that lead nowhere: a node reaches the others, and nobody reaches it.
#[derive(Debug, Default)]
pub struct DropTo;

impl Fault for DropTo {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let id = if round.is_multiple_of(2) { field.leader(0)? } else { field.controller()?.0 };
        field.ground.drop_to(id)?;
        field.hold(LASTS);
        Ok(format!("nothing gets to the address of {id}"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        field.ground.heal()
    }
}

/// Connections are reset and refused.
#[derive(Debug, Default)]
pub struct Reset;

impl Fault for Reset {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let id = if round.is_multiple_of(2) { field.leader(0)? } else { field.controller()?.0 };
        field.ground.reset(id)?;
        field.hold(Duration::from_secs(6));
        Ok(format!("connections of {id} are reset"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        field.ground.heal()
    }
}

/// A wire comes and goes.
#[derive(Debug, Default)]
pub struct Flap {
    down: Option<i32>,
}

impl Fault for Flap {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let id = if round.is_multiple_of(2) { field.leader(0)? } else { field.controller()?.0 };
        self.down = Some(id);
        for pause_ms in [200, 500, 1_000, 100, 2_000] {
            field.ground.wire(id, false)?;
            field.hold(Duration::from_millis(pause_ms));
            field.ground.wire(id, true)?;
            field.hold(Duration::from_millis(pause_ms / 2));
        }
        Ok(format!("the wire of {id} flaps"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        self.down.take().map_or(Ok(()), |id| field.ground.wire(id, true))
    }
}
