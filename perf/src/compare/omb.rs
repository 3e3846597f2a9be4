//! Results under the keys of OpenMessaging Benchmark, so that what draws its charts can draw these.

use serde_json::{Map, Value, json};

use crate::compare::summary::{Row, Spread};
use crate::compare::{Comparison, Measured};
use crate::report::Report;

/// Its names of quantiles. All latencies are in ms.
const QUANTILES: [(&str, f64); 7] = [
    ("50pct", 0.5),
    ("75pct", 0.75),
    ("95pct", 0.95),
    ("99pct", 0.99),
    ("999pct", 0.999),
    ("9999pct", 0.9999),
    ("Max", 1.0),
];

/// One result per workload, system and mode: file name and content. Each round is a sample; what is aggregated is their median.
pub(super) fn results(comparison: &Comparison) -> Vec<(String, Value)> {
    let of = |measured: &'_ Measured| -> Vec<(String, Value)> {
        let named = |row: &Row<'_>| {
            let driver = row.name().replace(", ", "-").replace(' ', "-");
            (format!("{}-{driver}.json", measured.workload.name), result(measured, row, &driver))
        };
        measured.rows().iter().map(named).collect()
    };
    comparison.workloads.iter().flat_map(of).collect()
}

fn result(measured: &Measured, row: &Row<'_>, driver: &str) -> Value {
    let workload = &measured.workload;
    let samples = |value: fn(&Report) -> f64| row.runs.iter().map(|run| value(run)).collect::<Vec<f64>>();
    let mut result = Map::new();
    for (key, value) in [
        ("workload", json!(workload.name)),
        ("driver", json!(driver)),
        ("messageSize", json!(workload.value_size)),
        ("topics", json!(workload.topics)),
        ("partitions", json!(workload.partitions)),
        ("producersPerTopic", json!(workload.producers)),
        ("consumersPerTopic", json!(workload.consumers * workload.subscriptions)),
        ("publishRate", json!(samples(|run| run.records_per_s))),
        ("publishErrorRate", json!(samples(|run| run.errors.values().sum::<u64>() as f64 / run.elapsed_s))),
        ("consumeRate", json!(samples(|run| run.received_records as f64 / run.elapsed_s))),
    ] {
        result.insert(key.to_owned(), value);
    }
    latencies(
        &mut result,
        "publish",
        "Publish",
        &row.runs,
        |run| &run.acknowledged_curve,
        |run| run.latency.map(|l| l.mean_us),
    );
    if row.runs.iter().all(|run| run.end_to_end.is_some()) {
        latencies(
            &mut result,
            "endToEnd",
            "EndToEnd",
            &row.runs,
            |run| &run.curve,
            |run| run.end_to_end.map(|l| l.mean_us),
        );
    }
    Value::Object(result)
}

/// The keys of one kind of latency, by sample and aggregated.
fn latencies(
    result: &mut Map<String, Value>,
    kind: &str,
    aggregated: &str,
    runs: &[&Report],
    curve: fn(&Report) -> &[(f64, u64)],
    mean_us: fn(&Report) -> Option<f64>,
) {
    let mut insert = |name: &str, samples: Vec<f64>| {
        let median = Spread::of(samples.clone()).map_or(0.0, |spread| spread.median);
        result.insert(format!("{kind}Latency{name}"), json!(samples));
        result.insert(format!("aggregated{aggregated}Latency{name}"), json!(median));
    };
    insert("Avg", runs.iter().filter_map(|run| mean_us(run)).map(|micros| micros / 1e3).collect());
    let at = |quantile: f64| -> Vec<f64> {
        let points = runs.iter().filter_map(|run| curve(run).iter().find(|(found, _)| *found == quantile));
        points.map(|(_, micros)| *micros as f64 / 1e3).collect()
    };
    for (name, quantile) in QUANTILES {
        insert(name, at(quantile));
    }
    let quantiles = runs.first().map_or(&[][..], |run| curve(run)).iter().map(|(quantile, _)| {
        let median = Spread::of(at(*quantile)).map_or(0.0, |spread| spread.median);
        (format!("{}", quantile * 100.0), json!(median))
    });
    result.insert(format!("aggregated{aggregated}LatencyQuantiles"), Value::Object(quantiles.collect()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::summary::tests::comparison;

    #[test]
    fn keys_are_those_of_openmessaging_benchmark() {
        let mut comparison = comparison();
        for run in &mut comparison.workloads[0].runs {
            run.report.acknowledged_curve = vec![(0.5, 1000), (0.99, 3000), (1.0, 9000)];
        }
        let results = results(&comparison);
        let names: Vec<&str> = results.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names[0], "produce-64k-goatq-page-cache.json");
        assert_eq!(names.len(), 4);
        let result = &results[0].1;
        assert_eq!(result["publishRate"], json!([300_000.0, 100_000.0, 200_000.0]));
        assert_eq!(result["aggregatedPublishLatency50pct"], json!(1.0));
        assert_eq!(result["publishLatencyMax"], json!([9.0, 9.0, 9.0]));
        assert_eq!(result["aggregatedPublishLatencyQuantiles"]["99"], json!(3.0));
        assert_eq!(result.get("endToEndLatencyAvg"), None);
    }
}
