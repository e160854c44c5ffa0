//! Which fields an event's line has and what they hold, read off the types that write the lines.
//!
//! The schema is made from the same types as docs/schema/trace.schema.json, so a new field is known here without
//! a word in another table.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value as Json;

use super::rule::Value;
use super::words::{EventWord, hint};
use crate::model::event::{
    EventKind, ExecEvent, ExitEvent, ForkEvent, IterationEvent, MapEvent, MemoryCallEvent,
    PageFaultEvent, PteSampleEvent, SignalEvent, WatchHitEvent,
};
use crate::model::runtime::{FatalErrorEvent, RuntimeEvent};
use crate::model::{Address, Prot, call_words, signal};

/// Nesting of fields that is followed; the model's is three.
const MAX_DEPTH: usize = 6;

/// What a field holds, besides null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    Bool,
    Number,
    Address,
    Prot,
    /// One of these words.
    Word(Vec<String>),
    /// One of these words, or what has no name and is a number.
    Named(Vec<String>),
    /// Some of these words, joined by `|`, or bits without a name.
    Flags(Vec<String>),
    Text,
}

/// A field a rule may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub path: String,
    pub holds: Holds,
}

/// The fields of an event; none when this version has no such lines and cannot know.
pub fn fields(event: &EventWord) -> Option<&'static [Field]> {
    static FAULT: OnceLock<Vec<Field>> = OnceLock::new();
    static CALL: OnceLock<Vec<Field>> = OnceLock::new();
    static SIGNAL: OnceLock<Vec<Field>> = OnceLock::new();
    static EXEC: OnceLock<Vec<Field>> = OnceLock::new();
    static FORK: OnceLock<Vec<Field>> = OnceLock::new();
    static EXIT: OnceLock<Vec<Field>> = OnceLock::new();
    static SAMPLE: OnceLock<Vec<Field>> = OnceLock::new();
    static WATCH: OnceLock<Vec<Field>> = OnceLock::new();
    static MAP: OnceLock<Vec<Field>> = OnceLock::new();
    static LOOP: OnceLock<Vec<Field>> = OnceLock::new();
    static RUNTIME: OnceLock<Vec<Field>> = OnceLock::new();
    static FATAL: OnceLock<Vec<Field>> = OnceLock::new();
    Some(match event.kind()? {
        EventKind::PageFault => FAULT.get_or_init(of::<PageFaultEvent>),
        EventKind::Mprotect
        | EventKind::PkeyMprotect
        | EventKind::Mmap
        | EventKind::Munmap
        | EventKind::Mremap
        | EventKind::Brk
        | EventKind::Madvise => CALL.get_or_init(of::<MemoryCallEvent>),
        EventKind::Signal => SIGNAL.get_or_init(of::<SignalEvent>),
        EventKind::Exec => EXEC.get_or_init(of::<ExecEvent>),
        EventKind::Fork => FORK.get_or_init(of::<ForkEvent>),
        EventKind::Exit => EXIT.get_or_init(of::<ExitEvent>),
        EventKind::PteSample => SAMPLE.get_or_init(of::<PteSampleEvent>),
        EventKind::WatchHit => WATCH.get_or_init(of::<WatchHitEvent>),
        EventKind::MapMake | EventKind::MapGrow | EventKind::MapClear => {
            MAP.get_or_init(of::<MapEvent>)
        }
        EventKind::Iteration => LOOP.get_or_init(of::<IterationEvent>),
        EventKind::Runtime => RUNTIME.get_or_init(of::<RuntimeEvent>),
        EventKind::FatalError => FATAL.get_or_init(of::<FatalErrorEvent>),
    })
}

/// Checks a field and brings its value into the form that lines have.
pub fn check(event: &EventWord, path: &str, value: Value) -> Result<Value, String> {
    let Some(fields) = fields(event) else {
        return Ok(address_form(value));
    };
    let Some(field) = fields.iter().find(|field| field.path == path) else {
        let inside = fields.iter().find(|field| {
            field
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        });
        let hint = match inside {
            Some(field) => format!("; it has parts, such as '{}'", field.path),
            None => hint(path, fields.iter().map(|field| field.path.as_str())),
        };
        return Err(format!("{} has no field '{path}'{hint}", event.word));
    };
    if value == Value::Null {
        return Ok(value);
    }
    value_of(&field.holds, value).map_err(|why| format!("{path} {why}"))
}

/// The value in the form the field has; why it has none.
fn value_of(holds: &Holds, value: Value) -> Result<Value, String> {
    let text = value_text(&value);
    match (holds, value) {
        (Holds::Bool, value @ Value::Bool(_)) | (Holds::Number, value @ Value::Number(_)) => {
            Ok(value)
        }
        (Holds::Number, Value::Text(text)) if text.starts_with("0x") => text
            .parse::<Address>()
            .map(|address| Value::Number(address.0.into()))
            .map_err(|_| format!("is a number, not '{text}'")),
        (Holds::Address, Value::Text(text)) => text
            .parse::<Address>()
            .map(|address| Value::Text(address.to_string()))
            .map_err(|_| format!("is an address such as 0x7f00, not '{text}'")),
        (Holds::Prot, _) => match Prot::parse(&text) {
            Some(prot) if text.len() == 3 => Ok(Value::Text(prot.to_string())),
            _ => Err(format!("is a protection such as rw-, not '{text}'")),
        },
        (Holds::Word(words), _) if words.contains(&text) => Ok(Value::Text(text)),
        (Holds::Word(words), _) => {
            let hint = hint(&text, words.iter().map(String::as_str));
            Err(format!("is never '{text}'{hint}"))
        }
        (Holds::Named(words), _) if words.contains(&text) || nameless(&text) => {
            Ok(Value::Text(text))
        }
        (Holds::Named(words), _) => {
            let hint = hint(&text, words.iter().map(String::as_str));
            Err(format!("is never '{text}'{hint}"))
        }
        (Holds::Flags(words), _) => {
            for flag in text.split('|') {
                if !nameless(flag) && !words.iter().any(|word| word == flag) {
                    let hint = hint(flag, words.iter().map(String::as_str));
                    return Err(format!("never has '{flag}'{hint}"));
                }
            }
            Ok(Value::Text(text))
        }
        (Holds::Text, _) => Ok(Value::Text(text)),
        (Holds::Bool, _) => Err(format!("is true or false, not '{text}'")),
        (Holds::Number, _) => Err(format!("is a number, not '{text}'")),
        (Holds::Address, _) => Err(format!("is an address such as 0x7f00, not '{text}'")),
    }
}

/// What stands where there is no name: `77`, `-4`, `0x100`, `errno 200`.
fn nameless(text: &str) -> bool {
    let digits = text.trim_start_matches("errno ").trim_start_matches('-');
    digits.starts_with(|first: char| first.is_ascii_digit())
}

/// The text a value was written as.
fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => value.to_string(),
    }
}

/// For fields that nothing is known of: an address as lines have it.
fn address_form(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(match text.parse::<Address>() {
            Ok(address) => address.to_string(),
            Err(_) => text,
        }),
        value => value,
    }
}

fn of<T: JsonSchema>() -> Vec<Field> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let root = schema.to_value();
    let mut fields = Vec::new();
    walk(&root, &root, String::new(), 0, &mut fields);
    for field in &mut fields {
        if let Some(holds) = worded(&field.path) {
            field.holds = holds;
        }
    }
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    fields.dedup_by(|a, b| a.path == b.path);
    fields
}

/// What a field holds whose words stand in no schema.
fn worded(path: &str) -> Option<Holds> {
    let bits = || (0..u32::BITS).map(|bit| 1 << bit);
    Some(match path {
        "signal" => Holds::Word(signal::RECORDED.into_iter().map(signal::name).collect()),
        "code" => {
            let codes = |signal| (-10..=0x80).map(move |code| signal::code_name(signal, code));
            Holds::Named(named(signal::RECORDED.into_iter().flat_map(codes)))
        }
        "advice" => Holds::Named(named((0..256).map(call_words::advice))),
        "error" => Holds::Named(named((1..256).map(call_words::errno))),
        "flags" => {
            let types = (0..16).map(call_words::mmap_flags);
            let flags = bits().map(call_words::mmap_flags);
            Holds::Flags(named(
                types
                    .chain(flags)
                    .chain(bits().map(call_words::mremap_flags)),
            ))
        }
        _ => return None,
    })
}

/// Those of the texts that are names.
fn named(texts: impl Iterator<Item = String>) -> Vec<String> {
    let name = |text: &String| !nameless(text) && !text.contains('|');
    let names: BTreeSet<String> = texts.filter(name).collect();
    names.into_iter().collect()
}

/// Adds the fields of a schema, which is a part of `root`. Lists are no fields.
fn walk(root: &Json, schema: &Json, path: String, depth: usize, fields: &mut Vec<Field>) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
        if let Some(schema) = root.pointer(target.trim_start_matches('#')) {
            walk(root, schema, path, depth + 1, fields);
        }
        return;
    }
    for several in ["anyOf", "allOf"] {
        for one in schema
            .get(several)
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            walk(root, one, path.clone(), depth + 1, fields);
        }
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        let dot = if path.is_empty() { "" } else { "." };
        walk(
            root,
            property,
            format!("{path}{dot}{name}"),
            depth + 1,
            fields,
        );
    }
    if let Some(holds) = leaf(schema).filter(|_| !path.is_empty()) {
        fields.push(Field { path, holds });
    }
}

/// What a schema without parts holds.
fn leaf(schema: &Json) -> Option<Holds> {
    let words: Vec<String> = words(schema).collect();
    if !words.is_empty() {
        return Some(Holds::Word(words));
    }
    let kind = schema.get("type")?;
    let is = |wanted: &str| match kind {
        Json::Array(kinds) => kinds.iter().any(|kind| kind == wanted),
        kind => kind == wanted,
    };
    if is("boolean") {
        return Some(Holds::Bool);
    }
    if is("integer") {
        return Some(Holds::Number);
    }
    if !is("string") {
        return None;
    }
    Some(match schema.get("pattern").and_then(Json::as_str) {
        Some(pattern) if pattern.starts_with("^0x") => Holds::Address,
        Some(pattern) if pattern.starts_with("^[r-]") => Holds::Prot,
        _ => Holds::Text,
    })
}

/// The words of an enumeration, which is a list or alternatives with a constant each.
fn words(schema: &Json) -> impl Iterator<Item = String> {
    let list = schema
        .get("enum")
        .and_then(Json::as_array)
        .into_iter()
        .flatten();
    let alternatives = schema
        .get("oneOf")
        .and_then(Json::as_array)
        .into_iter()
        .flatten();
    let constants = alternatives.flat_map(|one| {
        let list = one
            .get("enum")
            .and_then(Json::as_array)
            .into_iter()
            .flatten();
        list.chain(one.get("const"))
    });
    list.chain(constants)
        .filter_map(Json::as_str)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
