//! The x86 page-fault error code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hardware error code of a page fault (Intel SDM vol. 3, 4.7; arch/x86/include/asm/trap_pf.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FaultCode(pub u64);

impl FaultCode {
    pub const PRESENT: u64 = 1;
    pub const WRITE: u64 = 1 << 1;
    pub const USER: u64 = 1 << 2;
    pub const RESERVED: u64 = 1 << 3;
    pub const INSTRUCTION: u64 = 1 << 4;
    pub const PROTECTION_KEY: u64 = 1 << 5;
    pub const SHADOW_STACK: u64 = 1 << 6;
    /// The access broke a rule of SGX enclaves.
    pub const SGX: u64 = 1 << 15;
    /// The access broke the reverse map table of SEV-SNP.
    pub const RMP: u64 = 1 << 31;
    /// Every bit that has a meaning here.
    pub const KNOWN: u64 = 0x7f | Self::SGX | Self::RMP;

    /// The page was present: a right was missing, not the page.
    pub const fn present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }
    /// The access was a write; else a read, or a fetch of an instruction.
    pub const fn write(self) -> bool {
        self.0 & Self::WRITE != 0
    }
    /// The access came from user mode.
    pub const fn user(self) -> bool {
        self.0 & Self::USER != 0
    }
    /// A reserved bit was set in a page-table entry: the table is corrupt.
    pub const fn reserved(self) -> bool {
        self.0 & Self::RESERVED != 0
    }
    /// The access was the fetch of an instruction.
    pub const fn instruction(self) -> bool {
        self.0 & Self::INSTRUCTION != 0
    }
    /// The thread's protection-key register (PKRU) forbids the access.
    pub const fn protection_key(self) -> bool {
        self.0 & Self::PROTECTION_KEY != 0
    }
    /// The access was to a shadow stack (CET).
    pub const fn shadow_stack(self) -> bool {
        self.0 & Self::SHADOW_STACK != 0
    }
    /// Bits that have no meaning here; 0 when all have.
    pub const fn unknown_bits(self) -> u64 {
        self.0 & !Self::KNOWN
    }
}

/// The JSON shape of a [`FaultCode`]. Only `raw` is read back; the rest restates it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
struct FaultCodeJson {
    raw: u64,
    present: bool,
    write: bool,
    user: bool,
    reserved: bool,
    instruction: bool,
    protection_key: bool,
    shadow_stack: bool,
}

impl Serialize for FaultCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FaultCodeJson {
            raw: self.0,
            present: self.present(),
            write: self.write(),
            user: self.user(),
            reserved: self.reserved(),
            instruction: self.instruction(),
            protection_key: self.protection_key(),
            shadow_stack: self.shadow_stack(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FaultCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FaultCodeJson::deserialize(deserializer).map(|json| Self(json.raw))
    }
}

impl JsonSchema for FaultCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultCode".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FaultCodeJson::json_schema(generator)
    }
}
