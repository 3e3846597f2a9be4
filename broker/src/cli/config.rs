//! `goatq config check` and `goatq config explain`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use super::SettingsArgs;
use super::load::load;
use crate::config::LiveConfig;
use crate::config::describe::documentation;
use crate::config::key::{Key, Scope, Status, Valid};
use crate::config::machine::Machine;
use crate::config::table;

/// Says what is wrong, or what is set.
pub(super) fn check(file: Option<PathBuf>, mut args: SettingsArgs) -> anyhow::Result<ExitCode> {
    args.config = file.or(args.config);
    let loaded = load(&args)?;
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    let live = LiveConfig::new(loaded.settings, Machine::detect())?;
    for (name, setting) in live.settings().all() {
        let secret = table::broker_key(name).is_some_and(|key| key.kind == crate::config::key::Kind::Password);
        let value = if secret { "[hidden]" } else { &setting.value };
        println!("{name} = {value}  ({})", setting.origin);
    }
    println!("ok: {} keys set, the rest are defaults", live.settings().all().count());
    Ok(ExitCode::SUCCESS)
}

/// Explains one key, or lists all.
pub(super) fn explain(name: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(name) = name else {
        list();
        return Ok(ExitCode::SUCCESS);
    };
    let (broker, topic) = (table::broker_key(name), table::topic_key(name));
    if let Some(key) = broker {
        print_key("broker", key);
        println!("  changes:   {}", changes(key));
        let others: Vec<_> = table::broker_synonyms(key.name).into_iter().filter(|other| *other != name).collect();
        if !others.is_empty() {
            println!("  see also:  {}", others.join(", "));
        }
    }
    if let Some(key) = topic {
        print_key("topic", key);
        let brokers: Vec<_> = table::topic_synonyms(name).iter().map(|(synonym, _)| *synonym).collect();
        if !brokers.is_empty() {
            println!("  default:   from the broker's {}", brokers.join(", "));
        }
    }
    if broker.is_none() && topic.is_none() {
        let known = table::broker_keys().chain(table::topic_keys()).map(|key| key.name);
        match (table::former_key(name), table::nearest(name, known)) {
            (Some(advice), _) => bail!("{name} is not supported. {advice}"),
            (None, Some(nearest)) => bail!("{name} is not a key; did you mean {nearest}?"),
            (None, None) => bail!("{name} is not a key"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn changes(key: &Key) -> &'static str {
    match key.scope {
        Scope::ReadOnly => "by a restart",
        Scope::Cluster => "while running, for one broker or all",
    }
}

fn legal(key: &Key) -> String {
    match key.valid {
        Valid::Any => "any".to_owned(),
        Valid::AtLeast(low) => format!("{low} or more"),
        Valid::Between(low, high) => format!("{low} to {high}"),
        Valid::Ratio(low, high) => format!("{low} to {high}"),
        Valid::OneOf(texts) | Valid::OneOfIgnoringCase(texts) => texts.join(", "),
        Valid::ListOf(texts) => format!("some of {}", texts.join(", ")),
        Valid::GzipLevel => "1 to 9, or -1".to_owned(),
        Valid::ThrottledReplicas => "partition:broker pairs, or *".to_owned(),
    }
}

fn print_key(kind: &str, key: &Key) {
    println!("{} ({kind}, {})", key.name, key.kind.name().to_ascii_lowercase());
    println!("  {}", documentation(key));
    println!("  default:   {}", key.default.unwrap_or("not set"));
    println!("  values:    {}", legal(key));
}

fn list() {
    for (title, keys) in
        [("Broker", table::broker_keys().collect::<Vec<_>>()), ("Topic", table::topic_keys().collect::<Vec<_>>())]
    {
        println!("{title} keys:");
        for key in keys.into_iter().filter(|key| key.status == Status::Honoured) {
            println!("  {:<48} {}", key.name, key.default.unwrap_or("not set"));
        }
    }
    println!(
        "Further keys of Kafka are known; `goatq config explain KEY` says why they have no effect or are refused."
    );
}
