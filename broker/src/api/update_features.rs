//! UpdateFeatures (key 57, versions 0-2).
//!
//! KIP-584, KIP-1022: all levels change or none does. Version 0 knows no upgrade types, only whether a level may go
//! down; from version 2 on there is one error for all.

use goatq_controller::decide::features::{FeatureUpdate, UpdateFeatures, UpgradeType};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::RequestContext;
use super::submit::submit;

fn update(key: &FeatureUpdateKey, version: i16) -> FeatureUpdate {
    let upgrade_type = match (version, key.allow_downgrade) {
        (0, true) => UpgradeType::SafeDowngrade,
        (0, false) => UpgradeType::Upgrade,
        _ => UpgradeType::from_id(key.upgrade_type),
    };
    FeatureUpdate { name: key.feature.clone(), level: key.max_version_level, upgrade_type }
}

pub(crate) async fn handle(cx: &RequestContext, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let updates = request.feature_updates.iter().map(|key| update(key, cx.api_version)).collect();
    let command = UpdateFeatures { updates, validate_only: request.validate_only };
    let error = match submit(cx, command, request.timeout_ms).await {
        Ok(Ok(())) => None,
        Ok(Err(refused)) => {
            let message =
                format!("The update failed for all features since the following feature had an error: {refused}");
            Some((ErrorCode::InvalidUpdateVersion, message.into()))
        }
        Err(error) => Some(error),
    };
    let results = if error.is_none() && cx.api_version < 2 {
        let done = |key: FeatureUpdateKey| UpdatableFeatureResult { feature: key.feature, ..Default::default() };
        request.feature_updates.into_iter().map(done).collect()
    } else {
        Vec::new()
    };
    let (code, message) = error.map_or((ErrorCode::None, None), |(code, message)| (code, Some(message)));
    UpdateFeaturesResponse { throttle_time_ms: 0, error_code: code.code(), error_message: message, results }
}
