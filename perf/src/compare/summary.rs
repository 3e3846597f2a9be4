//! Medians, spreads and ratios.

use crate::compare::{Comparison, Measured};
use crate::report::Report;
use crate::workload::Durability;

/// One figure of several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
    pub(super) count: usize,
}

impl Spread {
    /// `None` of nothing. Of an even count the median lies between the two in the middle.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most, count) = (*values.first()?, *values.last()?, values.len());
        let median = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
        Some(Self { least, median, most, count })
    }
}

/// What is told of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    MbPerS,
    RecordsPerS,
    RequestsPerS,
    /// In ms, of records from their intended sending to receipt (or acknowledgement, if nobody receives).
    P50,
    P99,
    P99_9,
    P99_99,
    Max,
    CpuPerGb,
    /// In µs.
    CpuPerRequest,
    /// In µs.
    CpuPerRecord,
    RssMb,
}

impl Metric {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MbPerS => "MB/s",
            Self::RecordsPerS => "records/s",
            Self::RequestsPerS => "requests/s",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::P99_9 => "p99.9 ms",
            Self::P99_99 => "p99.99 ms",
            Self::Max => "max ms",
            Self::CpuPerGb => "CPU s/GB",
            Self::CpuPerRequest => "CPU µs/request",
            Self::CpuPerRecord => "CPU µs/record",
            Self::RssMb => "RSS MB",
        }
    }

    pub(super) fn of(self, report: &Report) -> Option<f64> {
        let latency = report.end_to_end.as_ref().or(report.latency.as_ref());
        let ms = |micros: u64| micros as f64 / 1e3;
        match self {
            Self::MbPerS => Some(report.mb_per_s),
            Self::RecordsPerS => Some(report.records_per_s),
            Self::RequestsPerS => Some(report.requests_per_s),
            Self::P50 => latency.map(|latency| ms(latency.p50_us)),
            Self::P99 => latency.map(|latency| ms(latency.p99_us)),
            Self::P99_9 => latency.map(|latency| ms(latency.p99_9_us)),
            Self::P99_99 => latency.map(|latency| ms(latency.p99_99_us)),
            Self::Max => latency.map(|latency| ms(latency.max_us)),
            Self::CpuPerGb => report.broker.map(|broker| broker.cpu_s_per_gb),
            Self::CpuPerRequest => report.broker.map(|broker| broker.cpu_s_per_million_requests),
            Self::CpuPerRecord => report.broker.map(|broker| broker.cpu_s_per_million_records),
            Self::RssMb => report.broker.map(|broker| broker.usage.rss_bytes as f64 / 1e6),
        }
    }
}

/// All runs of one system in one mode.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub(super) system: &'a str,
    pub(super) durability: Durability,
    pub(super) runs: Vec<&'a Report>,
}

impl Row<'_> {
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.system, self.durability)
    }

    pub(super) fn spread(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| metric.of(run)).collect())
    }

    pub(super) fn median(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.median)
    }

    /// The ratio of two medians.
    pub(super) fn ratio(&self, other: &Self, metric: Metric) -> Option<f64> {
        ratio(self.median(metric)?, other.median(metric)?)
    }

    /// Records that were not sent in time or did not arrive, and answers with errors.
    pub(super) fn failed(&self) -> u64 {
        self.runs.iter().map(|run| run.missing + run.errors.values().sum::<u64>()).sum()
    }

    /// Medians of the latency curve: quantile and ms.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        let Some(first) = self.runs.iter().find(|run| !run.curve.is_empty()) else { return Vec::new() };
        let at = |index: usize| {
            let values = self.runs.iter().filter_map(|run| run.curve.get(index));
            Spread::of(values.map(|(_, micros)| *micros as f64 / 1e3).collect())
        };
        let points = first.curve.iter().enumerate();
        points.filter_map(|(index, (quantile, _))| Some((*quantile, at(index)?.median))).collect()
    }

    /// What else there is to say.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let received = Spread::of(self.runs.iter().map(|run| run.received_records as f64 / run.elapsed_s).collect());
        if let Some(received) = received.filter(|received| received.most > 0.0) {
            notes.push(format!("{:.1} k records/s received", received.median / 1e3));
        }
        for name in self.runs.first().iter().flat_map(|run| run.figures.keys()) {
            let values = self.runs.iter().filter_map(|run| run.figures.get(name).copied()).collect();
            notes.extend(Spread::of(values).map(|spread| format!("{name}: {}", crate::table::number(spread.median))));
        }
        if self.failed() > 0 {
            notes.push(format!("{} records failed", self.failed()));
        }
        notes
    }
}

/// `None` where it means nothing.
pub(super) fn ratio(value: f64, to: f64) -> Option<f64> {
    (to > 0.0).then(|| value / to)
}

impl Measured {
    /// One row per system and mode, in the order in which they first ran.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for run in &self.runs {
            match rows.iter_mut().find(|row| row.system == run.system && row.durability == run.durability) {
                Some(row) => row.runs.push(&run.report),
                None => {
                    rows.push(Row { system: &run.system, durability: run.durability, runs: vec![&run.report] });
                }
            }
        }
        rows
    }

    pub(super) fn row(&self, system: &str, durability: Durability) -> Option<Row<'_>> {
        self.rows().into_iter().find(|row| row.system == system && row.durability == durability)
    }

    /// Lines of the floor: name, MB/s, CPU s/GB and CPU µs per operation.
    pub(super) fn floors(&self) -> Vec<Floor<'_>> {
        let mut names: Vec<&str> = Vec::new();
        for line in &self.floor {
            if !names.contains(&&line.name[..]) {
                names.push(&line.name);
            }
        }
        let floor = |name| {
            let lines = || self.floor.iter().filter(move |line| line.name == name && line.impossible.is_none());
            Floor {
                name,
                mb_per_s: Spread::of(lines().filter_map(|line| line.mb_per_s).collect()),
                cpu_s_per_gb: Spread::of(lines().filter_map(|line| line.cpu_s_per_gb).collect()),
                cpu_us: Spread::of(lines().map(|line| line.cpu_us).collect()),
            }
        };
        names.into_iter().map(floor).collect()
    }
}

/// One line of the floor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Floor<'a> {
    pub(super) name: &'a str,
    pub(super) mb_per_s: Option<Spread>,
    pub(super) cpu_s_per_gb: Option<Spread>,
    pub(super) cpu_us: Option<Spread>,
}

impl Comparison {
    pub(super) fn find(&self, workload: &str) -> Option<&Measured> {
        self.workloads.iter().find(|measured| measured.workload.name == workload)
    }
}

/// What a system reached in page-cache mode, if it was measured.
pub(super) fn records_per_s(comparison: &Comparison, workload: &str, system: &str) -> Option<f64> {
    comparison.find(workload)?.row(system, Durability::PageCache)?.median(Metric::RecordsPerS)
}

/// A run, while others are still to come.
pub(super) fn one_line(report: &Report) -> String {
    let show = |metric: Metric| {
        let value = metric.of(report).map_or_else(|| "–".to_owned(), crate::table::number);
        format!("{value} {}", metric.name())
    };
    [
        Metric::MbPerS,
        Metric::RecordsPerS,
        Metric::P50,
        Metric::P99,
        Metric::CpuPerGb,
        Metric::CpuPerRequest,
        Metric::RssMb,
    ]
    .map(show)
    .join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compare::Round;
    use crate::limit::Line;
    use crate::report::Machine;
    use crate::report::tests::sample;
    use crate::workload;

    /// Two systems, produce-64k and its synced twin, three rounds.
    pub(crate) fn comparison() -> Comparison {
        let run = |system: &str, durability, records| Round {
            system: system.to_owned(),
            durability,
            report: sample("s", "l", records),
        };
        let line = |mb: f64| Line {
            name: "receive 64 KiB frames, CRC, page cache, new files".to_owned(),
            seconds: 1.0,
            operations: 1,
            mb_per_s: Some(mb),
            cpu_s_per_gb: Some(1.0),
            operations_per_s: 1.0,
            cpu_us: 5.0,
            latency: None,
            impossible: None,
        };
        let measured = |name: &str, durability| crate::compare::Measured {
            workload: workload::named(name).unwrap().remove(0),
            runs: [3, 1, 2]
                .iter()
                .flat_map(|round| {
                    [run("goatq", durability, 1_000_000 * round), run("kafka", durability, 400_000 * round)]
                })
                .collect(),
            floor: vec![line(200.0), line(220.0), line(210.0)],
            failures: vec!["kafka, synced: <broken> & \"quoted\"".to_owned()],
        };
        Comparison {
            machine: Machine { kernel: "6.1".to_owned(), cpus: 2 },
            file_system: "ext4".to_owned(),
            finished_ms: 0,
            reference: "kafka".to_owned(),
            systems: vec!["goatq".to_owned(), "kafka".to_owned()],
            workloads: vec![
                measured("produce-64k", Durability::PageCache),
                measured("produce-64k-synced", Durability::Synced),
            ],
        }
    }

    #[test]
    fn medians_and_ratios() {
        let comparison = comparison();
        let measured = comparison.find("produce-64k").unwrap();
        let rows = measured.rows();
        assert_eq!(rows.len(), 2);
        let spread = rows[0].spread(Metric::MbPerS).unwrap();
        assert_eq!((spread.least, spread.median, spread.most, spread.count), (100.0, 200.0, 300.0, 3));
        assert_eq!(rows[0].ratio(&rows[1], Metric::MbPerS), Some(2.5));
        assert_eq!(rows[0].ratio(&rows[1], Metric::CpuPerGb), Some(0.4));
        assert_eq!(measured.floors()[0].mb_per_s.unwrap().median, 210.0);
        assert_eq!(records_per_s(&comparison, "produce-64k", "kafka"), Some(80_000.0));
        assert_eq!(records_per_s(&comparison, "produce-64k-synced", "kafka"), None);
        assert_eq!(rows[0].curve().last(), Some(&(1.0, 12.34)));
        assert_eq!(ratio(1.0, 0.0), None);
    }

    proptest! {
        #[test]
        fn half_lies_on_either_side(values in proptest::collection::vec(-1e9..1e9_f64, 1..50)) {
            let spread = Spread::of(values.clone()).unwrap();
            prop_assert!(spread.least <= spread.median && spread.median <= spread.most);
            let below = values.iter().filter(|value| **value < spread.median).count();
            let above = values.iter().filter(|value| **value > spread.median).count();
            prop_assert!(2 * below <= values.len() && 2 * above <= values.len());
            prop_assert_eq!(spread.count, values.len());
        }
    }
}
