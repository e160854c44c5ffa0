//! Patterns over function names.

/// A glob: `*` stands for any text, `?` for one character, everything else for itself. Go's
/// `(*Map).Get` is matched by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

impl Glob {
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when nothing but the text itself can match.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Whether the whole of `text` matches. Time is at most the product of both lengths.
    pub fn matches(&self, text: &str) -> bool {
        let pattern = self.0.as_bytes();
        let bytes = text.as_bytes();
        let (mut p, mut t) = (0, 0);
        // Where to go back to: after the last star, and the text it has not swallowed yet.
        let mut back: Option<(usize, usize)> = None;
        while t < bytes.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    back = Some((p + 1, t));
                    p += 1;
                }
                Some(b'?') => {
                    p += 1;
                    t += text[t..].chars().next().map_or(1, char::len_utf8);
                }
                Some(&byte) if byte == bytes[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((after, from)) = back else {
                        return false;
                    };
                    let next = from + text[from..].chars().next().map_or(1, char::len_utf8);
                    back = Some((after, next));
                    p = after;
                    t = next;
                }
            }
        }
        pattern[p..].iter().all(|&byte| byte == b'*')
    }
}

/// A Rust or C++ name without type arguments, trait and parameter list, so that one row of a table
/// covers every instance: `<std::collections::HashMap<u64, u8>>::get::<u64>` is
/// `std::collections::HashMap::get`, `std::map<int, int>::at(int const&)` is `std::map::at`. Other names
/// stay as they are.
pub fn plain(name: &str) -> String {
    let name = without_parameters(name);
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    if rest.starts_with('<') {
        // `<Type>::method` or `<Type as Trait>::method`.
        let Some(end) = closing(rest) else {
            return name.to_owned();
        };
        let inner = &rest[1..end];
        out.push_str(&plain(top_level(inner, " as ").unwrap_or(inner)));
        rest = &rest[end + 1..];
    }
    while let Some(open) = rest.find('<') {
        if rest[..open].ends_with("operator") {
            break;
        }
        let Some(end) = closing(&rest[open..]) else {
            break;
        };
        // `get::<u64>` loses the colons too.
        out.push_str(rest[..open].strip_suffix("::").unwrap_or(&rest[..open]));
        rest = &rest[open + end + 1..];
    }
    out.push_str(rest);
    out
}

/// The name up to its parameter list, when it ends with one (C++).
fn without_parameters(name: &str) -> &str {
    let trimmed = name.strip_suffix(" const").unwrap_or(name);
    if !trimmed.ends_with(')') {
        return name;
    }
    let mut depth = 0_i32;
    for (at, c) in trimmed.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => {
                depth -= 1;
                if depth == 0 {
                    let head = &trimmed[..at];
                    // `operator()` has a list of its own, and `(anonymous namespace)` is no list.
                    return if head.is_empty() || head.ends_with("operator") {
                        name
                    } else {
                        head
                    };
                }
            }
            _ => {}
        }
    }
    name
}

/// Index of the `>` that closes the `<` at the start. The `>` of `->` closes nothing.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if previous != '-' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        previous = c;
    }
    None
}

/// What stands before `word` outside any brackets.
fn top_level<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            _ if depth == 0 && text[at..].starts_with(word) => return Some(&text[..at]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_go_names_match_themselves() {
        for (pattern, text, expected) in [
            ("runtime.mapassign*", "runtime.mapassign_fast64", true),
            ("runtime.mapassign", "runtime.mapassign_fast64", false),
            ("sync.(*Map).Load", "sync.(*Map).Load", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "aéc", true),
            ("?", "", false),
            ("[x]", "x", false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let glob = Glob::new(&"*a".repeat(50));
        assert!(!glob.matches(&"b".repeat(4000)));
        assert!(!glob.matches(&format!("{}b", "a".repeat(4000))));
    }

    #[test]
    fn a_plain_name_has_no_types_traits_or_parameters() {
        for (name, expected) in [
            (
                "<std::collections::hash::map::HashMap<u64, u64>>::insert",
                "std::collections::hash::map::HashMap::insert",
            ),
            (
                "std::collections::hash::map::HashMap<K,V,S>::get",
                "std::collections::hash::map::HashMap::get",
            ),
            (
                "<a::BTreeMap<u64, b::C<d>>>::get::<u64>",
                "a::BTreeMap::get",
            ),
            (
                "<hashbrown::map::Iter<K,V> as core::iter::Iterator>::next",
                "hashbrown::map::Iter::next",
            ),
            (
                "std::map<int, std::less<int> >::at(int const&)",
                "std::map::at",
            ),
            (
                "std::unordered_map<int, int>::count(int) const",
                "std::unordered_map::count",
            ),
            (
                "std::map<int, int>::operator[](int&&)",
                "std::map::operator[]",
            ),
            ("f(int)", "f"),
            ("A::operator()", "A::operator()"),
            ("A::operator<(A const&)", "A::operator<"),
            ("runtime.(*mheap).alloc", "runtime.(*mheap).alloc"),
            ("main.F[...]", "main.F[...]"),
            ("<broken", "<broken"),
            ("(anonymous namespace)::f(int)", "(anonymous namespace)::f"),
        ] {
            assert_eq!(plain(name), expected, "{name}");
        }
    }
}
