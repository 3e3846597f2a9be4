//! Why a node did not start.

use std::io;

use goatq_controller::decide::brokers::RegisterBrokerError;
use goatq_controller::raft::admission::Refusal;
use goatq_controller::service::SubmitError;
use goatq_protocol::Uuid;
use goatq_storage::log_dir::LogDirError;

use crate::config::settings::ConfigErrors;
use crate::lifecycle::RegisterFailure;
use crate::net::server::BindError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A directory cannot be used.
    #[error(transparent)]
    LogDir(#[from] LogDirError),
    /// The controller did not start.
    #[error(transparent)]
    Controller(#[from] goatq_controller::service::StartError),
    /// The host of a listener has no address.
    #[error("listener {listener}: the host {host:?} has no address: {source}")]
    Resolve {
        /// Name of the listener.
        listener: String,
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// A listener could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The HTTP listener could not be bound.
    #[error(
        "http.listener cannot bind {address}: {source}. Another node may run here: stop it, or choose another address with \
         http.listener (empty for none)"
    )]
    Http {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The controller refused the broker.
    #[error(transparent)]
    Register(#[from] RegisterBrokerError),
    /// The quorum refused the node.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A cluster of several nodes without a name.
    #[error(
        "cluster.id must be set, to the same 22 characters of URL-safe base64 on all nodes: nodes of a cluster know one another by it. \
         One that is free: {0}"
    )]
    NoClusterId(Uuid),
    /// The controller could not be asked.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl From<RegisterFailure> for StartError {
    fn from(failure: RegisterFailure) -> Self {
        match failure {
            RegisterFailure::Refused(refused) => refused.into(),
            RegisterFailure::Stopped(error) => error.into(),
        }
    }
}
