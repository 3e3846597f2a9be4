//! Who makes a node promise: producers, deletions, topics that come and go, offset commits.

mod gate;
mod topics;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use goatq_protocol::message::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use goatq_protocol::message::find_coordinator::FindCoordinatorRequest;
use goatq_protocol::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use goatq_protocol::wire::Request;
use goatq_protocol::{ErrorCode, Uuid};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::gate::{Gate, Mode};
use self::topics::Style;
use super::book::{Book, Trims};
use super::producer::Producer;
use crate::peer::Peer;

/// The group that commits.
pub const GROUP: &str = "readers";
/// Its topic.
pub const COMMITTED: &str = "few";
const DELETE_RECORDS: i16 = 2;
const FIND_COORDINATOR: i16 = 4;
const OFFSET_COMMIT: i16 = 8;
const PRODUCERS: u32 = 4;
/// Topics of the thread that makes and deletes them; the oldest goes first, before its name comes again.
const PASSING: usize = topics::NAMES - 1;
/// How long an answer may be missing: longer than any start of a node takes.
const ATTEMPTS: u32 = 6_000;
const PAUSE: Duration = Duration::from_millis(5);

/// A partition to write to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Topic id.
    pub topic: Uuid,
    /// Number of the topic.
    pub serial: u32,
    /// Index.
    pub partition: i32,
    /// Whether records have keys.
    pub keyed: bool,
}

/// What runs against one node.
#[derive(Debug)]
pub struct Load {
    address: SocketAddr,
    book: Mutex<Book>,
    gate: Gate,
    serials: AtomicU32,
    lasting: Vec<(Style, Uuid, u32)>,
}

impl Load {
    /// Makes the topics that last. `many` is the number of partitions of the one with many.
    ///
    /// # Errors
    /// The node refuses.
    pub fn new(address: SocketAddr, many: i32) -> anyhow::Result<Self> {
        let (book, serials) = (Mutex::default(), AtomicU32::new(0));
        let mut load = Self { address, book, gate: Gate::default(), serials, lasting: Vec::new() };
        for style in topics::lasting(many) {
            let (id, serial) = load.create(&style)?;
            load.lasting.push((style, id, serial));
        }
        // The topic of the groups comes with the first who looks for it.
        let request =
            FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..FindCoordinatorRequest::default() };
        let answer = load.ask(&request, FIND_COORDINATOR)?;
        let code = answer.coordinators.first().map(|coordinator| coordinator.error_code);
        ensure!(code == Some(0), "no coordinator: {code:?}");
        Ok(load)
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was promised so far.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts everybody in `scope`; they wait for [`Load::go`].
    pub fn spawn<'s>(&'s self, scope: &'s std::thread::Scope<'s, '_>, seed: u64) {
        let rng = |n: u32| StdRng::seed_from_u64(seed.wrapping_add(u64::from(n)));
        for number in 0..PRODUCERS {
            self.spawn_one(scope, rng(number), move |load, rng| load.produce(number, rng));
        }
        self.spawn_one(scope, rng(PRODUCERS), |load, rng| load.come_and_go(PRODUCERS, rng));
        self.spawn_one(scope, rng(PRODUCERS + 1), Self::delete_records);
        self.spawn_one(scope, rng(PRODUCERS + 2), Self::commit);
    }

    fn spawn_one<'s>(
        &'s self,
        scope: &'s std::thread::Scope<'s, '_>,
        mut rng: StdRng,
        work: impl FnOnce(&'s Self, &mut StdRng) -> anyhow::Result<()> + Send + 's,
    ) {
        let member = self.gate.enter();
        scope.spawn(move || {
            if let Err(error) = work(self, &mut rng) {
                self.gate.fail(format!("{error:#}"));
            }
            drop(member);
        });
    }

    /// Everybody works.
    pub fn go(&self) {
        self.gate.set(Mode::Go);
    }

    /// Nobody begins anything new; returns when everything under way is answered.
    ///
    /// # Errors
    /// Somebody failed, or got no answer.
    pub fn rest(&self) -> anyhow::Result<()> {
        self.gate.set(Mode::Rest);
        self.gate.settled()
    }

    /// Everybody ends, answered or not.
    pub fn stop(&self) {
        self.gate.set(Mode::Stop);
    }

    /// Whether nobody needs an answer any more.
    pub fn gave_up(&self) -> bool {
        self.gate.mode() == Mode::Stop
    }

    /// Asks until there is an answer.
    ///
    /// # Errors
    /// There is none in a long time, or the load has ended.
    pub fn ask<R: Request>(&self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        for _ in 0..ATTEMPTS {
            let answer =
                Peer::connect(self.address).ok().and_then(|mut peer| peer.ask(request, version).ok().flatten());
            if let Some(answer) = answer {
                return Ok(answer);
            }
            ensure!(!self.gave_up(), "the load has ended");
            std::thread::sleep(PAUSE);
        }
        anyhow::bail!("no answer to {}", R::KEY.name())
    }

    fn create(&self, style: &Style) -> anyhow::Result<(Uuid, u32)> {
        let id = topics::create(self, style)?;
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        self.book().created(id, serial, &style.name, style.trims);
        Ok((id, serial))
    }

    fn produce(&self, number: u32, rng: &mut StdRng) -> anyhow::Result<()> {
        let mut producer = Producer::new(self, number)?;
        while self.gate.pass(|| producer.drain())? {
            let total: u32 = self.lasting.iter().map(|(style, ..)| style.weight).sum();
            let mut drawn = rng.random_range(0..total);
            let (style, topic, serial) = self
                .lasting
                .iter()
                .find(|(style, ..)| match drawn.checked_sub(style.weight) {
                    Some(rest) => {
                        drawn = rest;
                        false
                    }
                    None => true,
                })
                .context("weights add up")?;
            let targets = style.draw(*topic, *serial, rng);
            producer.send(&targets, rng)?;
            if rng.random_bool(0.5) {
                std::thread::sleep(Duration::from_micros(rng.random_range(0..6_000)));
            }
        }
        Ok(())
    }

    /// Makes topics, writes to them, deletes them. Names are used twice.
    fn come_and_go(&self, number: u32, rng: &mut StdRng) -> anyhow::Result<()> {
        let mut producer = Producer::new(self, number)?;
        let mut living: Vec<Uuid> = Vec::new();
        let mut made = 0;
        while self.gate.pass(|| producer.drain())? {
            if living.len() < PASSING && rng.random_bool(0.5) {
                let style = topics::passing(made, rng.random_range(1..4));
                made += 1;
                let (topic, serial) = self.create(&style)?;
                living.push(topic);
                for _ in 0..rng.random_range(0..6) {
                    producer.send(&style.draw(topic, serial, rng), rng)?;
                }
            } else if !living.is_empty() {
                producer.drain()?;
                let topic = living.remove(0);
                self.book().asks_deletion(topic);
                topics::delete(self, topic)?;
                self.book().deleted(topic);
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..150)));
        }
        Ok(())
    }

    fn delete_records(&self, rng: &mut StdRng) -> anyhow::Result<()> {
        while self.gate.pass(|| Ok(()))? {
            std::thread::sleep(Duration::from_millis(rng.random_range(0..150)));
            for (style, topic, _) in self.lasting.iter().filter(|(style, ..)| style.trims == Trims::Cut) {
                let partition_index = rng.random_range(0..style.partitions);
                let place = (*topic, partition_index);
                let offset = {
                    let mut book = self.book();
                    let end = book.logs.get(&place).map_or(0, |log| log.end());
                    let begin = book.logs.get(&place).and_then(|log| log.cuts.last()).map_or(0, |(_, cut)| *cut);
                    // Small steps, so that most of what is acknowledged can be looked for.
                    let offset = rng.random_range(begin..=begin.max(begin + (end - begin) / 4));
                    book.asks_cut(place, offset);
                    offset
                };
                let partitions = vec![DeleteRecordsPartition { partition_index, offset }];
                let topics = vec![DeleteRecordsTopic { name: style.name.as_str().into(), partitions }];
                let answer = self.ask(&DeleteRecordsRequest { topics, timeout_ms: 30_000 }, DELETE_RECORDS)?;
                let code = answer.topics.first().and_then(|t| t.partitions.first()).map(|p| p.error_code);
                let known = [ErrorCode::None, ErrorCode::NotLeaderOrFollower, ErrorCode::UnknownTopicOrPartition];
                ensure!(known.iter().any(|known| Some(known.code()) == code), "DeleteRecords: {code:?}");
            }
        }
        Ok(())
    }

    /// Commits one number after the other.
    fn commit(&self, rng: &mut StdRng) -> anyhow::Result<()> {
        let mut number = 0;
        while self.gate.pass(|| Ok(()))? {
            {
                let mut book = self.book();
                let now = book.now();
                book.commits_asked.push((now, number));
            }
            let partition =
                OffsetCommitRequestPartition { committed_offset: number, ..OffsetCommitRequestPartition::default() };
            let topic = OffsetCommitRequestTopic {
                name: COMMITTED.into(),
                partitions: vec![partition],
                ..OffsetCommitRequestTopic::default()
            };
            let request =
                OffsetCommitRequest { group_id: GROUP.into(), topics: vec![topic], ..OffsetCommitRequest::default() };
            let answer = self.ask(&request, OFFSET_COMMIT)?;
            let code = answer.topics.first().and_then(|t| t.partitions.first()).map(|p| p.error_code);
            if code == Some(0) {
                let mut book = self.book();
                let now = book.now();
                book.commits.push((now, number));
                number += 1;
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(1..30)));
        }
        Ok(())
    }
}
