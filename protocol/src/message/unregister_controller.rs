//! UnregisterController (key 94): forgetting a controller that will not come back.

use bytestring::ByteString;

use crate::wire::Message;

/// Takes the registration of a controller out of the cluster.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = UnregisterController, versions = "0", flexible = "0+")]
pub struct UnregisterControllerRequest {
    /// Id of the controller.
    pub controller_id: i32,
}

/// Whether the controller was taken out.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = UnregisterController, versions = "0", flexible = "0+")]
pub struct UnregisterControllerResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
