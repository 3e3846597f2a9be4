//! The codec against everything that knows better: another implementation, bytes of real clients and brokers, and enemies.

mod captured;
mod hostile;
mod oracle;
mod sample;
mod tables;
