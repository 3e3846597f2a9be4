//! What accepts connections: HTTP first, then listeners that are bound and wait, in the end servers that answer.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use super::cluster::PeerServers;
use super::error::StartError;
use super::network::{limits, net_config, sockets};
use super::start::Starting;
use crate::api::Dispatcher;
use crate::config::BrokerConfig;
use crate::config::listener::Listener;
use crate::http::{HttpServer, HttpState};
use crate::metrics::idle::IdleCollector;
use crate::net::server::{BoundListeners, Server};
use crate::node::Node;
use crate::threads::workers::Workers;

/// The HTTP server comes first, so that probes see how far the start is.
pub(super) async fn start_http(starting: &Starting, config: &BrokerConfig) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = &config.network.http_listener else { return Ok(None) };
    let failed = |source| StartError::Http { address: address.clone(), source };
    let server = HttpServer::bind(address).await.map_err(failed)?;
    let bound = server.address();
    let state =
        HttpState::new(starting.health.clone(), starting.metrics.clone(), starting.clock.clone(), starting.offload);
    starting.tracker.spawn(server.serve(state, starting.cancel.clone()));
    Ok(Some(bound))
}

fn resolve(listener: &Listener) -> Result<SocketAddr, StartError> {
    let host = if listener.host.is_empty() { "::" } else { &listener.host };
    let failed = |source| StartError::Resolve { listener: listener.name.clone(), host: host.to_owned(), source };
    let mut addresses = (host, listener.port).to_socket_addrs().map_err(failed)?;
    addresses.next().ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}

/// Listeners that nobody answers yet.
#[derive(Default)]
pub(super) struct Bound {
    /// Those of clients.
    pub(super) clients: BoundListeners,
    /// Those of controllers.
    pub(super) nodes: BoundListeners,
}

pub(super) type Addresses = BTreeMap<String, SocketAddr>;

pub(super) fn bind_all(
    starting: &Starting,
    config: &BrokerConfig,
    listeners: &[Listener],
) -> Result<(BoundListeners, Addresses), StartError> {
    let (mut bound, sockets) = (BoundListeners::of(starting.transport.clone()), sockets(&config.network));
    let mut addresses = BTreeMap::new();
    for listener in listeners {
        let address = match bound.bind(&listener.name, resolve(listener)?, &sockets) {
            // A machine without IPv6.
            Err(_) if listener.host.is_empty() => {
                bound.bind(&listener.name, SocketAddr::from(([0, 0, 0, 0], listener.port)), &sockets)?
            }
            address => address?,
        };
        addresses.insert(listener.name.clone(), address);
    }
    Ok((bound, addresses))
}

/// Everything that accepts connections.
pub(super) struct Servers {
    /// Of clients.
    pub(super) clients: Arc<Server>,
    /// Of other nodes, where they have listeners of their own.
    pub(super) nodes: Option<Arc<Server>>,
}

/// Lets clients and nodes in.
pub(super) fn serve(
    starting: &Starting,
    node: &Arc<Node>,
    bound: Bound,
    peers: PeerServers,
    workers: Arc<Workers>,
) -> Servers {
    let config = node.config.current();
    node.metrics.collect_from(IdleCollector::new(workers.busy(), starting.clock.clone()));
    let clients = match peers.clients {
        Some(server) => {
            peers.doors.send_replace(Some(Arc::new(Dispatcher::new(node.clone()))));
            server
        }
        None => {
            let network = node.metrics.network.clone();
            let dispatcher = Arc::new(Dispatcher::new(node.clone()));
            Arc::new(bound.clients.serve(net_config(&config.network), workers, dispatcher, network))
        }
    };
    if peers.nodes.is_some() {
        peers.doors.send_replace(Some(Arc::new(Dispatcher::of_controller(node.clone()))));
    }
    let (live, follower) = (node.config.clone(), clients.clone());
    let cancel = starting.cancel.clone();
    starting.tracker.spawn(async move {
        let mut changes = live.changes();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            follower.set_limits(limits(&live.current().network));
        }
    });
    Servers { clients, nodes: peers.nodes }
}
