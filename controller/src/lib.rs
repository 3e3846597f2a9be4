//! The metadata quorum: openraft around a pure metadata state machine.
