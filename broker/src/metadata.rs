//! What happens on this node when the metadata image changes: [`plan`] says what, [`apply`] does it, [`applied`] tells how
//! far it is.

pub(crate) mod applied;
pub(crate) mod apply;
mod plan;
