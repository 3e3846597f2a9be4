//! The report as one page that needs nothing else: plots, tables, goals.

use std::fmt::Write as _;

use crate::compare::goals::verdicts;
use crate::compare::markdown::{cell, describe, machine};
use crate::compare::plot::{Bar, Curve, bars, curves};
use crate::compare::summary::{Metric, Row};
use crate::compare::{Comparison, Measured};
use crate::workload::Rate;

const COLUMNS: [Metric; 9] = [
    Metric::MbPerS,
    Metric::RecordsPerS,
    Metric::P50,
    Metric::P99,
    Metric::P99_9,
    Metric::Max,
    Metric::CpuPerGb,
    Metric::CpuPerRequest,
    Metric::RssMb,
];

const STYLE: &str = "\
:root{--bg:#fff;--fg:#1c2024;--soft:#60656c;--line:#d9dce1;--card:#f7f8fa;--good:#18794e;--bad:#c62a2f;\
--a:#0b68cb;--b:#d9730d;--c:#6aa9ec;--d:#f2b27c;--e:#2f9e78;--f:#8d4fc4;--g:#a0a6ad;--h:#c2417c}\
@media(prefers-color-scheme:dark){:root{--bg:#15181c;--fg:#e8eaed;--soft:#a2a9b2;--line:#343a42;--card:#1c2026;--good:#4cc38a;\
--bad:#ff6369;--a:#58a6ff;--b:#ff9a4d;--c:#2f6db5;--d:#a8622a;--e:#46c79b;--f:#b48ae0;--g:#7b828b;--h:#ec7fb0}}\
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}\
main{max-width:1360px;margin:0 auto;padding:32px 24px}h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:40px 0 2px}\
p{margin:0 0 12px;color:var(--soft);max-width:90ch}nav{margin:16px 0}nav a{color:var(--a);margin-right:14px;text-decoration:none}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:14px}\
.plots svg{width:100%;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px}\
.scroll{overflow-x:auto;margin-top:12px}table{border-collapse:collapse;font-size:13.5px;white-space:nowrap}\
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right}th:first-child,td:first-child{text-align:left}\
td.text{text-align:left;white-space:normal}th{color:var(--soft);font-weight:600}td.yes{color:var(--good)}td.no{color:var(--bad);font-weight:600}\
svg text{fill:var(--fg);font:12.5px system-ui,sans-serif}svg .title{font-weight:600}svg .tick,svg .floor-label{fill:var(--soft);font-size:11px}\
.grid{stroke:var(--line);fill:none}.whisker{stroke:var(--fg);fill:none;stroke-width:1.3}.floor{stroke:var(--soft);stroke-dasharray:4 3;fill:none}\
.curve{fill:none;stroke-width:2.2;stroke-linejoin:round}\
.c0{fill:var(--a)}.c1{fill:var(--c)}.c2{fill:var(--b)}.c3{fill:var(--d)}.c4{fill:var(--e)}.c5{fill:var(--f)}.c6{fill:var(--g)}.c7{fill:var(--h)}\
.s0{stroke:var(--a)}.s1{stroke:var(--c)}.s2{stroke:var(--b)}.s3{stroke:var(--d)}.s4{stroke:var(--e)}.s5{stroke:var(--f)}.s6{stroke:var(--g)}.s7{stroke:var(--h)}";

/// Colours that there are: two shades for each system.
const COLOURS: usize = 8;

/// The page.
pub(super) fn render(comparison: &Comparison) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"/>");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>");
    // Writing to a string cannot fail.
    let _ = write!(page, "<title>goatq-perf compare</title><style>{STYLE}</style></head>\n<body><main>");
    let _ = write!(page, "<h1>{}</h1>", escape(&comparison.systems.join(", ")));
    let _ =
        writeln!(page, "<p>{}. Whiskers reach from the smallest to the largest run.</p>", escape(&machine(comparison)));
    goals(&mut page, comparison);
    page.push_str("<nav>");
    for measured in &comparison.workloads {
        let name = escape(&measured.workload.name);
        let _ = write!(page, "<a href=\"#{name}\">{name}</a> ");
    }
    page.push_str("</nav>\n");
    for measured in &comparison.workloads {
        section(&mut page, comparison, measured);
    }
    page.push_str("</main></body>\n</html>\n");
    page
}

fn goals(page: &mut String, comparison: &Comparison) {
    let verdicts = verdicts(comparison);
    if verdicts.is_empty() {
        return;
    }
    let met = verdicts.iter().filter(|verdict| verdict.met).count();
    let _ = write!(page, "<h2>Goals: {met} of {} met</h2><div class=\"scroll\"><table>", verdicts.len());
    page.push_str("<tr><th>Goal</th><th>Found</th><th>Wanted</th><th>Met</th></tr>");
    for verdict in verdicts {
        let (class, met) = if verdict.met { ("yes", "✓") } else { ("no", "✗") };
        let (what, wanted) = (escape(&verdict.what), escape(&verdict.wanted));
        let _ = write!(
            page,
            "<tr><td>{what}</td><td>{}</td><td class=\"text\">{wanted}</td><td class=\"{class}\">{met}</td></tr>",
            escape(&verdict.found)
        );
    }
    page.push_str("</table></div>\n");
}

fn section(page: &mut String, comparison: &Comparison, measured: &Measured) {
    let name = escape(&measured.workload.name);
    let _ = write!(page, "<section><h2 id=\"{name}\">{name}</h2><p>{}</p>", escape(&describe(&measured.workload)));
    let rows = measured.rows();
    let colours: Vec<usize> = rows.iter().map(|row| colour(comparison, row)).collect();
    let floors = measured.floors();
    let floor = floors.first();
    let plot = |metric: Metric, title: &str, floor: Option<f64>| {
        let bar = |(row, colour): (&Row<'_>, &usize)| {
            Some(Bar { name: row.name(), colour: *colour, spread: row.spread(metric)? })
        };
        let found: Vec<Bar> = rows.iter().zip(&colours).filter_map(bar).collect();
        bars(title, &found, floor)
    };
    page.push_str("<div class=\"plots\">");
    if measured.workload.rate == Rate::Full {
        page.push_str(&plot(
            Metric::MbPerS,
            "MB/s (more is better)",
            floor.and_then(|floor| floor.mb_per_s).map(|spread| spread.median),
        ));
    }
    let bytes = floor.and_then(|floor| floor.cpu_s_per_gb);
    page.push_str(&if measured.workload.batch_records > 1 {
        plot(Metric::CpuPerGb, "Broker CPU seconds per GB (less is better)", bytes.map(|spread| spread.median))
    } else {
        let each = floor.filter(|_| bytes.is_none()).and_then(|floor| floor.cpu_us);
        plot(Metric::CpuPerRequest, "Broker CPU µs per request (less is better)", each.map(|spread| spread.median))
    });
    page.push_str(&plot(Metric::RssMb, "Resident memory, MB (less is better)", None));
    let curve = |(row, colour): (&Row<'_>, &usize)| Curve { name: row.name(), colour: *colour, points: row.curve() };
    let found: Vec<Curve> = rows.iter().zip(&colours).map(curve).filter(|curve| !curve.points.is_empty()).collect();
    page.push_str(&curves("Latency by quantile", &found));
    page.push_str("</div>");
    table(page, &rows);
    for failure in &measured.failures {
        let _ = write!(page, "<p>Failed: {}</p>", escape(failure));
    }
    page.push_str("</section>\n");
}

fn table(page: &mut String, rows: &[Row<'_>]) {
    page.push_str("<div class=\"scroll\"><table><tr><th>System</th>");
    for metric in COLUMNS {
        let _ = write!(page, "<th>{}</th>", metric.name());
    }
    page.push_str("<th>Notes</th></tr>");
    for row in rows {
        let _ = write!(page, "<tr><td>{}</td>", escape(&row.name()));
        for metric in COLUMNS {
            let _ = write!(page, "<td>{}</td>", cell(row.spread(metric)));
        }
        let _ = write!(page, "<td class=\"text\">{}</td></tr>", escape(&row.notes().join("; ")));
    }
    page.push_str("</table></div>");
}

/// Every system has its own colour, in two shades for its two modes.
fn colour(comparison: &Comparison, row: &Row<'_>) -> usize {
    let system = comparison.systems.iter().position(|system| system == row.system).unwrap_or(0);
    (2 * system + row.durability as usize) % COLOURS
}

/// Text as it may stand in a page, also between quotes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::summary::tests::comparison;

    /// Every element is closed where it must be.
    fn check(page: &str) {
        let mut open = Vec::new();
        for part in page.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("tags end");
            assert!(!text.contains('>') || tag == "style", "{text}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') && !tag.starts_with('!') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn pages_are_well_formed_and_alone() {
        let page = render(&comparison());
        check(&page);
        assert!(page.contains("&lt;broken&gt; &amp; &quot;quoted&quot;"));
        assert!(page.matches("<svg").count() >= 8 && page.contains("Goals: 3 of 6 met"));
        for outside in ["http:", "https:", "<script", "<link", "url(", "@import", "NaN", "inf"] {
            assert!(!page.replace("role=\"img\"", "").contains(outside), "{outside}");
        }
        let mut empty = comparison();
        empty.workloads.clear();
        check(&render(&empty));
    }
}
