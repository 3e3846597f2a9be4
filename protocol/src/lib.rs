//! The Kafka wire protocol: messages, record batches, errors and framing, without any I/O.
