//! What a workload says it did.

use std::collections::BTreeMap;

/// A half-open range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

impl Range {
    pub const fn contains(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// The `key=value` lines of a workload's stdout.
#[derive(Clone, Debug, Default)]
pub struct Said(BTreeMap<String, String>);

impl Said {
    /// Reads the lines; others are left out. A key said twice keeps its last value.
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// The value of a key.
    pub fn text(&self, key: &str) -> &str {
        self.0
            .get(key)
            .unwrap_or_else(|| panic!("the program did not say {key}: {self:?}"))
    }

    /// A decimal value.
    pub fn number(&self, key: &str) -> u64 {
        let text = self.text(key);
        text.parse()
            .unwrap_or_else(|_| panic!("{key}={text} is not a number"))
    }

    /// The keys that start with a prefix, without it, and their values.
    pub fn under(&self, prefix: &str) -> BTreeMap<&str, &str> {
        let pairs = self.0.iter();
        pairs
            .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
            .collect()
    }

    /// The range `start`..`end`.
    pub fn range(&self) -> Range {
        self.range_of("")
    }

    /// The range `<name>start`..`<name>end`.
    pub fn range_of(&self, name: &str) -> Range {
        Range {
            start: self.address(&format!("{name}start")),
            end: self.address(&format!("{name}end")),
        }
    }

    fn address(&self, key: &str) -> u64 {
        let text = self.text(key);
        text.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or_else(|| panic!("{key}={text} is not an address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_keys_and_values() {
        let said = Said::parse("start=0x1000\nready\nend=0x3000\nn=7\nenv.A=b=c\n");
        assert_eq!(
            said.range(),
            Range {
                start: 0x1000,
                end: 0x3000
            }
        );
        assert_eq!(said.number("n"), 7);
        assert_eq!(said.under("env."), BTreeMap::from([("A", "b=c")]));
    }

    #[test]
    fn the_end_of_a_range_is_outside() {
        let range = Range { start: 1, end: 3 };
        assert!(range.contains(1) && range.contains(2) && !range.contains(3));
    }
}
