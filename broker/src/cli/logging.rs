//! Where the log goes: text on a terminal, JSON lines otherwise, always to standard error.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::loggers::Loggers;

/// What is logged unless `GOATQ_LOG` says otherwise. Raft tells every heartbeat at info, and
/// every attempt to reach a node at warn.
const DEFAULT: &str = "info,openraft=error";

/// Sets up logging for the process; levels can be changed through what is returned.
pub(super) fn init() -> anyhow::Result<Loggers> {
    let wanted = std::env::var("GOATQ_LOG").unwrap_or_else(|_| DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&wanted).with_context(|| format!("GOATQ_LOG={wanted}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if std::io::stderr().is_terminal() {
        Box::new(fmt::layer().with_writer(std::io::stderr).with_target(false).compact().with_filter(filter))
    } else {
        Box::new(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_filter(filter))
    };
    tracing_subscriber::registry().with(lines).try_init().context("logging")?;
    Ok(Loggers::new(Box::new(move |directives| {
        // Levels come from the fixed table of `loggers`: they always parse.
        if let Ok(filter) = EnvFilter::try_new(directives) {
            let _ = handle.reload(filter);
        }
    })))
}
