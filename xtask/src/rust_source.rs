//! A reader of Rust source that is just good enough to see which paths it names.

/// A path of source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// 1-based.
    pub line: usize,
    /// Its segments as written: `["crate", "model", "Pte"]`. A braced group gives one path a member.
    pub segments: Vec<String>,
    /// How many inline modules (`mod tests { ... }`) it stands in.
    pub inline_depth: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Open,
    Close,
    Other(char),
}

/// Every path of at least two segments, and single names after `use` and `extern crate`.
pub fn paths(source: &str) -> Vec<Path> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut modules = Vec::new();
    let mut at = 0;
    while let Some((line, token)) = tokens.get(at) {
        at = match token {
            Token::Open => {
                depth += 1;
                at + 1
            }
            Token::Close => {
                if modules.last() == Some(&depth) {
                    modules.pop();
                }
                depth = depth.saturating_sub(1);
                at + 1
            }
            Token::Word(word) if word == "mod" && opens_module(&tokens, at) => {
                modules.push(depth + 1);
                at + 2
            }
            Token::Word(_) => {
                let start = found.len();
                let next = path(&tokens, at, &mut Vec::new(), *line, &mut found);
                let after_import = at > 0 && is_import(&tokens, at - 1);
                for path in found.split_off(start) {
                    if path.segments.len() > 1 || after_import {
                        found.push(Path {
                            inline_depth: modules.len(),
                            ..path
                        });
                    }
                }
                next
            }
            Token::Colons | Token::Other(_) => at + 1,
        };
    }
    found
}

fn opens_module(tokens: &[(usize, Token)], at: usize) -> bool {
    matches!(tokens.get(at + 1), Some((_, Token::Word(_))))
        && matches!(tokens.get(at + 2), Some((_, Token::Open)))
}

fn is_import(tokens: &[(usize, Token)], at: usize) -> bool {
    matches!(&tokens[at].1, Token::Word(word) if word == "use" || word == "crate")
}

/// Reads the path that starts at `at`; returns where to go on.
fn path(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &mut Vec<String>,
    line: usize,
    found: &mut Vec<Path>,
) -> usize {
    let outer = prefix.len();
    while let Some((_, Token::Word(word))) = tokens.get(at) {
        prefix.push(word.clone());
        at += 1;
        if !matches!(tokens.get(at), Some((_, Token::Colons))) {
            break;
        }
        at += 1;
        if matches!(tokens.get(at), Some((_, Token::Open))) {
            at = group(tokens, at + 1, prefix, found);
            prefix.truncate(outer);
            return at;
        }
    }
    if prefix.len() > outer {
        found.push(Path {
            line,
            segments: prefix.clone(),
            inline_depth: 0,
        });
    }
    prefix.truncate(outer);
    at
}

/// Reads the members of a braced group up to and with its closing brace.
fn group(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<Path>,
) -> usize {
    while let Some((line, token)) = tokens.get(at) {
        at = match token {
            Token::Close => return at + 1,
            // `as` and the new name.
            Token::Word(word) if word == "as" => at + 2,
            Token::Word(_) => path(tokens, at, prefix, *line, found),
            _ => at + 1,
        };
    }
    at
}

/// Words, `::` and braces; comments, strings and character literals are left out.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let text: Vec<char> = source.chars().collect();
    let (mut at, mut line) = (0, 1);
    let mut tokens = Vec::new();
    while at < text.len() {
        let end = match skip(&text, at) {
            Some(end) => end,
            None => {
                let (token, end) = token(&text, at);
                if let Some(token) = token {
                    tokens.push((line, token));
                }
                end
            }
        };
        let end = end.clamp(at + 1, text.len());
        line += text[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

fn token(text: &[char], at: usize) -> (Option<Token>, usize) {
    let c = text[at];
    if c.is_alphabetic() || c == '_' {
        let length = text[at..]
            .iter()
            .take_while(|c| c.is_alphanumeric() || **c == '_')
            .count();
        return (
            Some(Token::Word(text[at..at + length].iter().collect())),
            at + length,
        );
    }
    match c {
        ':' if text.get(at + 1) == Some(&':') => (Some(Token::Colons), at + 2),
        '{' => (Some(Token::Open), at + 1),
        '}' => (Some(Token::Close), at + 1),
        c if c.is_whitespace() => (None, at + 1),
        c => (Some(Token::Other(c)), at + 1),
    }
}

/// End of the comment, string or character literal that starts here.
fn skip(text: &[char], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let starts = |pattern: &str| {
        pattern
            .chars()
            .enumerate()
            .all(|(i, c)| rest.get(i) == Some(&c))
    };
    let word_before = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    if starts("//") {
        return Some(at + rest.iter().take_while(|c| **c != '\n').count());
    }
    if starts("/*") {
        return Some(at + block_comment(rest));
    }
    if !word_before {
        for prefix in ["r", "br", "cr"] {
            if starts(prefix)
                && let Some(length) = raw_string(&rest[prefix.len()..])
            {
                return Some(at + prefix.len() + length);
            }
        }
    }
    match rest[0] {
        '"' => Some(at + string(rest)),
        '\'' => character(rest).map(|length| at + length),
        _ => None,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Length of `#*"..."#*` when `rest` starts with one.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let body = hashes + 1;
    let closes = |at: usize| {
        rest[at] == '"'
            && rest[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    let end = (body..rest.len())
        .find(|at| closes(*at))
        .unwrap_or(rest.len());
    Some(end + 1 + hashes)
}

/// Length of a character literal; `None` for a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    if rest.get(1) == Some(&'\\') {
        let close = rest.iter().skip(3).position(|c| *c == '\'')?;
        return Some(close + 4);
    }
    (rest.get(2) == Some(&'\'')).then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<String> {
        paths(source)
            .into_iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn a_group_gives_one_path_a_member() {
        assert_eq!(
            shown("use crate::{model::{Pte, Prot as P}, space};"),
            ["crate::model::Pte", "crate::model::Prot", "crate::space"]
        );
    }

    #[test]
    fn comments_strings_and_lifetimes_hide_nothing_and_show_nothing() {
        let source = "// aya::a\n/* aya::b /* aya::c */ */ \"aya::d\" r#\"aya::e \" \"# '\"' 'x' '\\''\nfn f<'a>() { aya::f(); }";
        assert_eq!(shown(source), ["aya::f"]);
        assert_eq!(paths(source)[0].line, 3);
    }

    #[test]
    fn a_crate_that_is_only_imported_is_seen() {
        assert_eq!(shown("use aya as a; extern crate clap;"), ["aya", "clap"]);
        assert_eq!(shown("let aya = 1;"), Vec::<String>::new());
    }

    #[test]
    fn paths_of_an_inline_module_know_their_depth() {
        let found =
            paths("use super::a; mod tests { use super::b; fn f() { super::c() } } use super::d;");
        let depths: Vec<_> = found.iter().map(|path| path.inline_depth).collect();
        assert_eq!(depths, [0, 1, 1, 0]);
    }

    #[test]
    fn source_cut_anywhere_is_read_without_a_panic() {
        let source = "use a::{b, c::{d}}; r#\"x\"# '\\'' /* */ \"s\\\"\" mod m { use super::x; }";
        for end in 0..=source.len() {
            paths(&source[..end]);
        }
    }
}
