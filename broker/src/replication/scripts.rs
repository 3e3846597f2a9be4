//! Runs `testdata/replication/*.txt`: what happens to a leader (`lead`, ...) and to a follower (`log`, `follow`, ...), one line per
//! event, and what comes of it. `REWRITE=1 cargo test` writes what happens into the scripts.

use std::time::Duration;

use super::follower::{FetchPosition, Follower, Objection, ReplicaLog, Step};
use super::leader::{
    Effects, FollowerFetch, IsrAnswer, IsrProposal, Leader, LeaderStart, Replicas, Standing, has_diverged,
};
use super::model::{ModelLog, Record, spans};
use crate::script_args::Args;

#[test]
fn scripts() {
    datadriven::walk("testdata/replication", |file| {
        let mut script = Script::default();
        file.run(|case| match case.directive.as_str() {
            "run" => case.input.lines().map(|line| script.line(line) + "\n").collect::<String>(),
            other => panic!("no such directive: {other}"),
        });
    });
}

#[derive(Default)]
struct Script {
    leader: Option<Leader>,
    /// End of the leader's log, where it matters that it has one.
    leader_log: ModelLog,
    proposal: Option<IsrProposal>,
    follower: Option<Follower>,
    log: ModelLog,
    asked: Option<FetchPosition>,
    now: Duration,
}

/// The log that a line describes.
fn log(args: &Args) -> ModelLog {
    let records: Vec<Record> = args.list("epochs").into_iter().map(|epoch| Record { epoch, value: 0 }).collect();
    ModelLog { start: args.or("start", 0), durable: args.or("durable", records.len()), records }
}

impl Script {
    fn line(&mut self, line: &str) -> String {
        let (what, args) = Args::parse(line);
        self.now = args.get("at").map_or(self.now, Duration::from_secs);
        match what.as_str() {
            "lead" | "fetch" | "durable" | "tick" | "replicas" | "min-insync" | "altered" | "answer" => {
                self.lead(&what, &args)
            }
            "leader-log" => {
                self.leader_log = log(&args);
                "ok".to_owned()
            }
            "end-of-epoch" => self.end_of_epoch(&args),
            _ => self.follow(&what, &args),
        }
    }

    fn lead(&mut self, what: &str, args: &Args) -> String {
        let (replicas, isr) = (args.list("replicas"), args.list("isr"));
        let replicas = Replicas { partition_epoch: args.or("partition-epoch", 0), replicas: &replicas, isr: &isr };
        if what == "lead" {
            return self.begin(args, replicas);
        }
        let (now, asked) = (self.now, self.proposal.clone());
        let leader = self.leader.as_mut().expect("a leader");
        let end = args.or("end", 0);
        let standing = Standing { epoch: args.or("registered", 1), may_join: !args.has("fenced") };
        let effects = match what {
            "fetch" => {
                let (node, broker_epoch) = (args.or("node", 2), args.or("broker-epoch", 1));
                let fetch = FollowerFetch { node, broker_epoch, offset: args.or("offset", 0) };
                match leader.on_fetch(fetch, end, Some(standing), now) {
                    Ok(effects) => effects,
                    Err(refusal) => return format!("refused: {refusal}"),
                }
            }
            "durable" => Effects { high_watermark: leader.on_durable(end), proposal: None },
            "tick" => leader.on_tick(end, |_| Some(standing), now),
            "replicas" => leader.on_replicas(replicas, now),
            "min-insync" => leader.on_min_insync(args.or("of", 1)),
            "altered" => {
                let answer = IsrAnswer::Altered { partition_epoch: args.or("partition-epoch", 0), isr: isr.clone() };
                leader.on_isr_answer(&asked.expect("a proposal"), answer)
            }
            _ => {
                let answer = match args {
                    args if args.has("ineligible") => IsrAnswer::Ineligible,
                    args if args.has("superseded") => IsrAnswer::Superseded,
                    _ => IsrAnswer::Unanswered,
                };
                leader.on_isr_answer(&asked.expect("a proposal"), answer)
            }
        };
        self.effects(effects)
    }

    fn begin(&mut self, args: &Args, replicas: Replicas<'_>) -> String {
        let end = args.or("end", 0);
        let start = LeaderStart {
            node: 1,
            epoch: args.or("epoch", 1),
            log_end: end,
            durable_end: args.or("durable", end),
            high_watermark: args.or("high-watermark", end),
            min_insync: args.or("min-insync", 1),
            max_lag: Duration::from_secs(30),
        };
        let (leader, effects) = Leader::new(start, replicas, self.now);
        self.leader = Some(leader);
        self.effects(effects)
    }

    fn effects(&mut self, effects: Effects) -> String {
        let leader = self.leader.as_ref().expect("a leader");
        let (hw, in_sync) = (leader.high_watermark(), leader.in_sync());
        let mut text = format!("high watermark {hw}, {in_sync} in sync of {} needed", leader.needed_in_sync());
        if leader.has_too_few() {
            text.push_str(", too few");
        }
        if let Some(proposal) = effects.proposal {
            let IsrProposal { leader_epoch, partition_epoch, isr, attempt } = &proposal;
            text.push_str(&format!(
                "; proposes {isr:?} in epoch {leader_epoch} for partition epoch {partition_epoch}, attempt {attempt}"
            ));
            self.proposal = Some(proposal);
        }
        text
    }

    fn end_of_epoch(&self, args: &Args) -> String {
        let leader = self.leader.as_ref().expect("a leader");
        let (of, offset) = (args.or("of", 0), args.or("offset", 0));
        match leader.end_of_epoch(of, &self.leader_log) {
            None => "not known".to_owned(),
            Some(end) => {
                let diverged = if has_diverged(offset, of, end) { ", diverged" } else { "" };
                format!("epoch {} ends at {}{diverged}", end.0, end.1)
            }
        }
    }

    fn follow(&mut self, what: &str, args: &Args) -> String {
        match what {
            "log" => self.log = log(args),
            "follow" => {
                let follower = Follower::new(args.or("epoch", 1), args.or("high-watermark", 0), Duration::from_secs(1));
                self.follower = Some(follower.after_unclean(args.or("unclean", -1)));
            }
            "sync" => self.log.durable = self.log.records.len(),
            "ask" => return self.ask(),
            _ => return self.answer(what, args),
        }
        "ok".to_owned()
    }

    fn ask(&mut self) -> String {
        let follower = self.follower.as_ref().expect("a follower");
        self.asked = follower.next_fetch(&self.log, self.now);
        match (&self.asked, follower.paused_until()) {
            (Some(FetchPosition { leader_epoch, offset, last_epoch, log_start }), _) => {
                format!("epoch {leader_epoch}: from {offset} behind epoch {last_epoch}, log start {log_start}")
            }
            (None, Some(until)) => format!("nothing before {until:?}"),
            (None, None) => "nothing".to_owned(),
        }
    }

    fn answer(&mut self, what: &str, args: &Args) -> String {
        let asked = self.asked.expect("something was asked");
        let follower = self.follower.as_mut().expect("a follower");
        let objection = match what {
            "records" => return self.records(&asked, args),
            "diverging" => Objection::Diverging { epoch: args.or("epoch", 0), end_offset: args.or("end", 0) },
            "out-of-range" => Objection::OutOfRange { log_start: args.or("start", 0) },
            "fenced" => Objection::Fenced,
            "failed" => Objection::Failed,
            other => panic!("no such event: {other}"),
        };
        match follower.on_objection(&asked, objection, &self.log, self.now) {
            Step::Truncate(end) => {
                self.log.cut(end);
                format!("truncates to {end}")
            }
            Step::CutAfterUnclean { offset, high_watermark } => {
                self.log.cut(offset);
                format!("cuts to {offset} after an unclean election; {high_watermark} was committed")
            }
            Step::StartOver(start) => {
                self.log = ModelLog { start, ..ModelLog::default() };
                format!("starts over at {start}")
            }
            Step::Stop(halt) => format!("stops: {halt}"),
            Step::Nothing => "does nothing".to_owned(),
            Step::Append(_) => "appends".to_owned(),
        }
    }

    fn records(&mut self, asked: &FetchPosition, args: &Args) -> String {
        let follower = self.follower.as_mut().expect("a follower");
        let records = log(args).records;
        let base = args.or("base", asked.offset);
        let Step::Append(taken) = follower.on_records(asked, &spans(base, &records), &self.log) else {
            return "does nothing".to_owned();
        };
        let count = taken.len();
        self.log.records.extend_from_slice(&records[taken]);
        let progress = follower.on_appended(args.or("high-watermark", 0), args.or("log-start", 0), &self.log);
        let moved = progress.high_watermark.map_or(String::new(), |to| format!(", high watermark {to}"));
        let start = progress.log_start.map_or(String::new(), |to| format!(", log start {to}"));
        format!("appends {count}{moved}{start}, ends at {}", self.log.end())
    }
}
