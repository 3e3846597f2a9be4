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

#[derive(Debug)]
struct ApiMetrics {
    by_version: [AtomicU64; VERSIONS],
    by_error: [AtomicU64; ERRORS],
    total: Histogram,
    local: Histogram,
    remote: Histogram,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        Self {
            by_version: std::array::from_fn(|_| AtomicU64::new(0)),
            by_error: std::array::from_fn(|_| AtomicU64::new(0)),
            total: Histogram::default(),
            local: Histogram::default(),
            remote: Histogram::default(),
        }
    }
}

impl ApiMetrics {
    fn histograms(&self) -> [&Histogram; 3] {
        [&self.total, &self.local, &self.remote]
    }

    /// The phases are Kafka's, so that its dashboards work. Those without a histogram do not exist here, and take no time:
    /// the thread that reads a request also does the work and writes the reply.
    fn phases(&self) -> [(&'static str, Option<&Histogram>); 6] {
        [
            ("totaltimems", Some(&self.total)),
            ("requestqueuetimems", None),
            ("localtimems", Some(&self.local)),
            ("remotetimems", Some(&self.remote)),
            ("responsequeuetimems", None),
            ("responsesendtimems", None),
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

    /// Counts a request that was answered after so much work of this node (`local`) and waiting for a condition (`remote`):
    /// durability, other replicas, data for a fetch, a rebalance.
    pub fn answered(&self, key: ApiKey, version: i16, local: Duration, remote: Duration) {
        let Some(api) = self.api(key) else { return };
        if let Some(count) = usize::try_from(version).ok().and_then(|v| api.by_version.get(v)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        api.total.observe(local + remote);
        api.local.observe(local);
        api.remote.observe(remote);
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
            for histogram in api.histograms() {
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
        let used: Vec<_> = self.used().collect();
        let Some((_, first)) = used.first() else { return Ok(()) };
        for (phase, (phase_name, _)) in first.phases().into_iter().enumerate() {
            let used = used.iter().map(|(name, api)| (*name, *api, api.phases()[phase].1));
            let family = format!("kafka_network_requestmetrics_{phase_name}");
            let mut gauge = Metric::gauge(encoder, &family, "Time of requests in this phase, milliseconds.")?;
            for (name, _, histogram) in used.clone() {
                let quantiles = QUANTILES.map(|(quantile, _)| quantile);
                let values = histogram.map_or([0.0; QUANTILES.len()], |histogram| histogram.quantiles_ms(quantiles));
                for (value, (_, label)) in values.into_iter().zip(QUANTILES) {
                    gauge.value(&[("request", name), ("quantile", label)], value)?;
                }
            }
            let family = format!("kafka_network_requestmetrics_{phase_name}_count");
            let mut count = Metric::gauge(encoder, &family, "Requests in the histogram.")?;
            for (name, api, _) in used.clone() {
                count.value(&[("request", name)], api.total.count() as f64)?;
            }
            let family = format!("kafka_network_requestmetrics_{phase_name}_mean");
            let mut mean = Metric::gauge(encoder, &family, "Mean since the start, milliseconds.")?;
            for (name, _, histogram) in used {
                mean.value(&[("request", name)], histogram.map_or(0.0, Histogram::mean_ms))?;
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
