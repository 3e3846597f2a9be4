//! What is served over HTTP: metrics and health, on loopback unless configured otherwise.
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | OpenMetrics text |
//! | `/livez` | 200 while the process can answer at all |
//! | `/healthz` | 200 unless a disk or the controller failed |
//! | `/readyz` | 200 while requests are served; else 503 with what the node is doing |
//!
//! At most 64 connections are served at a time, each for a minute at most.

mod connection;

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::health::{Health, Phase};
use crate::metrics::Metrics;
use crate::threads::offload::Offload;
use connection::BoundedListener;

/// What the handlers read.
#[derive(Clone)]
pub struct HttpState {
    /// The node's phase.
    pub health: Arc<Health>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Ends windows of quantiles.
    pub clock: Arc<dyn Clock>,
    /// Where the text of `/metrics` is made: with thousands of partitions it takes milliseconds.
    offload: Offload,
    /// Scrapes are made one after the other, so that they never take more than one thread.
    scrape: Arc<Semaphore>,
}

impl HttpState {
    /// Serves what these say.
    pub(crate) fn new(health: Arc<Health>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>, offload: Offload) -> Self {
        Self { health, metrics, clock, offload, scrape: Arc::new(Semaphore::new(1)) }
    }
}

/// How long requests under way may take when the server stops.
const GRACE: Duration = Duration::from_millis(500);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A listening HTTP server.
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    /// Binds `address` (`host:port`).
    ///
    /// # Errors
    /// The address is not known or in use.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until cancelled; requests under way are answered, connections that send none are not waited for.
    pub async fn serve(self, state: HttpState, cancel: CancellationToken) {
        let served = axum::serve(BoundedListener::new(self.listener), router(state));
        let served = served.with_graceful_shutdown(cancel.clone().cancelled_owned());
        let patience = async {
            cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = served.into_future() => if let Err(error) = served {
                tracing::error!(%error, "the HTTP server ended");
            },
            () = patience => {}
        }
    }
}

fn router(state: HttpState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(state)
}

async fn metrics(State(state): State<HttpState>) -> Response {
    let turn = state.scrape.acquire().await;
    let (metrics, clock) = (state.metrics.clone(), state.clock.clone());
    let text = state.offload.run(move || metrics.encode(clock.monotonic())).await;
    drop(turn);
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn healthz(State(state): State<HttpState>) -> Response {
    match state.health.phase() {
        Phase::Failed(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("failed: {reason}\n")).into_response(),
        _ => "healthy\n".into_response(),
    }
}

async fn readyz(State(state): State<HttpState>) -> Response {
    let busy = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    match state.health.phase() {
        Phase::Serving => "ready\n".into_response(),
        Phase::Starting(step) => busy(format!("starting: {step}\n")),
        Phase::Stopping => busy("stopping\n".to_owned()),
        Phase::Failed(reason) => busy(format!("failed: {reason}\n")),
    }
}
