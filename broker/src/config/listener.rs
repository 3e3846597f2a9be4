//! Listener addresses as Kafka writes them: `NAME://host:port`.

use std::fmt;

/// How a listener secures its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecurityProtocol {
    /// No encryption, no authentication: everybody is `User:ANONYMOUS`.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// One listener: where it binds, or where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name in upper case, such as `PLAINTEXT` or `INTERNAL`.
    pub name: String,
    /// Host name or address, IPv6 without brackets; empty means every address of the machine.
    pub host: String,
    /// TCP port; 0 lets the system choose (tests).
    pub port: u16,
    /// From `listener.security.protocol.map`.
    pub security: SecurityProtocol,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}
