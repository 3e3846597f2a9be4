//! Starting the controller: opening what is on disk, forming the quorum, becoming its leader.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize},
    },
    time::Duration,
};

use bytes::Bytes;
use openraft::{Config, SnapshotPolicy, async_runtime::watch::WatchReceiver};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    ClusterConfig, Controller, MetadataQuorum, MetadataStorage, QuorumNode, QuorumTiming, Running, StartError,
    SubmitError, UNKNOWN_NODE,
    writer::{QUEUE, Rules, Writer},
};
use crate::{
    decide::{ConfigValidator, cluster::FormCluster},
    entropy::Entropy,
    image::SharedImage,
    liveness::{BrokerSessions, LostNodes},
    planted::Planted,
    raft::{
        log_store::{self, LogStore},
        network::{Members, Network, QuorumTransport},
        snapshot::{SnapshotContent, SnapshotStore},
        state_machine::StateMachine,
        voters::could_split,
    },
};

pub(super) async fn start(
    config: ClusterConfig,
    storage: MetadataStorage,
    validator: Arc<dyn ConfigValidator>,
    transport: Arc<dyn QuorumTransport>,
) -> Result<Controller, StartError> {
    let node_id = u32::try_from(config.node_id)
        .map_err(|_| StartError::Config(format!("node.id {} is negative", config.node_id)))?;
    let voters = voters(&config, u64::from(node_id))?;
    let (directory_id, offload) = (config.directory_id, storage.offload);
    let opening = storage.clone();
    let open = move || open(&opening, node_id, directory_id);
    let opened = match offload {
        true => tokio::task::spawn_blocking(open).await.map_err(io::Error::other).and_then(|opened| opened),
        false => open(),
    };
    let (log_store, snapshots, content) = opened.map_err(|error| StartError::Storage(error.to_string()))?;
    let log = log_store.log().clone();
    let (published, images) = watch::channel(SharedImage::default());
    let told = voters.iter().filter(|(_, node)| !node.endpoints.is_empty());
    let members = Members::new(told.map(|(id, node)| (*id, node.endpoints.clone())).collect());
    let machine = StateMachine::new(snapshots, content, published, members.clone());
    let raft_config = Arc::new(raft_config(&config)?);
    let network = Network::new(transport.clone(), members.clone());
    let raft =
        MetadataQuorum::new(u64::from(node_id), raft_config, network, log_store, machine).await.map_err(raft_error)?;
    let (queue, jobs) = mpsc::channel(QUEUE);
    let (stop, stopped) = watch::channel(false);
    let rules = Rules {
        validator,
        defaults: config.topic_defaults,
        supported: config.features.clone(),
        entropy: Entropy::from_seed(config.seed),
    };
    let (overtaken, insisted) = ways_of_the_deposed(&config);
    let writer = Writer { raft: raft.clone(), queue: jobs, images: images.clone(), stop: stopped, rules, overtaken };
    let writer = tokio::sync::Mutex::new(Some(tokio::spawn(writer.run())));
    let running = Running {
        raft,
        queue,
        images,
        stop,
        writer,
        log,
        offload,
        transport,
        members,
        servers: servers(&config),
        next_server: AtomicUsize::new(0),
        patience: config.patience,
        started: Instant::now(),
        sessions: Mutex::new(BrokerSessions::new(config.session_timeout, config.node_id)),
        lost: Mutex::new(LostNodes::new(config.timing.lost_after)),
        losses: watch::Sender::new(0),
        last_leader: Mutex::default(),
        beats_wanted: watch::Sender::new(0),
        heard: Mutex::new(Instant::now()),
        own_applied: AtomicI64::new(-1),
        election_timeout: config.timing.election_timeout,
        refused: watch::Sender::new(None),
        reports: Mutex::default(),
        admitting: tokio::sync::Mutex::default(),
    };
    let controller = Controller { running: Arc::new(running) };
    obey_the_deposed(&controller, insisted);
    if let Err(error) = form(&controller, &config, voters).await {
        controller.shutdown().await;
        return Err(error);
    }
    attend(&controller, &config);
    Ok(controller)
}

type Overtaken = (Option<mpsc::UnboundedSender<Bytes>>, Option<mpsc::UnboundedReceiver<Bytes>>);

/// How decisions that another controller has overtaken come to that one: not at all, but for a defect that is planted.
fn ways_of_the_deposed(config: &ClusterConfig) -> Overtaken {
    config.planted.is_some_and(Planted::obeys_the_deposed).then(mpsc::unbounded_channel).unzip()
}

/// See [`ways_of_the_deposed`].
fn obey_the_deposed(controller: &Controller, insisted: Option<mpsc::UnboundedReceiver<Bytes>>) {
    #[cfg(feature = "planted")]
    if let Some(insisted) = insisted {
        super::deposed::insist(controller.clone(), insisted);
    }
    #[cfg(not(feature = "planted"))]
    let _ = (controller, insisted);
}

fn raft_error(error: impl std::fmt::Display) -> StartError {
    StartError::Raft(error.to_string())
}

/// What a node does besides in a quorum of several: it makes itself known, and when it leads it keeps an eye on brokers.
fn attend(controller: &Controller, config: &ClusterConfig) {
    if controller.running.in_quorum() || !config.endpoints.is_empty() {
        let node = QuorumNode { directory_id: config.directory_id, endpoints: config.endpoints.clone() };
        tokio::spawn(attend_quorum(controller.clone(), node, config.auto_join));
    }
    if config.timing != QuorumTiming::ALONE {
        controller.hear_losses();
        tokio::spawn(controller.clone().end_changes());
        tokio::spawn(controller.clone().keep_sessions());
        tokio::spawn(controller.clone().keep_even(config.balance.clone()));
    }
}

/// Makes a node known to the quorum, and if it shall vote there, gets it a vote. Does the former again when the node may have been forgotten.
async fn attend_quorum(controller: Controller, node: QuorumNode, auto_join: bool) {
    let directory_id = node.directory_id;
    if controller.announce(node.clone()).await && auto_join {
        controller.clone().join_voters(directory_id).await;
    }
    while controller.until_silence().await && controller.announce(node.clone()).await {}
}

/// Whom to ask when the leader is not known: the configured voters, or the servers whose ids are not known.
fn servers(config: &ClusterConfig) -> Vec<(u64, QuorumNode)> {
    let voters = config.voters.iter().filter(|(id, _)| **id != config.node_id);
    let voters = voters.filter_map(|(id, node)| Some((u64::try_from(*id).ok()?, node.clone())));
    let unknown = (UNKNOWN_NODE..).zip(&config.servers);
    let unknown =
        unknown.map(|(id, endpoint)| (id, QuorumNode { endpoints: vec![endpoint.clone()], ..QuorumNode::default() }));
    voters.chain(unknown).collect()
}

/// The voters of a new quorum.
fn voters(config: &ClusterConfig, node_id: u64) -> Result<BTreeMap<u64, QuorumNode>, StartError> {
    let mut voters = BTreeMap::new();
    for (id, node) in &config.voters {
        let id = u64::try_from(*id).map_err(|_| StartError::Config(format!("voter id {id} is negative")))?;
        voters.insert(id, node.clone());
    }
    if voters.is_empty() && config.servers.is_empty() {
        voters.insert(node_id, QuorumNode { directory_id: config.directory_id, endpoints: Vec::new() });
    }
    let joins = !voters.contains_key(&node_id);
    if (voters.len() > 1 || joins) && config.cluster_id.is_none() {
        return Err(StartError::Config("a quorum of several nodes needs a cluster id that all of them know".into()));
    }
    Ok(voters)
}

type Opened = (LogStore, SnapshotStore, Option<SnapshotContent>);

/// Opens what is on disk. Blocks.
fn open(storage: &MetadataStorage, node_id: u32, directory_id: goatq_protocol::Uuid) -> io::Result<Opened> {
    let log_store = LogStore::open(storage, node_id, directory_id)?;
    let (snapshots, content) = SnapshotStore::open(storage.disk.clone(), &log_store::directory(storage))?;
    let reached = content.as_ref().and_then(|content| content.last).map(|last| last.index);
    if let Some(purged) = log_store.purged()
        && reached.is_none_or(|reached| reached < purged.index)
    {
        let reason = format!(
            "entries up to {} were removed from the metadata log because a snapshot had them, but no snapshot that reaches so \
             far can be read",
            purged.index
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok((log_store, snapshots, content))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn raft_config(config: &ClusterConfig) -> Result<Config, StartError> {
    let timing = config.timing;
    let election_timeout = millis(timing.election_timeout);
    Config {
        cluster_name: "metadata".to_owned(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: election_timeout,
        election_timeout_max: election_timeout.saturating_mul(2),
        enable_pre_vote: Some(true),
        // Every life leads under a term of its own: what of it is applied proves that everything before is.
        enable_leader_restore: Some(false),
        install_snapshot_timeout: 60_000,
        max_payload_entries: 64,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(timing.snapshot_every),
        // Back to the snapshot before the last, and some more, as snapshots are not made at once.
        max_in_snapshot_log_to_keep: timing.snapshot_every.saturating_mul(2),
        replication_lag_threshold: timing.snapshot_every.saturating_mul(2),
        ..Config::default()
    }
    .validate()
    .map_err(|error| StartError::Config(error.to_string()))
}

/// Makes a new quorum of what is configured. A quorum of one is led when this returns, and its image is complete.
async fn form(
    controller: &Controller,
    config: &ClusterConfig,
    voters: BTreeMap<u64, QuorumNode>,
) -> Result<(), StartError> {
    let raft = &controller.running.raft;
    let new = !raft.is_initialized().await.map_err(raft_error)?;
    if !new {
        check_voters(raft, &voters).await?;
    }
    if new && voters.contains_key(raft.node_id()) {
        raft.initialize(voters).await.map_err(raft_error)?;
    }
    // Asked of Raft itself: the metrics may still show a node without voters.
    let id = *raft.node_id();
    let alone = raft.with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([id])).await;
    let alone = alone.map_err(raft_error)?;
    let form = FormCluster { cluster_id: config.cluster_id.clone() };
    if alone {
        // Nobody else can win, so there is nothing to wait for. A new quorum has called its election already; another one would
        // interrupt the leadership that it gives.
        if !new {
            raft.trigger().elect(false).await.map_err(raft_error)?;
        }
        lead(raft).await?;
        let formed = controller.submit_here(form).await;
        formed.map_err(|error| StartError::Raft(error.to_string()))??;
    } else if config.voters.contains_key(&config.node_id) {
        tokio::spawn(form_when_leading(controller.clone(), form));
    }
    Ok(())
}

/// A quorum that exists knows its voters. Starting one of them for another quorum would make two clusters of one.
async fn check_voters(raft: &MetadataQuorum, configured: &BTreeMap<u64, QuorumNode>) -> Result<(), StartError> {
    let known = raft.with_raft_state(|state| state.membership_state.effective().voter_ids().collect::<BTreeSet<_>>());
    let known = known.await.map_err(raft_error)?;
    let configured: BTreeSet<_> = configured.keys().copied().collect();
    if could_split(&known, &configured) {
        return Err(StartError::Config(format!(
            "the voters of the metadata log are nodes {known:?}, but nodes {configured:?} are configured: the voters of a quorum cannot \
             be changed by configuration; if some have lost their votes since, take them out of it"
        )));
    }
    // A node without a vote may know fewer voters than there are, and may have been told none.
    if known.contains(raft.node_id()) && known != configured && configured.len() > 1 {
        tracing::warn!(
            ?known,
            ?configured,
            "the voters have changed since they were configured: those of the metadata log count"
        );
    }
    Ok(())
}

/// Waits until this node leads.
async fn lead(raft: &MetadataQuorum) -> Result<(), StartError> {
    let mut metrics = raft.metrics();
    loop {
        {
            let now = metrics.borrow_watched().clone();
            now.running_state.as_ref().map_err(raft_error)?;
            if now.state.is_leader() {
                return Ok(());
            }
        }
        metrics.changed().await.map_err(raft_error)?;
    }
}

/// In a quorum of several whoever leads first gives the cluster its id. Ends once it has one.
async fn form_when_leading(controller: Controller, form: FormCluster) {
    let mut images = controller.watch();
    let mut metrics = controller.running.raft.metrics();
    let mut stop = controller.running.stop.subscribe();
    loop {
        if !images.borrow_and_update().cluster_id.is_empty() {
            return;
        }
        let leads = metrics.borrow_watched().state.is_leader();
        if leads {
            match controller.submit_here(form.clone()).await {
                Ok(Err(wrong)) => return tracing::error!(error = %wrong, "this node is of another cluster"),
                Err(SubmitError::Stopped) => return,
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { return },
            changed = images.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
