//! What is known about one configuration key.

/// Kafka's types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Any text.
    Text,
    /// 16 bits, signed.
    Short,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// A floating-point number.
    Double,
    /// Texts, separated by commas.
    List,
    /// The name of a Java class: never usable here, known so that it can be refused by name.
    Class,
    /// A secret: never shown.
    Password,
}

impl Kind {
    /// How Kafka spells the type in its messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Text => "STRING",
            Self::Short => "SHORT",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// How likely an operator has to think about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    /// Most installations set it.
    High,
    /// Some do.
    Medium,
    /// Hardly any does.
    Low,
}

/// How a broker key can change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only by a restart with other settings.
    ReadOnly,
    /// For the whole cluster, and for one broker.
    Cluster,
}

/// Which values are legal, beyond what the type says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Valid {
    /// All.
    Any,
    /// Whole numbers from this one on.
    AtLeast(i64),
    /// Whole numbers in this range, both ends included.
    Between(i64, i64),
    /// Numbers in this range, both ends included.
    Ratio(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list of some of these texts.
    ListOf(&'static [&'static str]),
    /// 1 to 9, or -1.
    GzipLevel,
    /// `partition:broker` pairs, or `*`.
    ThrottledReplicas,
}

/// What this broker does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what the key says.
    Honoured,
    /// It takes any legal value and says that there is nothing here that the key could govern.
    Inert,
    /// It starts (or accepts a change) only with Kafka's default: anything else would be a promise it does not keep.
    Refused,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Name, as in Kafka.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// Built-in default as text; None is Kafka's null: not set.
    pub default: Option<&'static str>,
    /// How prominent it is in listings.
    pub importance: Importance,
    /// How it can change; means nothing for topics, whose keys are all changed live.
    pub scope: Scope,
    /// Which values are legal.
    pub valid: Valid,
    /// What this broker does with it.
    pub status: Status,
    /// Honoured keys: what the key does. Others: why it does nothing here, and what to do instead.
    pub doc: &'static str,
}

/// Rows of a table: name, type, default, importance, scope, legal values, status, text.
macro_rules! keys {
    ($vis:vis $table:ident: $($name:literal $kind:ident $default:expr, $importance:ident $scope:ident $valid:expr,
        $status:ident $doc:expr;)*) => {
        $vis const $table: &[$crate::config::key::Key] = &[$($crate::config::key::Key {
            name: $name,
            kind: $crate::config::key::Kind::$kind,
            default: $default,
            importance: $crate::config::key::Importance::$importance,
            scope: $crate::config::key::Scope::$scope,
            valid: $valid,
            status: $crate::config::key::Status::$status,
            doc: $doc,
        }),*];
    };
}
pub(super) use keys;
