//! Where the records of a fetch come from, within what may be held in memory.
//!
//! What producers just sent is in memory. What is in the page cache is named as a part of its file, for the connection to send from
//! there; small parts are copied instead, which is cheaper than a system call for each. The rest is loaded from its disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use goatq_protocol::ErrorCode;
use goatq_storage::log::{AbortedTxn, FileRange, Located, LogSlice};
use tokio::time::Instant;

use super::super::partition_error::damage_code;
use super::answer::Answer;
use super::batches::end_of;
use super::read::{Reading, Target};
use crate::fetch::planner::Isolation;
use crate::fetch::session::{Asked, Kind};
use crate::net::budget::{Charge, MemoryBudget};
use crate::node::Node;
use crate::partition::{Partition, PartitionRead, PartitionReadError};
use crate::purgatory::Watch;

/// Shortest time that a reply waits for memory when others hold all of it.
const MEMORY_WAIT: Duration = Duration::from_millis(500);

/// Up to this size a part of a file is copied into the reply.
const COPY_BYTES: u64 = 8 << 10;

/// Bytes that one reply loads from a disk, but for a first batch that is larger: a reader of old data gets smaller replies,
/// and while it works on one of them others have the disk and the memory.
const COLD_BYTES: usize = 1 << 20;

/// Records of one partition.
#[derive(Debug)]
pub(super) enum Found {
    Memory(Vec<Bytes>),
    File(FileRange),
}

impl Default for Found {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Found {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(chunks) => chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            Self::File(range) => range.len(),
        }
    }
}

/// Where the records of a partition are.
enum Source {
    Memory(Vec<Bytes>),
    /// With the offset that all of them are below.
    File(FileRange, i64),
    /// A small part of a file.
    Copy(FileRange, i64),
    Cold(LogSlice),
}

impl Source {
    const NOTHING: Self = Self::Memory(Vec::new());

    /// Bytes of memory that they take until they are sent.
    fn held(&self) -> usize {
        match self {
            Self::Memory(chunks) => chunks.iter().map(Bytes::len).sum(),
            Self::File(..) => 0,
            Self::Copy(range, _) => usize::try_from(range.len()).unwrap_or(usize::MAX),
            Self::Cold(slice) => slice.max_len(),
        }
    }
}

impl Reading<'_> {
    /// Finds the records, and brings into memory what cannot be sent from where it is; with what that holds of the response
    /// budget.
    pub(super) async fn load(self) -> (Vec<(Asked, Answer)>, Watch, Option<Charge>) {
        let Self { cx, wanted, deadline, targets, mut watch, kind, .. } = self;
        let mut sources = Vec::with_capacity(targets.len());
        let mut parts = Vec::with_capacity(targets.len());
        let mut cold = 0;
        for target in targets {
            // Each fetch of a follower says of every partition that it keeps up.
            let may_rest = kind != Kind::Sessionless && wanted.follower.is_none();
            let watched = may_rest && target.is_quiet(cx, wanted.isolation, &mut watch);
            let Target { asked, partition, read, diverging, nearer, .. } = target;
            let log_start = match (&partition, &read) {
                // A follower that is too far behind goes on where this log begins.
                (Ok(partition), Err(ErrorCode::OffsetOutOfRange)) if wanted.follower.is_some() => {
                    partition.log_start_offset()
                }
                _ => -1,
            };
            // What goes to a replica was looked at, also where it comes from the page cache.
            let verified = wanted.follower.is_some();
            let place = (asked.position.fetch_offset, verified);
            let (part, mut source) = locate(partition, read, place, diverging, watched).await;
            if let Source::Cold(slice) = &source {
                let before = cold;
                cold += slice.max_len();
                if before > 0 && cold > COLD_BYTES {
                    source = Source::NOTHING;
                }
            }
            parts.push((asked, log_start, nearer, part));
            sources.push(source);
        }
        let charge = pay(&cx.node.fetch.budget, deadline, &mut sources).await;
        copy(&mut sources);
        let mut answers = Vec::with_capacity(parts.len());
        for ((asked, log_start_offset, nearer, part), source) in parts.into_iter().zip(sources) {
            let answer = match part {
                Ok(part) => Answer { nearer, ..part.answer(&cx.node, source, wanted.isolation).await },
                Err(error) => Answer { log_start_offset, ..Answer::failed(error) },
            };
            answers.push((asked, answer));
        }
        (answers, watch, charge)
    }
}

/// Records have gone to a follower.
fn count_copied(node: &Node, partition: &Partition, bytes: u64) {
    let counts = &node.metrics.replication;
    counts.bytes_out.add(bytes);
    if partition.is_moving() {
        counts.reassignment_bytes_out.add(bytes);
    }
    if bytes > 0 && partition.config().leader_throttled.has(partition.index(), node.id) {
        node.throttles.leader().record(bytes, node.clock.monotonic());
    }
}

/// A partition that can be answered.
struct Part {
    partition: Arc<Partition>,
    fetch_offset: i64,
    watched: bool,
    diverging: Option<(i32, i64)>,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

async fn locate(
    partition: Result<Arc<Partition>, ErrorCode>,
    read: Result<PartitionRead, ErrorCode>,
    (fetch_offset, verified): (i64, bool),
    diverging: Option<(i32, i64)>,
    watched: bool,
) -> (Result<Part, ErrorCode>, Source) {
    let (partition, read) = match (partition, read) {
        (Ok(partition), Ok(read)) => (partition, read),
        (Err(error), _) | (_, Err(error)) => return (Err(error), Source::NOTHING),
    };
    let PartitionRead { high_watermark, last_stable_offset, log_start_offset, slice, .. } = read;
    let part =
        Part { partition, fetch_offset, watched, diverging, high_watermark, last_stable_offset, log_start_offset };
    let source = match slice.map(|slice| if verified { Err(slice) } else { Ok(slice.locate()) }) {
        None => Source::NOTHING,
        Some(Err(slice)) => match slice.in_memory() {
            Some(chunks) => Source::Memory(chunks.to_vec()),
            None => Source::Cold(slice),
        },
        Some(Ok(located)) => match located.await {
            Ok(Located::Memory(chunks)) => Source::Memory(chunks),
            Ok(Located::Cached { range, end_offset }) if range.len() <= COPY_BYTES => Source::Copy(range, end_offset),
            Ok(Located::Cached { range, end_offset }) => Source::File(range, end_offset),
            Ok(Located::Cold(slice)) => Source::Cold(slice),
            Err(error) => return (Err(part.failed(&error.into())), Source::NOTHING),
        },
    };
    (Ok(part), source)
}

/// Takes from the response budget what the records will occupy. When there is less, the reply holds less; when there is
/// nothing in time, it holds no records but those that are sent from files.
async fn pay(budget: &MemoryBudget, deadline: Instant, sources: &mut [Source]) -> Option<Charge> {
    let (mut total, mut first) = (0_usize, 0);
    for held in sources.iter().map(Source::held) {
        total += held;
        if first == 0 {
            first = held;
        }
    }
    if total == 0 {
        return None;
    }
    let paid = match budget.try_charge_between(first, total) {
        Some(paid) => Some(paid),
        None => {
            let deadline = deadline.max(Instant::now() + MEMORY_WAIT);
            tokio::time::timeout_at(deadline, budget.charge(first)).await.ok().map(|charge| (first, charge))
        }
    };
    let granted = paid.as_ref().map_or(0, |(bytes, _)| *bytes);
    if granted < total {
        cut(sources, granted, paid.is_some());
    }
    paid.map(|(_, charge)| charge)
}

/// Keeps the first records that take memory and as many of the others as fit in `bytes`.
fn cut(sources: &mut [Source], bytes: usize, mut first: bool) {
    let mut left = bytes;
    for source in sources {
        let held = source.held();
        if held == 0 {
            continue;
        }
        if first || held <= left {
            left = left.saturating_sub(held);
            first = false;
        } else {
            *source = Source::NOTHING;
        }
    }
}

/// Copies the small parts of files into one buffer. One that is no longer in memory stays what it is.
fn copy(sources: &mut [Source]) {
    let small = |source: &Source| if let Source::Copy(range, _) = source { range.len() } else { 0 };
    let total: u64 = sources.iter().map(small).sum();
    if total == 0 {
        return;
    }
    let mut buffer = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
    let copied: Vec<bool> = sources
        .iter()
        .map(|source| match source {
            Source::Copy(range, _) => range.copy_cached(&mut buffer).unwrap_or(false),
            _ => false,
        })
        .collect();
    let mut rest = Bytes::from(buffer);
    for (source, copied) in sources.iter_mut().zip(copied) {
        if let Source::Copy(range, end_offset) = source {
            *source = match usize::try_from(range.len()) {
                Ok(len) if copied => Source::Memory(vec![rest.split_to(len)]),
                _ => Source::File(range.clone(), *end_offset),
            };
        }
    }
}

impl Part {
    async fn answer(self, node: &Node, source: Source, isolation: Isolation) -> Answer {
        match self.load(source, isolation).await {
            Ok((records, aborted)) => {
                let counts = self.partition.counts();
                counts.fetch_requests.add(1);
                match isolation {
                    Isolation::LogEnd => count_copied(node, &self.partition, records.len()),
                    _ => counts.bytes_out.add(records.len()),
                }
                Answer {
                    error: ErrorCode::None,
                    high_watermark: self.high_watermark,
                    last_stable_offset: self.last_stable_offset,
                    log_start_offset: self.log_start_offset,
                    diverging: self.diverging,
                    nearer: None,
                    aborted,
                    records,
                    watched: self.watched,
                }
            }
            Err(error) => Answer::failed(self.failed(&error)),
        }
    }

    async fn load(
        &self,
        source: Source,
        isolation: Isolation,
    ) -> Result<(Found, Option<Vec<AbortedTxn>>), PartitionReadError> {
        let (records, end) = match source {
            Source::File(range, end) | Source::Copy(range, end) => (Found::File(range), Some(end)),
            Source::Memory(chunks) => (Found::Memory(chunks), None),
            Source::Cold(slice) => (Found::Memory(slice.load().await?), None),
        };
        if isolation != Isolation::LastStableOffset {
            return Ok((records, None));
        }
        let end = match &records {
            Found::Memory(chunks) => end_of(chunks),
            Found::File(_) => end,
        };
        let aborted = match end {
            Some(end) => self.partition.aborted_transactions(self.fetch_offset, end).await?,
            None => Vec::new(),
        };
        Ok((records, Some(aborted)))
    }

    /// Notes a failure; what the client is told of it.
    fn failed(&self, error: &PartitionReadError) -> ErrorCode {
        let (partition, offset) = (&self.partition, self.fetch_offset);
        // What retention has taken since the first look is no fault.
        if !matches!(error, PartitionReadError::OutOfRange { .. }) {
            tracing::error!(?partition, offset, %error, "loading records failed");
        }
        partition.counts().failed_fetch_requests.add(1);
        damage_code(partition, error)
    }
}
