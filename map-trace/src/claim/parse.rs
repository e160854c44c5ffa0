//! The short form of a rule, from text.
//!
//! ```text
//! RULE      := EVENT ["where" CONDITION ("," CONDITION)*] ["during" NAME] ["on" AREA] COMPARE (NUMBER | "all")
//! EVENT     := WORD | WORD "." FIELD                   the second is short for: WORD where FIELD=true
//! CONDITION := FIELD ("=" | "!=") VALUE
//! AREA      := "buckets" | "heap" | "stack" | "0x"START "-0x"END | SYMBOL
//! COMPARE   := "==" | "<=" | ">=" | "<" | ">"
//! ```
//!
//! A word ends at white space and at any of `, " = ! < >`; text with one of these stands in double quotes, where
//! `\` takes the meaning off the next character. A value in quotes is text whatever it looks like.

use super::fields::check;
use super::rule::{Area, Compare, Condition, Expect, Rule, Value, bare};
use super::words::{EVENTS, EventWord, OPERATIONS, hint};
use crate::model::{Address, Operation};

/// Longest rule, bytes.
const MAX_RULE: usize = 4096;
/// Conditions of one rule.
const MAX_CONDITIONS: usize = 32;

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ParseError {
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
}

type Parsed<T> = Result<T, ParseError>;

/// Parses a rule in short form. `regions` are the names that may stand after `during` besides the operations.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str, regions: &[String]) -> Parsed<Rule> {
    let mut parser = Parser::new(text)?;
    let (event, mut conditions) = parser.event()?;
    let (mut during, mut on, mut where_seen) = (None, None, false);
    let expect = loop {
        let (at, token) = parser.next()?;
        match token {
            Token::Word(word) if word == "where" && !where_seen => {
                where_seen = true;
                parser.conditions(event, &mut conditions, regions)?;
            }
            Token::Word(word) if word == "during" && during.is_none() => {
                let (at, name) = parser.word("an operation or a region")?;
                during =
                    Some(operation(event, &name, regions).map_err(|why| parser.error(at, why))?);
            }
            Token::Word(word) if word == "on" && on.is_none() => {
                on = Some(parser.area(event)?);
            }
            Token::Word(word) if matches!(word.as_str(), "where" | "during" | "on") => {
                return Err(parser.error(at, format!("a second '{word}'")));
            }
            Token::Sign(sign) => break parser.expect(at, sign, &conditions)?,
            Token::End => return Err(parser.error(at, COMPARISON_WANTED)),
            token => {
                let shown = token.shown();
                let hint = hint(&shown, ["where", "during", "on", "=="]);
                let why =
                    format!("where, during, on or a comparison goes here, not '{shown}'{hint}");
                return Err(parser.error(at, why));
            }
        }
    };
    match parser.next()? {
        (_, Token::End) => Ok(Rule {
            event,
            conditions,
            during,
            on,
            expect,
        }),
        (at, token) => {
            Err(parser.error(at, format!("'{}' after the end of the rule", token.shown())))
        }
    }
}

const COMPARISON_WANTED: &str = "a rule ends with a comparison such as '== 0'";

/// The event a word stands for.
pub(super) fn event_word(word: &str) -> Result<&'static EventWord, String> {
    EventWord::find(word).ok_or_else(|| {
        let hint = hint(word, EVENTS.iter().map(|event| event.word));
        format!("'{word}' is not an event{hint}")
    })
}

/// The value of a condition, checked against the words that events have.
pub(super) fn checked(
    event: &EventWord,
    path: &str,
    value: Value,
    regions: &[String],
) -> Result<Value, String> {
    let value = check(event, path, value)?;
    if let ("operation" | "sub_operation", Value::Text(name)) = (path, &value) {
        operation(event, name, regions)?;
    }
    Ok(value)
}

/// The operation or region a word after `during` stands for.
pub(super) fn operation(
    event: &EventWord,
    name: &str,
    regions: &[String],
) -> Result<Operation, String> {
    if !event.in_operation {
        return Err(format!("{} belongs to no operation", event.word));
    }
    match Operation::from_word(name) {
        Operation::Region(name) if !regions.iter().any(|region| **region == *name) => {
            let known = OPERATIONS
                .into_iter()
                .chain(regions.iter().map(String::as_str));
            let hint = match hint(&name, known) {
                empty if empty.is_empty() => "; --region NAME=PATTERN names one".to_owned(),
                hint => hint,
            };
            Err(format!(
                "'{name}' is neither an operation nor a region{hint}"
            ))
        }
        operation => Ok(operation),
    }
}

/// The memory a word without quotes after `on` stands for.
pub(super) fn area(event: &EventWord, word: &str) -> Result<Area, String> {
    if !event.has_address {
        return Err(format!("{} touches no memory", event.word));
    }
    Ok(match word {
        "" => return Err("the name of a symbol is missing".to_owned()),
        "buckets" => Area::Buckets,
        "heap" => Area::Heap,
        "stack" => Area::Stack,
        word if word.starts_with("0x") => {
            let bounds = word.split_once('-').and_then(|(start, end)| {
                Some((start.parse::<Address>().ok()?, end.parse::<Address>().ok()?))
            });
            match bounds {
                Some((start, end)) if start < end => Area::Range(start, end),
                Some(_) => return Err(format!("the range {word} ends before it starts")),
                None => return Err(format!("'{word}' is not a range such as 0x7f00-0x8000")),
            }
        }
        word => Area::Symbol(word.to_owned()),
    })
}

/// What `== 5`, `<= 5` and so on ask for; why it makes no sense.
pub(super) fn expectation(sign: &str, number: &str) -> Result<Expect, String> {
    let Some((compare, _)) = Compare::ALL.into_iter().find(|(_, known)| *known == sign) else {
        return Err(format!("'{sign}' compares nothing; '==' is meant for that"));
    };
    if number == "all" {
        return match compare {
            Compare::Equal => Ok(Expect::All),
            _ => Err(format!("'{sign} all' means nothing; '== all' does")),
        };
    }
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = match number.parse() {
        Ok(count) if digits => count,
        _ => return Err(format!("'{number}' is not a number of events, nor 'all'")),
    };
    match (compare, count) {
        (Compare::Below, 0) | (Compare::Above, u64::MAX) => {
            Err(format!("no number is '{sign} {number}'"))
        }
        (Compare::AtLeast, 0) | (Compare::AtMost, u64::MAX) => {
            Err(format!("every number is '{sign} {number}'"))
        }
        _ => Ok(Expect::Count(compare, count)),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
    Comma,
    End,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) => text.clone(),
            Self::Sign(sign) => (*sign).to_owned(),
            Self::Comma => ",".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset of what was not read yet.
    at: usize,
}

/// Signs, longer ones first.
const SIGNS: [&str; 7] = ["==", "<=", ">=", "!=", "<", ">", "="];

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        let parser = Self { text, at: 0 };
        if text.len() > MAX_RULE {
            return Err(parser.error(0, format!("a rule of more than {MAX_RULE} bytes")));
        }
        Ok(parser)
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        let before = self.text.get(..at).unwrap_or(self.text);
        ParseError {
            column: before.chars().count() + 1,
            message: message.into(),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The next token and where it begins.
    fn next(&mut self) -> Parsed<(usize, Token)> {
        let rest = self.rest();
        let white = rest.len() - rest.trim_start().len();
        self.at += white;
        let (at, rest) = (self.at, self.rest());
        let Some(first) = rest.chars().next() else {
            return Ok((at, Token::End));
        };
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            self.at += sign.len();
            return Ok((at, Token::Sign(sign)));
        }
        match first {
            ',' => {
                self.at += 1;
                Ok((at, Token::Comma))
            }
            '"' => self.quoted(at).map(|text| (at, Token::Quoted(text))),
            first if bare(first) => {
                let end = rest.find(|c| !bare(c)).unwrap_or(rest.len());
                self.at += end;
                Ok((at, Token::Word(rest.get(..end).unwrap_or(rest).to_owned())))
            }
            other => Err(self.error(at, format!("{other:?} means nothing here"))),
        }
    }

    fn quoted(&mut self, start: usize) -> Parsed<String> {
        let mut text = String::new();
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices().skip(1) {
            match c {
                c if escaped => {
                    text.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(self.error(start, "the quotes are not closed"))
    }

    /// A word without quotes.
    fn word(&mut self, wanted: &str) -> Parsed<(usize, String)> {
        match self.next()? {
            (at, Token::Word(word)) => Ok((at, word)),
            (at, token) => {
                Err(self.error(at, format!("{wanted} goes here, not '{}'", token.shown())))
            }
        }
    }

    /// `page_fault`, or `pte.writable` with its condition.
    fn event(&mut self) -> Parsed<(&'static EventWord, Vec<Condition>)> {
        let (at, text) = self.word("an event such as mprotect")?;
        let (word, field) = match text.split_once('.') {
            Some((word, field)) => (word, Some(field)),
            None => (text.as_str(), None),
        };
        let event = event_word(word).map_err(|why| self.error(at, why))?;
        let mut conditions = Vec::new();
        if let Some(path) = field {
            let value = check(event, path, Value::Bool(true))
                .map_err(|why| self.error(at + word.len() + 1, why))?;
            conditions.push(Condition {
                path: path.to_owned(),
                not: false,
                value,
            });
        }
        Ok((event, conditions))
    }

    fn conditions(
        &mut self,
        event: &EventWord,
        conditions: &mut Vec<Condition>,
        regions: &[String],
    ) -> Parsed<()> {
        loop {
            let (at, path) = self.word("a field")?;
            if conditions.len() >= MAX_CONDITIONS {
                return Err(self.error(at, format!("more than {MAX_CONDITIONS} conditions")));
            }
            let not = match self.next()? {
                (_, Token::Sign("=")) => false,
                (_, Token::Sign("!=")) => true,
                (at, token) => {
                    let why = format!("'=' or '!=' goes after a field, not '{}'", token.shown());
                    return Err(self.error(at, why));
                }
            };
            let value = match self.next()? {
                (_, Token::Word(word)) => Value::of_bare(&word),
                (_, Token::Quoted(text)) => Value::Text(text),
                (at, token) => {
                    return Err(
                        self.error(at, format!("a value goes here, not '{}'", token.shown()))
                    );
                }
            };
            let value = checked(event, &path, value, regions).map_err(|why| self.error(at, why))?;
            conditions.push(Condition { path, not, value });
            let before = self.at;
            if !matches!(self.next()?, (_, Token::Comma)) {
                self.at = before;
                return Ok(());
            }
        }
    }

    fn area(&mut self, event: &EventWord) -> Parsed<Area> {
        match self.next()? {
            (at, Token::Word(word)) => area(event, &word).map_err(|why| self.error(at, why)),
            (at, Token::Quoted(name)) => match area(event, "heap") {
                Ok(_) if name.is_empty() => Err(self.error(at, "the name of a symbol is missing")),
                Ok(_) => Ok(Area::Symbol(name)),
                Err(why) => Err(self.error(at, why)),
            },
            (at, token) => {
                Err(self.error(at, format!("memory goes here, not '{}'", token.shown())))
            }
        }
    }

    fn expect(&mut self, at: usize, sign: &str, conditions: &[Condition]) -> Parsed<Expect> {
        let (number_at, number) = match self.next()? {
            (number_at, Token::Word(number)) => (number_at, number),
            (number_at, _) => return Err(self.error(number_at, COMPARISON_WANTED)),
        };
        let expect = expectation(sign, &number).map_err(|why| {
            let about_number = why.starts_with(&format!("'{number}'"));
            self.error(if about_number { number_at } else { at }, why)
        })?;
        if expect == Expect::All && conditions.is_empty() {
            return Err(self.error(at, "'== all' needs a 'where': all of them must be what?"));
        }
        Ok(expect)
    }
}
