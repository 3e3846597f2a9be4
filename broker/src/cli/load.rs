//! Collects settings: file, then environment, then command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::SettingsArgs;
use crate::config::Settings;
use crate::config::settings::{Entry, Origin, Problem, environment, properties, yaml};

/// Largest configuration file that is read.
const MAX_FILE: u64 = 4 << 20;

/// Settings that are legal one by one, and what deserves a word about them.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) warnings: Vec<Problem>,
    /// The file that was read, if there was one.
    pub(super) file: Option<PathBuf>,
}

fn read_file(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let about = || format!("configuration file {}", path.display());
    let size = std::fs::metadata(path).with_context(about)?.len();
    if size > MAX_FILE {
        return Err(anyhow!("larger than {MAX_FILE} bytes")).with_context(about);
    }
    let text = std::fs::read_to_string(path).with_context(about)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => yaml::parse(&text, path).with_context(about),
        _ => Ok(properties::parse(&text, path)),
    }
}

fn set_entry(pair: &str) -> anyhow::Result<Entry> {
    let (name, value) = pair.split_once('=').ok_or_else(|| anyhow!("--set {pair}: expected KEY=VALUE"))?;
    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
    Ok(Entry { name, value, origin: Origin::CommandLine })
}

/// Loads what the arguments and the environment of this process say.
pub(super) fn load(args: &SettingsArgs) -> anyhow::Result<Loaded> {
    let file = args.config.clone().or_else(|| std::env::var_os("GOATQ_CONFIG").map(PathBuf::from));
    let mut entries = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
    // Variables that are not text cannot be ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = environment::read(variables);
    entries.extend(environment.entries);
    for pair in &args.set {
        entries.push(set_entry(pair)?);
    }
    let settings = Settings::new(entries).context("the configuration is not usable")?;
    let mut warnings = environment.warnings;
    warnings.extend(settings.warnings().iter().cloned());
    Ok(Loaded { settings, warnings, file })
}
