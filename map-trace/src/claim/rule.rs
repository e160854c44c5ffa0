//! A rule: which events, and how many of them.

use std::fmt;

use super::words::EventWord;
use crate::model::{Address, Operation};

/// `EVENT [where ...] [during OPERATION] [on AREA] COMPARE NUMBER`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub event: &'static EventWord,
    /// All of them must hold of an event.
    pub conditions: Vec<Condition>,
    /// Operation or region; none for the whole run.
    pub during: Option<Operation>,
    /// Memory; none for anywhere.
    pub on: Option<Area>,
    pub expect: Expect,
}

/// One field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Path of the field in the event's line: `error_code.write`.
    pub path: String,
    /// The field must have another value.
    pub not: bool,
    pub value: Value,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The field is null or not there.
    Null,
    Bool(bool),
    Number(i128),
    /// Addresses too, as they are written in a trace: `0x7f00`.
    Text(String),
}

/// Memory that an event touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Area {
    /// Memory of maps that holds their elements.
    Buckets,
    /// The program break, and memory that Go names its heap.
    Heap,
    /// The main thread's stack.
    Stack,
    /// From the first up to and without the second.
    Range(Address, Address),
    Symbol(String),
}

/// What the number of matching events must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Every event that `during` and `on` leave must match, and there must be one.
    All,
    Count(Compare, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    AtMost,
    AtLeast,
    Below,
    Above,
}

impl Compare {
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Equal, "=="),
        (Self::AtMost, "<="),
        (Self::AtLeast, ">="),
        (Self::Below, "<"),
        (Self::Above, ">"),
    ];

    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::Above => ">",
        }
    }

    /// Whether `count` compares so with `number`.
    pub const fn holds(self, count: u64, number: u64) -> bool {
        match self {
            Self::Equal => count == number,
            Self::AtMost => count <= number,
            Self::AtLeast => count >= number,
            Self::Below => count < number,
            Self::Above => count > number,
        }
    }

    /// Largest count that can hold; none when there is no bound.
    pub const fn most(self, number: u64) -> Option<u64> {
        match self {
            Self::Equal | Self::AtMost => Some(number),
            Self::Below => Some(number.saturating_sub(1)),
            Self::AtLeast | Self::Above => None,
        }
    }

    /// Smallest count that can hold.
    pub const fn least(self, number: u64) -> u64 {
        match self {
            Self::Equal | Self::AtLeast => number,
            Self::Above => number.saturating_add(1),
            Self::AtMost | Self::Below => 0,
        }
    }
}

impl fmt::Display for Rule {
    /// The short form; parsing it gives the rule back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event.word)?;
        for (index, condition) in self.conditions.iter().enumerate() {
            f.write_str(if index == 0 { " where " } else { ", " })?;
            write!(f, "{condition}")?;
        }
        if let Some(operation) = &self.during {
            write!(f, " during {operation}")?;
        }
        if let Some(area) = &self.on {
            write!(f, " on {area}")?;
        }
        write!(f, " {}", self.expect)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.not { "!=" } else { "=" };
        write!(f, "{}{sign}{}", self.path, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) if is_bare(text) && Self::of_bare(text) == *self => f.write_str(text),
            Self::Text(text) => quoted(f, text),
        }
    }
}

impl Value {
    /// The value a word without quotes stands for.
    pub fn of_bare(word: &str) -> Self {
        match word {
            "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            word => word
                .parse()
                .map_or_else(|_| Self::Text(word.to_owned()), Self::Number),
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buckets => f.write_str("buckets"),
            Self::Heap => f.write_str("heap"),
            Self::Stack => f.write_str("stack"),
            Self::Range(start, end) => write!(f, "{start}-{end}"),
            Self::Symbol(name) => {
                let plain = is_bare(name) && !name.starts_with("0x");
                if plain && !matches!(name.as_str(), "buckets" | "heap" | "stack") {
                    f.write_str(name)
                } else {
                    quoted(f, name)
                }
            }
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("== all"),
            Self::Count(compare, number) => write!(f, "{} {number}", compare.sign()),
        }
    }
}

/// A character that a word without quotes may hold.
pub(super) fn bare(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || matches!(c, ',' | '"' | '=' | '!' | '<' | '>'))
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.chars().all(bare)
}

/// In quotes, with `\"` and `\\` for the two characters that need it.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    write!(f, "\"{escaped}\"")
}
