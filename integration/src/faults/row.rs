//! Faults, one file for each family.

pub mod clocks;
pub mod cutting;
pub mod disks;
pub mod ending;
pub mod files;
pub mod limits;
pub mod members;
pub mod power;

use super::field::Field;
use super::site::Site;

/// A fault that strikes again and again.
pub trait Fault {
    /// Changes the places before anything runs on them.
    ///
    /// # Errors
    /// Something is missing.
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        let _ = sites;
        Ok(())
    }

    /// Strikes for the time number `round`, and returns when the fault has lasted for long enough; what it was.
    ///
    /// # Errors
    /// The fault cannot be made, or has an effect that it must not have.
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String>;

    /// Ends the fault. Writes have to go on within ten seconds from the moment when this begins, or from when it says that the fault is over.
    ///
    /// # Errors
    /// As above.
    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()>;

    /// Looks at what is special about the fault, when all is whole again.
    ///
    /// # Errors
    /// An expectation is not met.
    fn look(&mut self, field: &mut Field) -> anyhow::Result<()> {
        let _ = field;
        Ok(())
    }
}
