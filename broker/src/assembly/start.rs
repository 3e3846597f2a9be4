//! Starting a node: one step after the other, each with what the next one needs.
//!
//! Directories -> listeners bound -> metadata, other nodes answered -> partitions open, broker registered -> groups -> tasks -> serving.
//! Logs are opened before the broker says that it is there, so that nobody is sent to a partition that is not.

use std::sync::Arc;
use std::time::Duration;

use goatq_controller::Controller;
use goatq_controller::decide::directories::PlacedReplica;
use goatq_controller::entropy::Entropy;
use goatq_controller::planted::Planted;
use goatq_storage::io::Disk;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::RunningNode;
use super::cluster::{join, registration as registration_of, serve_peers, start_controller};
use super::error::StartError;
use super::listeners::{Addresses, Bound, bind_all, serve, start_http};
use super::replication;
use super::storage::{OpenDirs, configured_or_known_cluster, open_dirs, openers, run_commits};
use crate::clock::Clock;
use crate::config::machine::Machine;
use crate::config::settings::Settings;
use crate::config::{BrokerConfig, LiveConfig};
use crate::coordinator::group::{GroupCoordinator, GroupParts};
use crate::coordinator::placement;
use crate::directories::Directories;
use crate::fetch::session::SessionConfig;
use crate::fetch::{FetchLimits, FetchState};
use crate::fetcher::lost::LostBrokers;
use crate::healing::Damage;
use crate::health::{Health, Phase};
use crate::lifecycle::{
    FoundLoss, Registration, found_losses, keep_alive, losses_are_known, tell_directories, tell_later_losses,
    tell_losses, until_unfenced,
};
use crate::loggers::Loggers;
use crate::metadata::applied::Applied;
use crate::metadata::apply::{Applier, ApplyParts};
use crate::metrics::Metrics;
use crate::net::Transport;
use crate::node::Node;
use crate::partition::{PartitionProposal, PartitionRegistry};
use crate::producer_ids::ProducerIds;
use crate::purgatory::Purgatory;
use crate::replication::throttle::Throttles;
use crate::report;
use crate::scrape::StateCollector;
use crate::tasks::{self, TaskParts};
use crate::threads::offload::Offload;
use crate::threads::workers::Workers;
use crate::topics::auto_create::AutoCreate;

/// Producers and coordinators that may wait for commits at a time.
const MAX_COMMIT_WAITERS: usize = 1_000_000;

/// What a node is started with.
pub struct NodeOptions {
    /// What was configured.
    pub settings: Settings,
    /// What defaults depend on.
    pub machine: Machine,
    /// Source of time.
    pub clock: Arc<dyn Clock>,
    /// Where logs lie.
    pub disk: Arc<dyn Disk>,
    /// Where connections come from and go to.
    pub transport: Transport,
    /// Where connections are served.
    pub workers: Workers,
    /// Where blocking work runs.
    pub offload: Offload,
    /// Levels of logging.
    pub loggers: Loggers,
    /// From the operating system: ids that are made here must not meet those of other nodes. Fixed in simulations.
    pub seed: [u8; 32],
    /// What is wrong on purpose: nothing, outside simulations.
    pub planted: Option<Planted>,
}

/// What all steps share.
pub(super) struct Starting {
    pub(super) config: Arc<LiveConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) offload: Offload,
    pub(super) transport: Transport,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) entropy: Entropy,
    seeds: StdRng,
    /// Where producers and coordinators wait for commits.
    pub(super) waiting: Arc<Purgatory>,
    pub(super) tracker: TaskTracker,
    commits: TaskTracker,
    pub(super) cancel: CancellationToken,
    pub(super) planted: Option<Planted>,
}

impl Starting {
    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.seeds.fill_bytes(&mut seed);
        seed
    }

    fn enter(&self, step: &'static str) {
        tracing::debug!(step, "starting");
        self.health.enter(Phase::Starting(step));
    }
}

/// Starts a node; see the module. Must be called within a runtime, which its tasks stay on.
///
/// # Errors
/// See [`StartError`]. What was started until then is stopped; the directories count as not shut down cleanly.
pub(super) async fn start(options: NodeOptions) -> Result<RunningNode, StartError> {
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    let running = start_all(options, cancel).await?;
    guard.disarm();
    Ok(running)
}

async fn start_all(options: NodeOptions, cancel: CancellationToken) -> Result<RunningNode, StartError> {
    let config = Arc::new(LiveConfig::new(options.settings, options.machine)?);
    let fixed = config.current();
    let mut seeds = StdRng::from_seed(options.seed);
    let mut seed = [0; 32];
    seeds.fill_bytes(&mut seed);
    let mut starting = Starting {
        config,
        clock: options.clock,
        offload: options.offload,
        transport: options.transport,
        metrics: Arc::new(Metrics::new()),
        health: Arc::default(),
        entropy: Entropy::from_seed(seed),
        seeds,
        waiting: Purgatory::new(MAX_COMMIT_WAITERS),
        tracker: TaskTracker::new(),
        commits: TaskTracker::new(),
        cancel,
        planted: options.planted,
    };
    let http_address = start_http(&starting, &fixed).await?;
    starting.enter("log directories");
    let dirs = open_directories(&mut starting, options.disk.clone()).await?;
    starting.enter("metadata");
    let (clients, addresses) = bind_all(&starting, &fixed, &fixed.network.listeners)?;
    let (nodes, quorum_addresses) = bind_all(&starting, &fixed, &fixed.quorum.listeners)?;
    let mut bound = Bound { clients, nodes };
    let all = addresses.iter().chain(&quorum_addresses).map(|(name, address)| (name.clone(), *address)).collect();
    let controller = start_controller(&mut starting, &fixed, &dirs, options.disk, &all).await?;
    let workers = Arc::new(options.workers);
    let peers = serve_peers(&starting, &fixed, &dirs, &controller, &mut bound, &workers);
    let partitions = Arc::new(PartitionRegistry::default());
    let (reports, mut reported) = Reports::new();
    let directories = Arc::new(Directories::new(dirs.data.clone(), dirs.failed.clone(), starting.config.clone()));
    let applier = applier(&mut starting, &fixed, &directories, &partitions, reports);
    let applied = Applied::new(applier.published());
    let registration = enter_cluster(
        &mut starting,
        (&fixed, &dirs, &addresses),
        &controller,
        (&applier, &applied),
        (&directories, &mut reported.losses),
    )
    .await?;
    starting.tracker.spawn(applier.run(controller.watch(), starting.cancel.clone()));
    applied.until(controller.image().applied_index).await;
    let node = node(&mut starting, directories, controller, partitions, applied, options.loggers);
    observe(&starting, &node, &dirs);
    replication::start(&starting, &node, (reported.proposals, reported.damages));
    replication::start_moves(&mut starting, &node, reported.homes);
    let servers = serve(&starting, &node, bound, peers, workers);
    if let Some(registration) = &registration {
        take_part(&starting, &node, registration, (reported.misplaced, reported.losses)).await;
    }
    starting.health.enter(Phase::Serving);
    Ok(RunningNode {
        node,
        servers,
        dirs: dirs.all(),
        registration,
        addresses,
        quorum_addresses,
        http_address,
        health: starting.health,
        tracker: starting.tracker,
        commits: starting.commits,
        cancel: starting.cancel,
    })
}

/// Tells the controller what it wants to know of this broker, and waits until it may serve. A node that forms its cluster alone serves at
/// once.
async fn take_part(
    starting: &Starting,
    node: &Arc<Node>,
    registration: &Registration,
    (misplaced, losses): (mpsc::UnboundedReceiver<PlacedReplica>, mpsc::UnboundedReceiver<FoundLoss>),
) {
    let (tracker, cancel) = (&starting.tracker, &starting.cancel);
    tracker.spawn(tell_directories(registration.clone(), misplaced, cancel.clone()));
    tracker.spawn(tell_later_losses(registration.clone(), losses, starting.offload, cancel.clone()));
    if node.config.current().quorum.is_closed(node.id) {
        return;
    }
    tracker.spawn(report::run(node.clone(), cancel.clone()));
    starting.enter("unfencing");
    until_unfenced(registration).await;
    tracker.spawn(keep_alive(registration.clone(), starting.health.clone(), cancel.clone()));
}

/// Opens the partitions of this node and registers its broker, if it is one.
///
/// Logs are opened before the broker may serve, and only by metadata that is as new as what the node knew when it stopped. A node whose
/// vote decides alone has that metadata when it starts, and may serve at once; another one gets it with its registration, fenced.
/// Either way the controller knows of replicas that have less than they had acknowledged before they may lead.
async fn enter_cluster(
    starting: &mut Starting,
    (config, dirs, addresses): (&BrokerConfig, &OpenDirs, &Addresses),
    controller: &Controller,
    (applier, applied): (&Applier, &Applied),
    (directories, losses): (&Arc<Directories>, &mut mpsc::UnboundedReceiver<FoundLoss>),
) -> Result<Option<Registration>, StartError> {
    let alone = controller.votes_alone();
    if alone {
        starting.enter("partitions");
        applier.start(controller.image()).await;
    }
    starting.enter("registration");
    let mut registration = None;
    if config.quorum.is_broker {
        let mut command = registration_of(starting, config, dirs, addresses, !alone);
        let begun = directories.clone();
        let incarnation = command.incarnation;
        starting.offload.run(move || begun.begin_life(incarnation)).await?;
        command.log_dirs = directories.online();
        let lost = found_losses(losses);
        command.losses = lost.iter().map(|found| found.replica).collect();
        registration =
            Some(join(controller, applied, command, config.quorum.heartbeat_interval, directories.clone()).await?);
        losses_are_known(lost, starting.offload).await;
    }
    if !alone {
        starting.enter("partitions");
        applier.start(controller.image()).await;
    }
    if let Some(registration) = &registration {
        tell_losses(registration, found_losses(losses), starting.offload).await;
    }
    Ok(registration)
}

/// Where partitions, and what opens them, report what the controller has to decide or know.
struct Reports {
    proposals: mpsc::UnboundedSender<PartitionProposal>,
    /// Damaged segments.
    damages: mpsc::UnboundedSender<Damage>,
    /// Replicas that are in another directory than the metadata says.
    misplaced: mpsc::UnboundedSender<PlacedReplica>,
    /// Replicas that have less than they had acknowledged.
    losses: mpsc::UnboundedSender<FoundLoss>,
}

/// Who hears of it.
struct Reported {
    proposals: mpsc::UnboundedReceiver<PartitionProposal>,
    damages: mpsc::UnboundedReceiver<Damage>,
    misplaced: mpsc::UnboundedReceiver<PlacedReplica>,
    /// Who moves replicas reports them as misplaced, too.
    homes: mpsc::UnboundedSender<PlacedReplica>,
    losses: mpsc::UnboundedReceiver<FoundLoss>,
}

impl Reports {
    fn new() -> (Reports, Reported) {
        let (proposals, proposed) = mpsc::unbounded_channel();
        let (damages, damaged) = mpsc::unbounded_channel();
        let (homes, misplaced) = mpsc::unbounded_channel();
        let (losses, lost) = mpsc::unbounded_channel();
        let reports = Reports { proposals, damages, misplaced: homes.clone(), losses };
        (reports, Reported { proposals: proposed, damages: damaged, misplaced, homes, losses: lost })
    }
}

/// What follows the metadata.
fn applier(
    starting: &mut Starting,
    config: &BrokerConfig,
    directories: &Arc<Directories>,
    partitions: &Arc<PartitionRegistry>,
    reports: Reports,
) -> Applier {
    let Reports { proposals, damages, misplaced, losses } = reports;
    Applier::new(ApplyParts {
        context: replication::context(starting, config, (proposals, damages)),
        directories: directories.clone(),
        misplaced,
        losses,
        config: starting.config.clone(),
        partitions: partitions.clone(),
        metrics: starting.metrics.clone(),
        clock: starting.clock.clone(),
        offload: starting.offload,
        entropy: Entropy::from_seed(starting.seed()),
    })
}

/// What requests see, from parts that are ready.
fn node(
    starting: &mut Starting,
    directories: Arc<Directories>,
    controller: Controller,
    partitions: Arc<PartitionRegistry>,
    applied: Applied,
    loggers: Loggers,
) -> Arc<Node> {
    let config = starting.config.clone();
    let fixed = config.current();
    let groups = start_groups(starting, &fixed, &partitions, &applied);
    Arc::new(Node {
        id: fixed.identity.node_id,
        auto_create: AutoCreate::new(controller.clone(), config.clone(), applied.clone()),
        producer_ids: ProducerIds::new(controller.clone(), fixed.identity.node_id),
        fetch: FetchState::new(fetch_limits(&fixed), starting.seed()),
        waiting: starting.waiting.clone(),
        clock: starting.clock.clone(),
        metrics: starting.metrics.clone(),
        directories,
        offload: starting.offload,
        transport: starting.transport.clone(),
        lost: LostBrokers::default(),
        throttles: Arc::new(throttles(&fixed)),
        loggers,
        partitions,
        groups,
        applied,
        config,
        controller,
    })
}

fn throttles(config: &BrokerConfig) -> Throttles {
    let replication = &config.replication;
    Throttles::new(replication.leader_throttle, replication.follower_throttle, replication.move_throttle)
}

async fn open_directories(starting: &mut Starting, disk: Arc<dyn Disk>) -> Result<OpenDirs, StartError> {
    let config = starting.config.current();
    let mut entropy = Entropy::from_seed(starting.seed());
    let alone = config.quorum.votes_alone(config.identity.node_id);
    if !alone && config.identity.cluster_id.is_none() {
        let (disk, config) = (disk.clone(), config.clone());
        let known = starting.offload.run(move || configured_or_known_cluster(&*disk, &config)).await?;
        known.ok_or_else(|| StartError::NoClusterId(entropy.uuid()))?;
    }
    let openers = openers(&config, starting.offload);
    let dirs = starting.offload.run(move || open_dirs(&disk, &config, openers, &mut entropy)).await?;
    run_commits(&dirs.all(), &starting.commits);
    Ok(dirs)
}

fn start_groups(
    starting: &mut Starting,
    config: &BrokerConfig,
    partitions: &Arc<PartitionRegistry>,
    applied: &Applied,
) -> Arc<GroupCoordinator> {
    let groups = Arc::new(GroupCoordinator::new(GroupParts {
        node_id: config.identity.node_id,
        groups: config.groups.clone(),
        offsets: config.offsets.clone(),
        clock: starting.clock.clone(),
        metrics: starting.metrics.groups.clone(),
        images: applied.watch(),
        rng: StdRng::from_seed(starting.seed()),
        tasks: starting.tracker.clone(),
        cancel: starting.cancel.clone(),
    }));
    let cancel = starting.cancel.clone();
    starting.tracker.spawn(placement::follow(groups.clone(), partitions.clone(), applied.watch(), cancel));
    groups
}

fn fetch_limits(config: &BrokerConfig) -> FetchLimits {
    FetchLimits {
        max_bytes: config.fetch.max_bytes,
        response_memory: usize::try_from(config.network.request_memory_bytes).unwrap_or(usize::MAX),
        sessions: SessionConfig { slots: config.fetch.session_slots, ..SessionConfig::default() },
    }
}

/// Background work, and what is read when metrics are scraped.
fn observe(starting: &Starting, node: &Arc<Node>, dirs: &OpenDirs) {
    let parts = TaskParts {
        config: node.config.clone(),
        clock: node.clock.clone(),
        dirs: dirs.all(),
        metadata_dir: dirs.metadata.clone(),
        metadata_has_partitions: dirs.data.iter().any(|dir| Arc::ptr_eq(dir, &dirs.metadata)),
        controller: node.controller.clone(),
        partitions: node.partitions.clone(),
        offload: starting.offload,
        health: starting.health.clone(),
        cancel: starting.cancel.clone(),
    };
    tasks::start(&parts, &starting.tracker);
    node.metrics.collect_from(StateCollector::new(Arc::downgrade(node)));
    starting.tracker.spawn(watch_controller(node.controller.clone(), starting.health.clone(), starting.cancel.clone()));
}

/// Tells when the controller cannot go on.
async fn watch_controller(controller: Controller, health: Arc<Health>, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            refusal = controller.refused() => return health.enter(Phase::Failed(refusal.to_string())),
            _ = ticks.tick() => {}
        }
        if let Some(failure) = controller.status().failure {
            health.enter(Phase::Failed(format!("controller: {failure}")));
            return;
        }
    }
}
