//! The published JSON schemas are those of the types. `cargo xtask schema` writes them.

use std::env;
use std::fs;
use std::path::Path;

use map_trace::model::TraceLine;
use map_trace::model::summary::Summary;

fn assert_current(name: &str, title: &str, mut schema: schemars::Schema) {
    schema.insert("title".to_owned(), title.into());
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/schema")
        .join(name);
    if env::var_os("MAP_TRACE_WRITE_SCHEMAS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == text,
        "docs/schema/{name} is not current: run cargo xtask schema"
    );
}

#[test]
fn the_schema_of_a_trace_line_is_current() {
    assert_current(
        "trace-1.json",
        "One line of a map-trace trace",
        schemars::schema_for!(TraceLine),
    );
}

#[test]
fn the_schema_of_the_summary_is_current() {
    assert_current(
        "summary-1.json",
        "The summary of a map-trace trace",
        schemars::schema_for!(Summary),
    );
}
