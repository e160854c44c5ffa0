//! What is traced in a guest, as lines of its shell, and what the trace must then say.

/// A program that is traced, and rules that must be supported on its trace. `$name` in a rule is what the program
/// says of itself.
pub struct Case {
    pub name: &'static str,
    /// Of `map-trace run`, separated by spaces.
    pub options: &'static str,
    pub command: &'static str,
    pub rules: &'static [&'static str],
    /// Operations on maps whose exact count is what the program says: the word of the census, and its own.
    pub counted: &'static [(&'static str, &'static str)],
}

/// Of the C workloads, by their file names.
pub const C_PROGRAMS: [&str; 6] = [
    "first_touch",
    "zero_read",
    "mprotect_flips",
    "segv",
    "fork_cow",
    "watched",
];

/// Operations that Go's own start does not do.
const OPERATIONS: &[(&str, &str)] = &[("delete", "deletes"), ("clear", "clears")];

pub const CASES: [Case; 9] = [
    Case {
        name: "first_touch",
        options: "",
        command: "/programs/first_touch 1000",
        rules: &[
            "page_fault on $start-$end == $first_touch",
            "page_fault where cause=first_touch on $start-$end == $first_touch",
        ],
        counted: &[],
    },
    Case {
        name: "zero_read",
        options: "",
        command: "/programs/zero_read 500",
        rules: &[
            "page_fault where cause=zero_page_read on $start-$end == $zero_page_read",
            "page_fault where cause=zero_page_cow on $start-$end == $zero_page_cow",
            "page_fault where cause=protection == 0",
        ],
        counted: &[],
    },
    Case {
        name: "mprotect_flips",
        options: "",
        command: "/programs/mprotect_flips 500",
        rules: &[
            "mprotect on $start-$end == $mprotect",
            "page_fault on $start-$end == 1",
        ],
        counted: &[],
    },
    Case {
        name: "segv",
        options: "",
        command: "/programs/segv 50",
        rules: &[
            "signal where signal=SIGSEGV,handled=true == $signals",
            "page_fault where cause=protection on $start-$end == $signals",
            "mprotect on $start-$end == $mprotect",
        ],
        counted: &[],
    },
    Case {
        name: "fork_cow",
        options: "",
        command: "/programs/fork_cow 300",
        rules: &[
            "page_fault where cause=first_touch on $start-$end == $first_touch",
            "page_fault where cause=anon_cow on $start-$end == $anon_cow",
        ],
        counted: &[],
    },
    Case {
        name: "region",
        options: "--region touch=write_each",
        command: "/programs/first_touch 300",
        rules: &["page_fault during touch == $first_touch"],
        counted: &[],
    },
    Case {
        name: "watch",
        options: "--watch counter",
        command: "/programs/watched 20",
        rules: &["watch_hit == $writes"],
        counted: &[],
    },
    Case {
        name: "go_old",
        options: "--census full",
        command: "/programs/go_old -rounds 10",
        rules: &["mprotect during iterate == 0"],
        counted: OPERATIONS,
    },
    Case {
        name: "go_new",
        options: "--census full --pte full",
        command: "/programs/go_new -rounds 10",
        rules: &["mprotect during iterate == 0"],
        counted: OPERATIONS,
    },
];

/// The guest's part: a call of `run` for each case, and one of `rule` for each of its rules.
pub fn script() -> String {
    let mut text = String::new();
    for case in &CASES {
        let Case {
            name,
            options,
            command,
            ..
        } = case;
        text.push_str(&format!("run {name} '{options}' {command}\n"));
        for rule in case.rules {
            text.push_str(&format!("rule '{rule}'\n"));
        }
    }
    text
}
