//! What the program was doing with its maps when an event happened.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A map operation, a user region, `runtime` or `none`; the words of the contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Make,
    Access,
    Assign,
    Delete,
    Clear,
    Grow,
    Iterate,
    /// A region named by the user.
    Region(Arc<str>),
    /// The language runtime's own work: GC, scavenger, scheduler, stack growth.
    Runtime,
    /// No map function on the stack.
    None,
}

impl Operation {
    pub fn word(&self) -> &str {
        match self {
            Self::Make => "make",
            Self::Access => "access",
            Self::Assign => "assign",
            Self::Delete => "delete",
            Self::Clear => "clear",
            Self::Grow => "grow",
            Self::Iterate => "iterate",
            Self::Region(name) => name,
            Self::Runtime => "runtime",
            Self::None => "none",
        }
    }

    /// The operation a word names; words that are not the contract's are regions.
    pub fn from_word(word: &str) -> Self {
        match word {
            "make" => Self::Make,
            "access" => Self::Access,
            "assign" => Self::Assign,
            "delete" => Self::Delete,
            "clear" => Self::Clear,
            "grow" => Self::Grow,
            "iterate" => Self::Iterate,
            "runtime" => Self::Runtime,
            "none" => Self::None,
            other => Self::Region(other.into()),
        }
    }

    /// True for work on a map (regions are the user's business and are not).
    pub const fn is_map(&self) -> bool {
        !matches!(self, Self::Region(_) | Self::Runtime | Self::None)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;

        impl de::Visitor<'_> for Word {
            type Value = Operation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an operation's word")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Operation, E> {
                Ok(Operation::from_word(word))
            }
        }

        deserializer.deserialize_str(Word)
    }
}

impl JsonSchema for Operation {
    fn schema_name() -> Cow<'static, str> {
        "Operation".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "make, access, assign, delete, clear, grow, iterate, runtime, none, or a region's name"
        })
    }
}
