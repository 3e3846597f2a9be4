//! The Kafka wire protocol: messages, record batches, errors and framing, without any I/O.
//!
//! Start with [`wire`] for the rules of the encoding, [`message`] for what is said, [`frame`] for how it travels.

// The derive macro names this crate, also inside of it.
extern crate self as goatq_protocol;

mod api_key;
mod error_code;
pub mod frame;
pub mod header;
pub mod message;
pub mod record;
mod uuid;
pub mod wire;

pub use api_key::{ApiKey, ListenerScope};
pub use error_code::ErrorCode;
pub use uuid::{ParseUuidError, Uuid};
