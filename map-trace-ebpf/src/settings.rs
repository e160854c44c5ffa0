//! The session's settings: one read-only global that user space fills before loading.

use map_trace_common::settings::{NO_OFFSET, Settings};

#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings::UNKNOWN;

/// Reads one field; volatile, since the value compiled in is not the value at run time.
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: a static of this program, always readable.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::settings::settings()).$field) }
    };
}
pub(crate) use setting;

#[inline(always)]
pub fn settings() -> *const Settings {
    &raw const SETTINGS
}

/// An offset, or `None` when the running kernel does not have the field.
#[inline(always)]
pub fn known(offset: u32) -> Option<u64> {
    (offset != NO_OFFSET).then_some(offset as u64)
}
