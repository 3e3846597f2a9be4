//! The node as a part of its cluster: the controller with its way to other nodes, what answers them, and the broker's registration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use goatq_controller::Controller;
use goatq_controller::decide::TopicDefaults;
use goatq_controller::decide::brokers::RegisterBroker;
use goatq_controller::feature::SupportedFeatures;
use goatq_controller::image::Endpoint;
use goatq_controller::planted::Planted;
use goatq_controller::service::{ClusterConfig, MetadataStorage, QuorumNode, QuorumTiming};
use goatq_protocol::Uuid;
use goatq_storage::config::Durability;
use goatq_storage::io::Disk;
use tokio::sync::watch;

use super::error::StartError;
use super::listeners::Bound;
use super::network::{limits, net_config};
use super::start::Starting;
use super::storage::OpenDirs;
use crate::config::BrokerConfig;
use crate::config::broker::QuorumAddress;
use crate::config::listener::Listener;
use crate::config::validator::TableValidator;
use crate::directories::Directories;
use crate::lifecycle::{self, Registration};
use crate::metadata::applied::Applied;
use crate::net::budget::MemoryBudget;
use crate::net::connection::ConnectionConfig;
use crate::net::server::{NetConfig, Server};
use crate::net::service::Service;
use crate::quorum::frame::MAX_REQUEST;
use crate::quorum::proof::Identity;
use crate::quorum::service::{PeerService, Ready};
use crate::quorum::transport::Peers;
use crate::threads::offload::Offload;
use crate::threads::workers::Workers;

/// Bytes that requests of other nodes may hold together, beside what clients may hold. The longest fits.
const PEER_MEMORY: usize = MAX_REQUEST + (64 << 20);
/// What a follower of the quorum waits for before it calls an election is this many heartbeats of the leader.
const HEARTBEATS: u32 = 4;
/// How much later than usual a heartbeat may come of a node whose other connection has broken off.
const HEARTBEAT_IS_LATE: Duration = Duration::from_millis(50);

/// Makes the service of clients known to the service of nodes, once there is one.
pub(super) type Doors = watch::Sender<Option<Arc<dyn Service>>>;

/// Who this node is among the nodes of its cluster.
pub(super) fn identity(config: &BrokerConfig, dirs: &OpenDirs) -> Identity {
    Identity {
        cluster_id: dirs.cluster_id.clone(),
        node_id: config.identity.node_id,
        directory_id: dirs.metadata.directory_id(),
    }
}

fn at(listener: &str, address: &QuorumAddress) -> Endpoint {
    let listener = if listener.is_empty() { "CONTROLLER" } else { listener };
    Endpoint {
        listener: listener.into(),
        host: address.host.as_str().into(),
        port: address.port,
        ..Endpoint::default()
    }
}

/// What others are told of a listener: the advertised host and port, or what is bound.
pub(super) fn endpoint(
    listener: &Listener,
    advertised: &BTreeMap<String, Listener>,
    addresses: &BTreeMap<String, SocketAddr>,
) -> Endpoint {
    let told = advertised.get(&listener.name).unwrap_or(listener);
    let bound = addresses.get(&listener.name).map_or(told.port, SocketAddr::port);
    Endpoint {
        listener: listener.name.as_str().into(),
        host: told.host.as_str().into(),
        port: if told.port == 0 { bound } else { told.port },
        security: listener.security,
    }
}

/// Where other nodes of the quorum reach this one: a voter where all are told that it is, another controller at its own listeners, a
/// broker at its listener for brokers.
fn own_endpoints(config: &BrokerConfig, addresses: &BTreeMap<String, SocketAddr>) -> Vec<Endpoint> {
    let quorum = &config.quorum;
    if let Some(address) = quorum.voters.get(&config.identity.node_id) {
        return if quorum.listeners.is_empty() { Vec::new() } else { vec![at(first_name(config), address)] };
    }
    if quorum.is_controller {
        return quorum.listeners.iter().map(|listener| endpoint(listener, &quorum.advertised, addresses)).collect();
    }
    let network = &config.network;
    let listener = network.listeners.iter().find(|listener| listener.name == network.inter_broker_listener);
    listener.map(|listener| endpoint(listener, &network.advertised, addresses)).into_iter().collect()
}

fn first_name(config: &BrokerConfig) -> &str {
    config.quorum.listener_names.first().map_or("", String::as_str)
}

/// What the controller is started with.
fn cluster_config(
    config: &BrokerConfig,
    own: &Identity,
    addresses: &BTreeMap<String, SocketAddr>,
    (seed, planted): ([u8; 32], Option<Planted>),
) -> ClusterConfig {
    let quorum = &config.quorum;
    // Without directory ids, which the others do not know: all voters begin with the same.
    let voter = |(id, address): (&i32, &QuorumAddress)| {
        (*id, QuorumNode { directory_id: Uuid::ZERO, endpoints: vec![at(first_name(config), address)] })
    };
    let alone = quorum.votes_alone(own.node_id);
    let timing = if quorum.is_closed(own.node_id) {
        QuorumTiming::ALONE
    } else {
        QuorumTiming {
            heartbeat: quorum.election_timeout / HEARTBEATS,
            election_timeout: quorum.election_timeout,
            lost_after: quorum.election_timeout / HEARTBEATS + HEARTBEAT_IS_LATE,
            ..QuorumTiming::default()
        }
    };
    ClusterConfig {
        cluster_id: Some(own.cluster_id.as_str().into()),
        voters: if alone { BTreeMap::new() } else { quorum.voters.iter().map(voter).collect() },
        servers: quorum.servers.iter().map(|address| at(first_name(config), address)).collect(),
        endpoints: own_endpoints(config, addresses),
        auto_join: quorum.auto_join,
        session_timeout: quorum.session_timeout,
        topic_defaults: TopicDefaults {
            num_partitions: config.topics.num_partitions,
            replication_factor: config.topics.default_replication_factor.unwrap_or(1),
            ..TopicDefaults::default()
        },
        timing,
        balance: config.balance.clone(),
        planted,
        ..ClusterConfig::single(own.node_id, own.directory_id, seed)
    }
}

/// Starts the controller. On a node whose vote decides alone it leads when this returns.
pub(super) async fn start_controller(
    starting: &mut Starting,
    config: &BrokerConfig,
    dirs: &OpenDirs,
    disk: Arc<dyn Disk>,
    addresses: &BTreeMap<String, SocketAddr>,
) -> Result<Controller, StartError> {
    let own = identity(config, dirs);
    let mut cluster = cluster_config(config, &own, addresses, (starting.seed(), starting.planted));
    let topics = starting.config.topic(None);
    cluster.topic_defaults.min_insync_replicas = topics.min_insync_replicas;
    cluster.topic_defaults.synced = topics.log.durability == Durability::Fsync;
    let storage = MetadataStorage {
        disk,
        log_dir: dirs.metadata.path().to_owned(),
        resources: dirs.metadata.resources().clone(),
        commit: dirs.metadata.commit().clone(),
        offload: starting.offload == Offload::Threads,
    };
    let validator = Arc::new(TableValidator::new(starting.config.clone()));
    let peers = Arc::new(Peers::new(own, starting.transport.clone(), config.quorum.request_timeout, starting.seed()));
    Ok(Controller::start_in_quorum(cluster, storage, validator, peers).await?)
}

/// Servers of a node that has listeners for other nodes.
pub(super) struct PeerServers {
    /// Of controller listeners.
    pub(super) nodes: Option<Arc<Server>>,
    /// Of clients, where nodes are answered as well.
    pub(super) clients: Option<Arc<Server>>,
    /// Where clients have to wait until there is somebody to answer them.
    pub(super) doors: Doors,
}

/// Begins to answer other nodes: on the listeners of controllers, or on a node that is none on the listener of brokers.
pub(super) fn serve_peers(
    starting: &Starting,
    config: &BrokerConfig,
    dirs: &OpenDirs,
    controller: &Controller,
    bound: &mut Bound,
    workers: &Arc<Workers>,
) -> PeerServers {
    let doors = Doors::new(None);
    let service = |listeners: BTreeSet<String>, clients: Ready| {
        Arc::new(PeerService::new(identity(config, dirs), controller.clone(), listeners, clients))
    };
    let network = starting.metrics.network.clone();
    if !config.quorum.is_controller {
        let listeners = BTreeSet::from([config.network.inter_broker_listener.clone()]);
        let service = service(listeners, doors.subscribe());
        let clients = std::mem::take(&mut bound.clients);
        let server = clients.serve(net_config(&config.network), workers.clone(), service, network);
        return PeerServers { nodes: None, clients: Some(Arc::new(server)), doors };
    }
    if config.quorum.listeners.is_empty() {
        return PeerServers { nodes: None, clients: None, doors };
    }
    let names = config.quorum.listeners.iter().map(|listener| listener.name.clone()).collect();
    let service = service(names, doors.subscribe());
    let nodes = std::mem::take(&mut bound.nodes);
    let settings = NetConfig {
        connection: ConnectionConfig { max_frame: MAX_REQUEST, ..net_config(&config.network).connection },
        limits: limits(&config.network),
        request_budget: MemoryBudget::new(PEER_MEMORY),
    };
    let server = nodes.serve(settings, workers.clone(), service, network);
    PeerServers { nodes: Some(Arc::new(server)), clients: None, doors }
}

/// What a broker registers with.
pub(super) fn registration(
    starting: &mut Starting,
    config: &BrokerConfig,
    dirs: &OpenDirs,
    addresses: &BTreeMap<String, SocketAddr>,
    fenced: bool,
) -> RegisterBroker {
    let supported = SupportedFeatures::current();
    let network = &config.network;
    let endpoints = network.listeners.iter().map(|listener| endpoint(listener, &network.advertised, addresses));
    RegisterBroker {
        id: config.identity.node_id,
        cluster_id: Some(dirs.cluster_id.as_str().into()),
        incarnation: starting.entropy.uuid(),
        // What this node's metadata says when it registers.
        replaces: None,
        endpoints: endpoints.collect(),
        rack: config.identity.rack.as_deref().map(Into::into),
        features: supported.iter().map(|(name, range)| (name.clone(), (range.min, range.max))).collect(),
        log_dirs: dirs.data.iter().map(|dir| dir.directory_id()).collect::<Vec<Uuid>>(),
        before: dirs.earlier_lives(),
        losses: Vec::new(),
        fenced,
    }
}

/// Registers with the leader of the quorum, whoever that is and however long it takes; the metadata that this node has is then as new as
/// its registration. The quorum may refuse the node, which ends the wait.
pub(super) async fn join(
    controller: &Controller,
    applied: &Applied,
    command: RegisterBroker,
    interval: Duration,
    directories: Arc<Directories>,
) -> Result<Registration, StartError> {
    let registration = Registration::new(controller.clone(), applied.clone(), command, interval, directories);
    tokio::select! {
        registered = lifecycle::register(&registration) => registered?,
        refusal = controller.refused() => return Err(refusal.into()),
    }
    Ok(registration)
}
