//! Lines of text with a little colour, none of them too long.

use super::plain::shorten;

/// Columns of a line at most.
pub const WIDTH: usize = 100;

/// What colour is for: verdicts, losses, failed controls. Everything else is plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Doubtful,
    Bad,
}

impl Tone {
    /// The SGR sequence (ECMA-48, 8.3.117) that begins the colour.
    const fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Doubtful => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

/// A piece of a line.
#[derive(Clone, Debug, Default)]
pub struct Span {
    pub tone: Tone,
    pub text: String,
}

/// A line of spans.
pub type Line = Vec<Span>;

/// A plain line.
pub fn plain(text: impl Into<String>) -> Line {
    vec![span(Tone::Plain, text)]
}

pub fn span(tone: Tone, text: impl Into<String>) -> Span {
    Span {
        tone,
        text: text.into(),
    }
}

/// The lines as bytes: cut at [`WIDTH`] columns, no blanks at their ends.
pub fn render(lines: &[Line], color: bool) -> Vec<u8> {
    let mut out = String::new();
    for line in lines {
        let start = out.len();
        let mut room = WIDTH;
        for (index, span) in line.iter().enumerate() {
            let rest: usize = line
                .iter()
                .skip(index + 1)
                .map(|s| s.text.chars().count())
                .sum();
            let length = span.text.chars().count();
            // The cut mark must not be the one character too many, hence the look at what follows.
            let text = if length + usize::from(rest > 0) > room {
                shorten(&format!("{}…", span.text), room)
            } else {
                span.text.clone()
            };
            room = room.saturating_sub(text.chars().count());
            if color && span.tone != Tone::Plain && !text.is_empty() {
                out.push_str(span.tone.begin());
                out.push_str(&text);
                out.push_str("\x1b[0m");
            } else {
                out.push_str(&text);
            }
            if text.ends_with('…') && text != span.text {
                break;
            }
        }
        let end = out.trim_end_matches(' ').len().max(start);
        out.truncate(end);
        out.push('\n');
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[Line], color: bool) -> String {
        String::from_utf8(render(lines, color)).unwrap()
    }

    #[test]
    fn a_long_line_is_cut_with_a_mark() {
        let long = plain("x".repeat(150));
        let exact = plain("y".repeat(WIDTH));
        let shown = text(&[long, exact], false);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0].chars().count(), WIDTH);
        assert!(lines[0].ends_with("x…"));
        assert_eq!(lines[1], "y".repeat(WIDTH));
    }

    #[test]
    fn a_line_of_many_spans_is_cut_once() {
        for length in 90..110 {
            let line = vec![
                span(Tone::Bad, "x".repeat(length)),
                span(Tone::Plain, "tail"),
            ];
            let shown = text(&[line], false);
            assert!(shown.trim_end().chars().count() <= WIDTH, "{length}");
            assert_eq!(shown.contains('…'), length + 4 > WIDTH, "{length}");
        }
    }

    #[test]
    fn colour_is_only_there_when_wanted() {
        let line = vec![span(Tone::Bad, "refuted"), span(Tone::Plain, " it  ")];
        assert_eq!(text(std::slice::from_ref(&line), false), "refuted it\n");
        assert_eq!(text(&[line], true), "\x1b[1;31mrefuted\x1b[0m it\n");
    }
}
