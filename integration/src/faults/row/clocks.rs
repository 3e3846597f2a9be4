//! Wall clocks that jump, while monotonic ones go on.

use std::path::Path;
use std::time::Duration;

use super::Fault;
use crate::faults::field::Field;
use crate::faults::site::Site;

/// Where the library is that lies about the time.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

fn library() -> Option<&'static str> {
    LIBRARIES.iter().copied().find(|path| Path::new(path).exists())
}

/// Wall clocks jump by an hour, back by one, and by a day.
#[derive(Debug, Default)]
pub struct Jump;

fn set(site: &Site, offset: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(&site.folder)?;
    Ok(std::fs::write(site.folder.join("clock"), format!("{offset}\n"))?)
}

impl Fault for Jump {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        for site in sites {
            set(site, "+0")?;
            let clock = site.folder.join("clock").display().to_string();
            let variables = [
                ("LD_PRELOAD", library().unwrap_or_default()),
                ("FAKETIME_TIMESTAMP_FILE", &clock),
                ("FAKETIME_NO_CACHE", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ];
            site.environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            // To a clock that is an hour late all records come from the future.
            site.settings.push(format!("log.message.timestamp.after.max.ms={}", i64::MAX));
        }
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let offset = ["+3600", "-3600", "+86400"][round % 3];
        let jumping = if round.is_multiple_of(2) { vec![field.leader(0)?] } else { field.brokers() };
        let (_, term) = field.controller()?;
        jumping.iter().try_for_each(|id| set(field.site(*id), offset))?;
        field.hold(Duration::from_secs(8));
        let (_, now) = field.controller()?;
        anyhow::ensure!(now == term, "an election because of the wall clock: term {term}, then {now}");
        Ok(format!("the clocks of {jumping:?} jump by {offset} s"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        field.sites.iter().try_for_each(|site| set(site, "+0"))
    }
}

/// Whether clocks can jump.
///
/// # Errors
/// The library is missing.
pub fn can_jump() -> anyhow::Result<()> {
    anyhow::ensure!(library().is_some(), "no libfaketime");
    Ok(())
}
