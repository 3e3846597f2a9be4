//! The report as text: tables in Markdown.

use std::fmt::Write as _;

use crate::compare::goals::verdicts;
use crate::compare::summary::{Floor, Metric, Row, Spread, ratio};
use crate::compare::{Comparison, Measured};
use crate::table::number;
use crate::workload::{Rate, Workload};

const COLUMNS: [Metric; 11] = [
    Metric::MbPerS,
    Metric::RecordsPerS,
    Metric::P50,
    Metric::P99,
    Metric::P99_9,
    Metric::P99_99,
    Metric::Max,
    Metric::CpuPerGb,
    Metric::CpuPerRequest,
    Metric::CpuPerRecord,
    Metric::RssMb,
];

/// All tables.
pub(super) fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}\n", machine(comparison));
    for measured in &comparison.workloads {
        table(&mut text, comparison, measured);
    }
    let verdicts = verdicts(comparison);
    if !verdicts.is_empty() {
        text.push_str("### Goals\n\n| Goal | Found | Wanted | Met |\n|---|---|---|---|\n");
        for verdict in verdicts {
            let met = if verdict.met { "yes" } else { "**no**" };
            let _ = writeln!(text, "| {} | {} | {} | {met} |", verdict.what, verdict.found, verdict.wanted);
        }
    }
    text
}

/// Where it was measured, in a line.
pub(super) fn machine(comparison: &Comparison) -> String {
    let rounds = comparison.workloads.iter().flat_map(|measured| measured.rows()).map(|row| row.runs.len()).max();
    format!(
        "{} CPUs, Linux {}, {}; cells are the median of up to {} runs, with the smallest and largest value",
        comparison.machine.cpus,
        comparison.machine.kernel,
        comparison.file_system,
        rounds.unwrap_or(0),
    )
}

fn table(text: &mut String, comparison: &Comparison, measured: &Measured) {
    let rows = measured.rows();
    let references: Vec<&Row<'_>> = rows.iter().filter(|row| row.system == comparison.reference).collect();
    let floors = measured.floors();
    let _ = writeln!(text, "### {}\n\n{}\n", measured.workload.name, describe(&measured.workload));
    text.push_str("| System |");
    for metric in COLUMNS {
        let _ = write!(text, " {} |", metric.name());
    }
    for reference in &references {
        let _ = write!(text, " ÷ {} (MB/s · CPU · p50 · p99) |", reference.name());
    }
    if !floors.is_empty() {
        text.push_str(" ÷ floor (MB/s · CPU) |");
    }
    text.push_str("\n|---|");
    let columns = COLUMNS.len() + references.len() + usize::from(!floors.is_empty());
    text.push_str(&"---|".repeat(columns));
    text.push('\n');
    for row in &rows {
        let _ = write!(text, "| {} |", row.name());
        for metric in COLUMNS {
            let _ = write!(text, " {} |", cell(row.spread(metric)));
        }
        for reference in &references {
            let _ = write!(text, " {} |", ratios(row, reference));
        }
        if let Some(floor) = floors.first() {
            let _ = write!(text, " {} |", to_floor(row, floor));
        }
        text.push('\n');
    }
    for floor in &floors {
        let (mb, cpu, each) = (cell(floor.mb_per_s), cell(floor.cpu_s_per_gb), cell(floor.cpu_us));
        let rest = "– |".repeat(2 + references.len() + usize::from(!floors.is_empty()));
        let _ = writeln!(text, "| floor: {} | {mb} | – | – | – | – | – | – | {cpu} | {each} | {rest}", floor.name);
    }
    text.push('\n');
    for row in &rows {
        let notes = row.notes();
        if !notes.is_empty() {
            let _ = writeln!(text, "- {}: {}", row.name(), notes.join("; "));
        }
    }
    for failure in &measured.failures {
        let _ = writeln!(text, "- failed: {failure}");
    }
    text.push('\n');
}

/// A workload in a sentence.
pub(super) fn describe(workload: &Workload) -> String {
    let rate = match &workload.rate {
        Rate::Full => "full speed".to_owned(),
        Rate::PerSecond(rate) => format!("{rate} records/s"),
        Rate::ShareOf { workload, share } => format!("{share} of the rate of {workload}"),
    };
    let scattered = if workload.scatter { ", keyed" } else { "" };
    let topics = if workload.topics > 1 { format!("{} topics of ", workload.topics) } else { String::new() };
    format!(
        "{}. {topics}{} partitions, records of {} B, {rate}{scattered}; {} producers, {} records a batch, linger {} ms, {} in \
         flight; {} consumers; {} s measured after {} s.",
        workload.about,
        workload.partitions,
        workload.value_size,
        workload.producers * workload.topics,
        workload.batch_records,
        workload.linger_ms,
        workload.in_flight,
        workload.consumers * workload.subscriptions * workload.topics,
        workload.duration_s,
        workload.warm_up_s,
    )
}

pub(super) fn cell(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { median, count: 1, .. }) => number(median),
        Some(Spread { least, median, most, .. }) => {
            format!("{} ({}–{})", number(median), number(least), number(most))
        }
    }
}

fn ratios(row: &Row<'_>, reference: &Row<'_>) -> String {
    let cpu = |row: &Row<'_>| row.median(Metric::CpuPerRequest).is_some();
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    let cpu = if cpu(row) { row.ratio(reference, Metric::CpuPerGb) } else { None };
    [row.ratio(reference, Metric::MbPerS), cpu, row.ratio(reference, Metric::P50), row.ratio(reference, Metric::P99)]
        .map(show)
        .join(" · ")
}

/// In CPU time per byte where the floor is of bytes, else per request.
fn to_floor(row: &Row<'_>, floor: &Floor<'_>) -> String {
    let against = |metric: Metric, floor: Option<Spread>| ratio(row.median(metric)?, floor?.median);
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    let cpu = match floor.cpu_s_per_gb {
        Some(_) => against(Metric::CpuPerGb, floor.cpu_s_per_gb),
        None => against(Metric::CpuPerRequest, floor.cpu_us),
    };
    format!("{} · {}", show(against(Metric::MbPerS, floor.mb_per_s)), show(cpu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::summary::tests::comparison;

    #[test]
    fn tables_have_as_many_cells_as_heads() {
        let text = render(&comparison());
        for table in text.split("### ").skip(1) {
            let cells: Vec<usize> =
                table.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect();
            assert!(cells.len() > 2 && cells.iter().all(|count| *count == cells[0]), "{table}");
        }
        assert!(text.contains("| goatq, page cache | 200 (100–300) |"), "{text}");
        assert!(text.contains(" 2.50 · 0.40 · 1.00 · 1.00 | 0.95 · 2.50 |"), "{text}");
        assert!(text.contains("- failed: kafka, synced: <broken>"), "{text}");
        assert!(text.contains("### Goals"), "{text}");
    }
}
