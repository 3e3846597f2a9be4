//! The result of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::read_to_string;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::args::{FetchArgs, LoadArgs, RunArgs};
use crate::clock::wall_ms;
use crate::process::Usage;
use crate::run::{Measured, Run};
use crate::stats::Quantiles;

/// The result of a run. MB and GB are 10^6 and 10^9 bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) scenario: String,
    pub(crate) label: String,
    /// The options that shape the load.
    pub(crate) options: BTreeMap<String, String>,
    /// Milliseconds since 1970 at the end.
    pub(crate) finished_ms: i64,
    pub(crate) elapsed_s: f64,
    pub(crate) records: u64,
    pub(crate) requests: u64,
    /// Bytes of whole batches as on the wire.
    pub(crate) batch_bytes: u64,
    /// Bytes of values, if their size is known.
    pub(crate) payload_bytes: Option<u64>,
    pub(crate) records_per_s: f64,
    pub(crate) requests_per_s: f64,
    /// Of values, or of batches when the size of values is not known.
    pub(crate) mb_per_s: f64,
    /// Answers with an error code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Records due but not sent in time, or acknowledged but not received.
    pub(crate) missing: u64,
    /// Sending (in an open loop: intended sending) to acknowledgement, or fetch request to answer.
    pub(crate) latency: Option<Quantiles>,
    /// Intended sending to receipt.
    pub(crate) end_to_end: Option<Quantiles>,
    pub(crate) broker: Option<Cost>,
    pub(crate) client: Cost,
    pub(crate) machine: Machine,
    /// Records that consumers received in the measured time, where there are consumers beside producers.
    #[serde(default)]
    pub(crate) received_records: u64,
    /// Other results, by name.
    #[serde(default)]
    pub(crate) figures: BTreeMap<String, f64>,
    /// Latency in microseconds by quantile: end to end where there is that, else of acknowledgements.
    #[serde(default)]
    pub(crate) curve: Vec<(f64, u64)>,
    /// The same of acknowledgements.
    #[serde(default)]
    pub(crate) acknowledged_curve: Vec<(f64, u64)>,
}

/// What a side spent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    #[serde(flatten)]
    pub(crate) usage: Usage,
    /// CPU seconds per GB of values (or of batches, see `mb_per_s`).
    pub(crate) cpu_s_per_gb: f64,
    pub(crate) cpu_s_per_million_records: f64,
    pub(crate) cpu_s_per_million_requests: f64,
}

/// Where it ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpus: usize,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        Self { kernel, cpus: std::thread::available_parallelism().map_or(0, usize::from) }
    }
}

impl Report {
    pub(crate) fn new(command: &str, args: &RunArgs, run: &Run, measured: &Measured) -> Self {
        let stats = run.stats.borrow();
        let counts = stats.measured;
        let seconds = measured.elapsed.as_secs_f64();
        let mut report = Self {
            command: command.to_owned(),
            scenario: args.scenario.clone(),
            label: args.label.clone(),
            options: BTreeMap::new(),
            finished_ms: wall_ms(),
            elapsed_s: seconds,
            records: counts.records,
            requests: counts.requests,
            batch_bytes: counts.batch_bytes,
            payload_bytes: None,
            records_per_s: counts.records as f64 / seconds,
            requests_per_s: counts.requests as f64 / seconds,
            mb_per_s: 0.0,
            errors: stats.errors.clone(),
            missing: stats.missing,
            latency: stats.latency.quantiles(),
            end_to_end: stats.end_to_end.quantiles(),
            broker: measured.broker.map(Cost::of),
            client: Cost::of(measured.client),
            machine: Machine::here(),
            received_records: stats.arrived.records,
            figures: BTreeMap::new(),
            curve: [&stats.end_to_end, &stats.latency]
                .iter()
                .map(|all| all.curve())
                .find(|c| !c.is_empty())
                .unwrap_or_default(),
            acknowledged_curve: stats.latency.curve(),
        };
        report.derive();
        report.option("topics", args.topic.len());
        report.option("connections", args.connections);
        report
    }

    /// Makes throughput and cost count bytes of values.
    pub(crate) fn payload(&mut self, record_size: usize) {
        self.payload_bytes = Some(self.records * record_size as u64);
        self.option("record_size", record_size);
        self.derive();
    }

    pub(crate) fn describe_load(&mut self, load: &LoadArgs, rate: Option<f64>, partitions: usize) {
        self.option("partitions", partitions);
        self.option("batch_records", load.records_per_batch());
        self.option("codec", load.codec);
        self.option("acks", if load.acks == -1 { "all".to_owned() } else { load.acks.to_string() });
        self.option("in_flight", load.in_flight);
        self.option("keys", load.keys);
        self.option("random_share", load.random_share);
        if let Some(rate) = rate {
            self.option("rate", rate);
        }
    }

    pub(crate) fn describe_fetch(&mut self, fetch: &FetchArgs, partitions: usize) {
        self.option("partitions", partitions);
        self.option("fetch_max_bytes", fetch.fetch_max_bytes);
        self.option("partition_max_bytes", fetch.partition_max_bytes);
        self.option("fetch_min_bytes", fetch.fetch_min_bytes);
        self.option("fetch_max_wait_ms", fetch.fetch_max_wait_ms);
    }

    fn option(&mut self, name: &str, value: impl fmt::Display) {
        self.options.insert(name.to_owned(), value.to_string());
    }

    fn derive(&mut self) {
        let bytes = self.payload_bytes.unwrap_or(self.batch_bytes) as f64;
        self.mb_per_s = bytes / 1e6 / self.elapsed_s;
        for cost in self.broker.iter_mut().chain([&mut self.client]) {
            // The samples lie at the ends of the window, amounts may take a little longer.
            let share = cost.usage.seconds / self.elapsed_s;
            let per = |amount: f64| if amount > 0.0 { cost.usage.cpu_s / (amount * share.min(1.0)) } else { 0.0 };
            (cost.cpu_s_per_gb, cost.cpu_s_per_million_records, cost.cpu_s_per_million_requests) =
                (per(bytes / 1e9), per(self.records as f64 / 1e6), per(self.requests as f64 / 1e6));
        }
    }
}

impl Cost {
    fn of(usage: Usage) -> Self {
        Self { usage, cpu_s_per_gb: 0.0, cpu_s_per_million_records: 0.0, cpu_s_per_million_requests: 0.0 }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, " {name}={value}");
            text
        });
        writeln!(f, "{}{options}", self.command)?;
        writeln!(
            f,
            "  {} records in {:.1} s: {:.0} records/s, {:.1} MB/s, {:.0} requests/s",
            self.records, self.elapsed_s, self.records_per_s, self.mb_per_s, self.requests_per_s
        )?;
        let quantiles = |f: &mut fmt::Formatter<'_>, name: &str, quantiles: &Quantiles| {
            let ms = |micros: u64| micros as f64 / 1000.0;
            writeln!(
                f,
                "  {name} ms: p50 {:.2}, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
                ms(quantiles.p50_us),
                ms(quantiles.p90_us),
                ms(quantiles.p99_us),
                ms(quantiles.p99_9_us),
                ms(quantiles.max_us)
            )
        };
        if let Some(latency) = &self.latency {
            quantiles(f, if self.command == "consume" { "fetch" } else { "acknowledged" }, latency)?;
        }
        if let Some(latency) = &self.end_to_end {
            quantiles(f, "received", latency)?;
        }
        if self.missing > 0 {
            writeln!(f, "  {} records were not sent in time or not received", self.missing)?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "  {count} answers with {error}")?;
        }
        for (name, cost) in self.broker.iter().map(|cost| ("broker", cost)).chain([("client", &self.client)]) {
            writeln!(
                f,
                "  {name}: CPU {:.2} s ({:.2} cores, {:.2} s/GB, {:.1} s per million requests), RSS {:.0} MB, peak {:.0} MB",
                cost.usage.cpu_s,
                cost.usage.cpu_s / cost.usage.seconds,
                cost.cpu_s_per_gb,
                cost.cpu_s_per_million_requests,
                cost.usage.rss_bytes as f64 / 1e6,
                cost.usage.peak_rss_bytes as f64 / 1e6,
            )?;
        }
        Ok(())
    }
}

/// Prints the report, and writes it as JSON where that is wanted. With `--json -` nothing but JSON goes to standard output.
pub(crate) fn emit(report: &Report, args: &RunArgs) -> Result<()> {
    if let Some(path) = &args.json {
        write_json(path, report)?;
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        write!(std::io::stdout().lock(), "{report}")?;
    }
    Ok(())
}

/// Writes a result as JSON to a file, or to the standard output if the path is `-`.
pub(crate) fn write_json(path: &Path, result: &impl Serialize) -> Result<()> {
    let mut json = serde_json::to_string_pretty(result).context("report")?;
    json.push('\n');
    write_text(path, &json)
}

/// Writes a file, or to the standard output if the path is `-`.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    if path == Path::new("-") {
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(());
    }
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let mut file = file.with_context(|| format!("{}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(scenario: &str, label: &str, records: u64) -> Report {
        let quantiles = Quantiles {
            count: records,
            mean_us: 1000.0,
            p50_us: 900,
            p90_us: 2000,
            p99_us: 4000,
            p99_9_us: 8000,
            p99_99_us: 9000,
            max_us: 12_340,
        };
        let usage =
            Usage { seconds: 10.0, cpu_s: 5.0, rss_bytes: 50_000_000, peak_rss_bytes: 60_000_000, written_bytes: 0 };
        let mut report = Report {
            command: "produce".to_owned(),
            scenario: scenario.to_owned(),
            label: label.to_owned(),
            options: BTreeMap::new(),
            finished_ms: 0,
            elapsed_s: 10.0,
            records,
            requests: records / 10,
            batch_bytes: records * 1100,
            payload_bytes: None,
            records_per_s: records as f64 / 10.0,
            requests_per_s: records as f64 / 100.0,
            mb_per_s: 0.0,
            errors: BTreeMap::new(),
            missing: 0,
            latency: Some(quantiles),
            end_to_end: None,
            broker: Some(Cost::of(usage)),
            client: Cost::of(Usage { cpu_s: 1.0, ..usage }),
            machine: Machine::default(),
            received_records: 0,
            figures: BTreeMap::new(),
            curve: vec![(0.5, 900), (0.99, 4000), (0.999, 8000), (1.0, 12_340)],
            acknowledged_curve: Vec::new(),
        };
        report.payload(1000);
        report
    }

    #[test]
    fn rates_and_costs() {
        let report = sample("s", "l", 1_000_000);
        assert_eq!(report.mb_per_s, 100.0);
        let broker = report.broker.unwrap();
        assert_eq!(broker.cpu_s_per_gb, 5.0);
        assert_eq!(broker.cpu_s_per_million_records, 5.0);
        assert_eq!(broker.cpu_s_per_million_requests, 50.0);
        assert_eq!(report.client.cpu_s_per_gb, 1.0);
        let nothing = sample("s", "l", 0);
        assert_eq!((nothing.mb_per_s, nothing.client.cpu_s_per_gb), (0.0, 0.0));
    }

    #[test]
    fn text_and_json() {
        let report = sample("s", "l", 1_000_000);
        let text = report.to_string();
        assert!(text.contains("1000000 records in 10.0 s: 100000 records/s, 100.0 MB/s, 10000 requests/s"), "{text}");
        assert!(text.contains("p50 0.90, p90 2.00, p99 4.00, p99.9 8.00, max 12.34"), "{text}");
        assert!(
            text.contains("broker: CPU 5.00 s (0.50 cores, 5.00 s/GB, 50.0 s per million requests), RSS 50 MB"),
            "{text}"
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
