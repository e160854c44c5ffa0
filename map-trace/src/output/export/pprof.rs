//! A profile for `go tool pprof` and everything else that reads pprof: one sample a stack and kind of event.
//!
//! Format: message `perftools.profiles.Profile` of github.com/google/pprof/proto/profile.proto, in the wire format of
//! protocol buffers (protobuf.dev/programming-guides/encoding), not compressed, which readers accept. The few messages
//! needed are written by hand below: a field is its number and wire type, then a varint or a length and bytes.
//! Places are functions; lines within them are not told apart.

use super::stacks::Stacks;
use super::{ExportError, Lines, Out};
use std::collections::HashMap;

/// Field numbers of `Profile`.
mod profile {
    pub const SAMPLE_TYPE: u64 = 1;
    pub const SAMPLE: u64 = 2;
    pub const LOCATION: u64 = 4;
    pub const FUNCTION: u64 = 5;
    pub const STRING_TABLE: u64 = 6;
}

/// Wire type of numbers.
const VARINT: u64 = 0;
/// Wire type of strings, messages and packed numbers.
const BYTES: u64 = 2;

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn numbers(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.bytes(field, &packed.0);
    }
}

/// The string table: what is in it once is referred to by its index; index 0 is the empty string.
struct Strings {
    all: Vec<String>,
    known: HashMap<String, u64>,
}

impl Strings {
    fn new() -> Self {
        let mut strings = Self {
            all: Vec::new(),
            known: HashMap::new(),
        };
        strings.index("");
        strings
    }

    fn index(&mut self, text: &str) -> u64 {
        if let Some(index) = self.known.get(text) {
            return *index;
        }
        let index = self.all.len() as u64;
        self.all.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }
}

pub fn export(lines: Lines<'_>, out: Out<'_>) -> Result<(), ExportError> {
    let stacks = Stacks::read(lines)?;
    let mut strings = Strings::new();
    let mut whole = Message::default();
    let mut kind = Message::default();
    // ValueType: type, unit.
    kind.number(1, strings.index("events"));
    kind.number(2, strings.index("count"));
    whole.bytes(profile::SAMPLE_TYPE, &kind.0);
    for ((id, label), count) in &stacks.counts {
        let sample = sample(stacks.frames(*id), label, *count, &mut strings);
        whole.bytes(profile::SAMPLE, &sample.0);
    }
    for (name, number) in stacks.names.iter().zip(1_u64..) {
        let file = stacks.file(number - 1);
        let mut function = Message::default();
        // Function: id, name, system_name, filename.
        function.number(1, number);
        function.number(2, strings.index(name));
        function.number(3, strings.index(name));
        function.number(4, strings.index(file));
        whole.bytes(profile::FUNCTION, &function.0);
        let mut line = Message::default();
        // Line: function_id.
        line.number(1, number);
        let mut location = Message::default();
        // Location: id, line.
        location.number(1, number);
        location.bytes(4, &line.0);
        whole.bytes(profile::LOCATION, &location.0);
    }
    for text in &strings.all {
        whole.bytes(profile::STRING_TABLE, text.as_bytes());
    }
    out.write_all(&whole.0)?;
    Ok(())
}

/// `label` is `page_fault zero_page_cow` or one word; as labels, so that a reader can filter by them.
fn sample(frames: &[u32], label: &str, count: u64, strings: &mut Strings) -> Message {
    let mut sample = Message::default();
    // Sample: location_id (innermost first), value, label.
    sample.numbers(1, frames.iter().rev().map(|frame| u64::from(*frame) + 1));
    // Values are signed there.
    sample.numbers(2, [count.min(i64::MAX as u64)]);
    let (event, more) = label.split_once(' ').unwrap_or((label, ""));
    let key = if event == "signal" { "signal" } else { "cause" };
    for (key, value) in [("event", event), (key, more)] {
        if !value.is_empty() {
            let mut label = Message::default();
            // Label: key, str.
            label.number(1, strings.index(key));
            label.number(2, strings.index(value));
            sample.bytes(3, &label.0);
        }
    }
    sample
}

#[cfg(test)]
pub mod tests {
    use std::fmt::Write;

    use super::*;

    /// A message as text, each field on a line: what the golden files hold. `depth` bounds what is taken for a message.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Result<u64, &[u8]>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (first, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                value |= u64::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    break;
                }
            }
            value
        }
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let value = varint(&mut bytes);
            if tag & 7 == VARINT {
                fields.push((tag >> 3, Ok(value)));
            } else {
                assert_eq!(tag & 7, BYTES);
                let (own, rest) = bytes.split_at(usize::try_from(value).unwrap());
                bytes = rest;
                fields.push((tag >> 3, Err(own)));
            }
        }
        fields
    }

    /// The profile as a reader of the format sees it.
    pub fn dump(bytes: &[u8]) -> String {
        let all = fields(bytes);
        let of = |number: u64| {
            all.iter()
                .filter(move |(field, _)| *field == number)
                .map(|(_, value)| value.unwrap_err())
        };
        let strings: Vec<_> = of(profile::STRING_TABLE)
            .map(|text| std::str::from_utf8(text).unwrap())
            .collect();
        let number = |message: &[u8], wanted: u64| {
            let found = fields(message)
                .into_iter()
                .find(|(field, _)| *field == wanted);
            found.map_or(0, |(_, value)| value.unwrap())
        };
        let text =
            |message: &[u8], field: u64| strings[usize::try_from(number(message, field)).unwrap()];
        let mut functions = HashMap::new();
        for function in of(profile::FUNCTION) {
            let (name, file) = (text(function, 2), text(function, 4));
            functions.insert(number(function, 1), format!("{name} ({file})"));
        }
        let mut places = HashMap::new();
        for location in of(profile::LOCATION) {
            let line = fields(location)
                .into_iter()
                .find(|(field, _)| *field == 4)
                .unwrap()
                .1
                .unwrap_err();
            places.insert(number(location, 1), functions[&number(line, 1)].clone());
        }
        let mut out = String::new();
        for kind in of(profile::SAMPLE_TYPE) {
            let _ = writeln!(out, "{}/{}", text(kind, 1), text(kind, 2));
        }
        for sample in of(profile::SAMPLE) {
            let mut labels = Vec::new();
            let (mut stack, mut count) = (Vec::new(), Vec::new());
            for (field, value) in fields(sample) {
                let value = value.unwrap_err();
                match field {
                    1 => stack = packed(value),
                    2 => count = packed(value),
                    _ => labels.push(format!("{}={}", text(value, 1), text(value, 2))),
                }
            }
            let _ = writeln!(out, "{count:?} {}", labels.join(" "));
            for place in stack {
                let _ = writeln!(out, "    {}", places[&place]);
            }
        }
        out
    }

    /// Packed numbers: each a varint, read as fields of nothing else would be.
    fn packed(bytes: &[u8]) -> Vec<u64> {
        let mut numbers = vec![0_u64];
        let mut shift = 0;
        for byte in bytes {
            *numbers.last_mut().unwrap() |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                numbers.push(0);
                shift = 0;
            }
        }
        numbers.pop();
        numbers
    }

    #[test]
    fn numbers_of_every_length_are_written_as_the_format_wants_them() {
        let mut message = Message::default();
        message.number(1, 150);
        // The example of the encoding's documentation.
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut message = Message::default();
            message.numbers(2, [value, 7]);
            let [(2, Err(bytes))] = fields(&message.0)[..] else {
                panic!("one field: {message:?}", message = message.0)
            };
            assert_eq!(packed(bytes), [value, 7]);
        }
    }
}
