//! JSON Schemas of the trace and the summary, made from the types.
//!
//! docs/schema holds them for other tools; `cargo xtask schema` writes them, a test keeps them current.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::model::TraceLine;
use crate::model::summary::Summary;

/// Schema of one line of a trace file.
pub fn trace() -> String {
    document(of::<TraceLine>(), "A line of a map-trace trace")
}

/// Schema of the summary.
pub fn summary() -> String {
    document(of::<Summary>(), "A map-trace summary")
}

/// The schemas by their path in the repository.
pub fn all() -> [(&'static str, String); 2] {
    [
        ("docs/schema/trace.schema.json", trace()),
        ("docs/schema/summary.schema.json", summary()),
    ]
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

fn document(mut schema: Schema, title: &str) -> String {
    schema.insert("title".to_owned(), title.into());
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_schemas_in_docs_are_those_of_the_types() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, schema) in all() {
            let place = root.join(path);
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(&place, &schema).unwrap();
            }
            let kept = fs::read_to_string(&place).unwrap_or_default();
            assert!(
                kept == schema,
                "{path} is not current: run cargo xtask schema"
            );
        }
    }

    #[test]
    fn every_type_of_line_is_in_the_schema_and_in_the_documentation() {
        let schema: serde_json::Value = serde_json::from_str(&trace()).unwrap();
        let lines = schema["oneOf"].as_array().unwrap();
        let types: Vec<_> = lines
            .iter()
            .map(|line| line["properties"]["type"]["const"].as_str().unwrap())
            .collect();
        assert_eq!(types, crate::trace::LINE_TYPES);
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/trace-format.md");
        let text = fs::read_to_string(place).unwrap();
        for name in types {
            assert!(
                text.contains(&format!("`{name}`")),
                "{name} is not documented"
            );
        }
    }
}
