//! What a message consists of, as data: for tools that show messages and for tests that make them up.

use super::VersionRange;

/// One field of a [`Message`](super::Message).
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Kafka's name in snake case.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The message versions that have it.
    pub versions: VersionRange,
    /// The versions in which it can be null.
    pub nullable: VersionRange,
    /// Its tag, if it is a tagged field.
    pub tag: Option<u32>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names are those of Kafka's message definitions")]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(&'static [Field]),
    Array(&'static Kind),
}
