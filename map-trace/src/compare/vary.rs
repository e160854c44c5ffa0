//! `--vary NAME=V1,V2`: a variable and the values it takes.

use serde::{Serialize, Serializer};

/// Longest value, bytes: as long as execve(2) takes one string (`MAX_ARG_STRLEN`, include/uapi/linux/binfmts.h).
const MAX_VALUE: usize = 128 << 10;
/// Before a name that would otherwise mean something else.
const ENVIRONMENT: &str = "env:";

/// What may differ from one condition to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// A variable of the program's environment; an empty value takes it away.
    Environment(String),
    /// `THP`: transparent huge pages.
    HugePages,
    /// `go`: the version of Go that builds the program.
    Go,
    /// `program`: what is run in the program's place, with the same arguments.
    Program,
    /// `nice`: the scheduling priority.
    Nice,
    /// `cpus`: how many CPUs the program may run on.
    Cpus,
}

/// A variable with two or more values, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    pub variable: Variable,
    /// The first is what the others are compared with.
    pub values: Vec<String>,
}

/// Why a `--vary` means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaryError {
    #[error("not like NAME=VALUE,VALUE")]
    NoValues,
    #[error("a variable needs a name")]
    NoName,
    #[error("a name has no zero byte")]
    Name,
    #[error("one value; two or more make a comparison")]
    OneValue,
    #[error("the value {0:?} is there twice")]
    Twice(String),
    #[error("the value {0:?} of {1}: {2}")]
    Value(String, String, &'static str),
    #[error("a value ends with a backslash, which takes the meaning off a character behind it")]
    Backslash,
}

impl Variable {
    fn from_name(name: &str) -> Result<Self, VaryError> {
        let environment = |name: &str| match name {
            "" => Err(VaryError::NoName),
            name if name.contains('\0') => Err(VaryError::Name),
            name => Ok(Self::Environment(name.to_owned())),
        };
        if let Some(name) = name.strip_prefix(ENVIRONMENT) {
            return environment(name);
        }
        match name {
            "THP" => Ok(Self::HugePages),
            "go" => Ok(Self::Go),
            "program" => Ok(Self::Program),
            "nice" => Ok(Self::Nice),
            "cpus" => Ok(Self::Cpus),
            name => environment(name),
        }
    }

    /// The name as given.
    pub fn name(&self) -> &str {
        match self {
            Self::Environment(name) => name,
            Self::HugePages => "THP",
            Self::Go => "go",
            Self::Program => "program",
            Self::Nice => "nice",
            Self::Cpus => "cpus",
        }
    }

    /// A value as a person reads it.
    pub fn say(&self, value: &str) -> String {
        match (self, value) {
            (Self::Environment(_), "") => "unset".to_owned(),
            (_, value) => value.to_owned(),
        }
    }

    /// Why a value of this variable means nothing.
    fn refuse(&self, value: &str) -> Option<&'static str> {
        let number = |least: i32, most: i32| {
            let given: Option<i32> = value.parse().ok();
            given.is_some_and(|given| (least..=most).contains(&given))
        };
        let (good, why) = match self {
            _ if value.contains('\0') => (false, "it holds a zero byte"),
            _ if value.len() > MAX_VALUE => (false, "it is too long"),
            Self::Environment(_) => (true, ""),
            Self::HugePages => (
                matches!(value, "always" | "madvise" | "never"),
                "not always, madvise or never",
            ),
            Self::Go => (
                value.starts_with(|c: char| c.is_ascii_digit()) || value.starts_with("go1"),
                "not a version such as 1.23 or 1.23.9",
            ),
            Self::Program => (!value.is_empty(), "a program needs a name"),
            Self::Nice => (number(-20, 19), "not a number from -20 to 19"),
            Self::Cpus => (number(1, 65_536), "not a number of CPUs"),
        };
        (!good).then_some(why)
    }
}

impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Vary {
    /// `NAME=V1,V2,...`: the name ends at the first `=`, a comma separates values, and a backslash takes the meaning
    /// off the character behind it.
    ///
    /// # Errors
    /// The text means nothing; the error says why.
    pub fn parse(text: &str) -> Result<Self, VaryError> {
        let (name, values) = text.split_once('=').ok_or(VaryError::NoValues)?;
        let variable = Variable::from_name(name)?;
        let values = split(values)?;
        for (index, value) in values.iter().enumerate() {
            if let Some(why) = variable.refuse(value) {
                let name = variable.name().to_owned();
                return Err(VaryError::Value(value.clone(), name, why));
            }
            if values.iter().take(index).any(|before| before == value) {
                return Err(VaryError::Twice(value.clone()));
            }
        }
        match values.len() {
            0 | 1 => Err(VaryError::OneValue),
            _ => Ok(Self { variable, values }),
        }
    }
}

/// The values between commas, their backslashes taken off.
fn split(text: &str) -> Result<Vec<String>, VaryError> {
    let mut values = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            ',' => {
                values.push(String::new());
                continue;
            }
            '\\' => rest.next().ok_or(VaryError::Backslash)?,
            c => c,
        };
        if let Some(last) = values.last_mut() {
            last.push(c);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (String, Vec<String>) {
        let vary = Vary::parse(text).unwrap();
        (vary.variable.name().to_owned(), vary.values)
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn a_value_may_be_empty_and_may_hold_signs_of_equality_and_escaped_commas() {
        let expected = ("GODEBUG".to_owned(), strings(&["", "efence=1"]));
        assert_eq!(parsed("GODEBUG=,efence=1"), expected);
        let expected = ("A".to_owned(), strings(&["x,y=z", r"\", "w"]));
        assert_eq!(parsed(r"A=x\,y=z,\\,w"), expected);
    }

    #[test]
    fn some_names_are_not_of_the_environment_unless_said() {
        for (text, variable) in [
            ("THP=never,madvise", Variable::HugePages),
            ("go=1.19,go1.23.9", Variable::Go),
            ("program=./a,./b", Variable::Program),
            ("nice=-20,19", Variable::Nice),
            ("cpus=1,2", Variable::Cpus),
            ("env:go=1,2", Variable::Environment("go".to_owned())),
            ("Go=1,2", Variable::Environment("Go".to_owned())),
        ] {
            assert_eq!(Vary::parse(text).unwrap().variable, variable, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_with_the_reason() {
        for (text, why) in [
            ("GODEBUG", "not like"),
            ("=1,2", "a name"),
            ("env:=1,2", "a name"),
            ("A=1", "one value"),
            ("A=", "one value"),
            ("A=1,2,1", r#""1" is there twice"#),
            (r"A=1,2\", "backslash"),
            ("THP=never,sometimes", "always, madvise or never"),
            ("THP=,never", "always, madvise or never"),
            ("nice=0,20", "from -20 to 19"),
            ("cpus=0,1", "number of CPUs"),
            ("go=1.19,newest", "a version"),
            ("program=,./b", "needs a name"),
            ("A=\0,1", "zero byte"),
        ] {
            let error = Vary::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn escaped_values_come_back_as_they_were(
            values in prop::collection::hash_set("[a-z=,\\\\ ]{0,6}", 2..6)
        ) {
            let values: Vec<String> = values.into_iter().collect();
            let escape = |value: &String| value.replace('\\', r"\\").replace(',', r"\,");
            let text: Vec<_> = values.iter().map(escape).collect();
            let vary = Vary::parse(&format!("X={}", text.join(","))).unwrap();
            prop_assert_eq!(vary.values, values);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _either = Vary::parse(&text);
        }
    }
}
