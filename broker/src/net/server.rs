//! Listeners and the spreading of connections over runtimes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::MemoryBudget;
use super::close::{CloseReason, Fault, LogLimiter};
use super::connection::{Connection, ConnectionConfig, Ended, Shared};
use super::info::ConnectionInfo;
use super::limits::{Accepting, Admission, ConnectionLimits, LimitConfig};
use super::seats::Seats;
use super::service::Service;
use super::timer::LazyTimer;
use super::transport::{Incoming, Listener, SocketConfig, Transport};
use crate::metrics::network::{ListenerCounts, NetworkMetrics};
use crate::threads::workers::Workers;

/// How long the acceptor rests after an error that is not about one connection, such as running out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listening sockets that nobody answers yet: their ports are known before the node says where it can be reached.
#[derive(Debug, Default)]
pub struct BoundListeners {
    transport: Transport,
    listeners: Vec<(String, Listener)>,
}

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "listener {name} cannot bind {address}: {source}. Another node may run here: stop it, or choose another address with \
     listeners"
)]
pub struct BindError {
    name: String,
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// How the network is set up.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// Limits of each connection.
    pub connection: ConnectionConfig,
    /// Limits on connections.
    pub limits: LimitConfig,
    /// Memory for requests in flight.
    pub request_budget: MemoryBudget,
}

/// Serves listeners until it is drained.
pub struct Server {
    state: Arc<State>,
    tracker: TaskTracker,
    /// Ends connections that draining did not end in time.
    kill: CancellationToken,
    addresses: BTreeMap<String, SocketAddr>,
}

struct State {
    shared: Arc<Shared>,
    seats: Seats,
    limits: Mutex<ConnectionLimits>,
    slot_freed: Notify,
    next_id: AtomicU64,
    workers: Arc<Workers>,
    log: Mutex<LogLimiter>,
    started: Instant,
}

impl BoundListeners {
    /// None yet, of another network than the system's.
    pub fn of(transport: Transport) -> Self {
        Self { transport, listeners: Vec::new() }
    }

    /// Binds one more listener called `name`. Needs a runtime, which then runs its acceptor.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(&mut self, name: &str, address: SocketAddr, config: &SocketConfig) -> Result<SocketAddr, BindError> {
        let failed = |source| BindError { name: name.to_owned(), address, source };
        let listener = self.transport.bind(address, config).map_err(failed)?;
        let bound = listener.address();
        self.listeners.push((name.to_owned(), listener));
        Ok(bound)
    }

    /// Starts accepting. Connections live on `workers`: on as few of them as keep up.
    pub fn serve(
        self,
        config: NetConfig,
        workers: Arc<Workers>,
        service: Arc<dyn Service>,
        metrics: Arc<NetworkMetrics>,
    ) -> Server {
        metrics.watch_memory(config.request_budget.clone());
        let shared = Shared {
            config: config.connection,
            service,
            budget: config.request_budget,
            metrics,
            drain: CancellationToken::new(),
        };
        let state = Arc::new(State {
            shared: Arc::new(shared),
            seats: Seats::new(),
            limits: Mutex::new(ConnectionLimits::new(config.limits, Duration::ZERO)),
            slot_freed: Notify::new(),
            next_id: AtomicU64::new(1),
            workers,
            log: Mutex::new(LogLimiter::default()),
            started: Instant::now(),
        });
        let (tracker, kill) = (TaskTracker::new(), CancellationToken::new());
        let mut addresses = BTreeMap::new();
        for (name, listener) in self.listeners {
            addresses.insert(name.clone(), listener.address());
            let acceptor = Acceptor {
                state: Arc::clone(&state),
                tracker: tracker.clone(),
                kill: kill.clone(),
                counts: state.shared.metrics.listener(&name),
                name,
            };
            tracker.spawn(acceptor.run(listener));
        }
        let (balanced, drain) = (Arc::clone(&state), state.shared.drain.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = drain.cancelled() => {}
                () = balanced.seats.keep_balanced(&balanced.workers) => {}
            }
        });
        Server { state, tracker, kill, addresses }
    }
}

impl Server {
    /// Where the listener called `name` listens.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.get(name).copied()
    }

    /// Connections open at present.
    pub fn connections(&self) -> usize {
        self.state.limits.lock().open()
    }

    /// Takes new limits for connections to come.
    pub fn set_limits(&self, limits: LimitConfig) {
        self.state.limits.lock().set_config(limits);
        self.state.slot_freed.notify_waiters();
    }

    /// Stops accepting and reading, answers what was read, and returns when all connections are closed; after `patience`
    /// the rest is cut. Says how many were cut.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.state.shared.drain.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_ok() {
            return 0;
        }
        let cut = self.connections();
        self.kill.cancel();
        self.tracker.wait().await;
        cut
    }
}

struct Acceptor {
    state: Arc<State>,
    tracker: TaskTracker,
    kill: CancellationToken,
    counts: Arc<ListenerCounts>,
    name: String,
}

/// Counts an open connection; dropping it frees the slot, also when the connection's task panics.
struct Slot {
    state: Arc<State>,
    connection: u64,
    ip: IpAddr,
    counts: Arc<ListenerCounts>,
}

impl Acceptor {
    async fn run(self, listener: Listener) {
        let drain = self.state.shared.drain.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                accepted = self.accept(&listener) => accepted,
            };
            match accepted {
                Ok(incoming) => self.admit(incoming),
                Err(error) => {
                    if let Some(held_back) = self.state.on_line("accept") {
                        tracing::warn!(listener = self.name, %error, held_back, "accepting a connection failed");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn accept(&self, listener: &Listener) -> io::Result<Incoming> {
        loop {
            // Made before the look at the limits, so that a slot freed in between is not missed.
            let freed = self.state.slot_freed.notified();
            let accepting = self.state.limits.lock().may_accept(self.state.started.elapsed());
            match accepting {
                Accepting::Now => return listener.accept().await,
                Accepting::WhenOneCloses => freed.await,
                Accepting::After(time) => tokio::time::sleep(time).await,
            }
        }
    }

    fn admit(&self, incoming: Incoming) {
        let state = &self.state;
        let peer = incoming.peer;
        if state.limits.lock().on_accept(peer.ip()) == Admission::RefuseAddress {
            self.counts.refused.add(1);
            if let Some(held_back) = state.on_line("refused") {
                tracing::warn!(%peer, listener = self.name, held_back, "refused: too many connections from this address");
            }
            return;
        }
        self.counts.accepted.add(1);
        self.counts.connections.add(1);
        let id = state.next_id.fetch_add(1, Ordering::Relaxed);
        let slot = Slot { state: Arc::clone(state), connection: id, ip: peer.ip(), counts: Arc::clone(&self.counts) };
        let info = Arc::new(ConnectionInfo {
            id,
            listener: self.name.clone(),
            peer,
            principal: ConnectionInfo::ANONYMOUS.to_owned(),
            node: OnceLock::new(),
            timer: LazyTimer::default(),
        });
        let seat = state.seats.take(id);
        let worker = seat.worker();
        let connection = Box::new(Connection::new(info, Arc::clone(&state.shared), seat));
        let running = Running { slot, tracker: self.tracker.clone(), kill: self.kill.clone() };
        running.settle(worker, incoming, connection);
    }
}

/// A connection on its way to a thread.
struct Running {
    slot: Slot,
    tracker: TaskTracker,
    kill: CancellationToken,
}

impl Running {
    /// Goes on with a connection on the thread `worker`.
    fn settle(self, worker: usize, incoming: Incoming, connection: Box<Connection>) {
        let state = Arc::clone(&self.slot.state);
        let flow = state.workers.flow(worker);
        let token = self.tracker.token();
        // Boxed: the task of a connection that moves starts one of its own kind.
        let task: BoxFuture<'static, ()> = Box::pin(async move {
            let _counted = token;
            let info = Arc::clone(connection.info());
            let ended = match incoming.attach() {
                Ok(stream) => tokio::select! {
                    ended = connection.serve(stream, flow) => ended,
                    () = self.kill.cancelled() => Ended::Closed(CloseReason::Shutdown),
                },
                Err(error) => Ended::Closed(CloseReason::Broken(error.kind())),
            };
            match ended {
                Ended::Closed(reason) => self.slot.closed(&reason, &info),
                Ended::Moved { worker, incoming, connection } => self.settle(worker, incoming, connection),
            }
        });
        state.workers.spawn_on(worker, task);
    }
}

impl Slot {
    fn closed(&self, reason: &CloseReason, info: &ConnectionInfo) {
        match reason.fault() {
            Some(Fault::Protocol) => self.counts.protocol_errors.add(1),
            Some(Fault::Time) => self.counts.timed_out.add(1),
            None => {}
        }
        if reason.fault().is_none() {
            tracing::debug!(peer = %info.peer, %reason, "connection closed");
        } else if let Some(held_back) = self.state.on_line(reason.label()) {
            tracing::warn!(peer = %info.peer, listener = info.listener, %reason, held_back, "connection closed");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.state.seats.free(self.connection);
        self.state.limits.lock().on_close(self.ip);
        self.counts.connections.add(-1);
        self.state.slot_freed.notify_waiters();
    }
}

impl State {
    fn on_line(&self, label: &'static str) -> Option<u64> {
        self.log.lock().on_line(label, self.started.elapsed())
    }
}

#[cfg(test)]
mod tests;
