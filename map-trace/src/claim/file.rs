//! Claims files: TOML, `[[claim]]` each.

mod item;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::parse::{area, checked, event_word, operation, parse};
use super::rule::{Condition, Rule, bare};
use super::words::{OPERATIONS, hint};
use super::{Claim, Needs};
use crate::model::Operation;
use crate::model::summary::VerdictWord;
use item::{
    at_value, control_names, count, expect_of, expected, find, position, scalar, text, unknown,
    wrong,
};

/// Largest file, bytes, and most claims in it.
const MAX_FILE: usize = 4 << 20;
const MAX_CLAIMS: usize = 4096;
const MAX_CONDITIONS: usize = 32;
/// Nesting of tables inside `where`.
const MAX_DEPTH: usize = 8;

/// Why a claims file cannot be used. Line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct FileError {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// What is wrong, and at which byte.
struct Wrong {
    at: usize,
    message: String,
}

type Parsed<T> = Result<T, Wrong>;
type Key<'i> = Spanned<DeString<'i>>;
type Item<'i> = Spanned<DeValue<'i>>;

const TOP: [&str; 1] = ["claim"];
const KEYS: [&str; 10] = [
    "id",
    "statement",
    "rule",
    "event",
    "where",
    "during",
    "on",
    "expect",
    "needs",
    "expected_verdict",
];
const VERDICTS: [(&str, VerdictWord); 3] = [
    ("supported", VerdictWord::Supported),
    ("refuted", VerdictWord::Refuted),
    ("inconclusive", VerdictWord::Inconclusive),
];

/// Reads a claims file. `file` is its name, for errors; `regions` are names that may stand for operations.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse_file(file: &str, text: &str, regions: &[String]) -> Result<Vec<Claim>, FileError> {
    let reader = Reader { text, regions };
    reader.claims().map_err(|wrong| {
        let (line, column) = position(text, wrong.at);
        FileError {
            file: file.to_owned(),
            line,
            column,
            message: wrong.message,
        }
    })
}

struct Reader<'a> {
    text: &'a str,
    regions: &'a [String],
}

impl Reader<'_> {
    fn claims(&self) -> Parsed<Vec<Claim>> {
        if self.text.len() > MAX_FILE {
            return wrong(0, format!("more than {MAX_FILE} bytes"));
        }
        let root = DeTable::parse(self.text).map_err(|error| Wrong {
            at: error.span().map_or(0, |span| span.start),
            message: error.message().replace('\n', " "),
        })?;
        let mut claims: Vec<Claim> = Vec::new();
        for (key, value) in root.get_ref() {
            if key.get_ref() != "claim" {
                return unknown(key, "a claims file", &TOP);
            }
            let Some(list) = value.get_ref().as_array() else {
                return wrong(key.span().start, "a claim begins with [[claim]]");
            };
            for item in list {
                let Some(table) = item.get_ref().as_table() else {
                    return wrong(item.span().start, "a claim is a table");
                };
                if claims.len() >= MAX_CLAIMS {
                    return wrong(item.span().start, format!("more than {MAX_CLAIMS} claims"));
                }
                let claim = self.claim(table, item.span().start)?;
                if claims.iter().any(|known| known.id == claim.id) {
                    let at = find(table, "id").map_or(item.span().start, |id| id.span().start);
                    return wrong(at, format!("a second claim with the id '{}'", claim.id));
                }
                claims.push(claim);
            }
        }
        Ok(claims)
    }

    fn claim(&self, table: &DeTable<'_>, at: usize) -> Parsed<Claim> {
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&&**key.get_ref())) {
            return unknown(key, "a claim", &KEYS);
        }
        let Some(id) = find(table, "id") else {
            return wrong(at, "a claim needs an id");
        };
        let id_text = text(id, "id")?;
        if id_text.is_empty() || id_text.len() > 128 || id_text.chars().any(char::is_control) {
            return wrong(
                id.span().start,
                "an id has 1 to 128 characters, none a control character",
            );
        }
        let rule = match find(table, "rule") {
            Some(rule) => self.short(table, rule)?,
            None => self.rule(table, at)?,
        };
        let needs = match find(table, "needs") {
            Some(needs) => self.needs(needs)?,
            None => Needs::default(),
        };
        let statement = match find(table, "statement") {
            Some(statement) => text(statement, "statement")?.to_owned(),
            None => rule.to_string(),
        };
        let expected = match find(table, "expected_verdict") {
            Some(verdict) => expected(verdict)?,
            None => VerdictWord::Supported,
        };
        Ok(Claim {
            id: id_text.to_owned(),
            statement,
            rule,
            needs,
            expected,
        })
    }

    /// `rule = "..."`, the short form.
    fn short(&self, table: &DeTable<'_>, rule: &Item<'_>) -> Parsed<Rule> {
        const PARTS: [&str; 5] = ["event", "where", "during", "on", "expect"];
        let second = table.keys().find(|key| PARTS.contains(&&**key.get_ref()));
        if let Some(key) = second {
            return wrong(
                key.span().start,
                format!("'{}' beside 'rule', which says it all", key.get_ref()),
            );
        }
        let short = text(rule, "rule")?;
        parse(short, self.regions).map_err(|error| {
            let chars: usize = short
                .chars()
                .take(error.column - 1)
                .map(char::len_utf8)
                .sum();
            Wrong {
                at: self.inside(rule, short, chars),
                message: error.message,
            }
        })
    }

    /// The rule in its parts.
    fn rule(&self, table: &DeTable<'_>, at: usize) -> Parsed<Rule> {
        let (Some(event), Some(expect)) = (find(table, "event"), find(table, "expect")) else {
            return wrong(at, "a claim needs an 'event' and an 'expect', or a 'rule'");
        };
        let event = event_word(text(event, "event")?).map_err(at_value(event))?;
        let mut conditions = Vec::new();
        if let Some(item) = find(table, "where") {
            let Some(fields) = item.get_ref().as_table() else {
                return wrong(
                    item.span().start,
                    "'where' is a table, such as { cause = \"protection\" }",
                );
            };
            self.conditions(event, fields, "", 0, &mut conditions)?;
        }
        let during = match find(table, "during") {
            None => None,
            Some(item) => {
                let name = text(item, "during")?;
                Some(operation(event, name, self.regions).map_err(at_value(item))?)
            }
        };
        let on = match find(table, "on") {
            None => None,
            Some(item) => Some(area(event, text(item, "on")?).map_err(at_value(item))?),
        };
        let expect = expect_of(expect, &conditions)?;
        Ok(Rule {
            event,
            conditions,
            during,
            on,
            expect,
        })
    }

    /// Fields, dotted or in tables inside each other.
    fn conditions(
        &self,
        event: &super::EventWord,
        fields: &DeTable<'_>,
        before: &str,
        depth: usize,
        conditions: &mut Vec<Condition>,
    ) -> Parsed<()> {
        // The map is ordered by name; the file's order is the reader's.
        let mut ordered: Vec<_> = fields.iter().collect();
        ordered.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in ordered {
            let at = key.span().start;
            let dot = if before.is_empty() { "" } else { "." };
            let path = format!("{before}{dot}{}", key.get_ref());
            if conditions.len() >= MAX_CONDITIONS || depth > MAX_DEPTH {
                return wrong(at, format!("more than {MAX_CONDITIONS} conditions"));
            }
            if !path.chars().all(bare) {
                return wrong(at, format!("{path:?} is no field"));
            }
            if let Some(inner) = value.get_ref().as_table() {
                self.conditions(event, inner, &path, depth + 1, conditions)?;
                continue;
            }
            let known = scalar(value).and_then(|value| {
                checked(event, &path, value, self.regions).map_err(|message| Wrong { at, message })
            })?;
            conditions.push(Condition {
                path,
                not: false,
                value: known,
            });
        }
        Ok(())
    }

    fn needs(&self, item: &Item<'_>) -> Parsed<Needs> {
        let Some(table) = item.get_ref().as_table() else {
            return wrong(
                item.span().start,
                "'needs' is a table, such as { iterate = 1000 }",
            );
        };
        let mut needs = Needs::default();
        for (key, value) in table {
            let word = &**key.get_ref();
            match word {
                "pte_samples" => needs.pte_samples = Some(count(value)?),
                "controls" => needs.controls = control_names(value)?,
                word => match Operation::from_word(word) {
                    Operation::Region(name)
                        if !self.regions.iter().any(|known| **known == *name) =>
                    {
                        let words = OPERATIONS.into_iter().chain(["pte_samples", "controls"]);
                        let known = words.chain(self.regions.iter().map(String::as_str));
                        let message =
                            format!("'{word}' is nothing a claim can need{}", hint(word, known));
                        return wrong(key.span().start, message);
                    }
                    operation => needs.operations.push((operation, count(value)?)),
                },
            }
        }
        Ok(needs)
    }

    /// Byte of the file at which a part of a string stands: exact when the string is written as it reads.
    fn inside(&self, item: &Item<'_>, text: &str, offset: usize) -> usize {
        let span = item.span();
        let written = self.text.get(span.clone()).unwrap_or("");
        match written.find(text) {
            Some(quote) => span.start + quote + offset,
            None => span.start,
        }
    }
}
