//! What happens on this node when the metadata image changes.

pub(crate) mod applied;
