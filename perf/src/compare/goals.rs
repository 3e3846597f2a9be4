//! What goatQ has set itself, as figures that a comparison can check.

use crate::compare::Comparison;
use crate::compare::summary::{Metric, Spread, ratio};
use crate::table::number;
use crate::workload::Durability::{self, PageCache, Synced};

/// Something that a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Against {
    /// The reference in this workload and mode.
    Reference(&'static str, Durability, Metric),
    /// The system itself in another workload.
    Itself(&'static str, Durability, Metric),
    /// A line of the floor, measured with this workload. Of several that match the fastest.
    Floor(&'static str, &'static str),
    Figure(f64),
}

/// A figure, and where it should lie.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Goal {
    workload: &'static str,
    durability: Durability,
    metric: Metric,
    least: bool,
    /// Any of these is enough: so many times this.
    bounds: &'static [(f64, Against)],
}

/// A goal and what was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) found: String,
    pub(super) wanted: String,
    pub(super) met: bool,
}

const fn most(
    workload: &'static str,
    durability: Durability,
    metric: Metric,
    bounds: &'static [(f64, Against)],
) -> Goal {
    Goal { workload, durability, metric, least: false, bounds }
}

const fn least(
    workload: &'static str,
    durability: Durability,
    metric: Metric,
    bounds: &'static [(f64, Against)],
) -> Goal {
    Goal { workload, durability, metric, least: true, bounds }
}

use Against::{Figure, Floor, Itself, Reference};
use Metric::{CpuPerGb, CpuPerRecord, CpuPerRequest, MbPerS, P50, P99, P99_9, RecordsPerS, RequestsPerS, RssMb};

/// Lines of the floor that begin with this.
const RECEIVE_NEW: &str = "receive 64 KiB frames, CRC, page cache, new files";
const SUSTAINED: &str = "sustained synced writes";

const GOALS: &[Goal] = &[
    most("produce-64k", PageCache, CpuPerGb, &[(0.35, Reference("produce-64k", PageCache, CpuPerGb))]),
    most("produce-64k", PageCache, CpuPerGb, &[(1.6, Floor("produce-64k", RECEIVE_NEW))]),
    least(
        "produce-64k",
        PageCache,
        MbPerS,
        &[(1.5, Reference("produce-64k", PageCache, MbPerS)), (0.9, Floor("produce-64k", RECEIVE_NEW))],
    ),
    most("produce-64k-synced", Synced, CpuPerGb, &[(0.5, Reference("produce-64k", PageCache, CpuPerGb))]),
    least(
        "produce-64k-synced",
        Synced,
        MbPerS,
        &[(1.0, Reference("produce-64k", PageCache, MbPerS)), (0.9, Floor("produce-64k-synced", SUSTAINED))],
    ),
    least("produce-64k-synced", Synced, MbPerS, &[(3.0, Reference("produce-64k-synced", Synced, MbPerS))]),
    least(
        "single-record-synced",
        Synced,
        RecordsPerS,
        &[(8.0, Reference("single-record-synced", Synced, RecordsPerS))],
    ),
    most("latency-1000", PageCache, P50, &[(0.6, Reference("latency-1000", PageCache, P50))]),
    most("latency-1000", PageCache, P99, &[(0.5, Reference("latency-1000", PageCache, P99))]),
    most("latency-1000", PageCache, P99_9, &[(0.5, Reference("latency-1000", PageCache, P99_9))]),
    most("latency-5000-unbatched", PageCache, P50, &[(0.1, Reference("latency-5000-unbatched", PageCache, P50))]),
    most("latency-5000-unbatched", PageCache, P99, &[(0.1, Reference("latency-5000-unbatched", PageCache, P99))]),
    most("latency-20000-unbatched", PageCache, P50, &[(0.1, Reference("latency-20000-unbatched", PageCache, P50))]),
    most("latency-20000-unbatched", PageCache, P99, &[(0.1, Reference("latency-20000-unbatched", PageCache, P99))]),
    most(
        "latency-5000-unbatched-5-in-flight",
        PageCache,
        P50,
        &[(0.5, Reference("latency-5000-unbatched-5-in-flight", PageCache, P50))],
    ),
    most(
        "latency-5000-unbatched-5-in-flight",
        PageCache,
        P99,
        &[(0.5, Reference("latency-5000-unbatched-5-in-flight", PageCache, P99))],
    ),
    most(
        "latency-20000-unbatched-5-in-flight",
        PageCache,
        P50,
        &[(0.5, Reference("latency-20000-unbatched-5-in-flight", PageCache, P50))],
    ),
    most(
        "latency-20000-unbatched-5-in-flight",
        PageCache,
        P99,
        &[(0.5, Reference("latency-20000-unbatched-5-in-flight", PageCache, P99))],
    ),
    most("latency-1000", Synced, P99, &[(1.0, Reference("latency-1000", PageCache, P99))]),
    most("latency-5000-unbatched", Synced, P99, &[(1.0, Reference("latency-1000", PageCache, P99))]),
    most("fetch-big", PageCache, CpuPerGb, &[(1.1, Reference("fetch-big", PageCache, CpuPerGb))]),
    least("fetch-big", PageCache, MbPerS, &[(1.0, Reference("fetch-big", PageCache, MbPerS))]),
    most("fetch-100-partitions", PageCache, CpuPerGb, &[(1.1, Reference("fetch-100-partitions", PageCache, CpuPerGb))]),
    least("fetch-100-partitions", PageCache, MbPerS, &[(1.0, Reference("fetch-100-partitions", PageCache, MbPerS))]),
    least(
        "thousand-partitions",
        PageCache,
        RequestsPerS,
        &[(2.5, Reference("thousand-partitions", PageCache, RequestsPerS))],
    ),
    least(
        "thousand-partitions",
        Synced,
        RequestsPerS,
        &[(1.0, Reference("thousand-partitions", PageCache, RequestsPerS))],
    ),
    most(
        "thousand-partitions",
        PageCache,
        CpuPerRequest,
        &[(0.4, Reference("thousand-partitions", PageCache, CpuPerRequest))],
    ),
    most("each-record-its-own-request", PageCache, CpuPerRecord, &[(1.0, Figure(50.0))]),
    most("half-load", PageCache, P99, &[(1.0, Figure(15.0))]),
    most("half-load", PageCache, P99_9, &[(1.0, Figure(40.0))]),
    most("half-load", Synced, P99, &[(1.0, Figure(30.0))]),
    most("half-load", Synced, P99_9, &[(1.0, Figure(80.0))]),
    most("four-fifths-load", PageCache, P99, &[(1.0, Figure(15.0))]),
    most("four-fifths-load", PageCache, P99_9, &[(1.0, Figure(40.0))]),
    most("four-fifths-load", Synced, P99, &[(1.0, Figure(30.0))]),
    most("four-fifths-load", Synced, P99_9, &[(1.0, Figure(80.0))]),
    most("ten-thousand-partitions", PageCache, RssMb, &[(1.0, Figure(419.4))]),
    most("ten-thousand-partitions", PageCache, P99, &[(1.0, Figure(20.0))]),
    most("ten-thousand-partitions", Synced, P99, &[(1.0, Figure(20.0))]),
    least("replicated-64k", PageCache, MbPerS, &[(1.5, Reference("replicated-64k", PageCache, MbPerS))]),
    least("replicated-64k", Synced, MbPerS, &[(1.0, Reference("replicated-64k", PageCache, MbPerS))]),
    most("replicated-64k", PageCache, CpuPerGb, &[(0.5, Reference("replicated-64k", PageCache, CpuPerGb))]),
    most("replicated-64k", Synced, CpuPerGb, &[(0.5, Reference("replicated-64k", PageCache, CpuPerGb))]),
    most("tail-with-cold-reader", PageCache, P99, &[(1.5, Itself("tail-5000", PageCache, P99))]),
];

/// The goals that this comparison can tell of: those of the first system that is not the reference.
pub(super) fn verdicts(comparison: &Comparison) -> Vec<Verdict> {
    let Some(system) = comparison.systems.iter().find(|system| **system != comparison.reference) else {
        return Vec::new();
    };
    GOALS.iter().filter_map(|goal| goal.verdict(comparison, system)).collect()
}

impl Goal {
    /// `None` if the figures are missing.
    fn verdict(&self, comparison: &Comparison, system: &str) -> Option<Verdict> {
        let found = comparison.find(self.workload)?.row(system, self.durability)?.median(self.metric)?;
        let bounds: Vec<(f64, f64, Against)> = self
            .bounds
            .iter()
            .filter_map(|(factor, against)| Some((*factor, against.value(comparison, system, self.metric)?, *against)))
            .collect();
        let holds =
            |factor: f64, value: f64| if self.least { found >= factor * value } else { found <= factor * value };
        let wanted = |(factor, value, against): &(f64, f64, Against)| {
            let side = if self.least { "≥" } else { "≤" };
            match against {
                Figure(_) => format!("{side} {}", number(*value)),
                _ => {
                    let of = ratio(found, *value).map_or_else(String::new, |ratio| format!(", is {ratio:.2} ×"));
                    format!("{side} {factor} × {} ({}{of})", number(*value), against.name(comparison, system))
                }
            }
        };
        (!bounds.is_empty()).then(|| Verdict {
            what: format!("{}, {}, {}", self.workload, self.durability, self.metric.name()),
            found: number(found),
            wanted: bounds.iter().map(wanted).collect::<Vec<_>>().join(" or "),
            met: bounds.iter().any(|(factor, value, _)| holds(*factor, *value)),
        })
    }
}

impl Against {
    fn value(self, comparison: &Comparison, system: &str, metric: Metric) -> Option<f64> {
        match self {
            Reference(workload, durability, metric) => {
                comparison.find(workload)?.row(&comparison.reference, durability)?.median(metric)
            }
            Itself(workload, durability, metric) => comparison.find(workload)?.row(system, durability)?.median(metric),
            Floor(workload, line) => {
                let floors = comparison.find(workload)?.floors();
                let floors = floors.iter().filter(|floor| floor.name.starts_with(line));
                let values =
                    floors.filter_map(|floor| if metric == CpuPerGb { floor.cpu_s_per_gb } else { floor.mb_per_s });
                let values = Spread::of(values.map(|spread| spread.median).collect())?;
                Some(if metric == CpuPerGb { values.least } else { values.most })
            }
            Figure(figure) => Some(figure),
        }
    }

    fn name(self, comparison: &Comparison, system: &str) -> String {
        match self {
            Reference(_, durability, _) => format!("{}, {durability}", comparison.reference),
            Itself(workload, ..) => format!("{system}, {workload}"),
            Floor(..) => "floor".to_owned(),
            Figure(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::summary::tests::comparison;
    use crate::workload;

    #[test]
    fn goals_are_met_or_not() {
        let comparison = comparison();
        let verdicts = verdicts(&comparison);
        let met: Vec<(&str, bool)> = verdicts.iter().map(|verdict| (&verdict.what[..], verdict.met)).collect();
        let expected = [
            ("produce-64k, page cache, CPU s/GB", false),
            ("produce-64k, page cache, CPU s/GB", false),
            ("produce-64k, page cache, MB/s", true),
            ("produce-64k-synced, synced, CPU s/GB", true),
            ("produce-64k-synced, synced, MB/s", true),
            ("produce-64k-synced, synced, MB/s", false),
        ];
        assert_eq!(met, expected, "{verdicts:#?}");
        assert_eq!(verdicts[0].wanted, "≤ 0.35 × 6.25 (kafka, page cache, is 0.40 ×)");
        assert_eq!(verdicts[2].wanted, "≥ 1.5 × 80.0 (kafka, page cache, is 2.50 ×) or ≥ 0.9 × 210 (floor, is 0.95 ×)");
    }

    #[test]
    fn goals_speak_of_workloads_in_modes_that_are_measured() {
        for goal in GOALS {
            let workload = workload::named(goal.workload).unwrap().remove(0);
            assert!(workload.durabilities.contains(&goal.durability), "{goal:?}");
            for (_, against) in goal.bounds {
                if let Reference(name, durability, _) | Itself(name, durability, _) = against {
                    assert!(workload::named(name).unwrap()[0].durabilities.contains(durability), "{goal:?}");
                }
                if let Floor(name, line) = against {
                    assert!(workload::named(name).unwrap()[0].floor.iter().any(|floor| floor.starts_with(line)));
                }
            }
        }
    }
}
