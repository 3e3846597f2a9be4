//! Request metrics, by API.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use goatq_protocol::ApiKey;
use goatq_protocol::ErrorCode;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;
use super::histogram::Histogram;

/// API keys have gaps, but none is above this.
const KEYS: usize = 128;
/// No API has more versions than this.
const VERSIONS: usize = 32;
/// Error codes run from -1 to 136.
const ERRORS: usize = 144;
/// Quantiles that each histogram is shown with, as Kafka's reporters do.
const QUANTILES: [(f64, &str); 6] =
    [(0.5, "0.50"), (0.75, "0.75"), (0.95, "0.95"), (0.98, "0.98"), (0.99, "0.99"), (0.999, "0.999")];

/// Where the time of one request went. The phases follow Kafka's so that its dashboards work.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestTimes {
    /// From the last byte of the frame to the start of the handler.
    pub request_queue: Duration,
    /// Work of this node.
    pub local: Duration,
    /// Waiting for a condition: durability, other replicas, data for a fetch, a rebalance.
    pub remote: Duration,
    /// Waiting for earlier replies of the same connection.
    pub response_queue: Duration,
    /// Writing the reply to the socket.
    pub response_send: Duration,
}

impl RequestTimes {
    /// The whole time the client waited, apart from the network.
    pub fn total(&self) -> Duration {
        self.request_queue + self.local + self.remote + self.response_queue + self.response_send
    }
}

#[derive(Debug)]
struct ApiMetrics {
    by_version: [AtomicU64; VERSIONS],
    by_error: [AtomicU64; ERRORS],
    total: Histogram,
    request_queue: Histogram,
    local: Histogram,
    remote: Histogram,
    response_queue: Histogram,
    response_send: Histogram,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        Self {
            by_version: std::array::from_fn(|_| AtomicU64::new(0)),
            by_error: std::array::from_fn(|_| AtomicU64::new(0)),
            total: Histogram::default(),
            request_queue: Histogram::default(),
            local: Histogram::default(),
            remote: Histogram::default(),
            response_queue: Histogram::default(),
            response_send: Histogram::default(),
        }
    }
}

impl ApiMetrics {
    fn histograms(&self) -> [(&'static str, &Histogram); 6] {
        [
            ("totaltimems", &self.total),
            ("requestqueuetimems", &self.request_queue),
            ("localtimems", &self.local),
            ("remotetimems", &self.remote),
            ("responsequeuetimems", &self.response_queue),
            ("responsesendtimems", &self.response_send),
        ]
    }
}

/// Counts and times of requests. Memory is taken when an API is used for the first time, and is then fixed: labels are
/// keys, versions and error codes, none of which a client can invent.
pub struct RequestMetrics {
    apis: [OnceLock<Box<ApiMetrics>>; KEYS],
    rotated_at: Mutex<Duration>,
}

/// Quantiles cover between one and two of these.
const WINDOW: Duration = Duration::from_secs(60);

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self { apis: std::array::from_fn(|_| OnceLock::new()), rotated_at: Mutex::new(Duration::ZERO) }
    }
}

impl RequestMetrics {
    fn api(&self, key: ApiKey) -> Option<&ApiMetrics> {
        let slot = self.apis.get(usize::try_from(key as i16).ok()?)?;
        Some(slot.get_or_init(Box::default))
    }

    /// Counts a request that was answered.
    pub fn answered(&self, key: ApiKey, version: i16, times: &RequestTimes) {
        let Some(api) = self.api(key) else { return };
        if let Some(count) = usize::try_from(version).ok().and_then(|v| api.by_version.get(v)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        api.total.observe(times.total());
        api.request_queue.observe(times.request_queue);
        api.local.observe(times.local);
        api.remote.observe(times.remote);
        api.response_queue.observe(times.response_queue);
        api.response_send.observe(times.response_send);
    }

    /// Counts `count` items of replies that carried `error` (Kafka counts NONE too).
    pub fn errors(&self, key: ApiKey, error: ErrorCode, count: u64) {
        let slot = usize::try_from(i32::from(error.code()) + 1).ok();
        if let Some(slot) = self.api(key).zip(slot).and_then(|(api, slot)| api.by_error.get(slot)) {
            slot.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Starts a new window of quantiles when the current one is old enough; called before a scrape.
    pub fn rotate(&self, now: Duration) {
        let mut rotated_at = self.rotated_at.lock();
        if now.saturating_sub(*rotated_at) < WINDOW {
            return;
        }
        *rotated_at = now;
        for (_, api) in self.used() {
            for (_, histogram) in api.histograms() {
                histogram.rotate();
            }
        }
    }

    fn used(&self) -> impl Iterator<Item = (&'static str, &ApiMetrics)> {
        let name = |key: usize| i16::try_from(key).ok().and_then(ApiKey::from_code).map(|key| key.name());
        self.apis.iter().enumerate().filter_map(move |(key, slot)| Some((name(key)?, slot.get()?.as_ref())))
    }

    fn encode_counts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = Metric::counter(
            encoder,
            "kafka_network_requestmetrics_requests",
            "Requests answered, by API and version.",
        )?;
        for (name, api) in self.used() {
            for (version, count) in api.by_version.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    requests.count(&[("request", name), ("version", &version.to_string())], count)?;
                }
            }
        }
        let mut errors = Metric::counter(
            encoder,
            "kafka_network_requestmetrics_errors",
            "Error codes in replies, by API; NONE counts what succeeded.",
        )?;
        for (name, api) in self.used() {
            for (slot, count) in api.by_error.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let error = ErrorCode::from_code(slot as i16 - 1).map_or("UNKNOWN", |error| error.name());
                    errors.count(&[("request", name), ("error", error)], count)?;
                }
            }
        }
        Ok(())
    }

    fn encode_times(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for phase in 0..ApiMetrics::default().histograms().len() {
            let used: Vec<_> = self.used().map(|(name, api)| (name, api.histograms()[phase])).collect();
            let Some((_, (phase_name, _))) = used.first() else { return Ok(()) };
            let family = format!("kafka_network_requestmetrics_{phase_name}");
            let mut gauge = Metric::gauge(encoder, &family, "Time of requests in this phase, milliseconds.")?;
            for (name, (_, histogram)) in &used {
                let values = histogram.quantiles_ms(QUANTILES.map(|(quantile, _)| quantile));
                for (value, (_, label)) in values.into_iter().zip(QUANTILES) {
                    gauge.value(&[("request", name), ("quantile", label)], value)?;
                }
            }
            let family = format!("kafka_network_requestmetrics_{phase_name}_count");
            let mut count = Metric::gauge(encoder, &family, "Requests in the histogram.")?;
            for (name, (_, histogram)) in &used {
                count.value(&[("request", name)], histogram.count() as f64)?;
            }
            let family = format!("kafka_network_requestmetrics_{phase_name}_mean");
            let mut mean = Metric::gauge(encoder, &family, "Mean since the start, milliseconds.")?;
            for (name, (_, histogram)) in &used {
                mean.value(&[("request", name)], histogram.mean_ms())?;
            }
        }
        Ok(())
    }
}

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counts(&mut encoder)?;
        self.encode_times(&mut encoder)
    }
}
