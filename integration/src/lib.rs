//! Everything together: real nodes and real clients.
