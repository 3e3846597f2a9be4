//! Changing finalized feature levels.

use std::collections::BTreeSet;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision};
use crate::{
    feature::{FeatureRange, KRAFT_VERSION, METADATA_VERSION},
    record::FeatureLevelRecord,
};

/// Asks for feature levels to be changed, all or none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UpdateFeatures {
    /// The changes.
    pub updates: Vec<FeatureUpdate>,
    /// Only check.
    pub validate_only: bool,
}

/// In which direction a level may go, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeType {
    /// A number that means nothing.
    Unknown,
    /// Up.
    Upgrade,
    /// Down, if nothing is lost.
    SafeDowngrade,
    /// Down, whatever is lost.
    UnsafeDowngrade,
}

impl UpgradeType {
    /// The type of Kafka's number.
    pub fn from_id(id: i8) -> Self {
        match id {
            1 => UpgradeType::Upgrade,
            2 => UpgradeType::SafeDowngrade,
            3 => UpgradeType::UnsafeDowngrade,
            _ => UpgradeType::Unknown,
        }
    }
}

/// The change of one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureUpdate {
    /// The feature.
    pub name: ByteString,
    /// The level it shall have; 0 to have it no more.
    pub level: i16,
    /// In which direction it may go.
    pub upgrade_type: UpgradeType,
}

/// Why no level was changed. Kafka answers all of them with the code of an invalid update version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("Feature {feature} cannot be set to level {level}. {reason}")]
pub struct UpdateFeaturesError {
    /// The feature whose update was refused.
    pub feature: ByteString,
    /// The level asked for.
    pub level: i16,
    /// Why.
    pub reason: FeatureRefusal,
}

/// Why a level was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FeatureRefusal {
    /// Not an upgrade type.
    #[error("That is no upgrade type.")]
    UpgradeType,
    /// Below 0.
    #[error("A level cannot be negative.")]
    Negative,
    /// Not known to the controller.
    #[error("The controller does not support the feature.")]
    Unsupported,
    /// Not a level the controller knows.
    #[error("The controller supports levels {min} to {max}.")]
    OutOfRange {
        /// Lowest.
        min: i16,
        /// Highest.
        max: i16,
    },
    /// A broker does not know the level.
    #[error("Broker {0} does not support it.")]
    Broker(i32),
    /// Down without saying so.
    #[error("This would be a downgrade: ask for a safe or an unsafe one.")]
    NotADowngrade,
    /// Up as a downgrade.
    #[error("This would be an upgrade, and a downgrade was asked for.")]
    NotAnUpgrade,
    /// Down where there is no way down.
    #[error("Refusing to downgrade from {0}: metadata might be lost.")]
    NoWayDown(i16),
    /// Named more than once.
    #[error("The request names the feature more than once.")]
    Duplicate,
}

impl Command for UpdateFeatures {
    type Response = Result<(), UpdateFeaturesError>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        for update in &self.updates {
            let refuse = |reason| UpdateFeaturesError { feature: update.name.clone(), level: update.level, reason };
            let checked = match seen.insert(&update.name) {
                true => check(update, cx),
                false => Err(FeatureRefusal::Duplicate),
            };
            match checked {
                Ok(()) if cx.image.features.level(&update.name) == update.level => {}
                Ok(()) => {
                    records.push(FeatureLevelRecord { name: update.name.clone(), level: update.level }.into());
                }
                Err(reason) => return Decision::unchanged(Err(refuse(reason))),
            }
        }
        if self.validate_only {
            records.clear();
        }
        Decision { records, response: Ok(()) }
    }
}

fn check(update: &FeatureUpdate, cx: &Context<'_>) -> Result<(), FeatureRefusal> {
    if update.upgrade_type == UpgradeType::Unknown {
        return Err(FeatureRefusal::UpgradeType);
    }
    if update.level < 0 {
        return Err(FeatureRefusal::Negative);
    }
    let FeatureRange { min, max, .. } = cx.supported.get(&update.name).ok_or(FeatureRefusal::Unsupported)?;
    if !(min..=max).contains(&update.level) {
        return Err(FeatureRefusal::OutOfRange { min, max });
    }
    let lacks = |features: &std::collections::BTreeMap<ByteString, (i16, i16)>| match features.get(&*update.name) {
        Some((min, max)) => !(*min..=*max).contains(&update.level),
        None => update.level > 0,
    };
    // kraft.version is an affair of controllers; brokers do not register it.
    if *update.name != *KRAFT_VERSION
        && let Some(broker) = cx.image.brokers.iter().find(|broker| lacks(&broker.features))
    {
        return Err(FeatureRefusal::Broker(broker.id));
    }
    let current = cx.image.features.level(&update.name);
    if update.level < current {
        if update.upgrade_type == UpgradeType::Upgrade {
            return Err(FeatureRefusal::NotADowngrade);
        }
        if matches!(&*update.name, METADATA_VERSION | KRAFT_VERSION) {
            return Err(FeatureRefusal::NoWayDown(current));
        }
    } else if update.level > current && update.upgrade_type != UpgradeType::Upgrade {
        return Err(FeatureRefusal::NotAnUpgrade);
    }
    Ok(())
}
