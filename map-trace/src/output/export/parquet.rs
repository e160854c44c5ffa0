//! A table in the Parquet format, for DuckDB, pandas, Spark and the like: one row an event, or one a group of events
//! that the kernel counted.
//!
//! Columns carry the names of the trace, a field inside an object the object's name before its own; addresses are
//! unsigned 64-bit numbers. Header and footer are in the file's metadata, as JSON. Rows are written in groups, so
//! memory does not depend on the length of the trace.

mod columns;

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{Type, TypePtr};
use serde_json::Value;

use super::stacks::Stacks;
use super::{ExportError, Lines, Out};
use crate::model::TraceLine;
use crate::output::json::harmless;
use crate::output::plain::clean;
use columns::{COLUMNS, Column, Holds, Source};

/// Rows of a group.
const MAX_ROWS: usize = 1 << 16;
/// Bytes of text of a group: hostile names end it early.
const MAX_TEXT: usize = 32 << 20;
/// Of a column that has a value: every column may be null, none is nested.
const DEFINED: i16 = 1;

impl From<ParquetError> for ExportError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(error) => Self::Write(*error),
                Err(other) => Self::Write(io::Error::other(other)),
            },
            other => Self::Write(io::Error::other(other)),
        }
    }
}

pub fn export(lines: Lines<'_>, out: Out<'_>) -> std::result::Result<(), ExportError> {
    let mut writer = SerializedFileWriter::new(out, schema()?, Arc::new(properties()?))?;
    let mut stacks = Stacks::default();
    let mut group = Group::new();
    for line in lines {
        let line = line?;
        let facts = match &line {
            TraceLine::String(_) => continue,
            TraceLine::Stack(stack) => {
                stacks.keep(stack);
                continue;
            }
            line => serde_json::to_value(line).unwrap_or_default(),
        };
        if let TraceLine::Header(_) | TraceLine::Footer(_) = line {
            let key = format!("map-trace.{}", facts["type"].as_str().unwrap_or_default());
            let text = harmless(&facts.to_string());
            writer.append_key_value_metadata(KeyValue::new(key, text));
            continue;
        }
        group.add(&facts, &stacks);
        if group.rows >= MAX_ROWS || group.text >= MAX_TEXT {
            group.write(&mut writer)?;
            group = Group::new();
        }
    }
    if group.rows > 0 {
        group.write(&mut writer)?;
    }
    writer.close()?;
    Ok(())
}

fn properties() -> Result<WriterProperties> {
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by(format!("map-trace {}", env!("CARGO_PKG_VERSION")))
        .build())
}

fn schema() -> Result<TypePtr> {
    let fields = COLUMNS.iter().map(|column| {
        let (physical, logical, converted) = match column.holds {
            Holds::Word => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::String),
                ConvertedType::UTF8,
            ),
            Holds::Number => (Physical::INT64, None, ConvertedType::NONE),
            Holds::Address => (
                Physical::INT64,
                Some(LogicalType::integer(64, false)),
                ConvertedType::UINT_64,
            ),
            Holds::Flag => (Physical::BOOLEAN, None, ConvertedType::NONE),
        };
        Type::primitive_type_builder(column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .with_converted_type(converted)
            .build()
            .map(Arc::new)
    });
    Type::group_type_builder("events")
        .with_fields(fields.collect::<Result<_>>()?)
        .build()
        .map(Arc::new)
}

/// The values of a column that are not null.
enum Values {
    Words(Vec<ByteArray>),
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
}

/// Rows that are written together.
struct Group {
    rows: usize,
    text: usize,
    columns: Vec<(Values, Vec<i16>)>,
    /// The frames of the last stack: events of one place come in a row.
    frames: Option<(u64, ByteArray)>,
}

impl Group {
    fn new() -> Self {
        let values = |column: &Column| match column.holds {
            Holds::Word => Values::Words(Vec::new()),
            Holds::Number | Holds::Address => Values::Numbers(Vec::new()),
            Holds::Flag => Values::Flags(Vec::new()),
        };
        Self {
            rows: 0,
            text: 0,
            columns: COLUMNS.iter().map(|c| (values(c), Vec::new())).collect(),
            frames: None,
        }
    }

    /// Adds the row of a line.
    fn add(&mut self, facts: &Value, stacks: &Stacks) {
        let aggregate = facts["type"] == "aggregate";
        self.rows += 1;
        for (index, column) in COLUMNS.iter().enumerate() {
            let value = match column.source {
                Source::Event => facts.get(if aggregate { "event" } else { "type" }).cloned(),
                Source::Count if aggregate => facts.get("count").cloned(),
                Source::Count => Some(Value::from(1)),
                Source::Aggregated => Some(Value::from(aggregate)),
                Source::Frames => {
                    let frames = self.frames(facts["stack"].as_u64(), stacks);
                    self.put_text(index, frames);
                    continue;
                }
                Source::Fields(paths) => paths.iter().find_map(|path| field(facts, path)).cloned(),
            };
            self.put(index, column.holds, value.as_ref());
        }
    }

    fn put(&mut self, index: usize, holds: Holds, value: Option<&Value>) {
        if holds == Holds::Word {
            let text = value.and_then(Value::as_str);
            return self.put_text(
                index,
                text.map(|text| ByteArray::from(clean(text).into_bytes())),
            );
        }
        let Some((values, levels)) = self.columns.get_mut(index) else {
            return;
        };
        let put = match values {
            Values::Words(_) => false,
            Values::Flags(flags) => kept(flags, value.and_then(Value::as_bool)),
            Values::Numbers(numbers) => kept(numbers, value.and_then(number)),
        };
        levels.push(if put { DEFINED } else { 0 });
    }

    fn put_text(&mut self, index: usize, text: Option<ByteArray>) {
        self.text += text.as_ref().map_or(0, ByteArray::len);
        if let Some((Values::Words(words), levels)) = self.columns.get_mut(index) {
            levels.push(if kept(words, text) { DEFINED } else { 0 });
        }
    }

    /// `main.main;runtime.mapassign_fast64`.
    fn frames(&mut self, stack: Option<u64>, stacks: &Stacks) -> Option<ByteArray> {
        let id = stack?;
        if let Some((last, text)) = &self.frames
            && *last == id
        {
            return Some(text.clone());
        }
        let names = stacks.frames(Some(id)).iter();
        let names: Vec<_> = names
            .map(|number| stacks.name(*number).replace(';', ":"))
            .collect();
        if names.is_empty() {
            return None;
        }
        let text = ByteArray::from(names.join(";").into_bytes());
        self.frames = Some((id, text.clone()));
        Some(text)
    }

    fn write<W: Write + Send>(self, writer: &mut SerializedFileWriter<W>) -> Result<()> {
        let mut group = writer.next_row_group()?;
        for (values, levels) in &self.columns {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            let levels = Some(levels.as_slice());
            match values {
                Values::Words(words) => column
                    .typed::<ByteArrayType>()
                    .write_batch(words, levels, None)?,
                Values::Numbers(numbers) => column
                    .typed::<Int64Type>()
                    .write_batch(numbers, levels, None)?,
                Values::Flags(flags) => column
                    .typed::<BoolType>()
                    .write_batch(flags, levels, None)?,
            };
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

/// Keeps a value; false when there is none.
fn kept<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    let there = value.is_some();
    values.extend(value);
    there
}

/// The value at a path, unless it is null.
fn field<'a>(facts: &'a Value, path: &str) -> Option<&'a Value> {
    let value = path
        .split('.')
        .try_fold(facts, |value, name| value.get(name))?;
    (!value.is_null()).then_some(value)
}

/// A number, or an address in hexadecimal; an unsigned one keeps its bits.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => {
            let digits = text.strip_prefix("0x")?;
            u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
        }
        value => value
            .as_i64()
            .or_else(|| value.as_u64().map(u64::cast_signed)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::{Field, Row};

    use super::*;
    use crate::trace::ReadError;

    fn read(bytes: &[u8]) -> (SerializedFileReader<std::fs::File>, Vec<Row>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let rows = rows.map(std::result::Result::unwrap).collect();
        (reader, rows)
    }

    fn value<'a>(row: &'a Row, name: &str) -> &'a Field {
        let mut columns = row.get_column_iter();
        columns.find(|(column, _)| *column == name).unwrap().1
    }

    /// What is not null, a row a line; the metadata's keys first.
    pub fn dump(bytes: &[u8]) -> String {
        let (reader, rows) = read(bytes);
        let metadata = reader.metadata().file_metadata().key_value_metadata();
        let keys: Vec<_> = metadata.unwrap().iter().map(|pair| &pair.key).collect();
        let mut text = format!("{keys:?}\n");
        for row in rows {
            let known = row
                .get_column_iter()
                .filter(|(_, value)| **value != Field::Null)
                .map(|(name, value)| format!("{name}={value}"));
            text.push_str(&known.collect::<Vec<_>>().join(" "));
            text.push('\n');
        }
        text
    }

    fn exported(lines: Vec<std::result::Result<TraceLine, ReadError>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        export(&mut lines.into_iter(), &mut bytes).unwrap();
        bytes
    }

    fn line(json: Value) -> std::result::Result<TraceLine, ReadError> {
        Ok(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn rows_are_written_in_groups_and_addresses_keep_all_their_bits() {
        let stack = serde_json::json!({"type": "stack", "id": 7, "pid": 1, "truncated": false, "frames": [
            {"ip": "0x10", "function": "inner;most"}, {"ip": "0x20", "function": "main"}]});
        let hit = serde_json::json!({"type": "watch_hit", "time_ns": 5, "pid": 1, "tid": 2, "on": "a\u{1b}[2J",
            "address": "0xfffffffffffffff0", "ip": "0x30", "operation": "none", "sub_operation": null, "stack": 7});
        let mut lines = vec![line(stack)];
        lines.extend((0..=MAX_ROWS).map(|_| line(hit.clone())));
        let (reader, rows) = read(&exported(lines));
        assert_eq!((reader.num_row_groups(), rows.len()), (2, MAX_ROWS + 1));
        for row in [&rows[0], &rows[MAX_ROWS]] {
            assert_eq!(*value(row, "address"), Field::ULong(0xffff_ffff_ffff_fff0));
            assert_eq!(*value(row, "count"), Field::Long(1));
            assert_eq!(*value(row, "aggregated"), Field::Bool(false));
            assert_eq!(
                *value(row, "frames"),
                Field::Str("main;inner:most".to_owned())
            );
            assert_eq!(*value(row, "on"), Field::Str("a\u{fffd}[2J".to_owned()));
            assert_eq!(*value(row, "cause"), Field::Null);
        }
    }

    #[test]
    fn a_trace_without_events_is_a_table_without_rows() {
        let (reader, rows) = read(&exported(Vec::new()));
        assert_eq!((reader.num_row_groups(), rows.len()), (0, 0));
        let columns = reader
            .metadata()
            .file_metadata()
            .schema_descr()
            .num_columns();
        assert_eq!(columns, COLUMNS.len());
    }
}
