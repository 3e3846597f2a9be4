//! `#[derive(Message)]`: the struct and its attributes are the schema of one Kafka message or of one part of it.
//!
//! ```ignore
//! #[derive(Debug, Clone, PartialEq, Message)]
//! #[message(key = Heartbeat, versions = "0-4", flexible = "4+")]
//! pub struct HeartbeatRequest {
//!     pub group_id: ByteString,
//!     pub generation_id: i32,
//!     pub member_id: ByteString,
//!     #[field(versions = "3+")]
//!     pub group_instance_id: Option<ByteString>,
//! }
//! ```
//!
//! On a struct that is a whole message: `#[message(versions = "0-4", flexible = "4+", key = Heartbeat)]`. `flexible` is left
//! out where no version is flexible, `key` where the message belongs to no API (internal topics). With a key the name must
//! end in `Request` (its answer is then the type of the same name ending in `Response`) or in `Response`.
//!
//! On a field: `#[field(versions = "9+", nullable = "3+", tag = 0, default = "-1")]`.
//! - `versions`: the message versions that carry the field; all of them when left out.
//! - `nullable`: on an `Option`, the versions in which null can be written; all of them when left out.
//! - `tag`: the field is a tagged one in every version that has it.
//! - `default`: the Rust expression of the value that stands for a field which a version lacks or a peer left out;
//!   `Default::default()` when left out.
//!
//! Version ranges are written as Kafka writes them: `3`, `3-5` or `3+`.
//!
//! The expansion is kept small (one call per field, nothing generic), because the build time of the whole project starts here.
//! It names `::goatq_protocol`, so a crate that derives must depend on that crate under its own name.

mod expand;
mod schema;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `Message` and `Default`, and for whole messages `Versioned`, `Request` and `Response` of `goatq_protocol::wire`.
#[proc_macro_derive(Message, attributes(message, field))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    match schema::Struct::parse(&input) {
        Ok(parsed) => expand::expand(&parsed).into(),
        Err(error) => error.into_compile_error().into(),
    }
}
