//! Plots as SVG: bars with whiskers, and curves of latency. Colours are classes that the page defines, once for light and once
//! for dark.

use std::fmt::Write as _;

use crate::compare::html::escape;
use crate::compare::summary::Spread;
use crate::table::number;

const WIDTH: f64 = 640.0;
/// Where bars begin, and where the longest whisker ends.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 560.0;
const BAR: f64 = 18.0;
const STEP: f64 = 28.0;
/// The frame of curves.
const CURVE_LEFT: f64 = 56.0;
const CURVE_RIGHT: f64 = 628.0;
const CURVE_TOP: f64 = 12.0;
const CURVE_BOTTOM: f64 = 232.0;
/// The least latency that is told apart, in ms.
const LEAST_MS: f64 = 0.01;
/// Quantiles with a name on the axis.
const TICKS: [(f64, &str); 6] =
    [(0.0, "0"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// A bar: its name, its colour, and its figure.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) spread: Spread,
}

/// Bars from zero with whiskers from the smallest to the largest value; a line may mark the floor.
pub(super) fn bars(title: &str, bars: &[Bar], floor: Option<f64>) -> String {
    let most = bars.iter().map(|bar| bar.spread.most).chain(floor).fold(0.0, f64::max);
    if bars.is_empty() || most <= 0.0 {
        return String::new();
    }
    let x = |value: f64| LEFT + (RIGHT - LEFT) * (value / most).clamp(0.0, 1.0);
    let bottom = 26.0 + STEP * bars.len() as f64;
    let height = bottom + if floor.is_some() { 18.0 } else { 2.0 };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\"><text class=\"title\" x=\"4\" y=\"15\">{0}</text>",
        escape(title)
    );
    for (index, Bar { name, colour, spread }) in bars.iter().enumerate() {
        let top = 26.0 + STEP * index as f64;
        let middle = top + BAR / 2.0;
        let (end, least, most) = (x(spread.median), x(spread.least), x(spread.most));
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"c{colour}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            LEFT - 8.0,
            middle + 4.0,
            escape(name),
            (end - LEFT).max(0.5),
        );
        if spread.count > 1 {
            let _ = write!(
                svg,
                "<path class=\"whisker\" d=\"M{least:.1} {middle:.1}H{most:.1}M{least:.1} {0:.1}V{1:.1}M{most:.1} {0:.1}V{1:.1}\"/>",
                middle - 5.0,
                middle + 5.0
            );
        }
        let _ = write!(
            svg,
            "<text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            most.max(end) + 6.0,
            middle + 4.0,
            number(spread.median)
        );
    }
    if let Some(floor) = floor {
        let _ = write!(
            svg,
            "<path class=\"floor\" d=\"M{0:.1} 20V{1:.1}\"/><text class=\"floor-label\" x=\"{0:.1}\" y=\"{3:.1}\" text-anchor=\"middle\">floor \
             {2}</text>",
            x(floor),
            bottom,
            number(floor),
            bottom + 12.0
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A curve: its name, its colour, and its points (quantile and ms).
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) points: Vec<(f64, f64)>,
}

/// Latency by quantile, both axes logarithmic: the right end of the axis is the largest of all.
pub(super) fn curves(title: &str, curves: &[Curve]) -> String {
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|(_, ms)| ms.max(LEAST_MS));
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if most <= 0.0 {
        return String::new();
    }
    let low = least.log10().floor();
    let high = most.log10().ceil().max(low + 1.0);
    let y = |ms: f64| CURVE_BOTTOM - (CURVE_BOTTOM - CURVE_TOP) * (ms.max(LEAST_MS).log10() - low) / (high - low);
    let height = CURVE_BOTTOM + 28.0 + 18.0 * curves.len() as f64;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escape(title));
    for (quantile, name) in TICKS.into_iter().chain([(1.0, "max")]) {
        let x = quantile_x(quantile);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} {CURVE_TOP}V{CURVE_BOTTOM}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            CURVE_BOTTOM + 15.0
        );
    }
    for power in low as i32..=high as i32 {
        let ms = 10_f64.powi(power);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{CURVE_LEFT} {0:.1}H{CURVE_RIGHT}\"/>\
             <text class=\"tick\" x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{ms} ms</text>",
            y(ms),
            CURVE_LEFT - 6.0,
            y(ms) + 4.0
        );
    }
    for (index, Curve { name, colour, points }) in curves.iter().enumerate() {
        let mut path = String::new();
        for (quantile, ms) in points {
            let step = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1}", quantile_x(*quantile), y(*ms));
        }
        let line = CURVE_BOTTOM + 34.0 + 18.0 * index as f64;
        let _ = write!(
            svg,
            "<path class=\"curve s{colour}\" d=\"{path}\"/><path class=\"curve s{colour}\" d=\"M{CURVE_LEFT} {0:.1}h22\"/>\
             <text class=\"label\" x=\"{1}\" y=\"{2:.1}\">{3}</text>",
            line - 4.0,
            CURVE_LEFT + 30.0,
            line,
            escape(name)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Each nine takes as much room as the one before; behind the last one comes the maximum.
fn quantile_x(quantile: f64) -> f64 {
    let nines = -(1.0 - quantile).max(1e-9).log10();
    CURVE_LEFT + (CURVE_RIGHT - CURVE_LEFT - 8.0) * (nines / 4.6).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_go_from_left_to_right() {
        let places: Vec<f64> = [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0].map(quantile_x).to_vec();
        assert!(places.is_sorted() && places[0] == CURVE_LEFT && places[7] < CURVE_RIGHT, "{places:?}");
        assert!((places[4] - places[3] - (places[5] - places[4])).abs() < 1e-6);
    }

    #[test]
    fn nothing_gives_no_plot() {
        assert_eq!(bars("t", &[], Some(1.0)), "");
        assert_eq!(curves("t", &[]), "");
        let zero = Bar { name: "a".to_owned(), colour: 0, spread: Spread::of(vec![0.0]).unwrap() };
        assert_eq!(bars("t", &[zero], None), "");
    }

    #[test]
    fn everything_lies_within_the_picture() {
        let spread = Spread::of(vec![1.0, 5.0, 9.0]).unwrap();
        let svg = bars("t", &[Bar { name: "a<b".to_owned(), colour: 1, spread }], Some(12.0));
        assert!(svg.contains("a&lt;b") && svg.contains("floor 12.0") && svg.contains("class=\"whisker\""), "{svg}");
        let points = vec![(0.01, 0.0), (0.5, 1.0), (1.0, 5000.0)];
        let svg = curves("t", &[Curve { name: "a".to_owned(), colour: 0, points }]);
        assert!(svg.contains("0.01 ms") && svg.contains("10000 ms") && !svg.contains("NaN"), "{svg}");
    }
}
