//! A thin layer over prometheus-client's encoder for metrics that are collected when they are scraped.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

/// Labels of one sample: names are ours, values may be anything (the encoder escapes them).
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// One metric family whose samples are written one after the other.
pub(crate) struct Metric<'a> {
    encoder: MetricEncoder<'a>,
}

impl<'a> Metric<'a> {
    /// A family of counters; `_total` is added to the name.
    pub(crate) fn counter(
        encoder: &'a mut DescriptorEncoder<'_>,
        name: &'a str,
        help: &str,
    ) -> Result<Self, fmt::Error> {
        Ok(Self { encoder: encoder.encode_descriptor(name, help, None, MetricType::Counter)? })
    }

    /// A family of gauges.
    pub(crate) fn gauge(encoder: &'a mut DescriptorEncoder<'_>, name: &'a str, help: &str) -> Result<Self, fmt::Error> {
        Ok(Self { encoder: encoder.encode_descriptor(name, help, None, MetricType::Gauge)? })
    }

    /// One sample of a counter.
    pub(crate) fn count(&mut self, labels: Labels<'_>, value: u64) -> fmt::Result {
        if labels.is_empty() {
            return self.encoder.encode_counter(&value, None::<&Exemplar<Vec<(String, String)>, u64>>);
        }
        let none = None::<&Exemplar<Vec<(String, String)>, u64>>;
        self.encoder.encode_family(&labels)?.encode_counter(&value, none)
    }

    /// One sample of a gauge.
    pub(crate) fn value(&mut self, labels: Labels<'_>, value: f64) -> fmt::Result {
        if labels.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }

    /// One sample of a gauge of whole numbers: printed without a fraction, exact above 2^53.
    pub(crate) fn whole(&mut self, labels: Labels<'_>, value: i64) -> fmt::Result {
        if labels.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }
}
