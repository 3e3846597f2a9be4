//! Processes that end or pause: kill -9, SIGTERM, SIGSTOP.

use std::time::Duration;

use rand::RngExt;
use rustix::process::Signal;

use super::Fault;
use crate::faults::field::Field;

/// How long the cluster may take to be whole again within a round.
const WHOLE: Duration = Duration::from_secs(60);

/// kill -9: of the leader, a follower, the leader of the quorum, all.
#[derive(Debug, Default)]
pub struct Kill {
    killed: Vec<i32>,
}

impl Fault for Kill {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let what = ["leader", "follower", "leader of the quorum", "all"][round % 4];
        self.killed = match round % 4 {
            0 => vec![field.leader(0)?],
            1 => vec![field.follower(0)?],
            2 => vec![field.controller()?.0],
            _ => field.sites.iter().map(|site| site.id).collect(),
        };
        self.killed.clone().into_iter().try_for_each(|id| field.site(id).kill())?;
        let lasts = Duration::from_millis(field.rng.random_range(100..4_000));
        field.hold(lasts);
        Ok(format!("killed the {what}: {:?}", self.killed))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        self.killed.iter().try_for_each(|id| field.site(*id).spawn())?;
        std::mem::take(&mut self.killed).into_iter().try_for_each(|id| field.site(id).until_open(WHOLE))
    }
}

/// SIGTERM: one node, or all of them in turn.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Option<i32>,
}

impl Fault for Stop {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        if round.is_multiple_of(2) {
            let id = field.leader(0)?;
            field.site(id).terminate()?;
            self.stopped = Some(id);
            field.hold(Duration::from_secs(1));
            return Ok(format!("stopped {id}"));
        }
        let all: Vec<_> = field.sites.iter().map(|site| site.id).collect();
        for id in all {
            field.site(id).terminate()?;
            field.site(id).start()?;
            field.until_whole(WHOLE)?;
        }
        Ok("restarted all in turn".to_owned())
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        self.stopped.take().map_or(Ok(()), |id| field.site(id).start())
    }
}

/// SIGSTOP, and SIGCONT a while later: briefly, and for longer than a session.
#[derive(Debug, Default)]
pub struct Pause {
    paused: Vec<i32>,
}

impl Fault for Pause {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let (what, seconds) = match round % 6 {
            0 => ("leader", 5),
            1 => ("leader of the quorum", 5),
            2 => ("leader", 14),
            3 => ("follower", 5),
            4 => ("leader of the quorum", 14),
            _ => ("majority", 5),
        };
        let leader = field.leader(0)?;
        self.paused = match what {
            "leader" => vec![leader],
            "follower" => vec![field.follower(0)?],
            "majority" => vec![leader, field.follower(0)?],
            _ => vec![field.controller()?.0],
        };
        self.paused.iter().try_for_each(|id| field.site(*id).signal(Signal::STOP))?;
        // The longest pause of all, once, where there is time for it.
        let seconds = if round == 2 && field.lasts >= Duration::from_secs(100) { 60 } else { seconds };
        if seconds == 60 {
            std::thread::sleep(Duration::from_secs(60))
        } else {
            field.hold(Duration::from_secs(seconds))
        }
        Ok(format!("paused the {what} for {seconds} s at most: {:?}", self.paused))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        self.paused.drain(..).try_for_each(|id| field.site(id).signal(Signal::CONT))
    }
}
