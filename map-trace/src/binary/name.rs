//! Names of functions as a person reads them: demangled, bounded, safe to print.

use std::fmt::{self, Write};

use crate::model::text::harmful;

/// Longest mangled name taken from a file.
pub(super) const MAX_MANGLED: u64 = 16 << 10;
/// Longest name given out, in bytes. Demanglers can expand a short name without end.
const MAX_NAME: usize = 4 << 10;

/// The text without anything a terminal or a log would act on: what is [`harmful`] becomes `?`.
pub fn clean(text: &str) -> String {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.to_owned();
    }
    let safe = |c: char| if harmful(c) { '?' } else { c };
    text.chars().map(safe).collect()
}

/// A name from a symbol table or DWARF as source code has it: Rust without the hash, C++ with its
/// parameter types, C without the clone suffixes of the compiler.
pub fn demangle(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let text = text.split_once('@').map_or(
        &*text,
        |(name, _version)| {
            if name.is_empty() { &*text } else { name }
        },
    );
    if let Ok(rust) = rustc_demangle::try_demangle(text)
        && let Some(name) = bounded(|out| write!(out, "{rust:#}"))
    {
        return clean(&name);
    }
    let base = without_clone_suffix(text);
    if base.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::Symbol::new(base.as_bytes())
        && let Some(name) = bounded(|out| {
            symbol
                .structured_demangle(out, &cpp_demangle::DemangleOptions::new().no_return_type())
                .map_err(|_| fmt::Error)
        })
    {
        return clean(&name);
    }
    clean(base)
}

/// `foo.cold`, `foo.isra.0`, `foo.llvm.123` are pieces of `foo` (GCC and LLVM append these).
fn without_clone_suffix(name: &str) -> &str {
    const SUFFIXES: [&str; 7] = [
        ".cold",
        ".isra.",
        ".constprop.",
        ".part.",
        ".lto_priv.",
        ".llvm.",
        ".localalias",
    ];
    let cut = SUFFIXES
        .iter()
        .filter_map(|suffix| name.find(suffix))
        .min()
        .unwrap_or(name.len());
    if cut == 0 { name } else { &name[..cut] }
}

/// What `write` produces; none when it fails or runs past the limit.
fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded(String::new());
    write(&mut out).ok().map(|()| out.0)
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// Of two names for the same code the one a user would write: fewest leading underscores, then the
/// shortest, then the first in the alphabet.
pub(super) fn preference(name: &str) -> (usize, usize, &str) {
    let underscores = name.bytes().take_while(|&b| b == b'_').count();
    (underscores, name.len(), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_in_the_source() {
        for (raw, name) in [
            (
                "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
                "core::fmt::Write::write_fmt",
            ),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN1A1fEv.cold", "A::f()"),
            ("compare.isra.0", "compare"),
            ("mprotect@@GLIBC_2.2.5", "mprotect"),
            ("main", "main"),
            (".cold", ".cold"),
        ] {
            assert_eq!(demangle(raw.as_bytes()), name, "{raw}");
        }
    }

    #[test]
    fn a_name_cannot_move_the_cursor_or_reorder_text() {
        assert_eq!(demangle(b"a\x1b[2Jb\nc"), "a?[2Jb?c");
        assert_eq!(clean("a\u{202e}b\u{9b}c"), "a?b?c");
    }

    #[test]
    fn a_name_that_expands_without_end_stays_as_it_is() {
        // Each S_ repeats everything before it: 2^n in length.
        let mut raw = String::from("_Z1fISt4pairI");
        for _ in 0..40 {
            raw.push_str("St4pairIS_S_E");
        }
        assert!(demangle(raw.as_bytes()).len() <= raw.len().max(MAX_NAME));
    }
}
