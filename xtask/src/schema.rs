//! `cargo xtask schema`: writes docs/schema/*.json from the types.

use anyhow::Result;

use crate::process::{cargo, run as spawn};

/// The schemas are made by the test that checks them, told to write.
///
/// # Errors
///
/// The test does not build or cannot write.
pub fn run() -> Result<()> {
    spawn(
        cargo()
            .args(["test", "-p", "map-trace", "--lib", "output::schema"])
            .env("UPDATE_SCHEMAS", "1"),
    )
}
