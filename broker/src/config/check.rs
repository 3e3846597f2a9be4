//! Whether a text is a legal value of a key. Messages are worded as Kafka's, because tools and people know them.

use super::key::{Key, Kind, Valid};

/// Why a text is not a legal value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {why}")]
pub struct InvalidValue {
    /// Name of the key.
    pub key: String,
    /// The text; `[hidden]` for secrets.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

/// Splits a list as Kafka does: at commas, without the spaces around them; an empty text is an empty list.
pub fn list_items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn number_in(valid: Valid, number: i64) -> Result<(), String> {
    let (low, high) = match valid {
        Valid::AtLeast(low) => (low, i64::MAX),
        Valid::Between(low, high) => (low, high),
        Valid::GzipLevel if number == -1 => return Ok(()),
        Valid::GzipLevel => (1, 9),
        _ => return Ok(()),
    };
    if number < low {
        return Err(format!("Value must be at least {low}"));
    }
    if number > high {
        return Err(format!("Value must be no more than {high}"));
    }
    Ok(())
}

fn whole(kind: Kind, text: &str) -> Result<i64, String> {
    let in_type = |number: &i64| match kind {
        Kind::Short => i16::try_from(*number).is_ok(),
        Kind::Int => i32::try_from(*number).is_ok(),
        _ => true,
    };
    text.parse::<i64>().ok().filter(in_type).ok_or_else(|| format!("Not a number of type {}", kind.name()))
}

fn throttled_replicas(text: &str) -> bool {
    let pair = |item: &str| {
        item.split_once(':').is_some_and(|(partition, broker)| {
            !partition.is_empty() && !broker.is_empty() && item.bytes().all(|b| b.is_ascii_digit() || b == b':')
        })
    };
    let text = text.trim();
    text.is_empty() || text == "*" || text.split(',').all(|item| pair(item.trim()))
}

fn text_in(valid: Valid, text: &str) -> Result<(), String> {
    let one_of = |legal: &[&str]| Err(format!("String must be one of: {}", legal.join(", ")));
    match valid {
        Valid::OneOf(legal) if !legal.contains(&text) => one_of(legal),
        Valid::OneOfIgnoringCase(legal) if !legal.iter().any(|l| l.eq_ignore_ascii_case(text)) => one_of(legal),
        Valid::ListOf(legal) if list_items(text).next().is_none() => {
            Err(format!("must not be empty: some of {}", legal.join(", ")))
        }
        Valid::ListOf(legal) if list_items(text).any(|item| !legal.contains(&item)) => one_of(legal),
        Valid::ThrottledReplicas if !throttled_replicas(text) => {
            Err("must be the literal '*' or a list of replicas: [partitionId]:[brokerId],...".to_owned())
        }
        _ => Ok(()),
    }
}

fn value_of(key: &Key, text: &str) -> Result<(), String> {
    match key.kind {
        Kind::Boolean if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => Ok(()),
        Kind::Boolean => Err("Expected value to be either true or false".to_owned()),
        Kind::Short | Kind::Int | Kind::Long => number_in(key.valid, whole(key.kind, text)?),
        Kind::Double => {
            let number: f64 = text.parse().ok().filter(|n: &f64| !n.is_nan()).ok_or("Not a number of type DOUBLE")?;
            match key.valid {
                Valid::Ratio(low, _) if number < low => Err(format!("Value must be at least {low}")),
                Valid::Ratio(_, high) if number > high => Err(format!("Value must be no more than {high}")),
                _ => Ok(()),
            }
        }
        Kind::Text | Kind::List | Kind::Class | Kind::Password => text_in(key.valid, text),
    }
}

/// Checks a text (spaces around it do not count).
///
/// # Errors
/// What is wrong, in Kafka's words.
pub fn check(key: &Key, text: &str) -> Result<(), InvalidValue> {
    value_of(key, text.trim()).map_err(|why| InvalidValue {
        key: key.name.to_owned(),
        value: if key.kind == Kind::Password { "[hidden]".to_owned() } else { text.to_owned() },
        why,
    })
}

/// Whether a text says the same as the built-in default.
pub fn is_default(key: &Key, text: &str) -> bool {
    let text = text.trim();
    match (key.default, key.kind) {
        (None, _) => text.is_empty(),
        (Some(default), Kind::Boolean) => text.eq_ignore_ascii_case(default),
        (Some(default), Kind::Double) => text.parse::<f64>().ok() == default.parse::<f64>().ok(),
        (Some(default), Kind::Short | Kind::Int | Kind::Long) => text.parse::<i64>().ok() == default.parse().ok(),
        (Some(default), Kind::List) => list_items(text).eq(list_items(default)),
        (Some(default), Kind::Text | Kind::Class | Kind::Password) => text == default,
    }
}
