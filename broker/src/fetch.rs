//! What Fetch remembers between requests and how much it reads: pure rules. The handler is `api/fetch.rs`.

pub mod planner;
pub mod session;
