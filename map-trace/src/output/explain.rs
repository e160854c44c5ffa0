//! Plain words for every word a report uses: causes, verdicts, operations, events, witnesses, losses, bits of
//! a page-table entry, error codes, signals.
//!
//! Each group of words is one table; a topic is one row. A test holds the tables against the model.

mod causes;
mod entry_bits;
mod error_code;
mod evidence;
mod operations;
mod signals;
#[cfg(test)]
mod tests;

/// One word and what it means.
pub(super) struct Topic {
    pub(super) word: &'static str,
    /// What sort of word it is.
    pub(super) is: &'static str,
    /// Paragraphs, parted by an empty line; other line ends are spaces.
    pub(super) text: &'static str,
}

const TABLES: &[&[Topic]] = &[
    causes::TOPICS,
    evidence::VERDICTS,
    evidence::EVENTS,
    operations::TOPICS,
    evidence::WITNESSES,
    evidence::LOSSES,
    entry_bits::TOPICS,
    signals::TOPICS,
];

/// A topic nobody wrote about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no topic {topic:?}; {}", hint(nearest))]
pub struct UnknownTopic {
    /// As given, at most 80 characters.
    pub topic: String,
    /// Known topics that are spelt nearly so, nearest first.
    pub nearest: Vec<&'static str>,
}

fn hint(nearest: &[&str]) -> String {
    if nearest.is_empty() {
        "`map-trace explain` lists all topics".to_owned()
    } else {
        format!("did you mean {}?", nearest.join(", "))
    }
}

/// Every topic, in the order of the list that [`explain`] prints without one; `error-code` takes a number.
pub fn topics() -> impl Iterator<Item = &'static str> {
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .map(|topic| topic.word)
        .chain(["error-code"])
}

/// What a topic means, in plain words. No topic: the list of all.
///
/// Upper and lower case, `-` and `_` are the same. A word may follow another that says of what it is
/// (`pte writable`, `SIGSEGV SEGV_ACCERR`, `cause protection`): the last word decides.
///
/// # Errors
/// A topic that is not known, with the nearest that are.
pub fn explain(topic: &[&str]) -> Result<String, UnknownTopic> {
    let words: Vec<String> = topic.iter().map(|word| plain(word)).collect();
    let Some(last) = words.last() else {
        return Ok(list());
    };
    let code = words.len() > 1 && words[words.len() - 2] == "error_code";
    if last == "error_code" {
        return Ok(format!(
            "error-code: what the CPU says of a page fault\n\n{}\n",
            wrapped(error_code::INTRODUCTION)
        ));
    }
    let number = if code || words.len() == 1 {
        number(last)
    } else {
        None
    };
    if let Some(number) = number {
        return Ok(error_code::explain(number));
    }
    let found = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|topic| plain(topic.word) == *last);
    found
        .map(|topic| format!("{}: {}\n\n{}\n", topic.word, topic.is, wrapped(topic.text)))
        .ok_or_else(|| UnknownTopic {
            topic: topic.join(" ").chars().take(80).collect(),
            nearest: nearest(last),
        })
}

/// Paragraphs with lines of at most 88 characters.
pub(super) fn wrapped(text: &str) -> String {
    let mut paragraphs = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut lines = vec![String::new()];
        for word in paragraph.split_whitespace() {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) if line.chars().count() + word.chars().count() < 88 => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        paragraphs.push(lines.join("\n"));
    }
    paragraphs.join("\n\n")
}

/// Decimal, or hexadecimal after `0x`.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if word.starts_with('+') => None,
        None => word.parse().ok(),
    }
}

fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace('-', "_")
}

fn list() -> String {
    let mut text = String::from("Topics:\n");
    let mut group = "";
    for topic in TABLES.iter().flat_map(|table| table.iter()) {
        if topic.is == group {
            text.push(' ');
        } else {
            group = topic.is;
            text.push_str(&format!("\n  {group}\n   "));
        }
        let line = text
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.chars().count());
        if line + topic.word.len() > 90 {
            text.push_str("\n    ");
        }
        text.push_str(topic.word);
    }
    text.push_str("\n\n  any error code of a page fault\n    error-code NUMBER\n");
    text
}

/// Known topics within a third of the word's length, nearest first, at most three.
fn nearest(word: &str) -> Vec<&'static str> {
    let word: Vec<char> = word.chars().take(40).collect();
    let mut ranked: Vec<(usize, &'static str)> = topics()
        .map(|topic| {
            (
                distance(&word, &plain(topic).chars().collect::<Vec<_>>()),
                topic,
            )
        })
        .filter(|(distance, topic)| *distance <= word.len().max(topic.len()).div_ceil(3))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, topic)| topic).collect()
}

/// Insertions, deletions and replacements from one word to the other (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
