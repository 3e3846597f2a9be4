//! Records about run-time configuration.

use bytestring::ByteString;
use goatq_protocol::wire::Message;

/// Sets or removes one configuration value.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct ConfigRecord {
    /// Number of the kind of resource, as in Kafka.
    pub resource_type: i8,
    /// The resource.
    pub resource_name: ByteString,
    /// The configuration.
    pub key: ByteString,
    /// Its value; null removes it.
    pub value: Option<ByteString>,
}
