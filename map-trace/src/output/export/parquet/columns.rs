//! The columns of the table, one row each.

/// What a column holds. Every one may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// UTF-8 text.
    Word,
    /// A signed 64-bit number.
    Number,
    /// An unsigned 64-bit number, written in hexadecimal in the trace.
    Address,
    Flag,
}

/// Where the value of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kind of event, also of those counted in the kernel.
    Event,
    /// How many events the row stands for.
    Count,
    /// Whether the row is a group counted in the kernel, without its single events.
    Aggregated,
    /// The functions of the stack, outermost first, `;` between them.
    Frames,
    /// The first of these fields of the line that it has; a dot goes into an object.
    Fields(&'static [&'static str]),
}

/// A column of the table.
pub struct Column {
    pub name: &'static str,
    pub holds: Holds,
    pub source: Source,
}

const fn column(name: &'static str, holds: Holds, source: Source) -> Column {
    Column {
        name,
        holds,
        source,
    }
}

const fn word(name: &'static str, fields: &'static [&'static str]) -> Column {
    column(name, Holds::Word, Source::Fields(fields))
}

const fn number(name: &'static str, fields: &'static [&'static str]) -> Column {
    column(name, Holds::Number, Source::Fields(fields))
}

const fn address(name: &'static str, fields: &'static [&'static str]) -> Column {
    column(name, Holds::Address, Source::Fields(fields))
}

const fn flag(name: &'static str, fields: &'static [&'static str]) -> Column {
    column(name, Holds::Flag, Source::Fields(fields))
}

/// Every column, in the order of the file. The names are those of the trace; a field inside an object has the
/// object's name before its own.
pub const COLUMNS: &[Column] = &[
    column("event", Holds::Word, Source::Event),
    column("count", Holds::Number, Source::Count),
    column("aggregated", Holds::Flag, Source::Aggregated),
    number("time_ns", &["time_ns", "first_ns"]),
    number("last_ns", &["last_ns"]),
    number("duration_ns", &["duration_ns"]),
    number("durations", &["durations"]),
    number("stall_ns", &["stall_ns"]),
    number("pid", &["pid"]),
    number("tid", &["tid"]),
    word("operation", &["operation"]),
    word("sub_operation", &["sub_operation"]),
    number("stack", &["stack"]),
    column("frames", Holds::Word, Source::Frames),
    word("mode", &["mode"]),
    address("address", &["address", "address_min"]),
    address("address_max", &["address_max"]),
    address("ip", &["ip"]),
    number("error_code_raw", &["error_code.raw"]),
    flag("error_code_present", &["error_code.present"]),
    flag("error_code_write", &["error_code.write"]),
    flag("error_code_user", &["error_code.user"]),
    flag("error_code_instruction", &["error_code.instruction"]),
    word("cause", &["cause"]),
    word("cause_reason", &["cause_reason"]),
    flag("interrupted", &["interrupted"]),
    number("undone", &["undone"]),
    flag("in_kernel", &["in_kernel"]),
    word("on", &["on"]),
    address("map", &["map"]),
    word("map_type", &["map_type"]),
    number("goroutine", &["goroutine"]),
    address("pte_raw", &["pte.raw", "raw"]),
    word("pte_level", &["pte.level", "level"]),
    flag("pte_present", &["pte.present", "present"]),
    flag("pte_writable", &["pte.writable", "writable"]),
    flag("pte_user", &["pte.user", "user"]),
    flag("pte_accessed", &["pte.accessed", "accessed"]),
    flag("pte_dirty", &["pte.dirty", "dirty"]),
    flag("pte_no_execute", &["pte.no_execute", "no_execute"]),
    flag("pte_zero_page", &["pte.zero_page", "zero_page"]),
    flag("pte_prot_none", &["pte.prot_none", "prot_none"]),
    flag("pte_uffd_wp", &["pte.uffd_wp", "uffd_wp"]),
    flag("pte_saved_dirty", &["pte.saved_dirty", "saved_dirty"]),
    flag("pte_empty", &["pte.empty", "empty"]),
    flag("pte_unstable", &["pte.unstable", "unstable"]),
    flag("mapped", &["mapped"]),
    address("vma_start", &["vma.start"]),
    address("vma_end", &["vma.end"]),
    word("vma_prot", &["vma.prot"]),
    word("vma_kind", &["vma.kind"]),
    word("vma_name", &["vma.name"]),
    number("vma_offset", &["vma.offset"]),
    flag("vma_shared", &["vma.shared"]),
    number("length", &["length"]),
    word("prot", &["prot"]),
    word("old_prot", &["old_prot"]),
    word("flags", &["flags"]),
    word("advice", &["advice"]),
    number("fd", &["fd"]),
    number("offset", &["offset"]),
    number("pkey", &["pkey"]),
    address("new_address", &["new_address"]),
    number("new_length", &["new_length"]),
    address("new_break", &["new_break"]),
    number("result", &["result"]),
    word("error", &["error"]),
    address("pte_before_raw", &["pte_before.raw"]),
    address("pte_after_raw", &["pte_after.raw"]),
    word("signal", &["signal"]),
    word("code", &["code"]),
    flag("handled", &["handled"]),
    number("child_pid", &["child_pid"]),
    number("child_tid", &["child_tid"]),
    flag("thread", &["thread"]),
    flag("followed", &["followed"]),
    word("executable", &["executable"]),
    word("build_id", &["build_id"]),
    word("comm", &["comm"]),
    flag("process", &["process"]),
    number("exited", &["exited"]),
    word("signaled", &["signaled"]),
    word("implementation", &["implementation"]),
    word("step", &["step"]),
    number("b", &["b"]),
    number("directory", &["directory"]),
    number("entries", &["entries"]),
    number("hint", &["hint"]),
    word("what", &["what"]),
    number("number", &["number"]),
    number("bytes", &["bytes"]),
    word("trigger", &["trigger"]),
    word("reason", &["reason"]),
    flag("write_barrier", &["write_barrier"]),
    word("kind", &["kind"]),
    word("text", &["text"]),
    flag("cut", &["cut"]),
    word("symbol", &["symbol"]),
    number("after_operations", &["after_operations"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::output::schema;

    /// Fields of events that have no column: lists, and what says the same as `event` or another column.
    const LEFT_OUT: &[&str] = &[
        "type",
        "event",
        "count",
        "ranges",
        "old_ranges",
        "ranges_left_out",
        "seen",
    ];
    /// Lines that are no events.
    const NO_EVENTS: &[&str] = &["header", "string", "stack", "footer"];

    fn fields(of: &Value, all: &Value, into: &mut BTreeSet<String>) {
        if let Some(name) = of["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            fields(&all["$defs"][name], all, into);
        }
        for part in of["allOf"].as_array().into_iter().flatten() {
            fields(part, all, into);
        }
        for name in of["properties"].as_object().into_iter().flatten() {
            into.insert(name.0.clone());
        }
    }

    #[test]
    fn every_field_of_every_event_has_a_column_or_is_left_out_by_name() {
        let schema: Value = serde_json::from_str(&schema::trace()).unwrap();
        let mut found = BTreeSet::new();
        let mut lines = 0;
        for line in schema["oneOf"].as_array().unwrap() {
            let word = line["properties"]["type"]["const"].as_str().unwrap();
            if !NO_EVENTS.contains(&word) {
                lines += 1;
                fields(line, &schema, &mut found);
            }
        }
        assert!(lines > 20 && found.len() > 60, "{lines} {found:?}");
        let known: BTreeSet<_> = COLUMNS
            .iter()
            .filter_map(|column| match column.source {
                Source::Fields(fields) => Some(fields),
                _ => None,
            })
            .flatten()
            .filter_map(|path| path.split('.').next())
            .chain(LEFT_OUT.iter().copied())
            .collect();
        let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
        assert_eq!(
            found.difference(&known).collect::<Vec<_>>(),
            Vec::<&&str>::new()
        );
        assert_eq!(
            known.difference(&found).collect::<Vec<_>>(),
            Vec::<&&str>::new()
        );
    }

    #[test]
    fn every_column_has_its_own_name() {
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
