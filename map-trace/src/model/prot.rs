//! Memory protection, as in mmap(2) and /proc/PID/maps.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Protection bits (`PROT_READ` 1, `PROT_WRITE` 2, `PROT_EXEC` 4). JSON: `"rw-"`.
///
/// Other bits a program passed (`PROT_GROWSDOWN`, ...) are not kept here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prot(u8);

impl Prot {
    pub const NONE: Self = Self(0);
    pub const R: Self = Self(1);
    pub const RW: Self = Self(3);
    pub const RX: Self = Self(5);

    /// From a syscall's `prot` argument.
    pub const fn from_bits(bits: u64) -> Self {
        Self((bits & 7) as u8)
    }
    pub const fn bits(self) -> u8 {
        self.0
    }
    pub const fn read(self) -> bool {
        self.0 & 1 != 0
    }
    pub const fn write(self) -> bool {
        self.0 & 2 != 0
    }
    pub const fn execute(self) -> bool {
        self.0 & 4 != 0
    }

    /// Parses the three letters (a fourth, `p` or `s`, may follow).
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut bits = 0;
        for (index, letter) in [b'r', b'w', b'x'].into_iter().enumerate() {
            match *bytes.get(index)? {
                found if found == letter => bits |= 1 << index,
                b'-' => {}
                _ => return None,
            }
        }
        Some(Self(bits))
    }
}

impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pick = |on, letter| if on { letter } else { '-' };
        write!(
            f,
            "{}{}{}",
            pick(self.read(), 'r'),
            pick(self.write(), 'w'),
            pick(self.execute(), 'x')
        )
    }
}

impl Serialize for Prot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("protection {text:?} is not like \"rw-\"")))
    }
}

impl JsonSchema for Prot {
    fn schema_name() -> Cow<'static, str> {
        "Prot".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[r-][w-][x-]$"})
    }
}
