//! Words and numbers as people read them, safe to print.

use std::fmt::Write;

use crate::model::summary::Status;
pub use crate::model::text::{clean, harmful};

/// At most `width` characters, the last of them `…` when some were left out.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `1,234,567`
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `3 faults`, `1 fault`
pub fn count(value: u64, singular: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", number(value))
}

/// `1.2 µs`, `412 ms`, `2 min 5 s`
pub fn duration(ns: u64) -> String {
    const MINUTE: u64 = 60_000_000_000;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => scaled(ns, 1_000, "µs"),
        1_000_000..1_000_000_000 => scaled(ns, 1_000_000, "ms"),
        1_000_000_000..MINUTE => scaled(ns, 1_000_000_000, "s"),
        _ => format!(
            "{} min {} s",
            number(ns / MINUTE),
            ns % MINUTE / 1_000_000_000
        ),
    }
}

/// `61 KB`, in powers of 1,000.
pub fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} B"),
        1_000..1_000_000 => scaled(value, 1_000, "KB"),
        1_000_000..1_000_000_000 => scaled(value, 1_000_000, "MB"),
        _ => scaled(value, 1_000_000_000, "GB"),
    }
}

/// Two significant digits below ten, whole units above.
fn scaled(value: u64, unit: u64, name: &str) -> String {
    let tenths = value / (unit / 10);
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", number(value / unit))
    }
}

/// `12.3 %`
pub fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// How a program ended.
pub fn status(status: &Status) -> String {
    match status {
        Status::Exited(code) => format!("exited {code}"),
        Status::Signaled(signal) => format!("died of {}", clean(signal)),
        Status::Running => "still running".to_owned(),
        Status::Unknown => "its end not known".to_owned(),
    }
}

/// A command line, words quoted where a shell would need it, at most `width` characters.
pub fn command(argv: &[String], width: usize) -> String {
    let mut line = String::new();
    for word in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        let bare = |c: char| c.is_alphanumeric() || "-_./=:,+@%^".contains(c);
        if !word.is_empty() && word.chars().all(bare) {
            line.push_str(word);
        } else {
            let _ = write!(line, "'{}'", clean(word).replace('\'', "'\\''"));
        }
        if line.len() > 4 * width {
            break;
        }
    }
    shorten(&line, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn durations_and_sizes_take_the_unit_that_fits() {
        let cases = [
            (7, "7 ns"),
            (700, "700 ns"),
            (2_412, "2.4 µs"),
            (41_000, "41 µs"),
            (412_345_678, "412 ms"),
            (1_500_000_000, "1.5 s"),
            (125_000_000_000, "2 min 5 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
        assert_eq!(bytes(61_400), "61 KB");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(percent(6, 400), "1.5 %");
    }

    #[test]
    fn escapes_and_reordering_are_taken_out() {
        assert_eq!(
            clean("a\x1b[31mb\nc\u{202e}d\u{9b}1m"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}d\u{fffd}1m"
        );
        assert_eq!(clean("main.(*T).f[é]"), "main.(*T).f[é]");
    }

    #[test]
    fn a_command_line_is_quoted_and_bounded() {
        let argv = ["./app", "a b", "", "it's"].map(str::to_owned);
        assert_eq!(command(&argv, 80), r"./app 'a b' '' 'it'\''s'");
        assert_eq!(command(&argv, 8), "./app '…");
    }
}
