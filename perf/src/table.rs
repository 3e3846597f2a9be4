//! The `table` command: reports side by side, as Markdown.

use std::fs::read_to_string;
use std::io::Write as _;

use anyhow::{Context, Result};

use crate::args::TableArgs;
use crate::report::Report;

const HEAD: &str = "\
| Scenario | Broker | MB/s | k records/s | p50 ms | p99 ms | p99.9 ms | broker CPU s/GB | CPU µs per request | RSS MB |
|---|---|---|---|---|---|---|---|---|---|
";

pub(crate) fn run(args: &TableArgs) -> Result<()> {
    let mut reports = Vec::new();
    for path in &args.reports {
        let text = read_to_string(path).with_context(|| format!("{}", path.display()))?;
        reports.push(serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?);
    }
    std::io::stdout().lock().write_all(table(&reports).as_bytes())?;
    Ok(())
}

/// One row per scenario and label, in the order in which they first appear. Cells give the median of all runs of the row and,
/// if there are several, the smallest and the largest value.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut rows: Vec<(&str, &str, Vec<&Report>)> = Vec::new();
    for report in reports {
        let row = rows.iter_mut().find(|row| row.0 == report.scenario && row.1 == report.label);
        match row {
            Some(row) => row.2.push(report),
            None => rows.push((&report.scenario, &report.label, vec![report])),
        }
    }
    let mut text = HEAD.to_owned();
    for (scenario, label, runs) in rows {
        let cell = |value: &dyn Fn(&Report) -> Option<f64>| cell(runs.iter().filter_map(|run| value(run)).collect());
        let ms = |micros: u64| micros as f64 / 1000.0;
        let latency = |run: &Report| run.end_to_end.or(run.latency);
        let cells = [
            cell(&|run| Some(run.mb_per_s)),
            cell(&|run| Some(run.records_per_s / 1000.0)),
            cell(&|run| latency(run).map(|latency| ms(latency.p50_us))),
            cell(&|run| latency(run).map(|latency| ms(latency.p99_us))),
            cell(&|run| latency(run).map(|latency| ms(latency.p99_9_us))),
            cell(&|run| run.broker.map(|broker| broker.cpu_s_per_gb)),
            cell(&|run| run.broker.map(|broker| broker.cpu_s_per_million_requests)),
            cell(&|run| run.broker.map(|broker| broker.usage.rss_bytes as f64 / 1e6)),
        ];
        let failed: u64 = runs.iter().map(|run| run.missing + run.errors.values().sum::<u64>()).sum();
        let note = if failed > 0 { format!(" ({failed} failed)") } else { String::new() };
        text.push_str(&format!("| {scenario}{note} | {label} | {} |\n", cells.join(" | ")));
    }
    text
}

fn cell(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return "–".to_owned() };
    let median = number(values[values.len() / 2]);
    if values.len() == 1 { median } else { format!("{median} ({}–{})", number(*least), number(*most)) }
}

/// Three digits are all that a measurement has.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn runs_of_a_row_are_summed_up() {
        let mut failed = sample("fetch", "kafka", 10_000);
        failed.missing = 2;
        failed.broker = None;
        let reports = [
            sample("1 partition", "goatq", 1_000_000),
            sample("1 partition", "kafka", 500_000),
            sample("1 partition", "goatq", 1_200_000),
            failed,
            sample("1 partition", "goatq", 400_000),
        ];
        let text = table(&reports);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows.len(), 3);
        assert!(
            rows[0].starts_with("| 1 partition | goatq | 100 (40.0–120) | 100 (40.0–120) | 0.90 (0.90–0.90) |"),
            "{text}"
        );
        assert!(rows[1].starts_with("| 1 partition | kafka | 50.0 | 50.0 |"), "{text}");
        assert_eq!(rows[2], "| fetch (2 failed) | kafka | 1.00 | 1.00 | 0.90 | 4.00 | 8.00 | – | – | – |");
    }
}
