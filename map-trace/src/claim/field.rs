//! One field of an event by its path, without making the whole event's JSON.
//!
//! A serialiser that follows one path and skips everything else: it sees exactly what the line in the trace holds,
//! names and nulls included, and costs a tenth of making the line.

use std::fmt::{self, Write};

use serde::ser::{
    self, Impossible, Serialize, SerializeMap, SerializeStruct, SerializeStructVariant, Serializer,
};

/// What lies at the end of a path. Text is in the buffer that was passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// No such field in this line.
    Absent,
    /// Null, or inside something that is null.
    Null,
    Bool(bool),
    Number(i128),
    Text,
    /// A list, an object or a fraction: nothing a rule compares with.
    Other,
}

/// The field of a line at `path`, names joined by dots; `text` takes its text.
pub fn pick(line: &impl Serialize, path: &str, text: &mut String) -> Leaf {
    text.clear();
    let mut leaf = Leaf::Absent;
    let picker = Picker {
        path,
        key: None,
        found: &mut leaf,
        text,
    };
    // The error only says that the field was found: nothing after it is looked at.
    let _ = line.serialize(picker);
    leaf
}

/// Ends the walk.
#[derive(Debug)]
struct Done;

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("found")
    }
}

impl std::error::Error for Done {}

impl ser::Error for Done {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Follows `path`; at its end it notes what is there.
struct Picker<'a> {
    path: &'a str,
    /// What is serialised is a key: only whether it is this one is noted.
    key: Option<&'a str>,
    found: &'a mut Leaf,
    text: &'a mut String,
}

impl Picker<'_> {
    fn end(self, leaf: Leaf) -> Result<(), Done> {
        *self.found = if self.path.is_empty() || leaf == Leaf::Null {
            leaf
        } else {
            Leaf::Absent
        };
        Err(Done)
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Done> {
            self.end(Leaf::Number(value.into()))
        })*
    };
}

impl<'a> Serializer for Picker<'a> {
    type Ok = ();
    type Error = Done;
    type SerializeSeq = Impossible<(), Done>;
    type SerializeTuple = Impossible<(), Done>;
    type SerializeTupleStruct = Impossible<(), Done>;
    type SerializeTupleVariant = Impossible<(), Done>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    numbers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    );

    fn serialize_bool(self, value: bool) -> Result<(), Done> {
        self.end(Leaf::Bool(value))
    }

    fn serialize_f32(self, _: f32) -> Result<(), Done> {
        self.end(Leaf::Other)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Done> {
        self.end(Leaf::Other)
    }

    fn serialize_char(self, value: char) -> Result<(), Done> {
        self.text.push(value);
        self.end(Leaf::Text)
    }

    fn serialize_str(self, value: &str) -> Result<(), Done> {
        if let Some(key) = self.key {
            *self.found = Leaf::Bool(key == value);
            return Err(Done);
        }
        self.text.push_str(value);
        self.end(Leaf::Text)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Done> {
        let _ = write!(self.text, "{value}");
        self.end(Leaf::Text)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Done> {
        self.end(Leaf::Other)
    }

    fn serialize_none(self) -> Result<(), Done> {
        self.end(Leaf::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Done> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Done> {
        self.end(Leaf::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Done> {
        self.end(Leaf::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Done> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Done> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Done> {
        let mut members = self.members()?;
        SerializeStruct::serialize_field(&mut members, variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Done> {
        Err(self.other())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Done> {
        Err(self.other())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Done> {
        Err(self.other())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Done> {
        Err(self.other())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, Done> {
        self.members()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Done> {
        self.members()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Members<'a>, Done> {
        self.members()
    }
}

impl<'a> Picker<'a> {
    fn other(self) -> Done {
        let _ = self.end(Leaf::Other);
        Done
    }

    /// Goes one name down the path.
    fn members(self) -> Result<Members<'a>, Done> {
        if self.path.is_empty() {
            return Err(self.other());
        }
        let (name, path) = self.path.split_once('.').unwrap_or((self.path, ""));
        Ok(Members {
            name,
            path,
            found: self.found,
            text: self.text,
            wanted: false,
        })
    }
}

/// The members of an object, of which one lies on the path.
struct Members<'a> {
    name: &'a str,
    path: &'a str,
    found: &'a mut Leaf,
    text: &'a mut String,
    /// The key that was just given is the one.
    wanted: bool,
}

impl Members<'_> {
    fn follow<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Done> {
        let picker = Picker {
            path: self.path,
            key: None,
            found: self.found,
            text: self.text,
        };
        value.serialize(picker)?;
        Err(Done)
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Done;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Done> {
        if key == self.name {
            return self.follow(value);
        }
        Ok(())
    }

    fn end(self) -> Result<(), Done> {
        Ok(())
    }
}

impl SerializeStructVariant for Members<'_> {
    type Ok = ();
    type Error = Done;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Done> {
        SerializeStruct::serialize_field(self, key, value)
    }

    fn end(self) -> Result<(), Done> {
        Ok(())
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Done;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Done> {
        let mut leaf = Leaf::Absent;
        let picker = Picker {
            path: "",
            key: Some(self.name),
            found: &mut leaf,
            text: self.text,
        };
        let _ = key.serialize(picker);
        self.wanted = leaf == Leaf::Bool(true);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Done> {
        if self.wanted {
            return self.follow(value);
        }
        Ok(())
    }

    fn end(self) -> Result<(), Done> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::trace::strategy::event_line;

    fn paths(json: &Json, path: &str, out: &mut Vec<(String, Json)>) {
        if let Json::Object(members) = json {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{name}");
                out.push((path.clone(), value.clone()));
                paths(value, &path, out);
            }
        }
    }

    fn leaf(json: &Json) -> (Leaf, String) {
        match json {
            Json::Null => (Leaf::Null, String::new()),
            Json::Bool(value) => (Leaf::Bool(*value), String::new()),
            Json::Number(number) => {
                let number = number
                    .as_i64()
                    .map(i128::from)
                    .or(number.as_u64().map(i128::from));
                (number.map_or(Leaf::Other, Leaf::Number), String::new())
            }
            Json::String(text) => (Leaf::Text, text.clone()),
            _ => (Leaf::Other, String::new()),
        }
    }

    proptest! {
        #[test]
        fn every_field_is_picked_as_the_line_has_it(line in event_line()) {
            let json = serde_json::to_value(&line).unwrap();
            let mut all = Vec::new();
            paths(&json, "", &mut all);
            prop_assert!(all.len() >= 3);
            let mut text = String::new();
            for (path, value) in all {
                // Names with dots in them are no paths.
                let got = pick(&line, &path, &mut text);
                prop_assert_eq!((got, text.clone()), leaf(&value), "{}", path);
                prop_assert_ne!(pick(&line, &format!("{path}.nothing"), &mut text), Leaf::Text);
            }
            prop_assert_eq!(pick(&line, "nothing", &mut text), Leaf::Absent);
        }
    }
}
