//! The broker: network, APIs, partitions, fetch sessions and coordinators.
