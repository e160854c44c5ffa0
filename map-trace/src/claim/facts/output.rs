//! What a program printed, and how it ended.

use std::collections::BTreeMap;
use std::fmt;

use super::Ruling;
use crate::model::summary::Status;

/// Lines of `key=value` kept, and bytes of a key and its value.
const MAX_LINES: usize = 100_000;
const MAX_LINE: usize = 64 << 10;

/// What a program wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    pub stdout: String,
    pub stderr: String,
    values: BTreeMap<String, String>,
}

impl Printed {
    /// A key's last value counts.
    pub fn new(stdout: String, stderr: String) -> Self {
        let lines = stdout.lines().take(MAX_LINES);
        let values = lines
            .filter(|line| line.len() <= MAX_LINE)
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            stdout,
            stderr,
            values,
        }
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        number(self.value(key)?)
    }
}

/// Decimal, 0x, or a fraction.
fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|hex| hex as f64),
        None => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Below,
    Above,
    Has,
    Lacks,
}

const SIGNS: [(&str, Sign); 8] = [
    ("==", Sign::Equal),
    ("!=", Sign::Unequal),
    ("<=", Sign::AtMost),
    (">=", Sign::AtLeast),
    ("<", Sign::Below),
    (">", Sign::Above),
    ("has", Sign::Has),
    ("lacks", Sign::Lacks),
];

/// `KEY SIGN VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    key: String,
    sign: Sign,
    /// A number, a text, or `$` and another key.
    value: String,
}

impl Comparison {
    /// Reads one; the words stand apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.trim().splitn(3, char::is_whitespace);
        let (Some(key), Some(sign), Some(value)) = (words.next(), words.next(), words.next())
        else {
            return Err(format!("'{text}' is not KEY SIGN VALUE"));
        };
        let Some((_, sign)) = SIGNS.iter().find(|(word, _)| *word == sign) else {
            return Err(format!(
                "'{sign}' compares nothing; ==, !=, <=, <, >=, >, has or lacks does"
            ));
        };
        let stream = matches!(key, "stdout" | "stderr");
        if stream != matches!(sign, Sign::Has | Sign::Lacks) {
            return Err(
                "'has' and 'lacks' are for stdout and stderr, and these for no other".into(),
            );
        }
        Ok(Self {
            key: key.to_owned(),
            sign: *sign,
            value: value.trim().to_owned(),
        })
    }

    pub fn judge(&self, printed: &Printed) -> Ruling {
        if matches!(self.sign, Sign::Has | Sign::Lacks) {
            let stream = match self.key.as_str() {
                "stderr" => &printed.stderr,
                _ => &printed.stdout,
            };
            let there = stream.contains(&self.value);
            let word = if there { "has" } else { "lacks" };
            let reason = format!("{} {word} \"{}\"", self.key, self.value);
            return Ruling::of(there == (self.sign == Sign::Has), reason);
        }
        let Some(left) = printed.value(&self.key) else {
            return Ruling::open(format!("the program did not print {}", self.key));
        };
        let right = match self.value.strip_prefix('$') {
            Some(key) => match printed.value(key) {
                Some(value) => value,
                None => return Ruling::open(format!("the program did not print {key}")),
            },
            None => &self.value,
        };
        let reason = match self.value.strip_prefix('$') {
            Some(key) => format!("{} = {left}, {key} = {right}", self.key),
            None => format!("{} = {left}", self.key),
        };
        let holds = match (number(left), number(right)) {
            (Some(a), Some(b)) => match self.sign {
                // As texts, too: integers beyond 2^53 are no fractions.
                Sign::Equal => a == b && same_integer(left, right),
                Sign::Unequal => a != b || !same_integer(left, right),
                Sign::AtMost => a <= b,
                Sign::AtLeast => a >= b,
                Sign::Below => a < b,
                _ => a > b,
            },
            _ => match self.sign {
                Sign::Equal => left == right,
                Sign::Unequal => left != right,
                _ => return Ruling::open(format!("{reason} is no number")),
            },
        };
        Ruling::of(holds, reason)
    }
}

/// False when both are integers and different.
fn same_integer(a: &str, b: &str) -> bool {
    let integer = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, sign)| *sign == self.sign);
        let sign = sign.map_or("", |(word, _)| word);
        write!(f, "{} {sign} {}", self.key, self.value)
    }
}

/// How a program is said to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Exits(i32),
    Signal(String),
    Succeeds,
    Fails,
}

impl Ending {
    /// `exits N`, `signal NAME`, `succeeds`, `fails`.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        Some(match words[..] {
            ["succeeds"] => Self::Succeeds,
            ["fails"] => Self::Fails,
            ["exits", status] => Self::Exits(status.parse().ok()?),
            ["signal", name] => Self::Signal(name.to_owned()),
            _ => return None,
        })
    }

    pub fn judge(&self, status: &Status) -> Ruling {
        let (holds, reason) = match status {
            Status::Exited(code) => (
                match self {
                    Self::Exits(wanted) => code == wanted,
                    Self::Signal(_) => false,
                    Self::Succeeds => *code == 0,
                    Self::Fails => *code != 0,
                },
                format!("exited {code}"),
            ),
            Status::Signaled(name) => (
                match self {
                    Self::Signal(wanted) => name == wanted,
                    Self::Fails => true,
                    _ => false,
                },
                format!("ended by {name}"),
            ),
            Status::Running | Status::Unknown => {
                return Ruling::open("how it ended is not known");
            }
        };
        Ruling::of(holds, reason)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exits(status) => write!(f, "exits {status}"),
            Self::Signal(name) => write!(f, "ends by {name}"),
            Self::Succeeds => f.write_str("succeeds"),
            Self::Fails => f.write_str("fails"),
        }
    }
}
