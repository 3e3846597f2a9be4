//! The lines of test scripts: a directive, then `name=value` words and bare names.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What a line gives its directive.
#[derive(Debug)]
pub(crate) struct Args {
    values: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<String>>,
}

impl Args {
    /// The directive of a line, and what it is given.
    pub(crate) fn parse(line: &str) -> (String, Self) {
        let mut words = line.split_whitespace();
        let directive = words.next().expect("a directive").to_owned();
        let pair = |word: &str| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (word.to_owned(), String::new()),
        };
        (directive, Self { values: words.map(pair).collect(), asked: RefCell::default() })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.values.get(name).map(String::as_str)
    }

    /// A value, if it is given.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        let text = self.value(name)?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} makes no sense")))
    }

    /// A value, or what it is when it is not given.
    pub(crate) fn or<T: FromStr>(&self, name: &str, default: T) -> T {
        self.get(name).unwrap_or(default)
    }

    /// Values with commas between them.
    pub(crate) fn list<T: FromStr>(&self, name: &str) -> Vec<T> {
        let items = self.value(name).unwrap_or_default().split(',').filter(|item| !item.is_empty());
        items.map(|item| item.parse().unwrap_or_else(|_| panic!("{name}: {item} makes no sense"))).collect()
    }

    /// Whether a name is there, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Names that nobody has asked for.
    pub(crate) fn left_over(&self) -> Vec<&str> {
        self.values.keys().map(String::as_str).filter(|name| !self.asked.borrow().contains(*name)).collect()
    }
}
