//! The user's own rows: `--operations FILE` and `--region NAME=PATTERN`.

use serde::Deserialize;
use toml::Spanned;

use super::pattern::Glob;
use crate::model::Operation;

/// Rows and regions taken, at most.
const MAX_ROWS: usize = 4096;

/// Why the user's rows cannot be used. Lines and columns count from 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    #[error("{file}:{line}:{column}: {what}")]
    Table {
        file: String,
        line: usize,
        column: usize,
        what: String,
    },
    #[error("region '{text}': {what}")]
    Region { text: String, what: &'static str },
}

/// A region the user named: every function that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub name: String,
    pub pattern: Glob,
}

impl Region {
    /// `NAME=PATTERN`. The name must not be a word of the contract: rules use both alike.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        let error = |what| UserError::Region {
            text: crate::binary::name::clean(text),
            what,
        };
        let (name, pattern) = text
            .split_once('=')
            .ok_or_else(|| error("expected NAME=PATTERN"))?;
        let (name, pattern) = (name.trim(), pattern.trim());
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(error("the name must be letters, digits, '-', '_' or '.'"));
        }
        if !matches!(Operation::from_word(name), Operation::Region(_)) {
            return Err(error("the name is already an operation"));
        }
        if pattern.is_empty() {
            return Err(error("the pattern is empty"));
        }
        Ok(Self {
            name: name.to_owned(),
            pattern: Glob::new(pattern),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    operation: Vec<FileRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    pattern: Spanned<String>,
    operation: Spanned<String>,
}

/// Reads an operations table: `[[operation]]` with `pattern` (a glob over function names) and
/// `operation` (a word of the contract). `file` is named in errors.
pub fn parse_operations(file: &str, text: &str) -> Result<Vec<(Glob, Operation)>, UserError> {
    let error = |at: usize, what: String| {
        let (line, column) = position(text, at);
        UserError::Table {
            file: file.to_owned(),
            line,
            column,
            what: crate::binary::name::clean(&what),
        }
    };
    let parsed: File = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        error(at, e.message().to_owned())
    })?;
    if parsed.operation.len() > MAX_ROWS {
        return Err(error(0, format!("more than {MAX_ROWS} rows")));
    }
    let mut rows = Vec::with_capacity(parsed.operation.len());
    for row in parsed.operation {
        if row.pattern.get_ref().is_empty() {
            return Err(error(
                row.pattern.span().start,
                "the pattern is empty".into(),
            ));
        }
        let word = row.operation.get_ref();
        let operation = Operation::from_word(word);
        if !operation.is_map() && operation != Operation::Runtime {
            let hint = nearest(word).map_or_else(String::new, |w| format!("; did you mean '{w}'?"));
            let what = format!("'{word}' is not an operation ({}){hint}", WORDS.join(", "));
            return Err(error(row.operation.span().start, what));
        }
        rows.push((Glob::new(row.pattern.get_ref()), operation));
    }
    Ok(rows)
}

const WORDS: [&str; 8] = [
    "make", "access", "assign", "delete", "clear", "grow", "iterate", "runtime",
];

/// The known word fewest edits away, when at most two are needed.
fn nearest(word: &str) -> Option<&'static str> {
    WORDS
        .into_iter()
        .map(|known| (distance(known, word), known))
        .min()
        .filter(|&(edits, _)| edits <= 2)
        .map(|(_, known)| known)
}

/// Levenshtein distance, of words no longer than any of ours could be mistyped as.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_in_order() {
        let text = "[[operation]]\npattern = \"my::Map::put*\"\noperation = \"assign\"\n";
        let rows = parse_operations("t.toml", text).unwrap();
        assert_eq!(rows, [(Glob::new("my::Map::put*"), Operation::Assign)]);
        assert_eq!(parse_operations("t.toml", "").unwrap(), []);
    }

    #[test]
    fn errors_point_at_line_and_column() {
        for (text, expected) in [
            (
                "[[operation]]\npattern = \"a\"\noperation = \"asign\"\n",
                "t.toml:3:13: 'asign' is not an operation (make, access, assign, delete, clear, grow, iterate, runtime); did you mean 'assign'?",
            ),
            (
                "[[operation]]\npattern = \"\"\noperation = \"assign\"\n",
                "t.toml:2:11: the pattern is empty",
            ),
            (
                "[[operation]]\npatern = \"a\"\n",
                "t.toml:2:1: unknown field `patern`, expected `pattern` or `operation`",
            ),
        ] {
            let error = parse_operations("t.toml", text).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
        let broken = parse_operations("t.toml", "[[operation]]\npattern = \n").unwrap_err();
        assert!(broken.to_string().starts_with("t.toml:2:"), "{broken}");
        assert!(parse_operations("t", "[[operation]]\npattern=\"a\"\noperation=\"none\"").is_err());
    }

    #[test]
    fn a_region_has_a_name_of_its_own_and_a_pattern() {
        let region = Region::parse("hot=main.compute*").unwrap();
        assert_eq!(
            (region.name.as_str(), region.pattern.as_str()),
            ("hot", "main.compute*")
        );
        for text in [
            "hot",
            "=a",
            "hot=",
            "assign=main.f",
            "none=x",
            "a b=c",
            "\u{1b}=x",
        ] {
            assert!(Region::parse(text).is_err(), "{text}");
        }
    }
}
