//! Values of a claims file, and what is wrong with them.

use toml::de::DeTable;

use super::{Item, Key, Parsed, VERDICTS, Wrong};
use crate::claim::controls;
use crate::claim::parse::expectation;
use crate::claim::rule::{Condition, Expect, Value};
use crate::claim::words::hint;
use crate::model::summary::VerdictWord;

pub(super) fn wrong<T>(at: usize, message: impl Into<String>) -> Parsed<T> {
    Err(Wrong {
        at,
        message: message.into(),
    })
}

pub(super) fn unknown<T>(key: &Key<'_>, what: &str, known: &[&str]) -> Parsed<T> {
    let word = key.get_ref();
    let message = format!(
        "{what} has no '{word}'{}",
        hint(word, known.iter().copied())
    );
    wrong(key.span().start, message)
}

pub(super) fn at_value(item: &Item<'_>) -> impl FnOnce(String) -> Wrong {
    let at = item.span().start;
    move |message| Wrong { at, message }
}

pub(super) fn find<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t Item<'i>> {
    table
        .iter()
        .find(|(key, _)| key.get_ref() == name)
        .map(|(_, value)| value)
}

pub(super) fn text<'t>(item: &'t Item<'_>, name: &str) -> Parsed<&'t str> {
    match item.get_ref().as_str() {
        Some(text) => Ok(text),
        None => wrong(item.span().start, format!("'{name}' is a text in quotes")),
    }
}

/// A number of events: whole and not negative.
pub(super) fn count(item: &Item<'_>) -> Parsed<u64> {
    match integer(item).and_then(|number| u64::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => wrong(item.span().start, "a whole number, 0 or more, goes here"),
    }
}

fn integer(item: &Item<'_>) -> Option<i128> {
    let integer = item.get_ref().as_integer()?;
    i128::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

pub(super) fn scalar(item: &Item<'_>) -> Parsed<Value> {
    let value = item.get_ref();
    if let Some(value) = value.as_bool() {
        return Ok(Value::Bool(value));
    }
    if let Some(number) = integer(item) {
        return Ok(Value::Number(number));
    }
    match value.as_str() {
        Some(text) => Ok(Value::Text(text.to_owned())),
        None => wrong(
            item.span().start,
            "a field is compared with a text, a number, true or false",
        ),
    }
}

pub(super) fn expect_of(item: &Item<'_>, conditions: &[Condition]) -> Parsed<Expect> {
    let words = text(item, "expect")?;
    let trimmed = words.trim();
    let split = trimmed
        .find(|c: char| !"=<>!".contains(c))
        .unwrap_or(trimmed.len());
    let (sign, number) = trimmed.split_at(split);
    if sign.is_empty() {
        return wrong(
            item.span().start,
            "'expect' is a comparison such as \"== 0\"",
        );
    }
    let expect = expectation(sign, number.trim()).map_err(at_value(item))?;
    if expect == Expect::All && conditions.is_empty() {
        return wrong(
            item.span().start,
            "\"== all\" needs a 'where': all of them must be what?",
        );
    }
    Ok(expect)
}

pub(super) fn expected(item: &Item<'_>) -> Parsed<VerdictWord> {
    let word = text(item, "expected_verdict")?;
    match VERDICTS.iter().find(|(known, _)| *known == word) {
        Some((_, verdict)) => Ok(*verdict),
        None => {
            let hint = hint(word, VERDICTS.iter().map(|(known, _)| *known));
            wrong(
                item.span().start,
                format!("'{word}' is not a verdict{hint}"),
            )
        }
    }
}

pub(super) fn control_names(item: &Item<'_>) -> Parsed<Vec<String>> {
    let Some(list) = item.get_ref().as_array() else {
        return wrong(item.span().start, "'controls' is a list of names");
    };
    let mut names = Vec::new();
    for item in list {
        let name = text(item, "a control")?;
        if !controls::NAMES.contains(&controls::plain(name).as_str()) {
            let hint = hint(&controls::plain(name), controls::NAMES);
            return wrong(
                item.span().start,
                format!("'{name}' is not a control{hint}"),
            );
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Line and column, from 1, of a byte offset.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
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
