//! Settings in the format of `java.util.Properties`, as in Kafka's `server.properties`.

use std::path::Path;

use super::{Entry, Origin};

/// Joins lines that end in an odd number of backslashes with the next one; each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim_start();
        if continued {
            if let Some((_, previous)) = lines.last_mut() {
                previous.push_str(line);
            }
        } else if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        } else {
            lines.push((index + 1, line.to_owned()));
        }
        let Some((_, current)) = lines.last_mut() else { continue };
        continued = current.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        if continued {
            current.pop();
        }
    }
    lines
}

/// Position of the separator: the first `=`, `:` or white space that is not escaped.
fn separator(line: &str) -> usize {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if !escaped && (c == '=' || c == ':' || c.is_whitespace()) {
            return at;
        }
        escaped = c == '\\' && !escaped;
    }
    line.len()
}

fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => result.push('\t'),
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('f') => result.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                result.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => result.push(other),
            None => {}
        }
    }
    result
}

/// Reads settings; every text is a legal properties file. A key that is given twice keeps its last value, as in Java.
/// `path` is for messages only.
pub fn parse(text: &str, path: &Path) -> Vec<Entry> {
    let entry = |(number, line): (usize, String)| {
        let (name, rest) = line.split_at(separator(&line));
        let rest = rest.trim_start();
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
        Entry {
            name: unescape(name),
            value: unescape(value).trim_end().to_owned(),
            origin: Origin::File(path.to_owned(), number),
        }
    };
    logical_lines(text).into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_java_reads() {
        let cases = [
            ("a=b", Some(("a", "b"))),
            ("  a = b  ", Some(("a", "b"))),
            ("a:b=c", Some(("a", "b=c"))),
            ("a b c", Some(("a", "b c"))),
            ("a", Some(("a", ""))),
            ("a=", Some(("a", ""))),
            ("# a=b", None),
            ("! a=b", None),
            ("", None),
            ("listeners=PLAINTEXT://:9092,\\\n   X://:9093", Some(("listeners", "PLAINTEXT://:9092,X://:9093"))),
            ("path=C:\\\\data\\\\", Some(("path", "C:\\data\\"))),
            ("key\\ with\\=odd=v", Some(("key with=odd", "v"))),
            ("a=\\u00e9\\n\\t.", Some(("a", "\u{e9}\n\t."))),
            ("a=\\ud800", Some(("a", "\u{fffd}"))),
            ("a=\\", Some(("a", ""))),
        ];
        for (text, expected) in cases {
            let entries = parse(text, Path::new("p"));
            let found = entries.first().map(|e| (e.name.as_str(), e.value.as_str()));
            assert_eq!(found, expected, "{text:?}");
            assert!(entries.len() <= 1, "{text:?}");
        }
    }

    #[test]
    fn knows_the_line() {
        let entries = parse("# x\na=1,\\\n2\n\nb=2\n", Path::new("p"));
        let lines: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.value.as_str(), e.origin.to_string())).collect();
        assert_eq!(lines, [("a", "1,2", "p:2".to_owned()), ("b", "2", "p:5".to_owned())]);
    }
}
