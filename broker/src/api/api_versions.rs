//! ApiVersions (key 18, versions 0-5): which APIs are served in which versions, and the features of the cluster.
//!
//! KIP-511 (names of clients, an answer for unknown versions), KIP-584 (features), KIP-1242 (a client that reached another
//! cluster or node than it meant). The answer comes from the table of APIs alone.

use goatq_controller::feature::SupportedFeatures;
use goatq_protocol::message::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use goatq_protocol::{ApiKey, ErrorCode};

use super::{RequestContext, table};

/// The answer, in version 0, to a version that is not known: the versions of this API only.
pub(super) fn unsupported() -> ApiVersionsResponse {
    let own = table::all().iter().filter(|api| api.key == ApiKey::ApiVersions).map(version).collect();
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: own,
        ..ApiVersionsResponse::default()
    }
}

fn version(api: &table::Api) -> ApiVersion {
    let versions = api.advertised();
    ApiVersion { api_key: api.key.code(), min_version: versions.min, max_version: versions.max }
}

pub(crate) async fn handle(cx: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    match check(cx, &request) {
        ErrorCode::None => {}
        error => return ApiVersionsResponse { error_code: error.code(), ..ApiVersionsResponse::default() },
    }
    let (image, on_controller) = (cx.node.image(), cx.on_controller());
    // Clients of versions below 4 do not understand that a feature starts at 0 (KAFKA-17011).
    let lowest = if cx.api_version < 4 { 1 } else { 0 };
    let supported = SupportedFeatures::current();
    let supported_features = supported
        .iter()
        .filter(|(_, range)| range.min >= lowest)
        .map(|(name, range)| SupportedFeatureKey { name: name.clone(), min_version: range.min, max_version: range.max })
        .collect();
    let finalized_features = image
        .features
        .iter()
        .map(|(name, level)| FinalizedFeatureKey {
            name: name.clone(),
            max_version_level: level,
            min_version_level: level,
        })
        .collect();
    ApiVersionsResponse {
        api_keys: table::all().iter().filter(|api| !on_controller || api.is_on_controllers()).map(version).collect(),
        supported_features,
        finalized_features_epoch: image.applied_index,
        finalized_features,
        ..ApiVersionsResponse::default()
    }
}

fn check(cx: &RequestContext, request: &ApiVersionsRequest) -> ErrorCode {
    if cx.api_version >= 3
        && !(is_valid_name(&request.client_software_name) && is_valid_name(&request.client_software_version))
    {
        return ErrorCode::InvalidRequest;
    }
    if cx.api_version < 5 {
        return ErrorCode::None;
    }
    match &request.cluster_id {
        None if request.node_id != -1 => ErrorCode::InvalidRequest,
        None => ErrorCode::None,
        Some(id) if *id == cx.node.image().cluster_id && request.node_id == cx.node.id() => ErrorCode::None,
        Some(_) => ErrorCode::RebootstrapRequired,
    }
}

/// Letters, digits, dots and dashes, the latter two neither first nor last.
fn is_valid_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let at_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(inside) && at_edge(name.chars().next()) && at_edge(name.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::is_valid_name;

    #[test]
    fn names_of_software() {
        for good in ["a", "apache-kafka-java", "4.3.1", "0"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", ".", "a b", "a_b", "é", "a\n"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
