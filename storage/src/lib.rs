//! The partition log in Kafka's on-disk format, its indexes and its disks.
