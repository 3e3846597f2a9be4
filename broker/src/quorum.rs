//! The network of the metadata quorum: how the nodes of a cluster reach one another.
//!
//! Requests between nodes travel in Kafka's framing (size, header, body) on the listener that `controller.listener.names` names, under
//! keys that no client knows ([`frame`]). A connection begins with a proof of identity on both sides ([`proof`]); what comes before is
//! not listened to. The side that asks is [`transport`] on top of [`lane`]s, the side that answers is [`service`].

pub(crate) mod backoff;
pub(crate) mod frame;
pub(crate) mod lane;
pub(crate) mod proof;
pub(crate) mod service;
pub(crate) mod transport;

#[cfg(test)]
mod tests;
