//! Metrics, telemetry and the process as such.

use super::{NO_PROVIDERS, NO_REPORTERS, NO_TELEMETRY, NO_UNSTABLE, OWN_METRICS, OWN_THREADS};
use crate::config::key::Valid::{Any, AtLeast};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "background.threads" Int Some("10"), High ReadOnly AtLeast(1), Inert OWN_THREADS;
    "config.providers" List Some(""), Low ReadOnly Any, Refused NO_PROVIDERS;
    "kafka.metrics.polling.interval.secs" Int Some("10"), Low ReadOnly AtLeast(1), Inert OWN_METRICS;
    "kafka.metrics.reporters" List Some(""), Low ReadOnly Any, Refused NO_REPORTERS;
    "metric.reporters" List Some(""), Low ReadOnly Any, Refused NO_REPORTERS;
    "metrics.num.samples" Int Some("2"), Low ReadOnly AtLeast(1), Inert OWN_METRICS;
    "metrics.recording.level" Text Some("INFO"), Low ReadOnly Any, Inert OWN_METRICS;
    "metrics.sample.window.ms" Long Some("30000"), Low ReadOnly AtLeast(1), Inert OWN_METRICS;
    "server.max.startup.time.ms" Long Some("9223372036854775807"), Medium ReadOnly AtLeast(0), Inert OWN_THREADS;
    "telemetry.max.bytes" Int Some("1048576"), Low ReadOnly AtLeast(1), Inert NO_TELEMETRY;
    "unstable.api.versions.enable" Boolean Some("false"), High ReadOnly Any, Refused NO_UNSTABLE;
    "unstable.feature.versions.enable" Boolean Some("false"), High ReadOnly Any, Refused NO_UNSTABLE;
}
