//! Lines of bounded length from a stream of any length.

use std::io::{self, BufRead, Read};

use super::MAX_LINE;

/// How a line came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// With its newline.
    Whole,
    /// The input ended without one.
    Unended,
    /// Longer than [`MAX_LINE`]; what is in the buffer is its start.
    TooLong,
    /// No line: the input is at its end.
    End,
}

/// Reads one line into `buffer` (emptied first), without its newline.
///
/// Memory: at most [`MAX_LINE`] and a byte, plus the input's own buffer, whatever the input holds.
pub fn next_line(input: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Line> {
    buffer.clear();
    let bound = MAX_LINE as u64 + 1;
    let read = input.by_ref().take(bound).read_until(b'\n', buffer)?;
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
        return Ok(Line::Whole);
    }
    if buffer.len() > MAX_LINE {
        buffer.truncate(MAX_LINE);
        return Ok(Line::TooLong);
    }
    Ok(if read == 0 { Line::End } else { Line::Unended })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(mut input: &[u8]) -> Vec<(Line, Vec<u8>)> {
        let mut lines = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let line = next_line(&mut input, &mut buffer).unwrap();
            if line == Line::End {
                return lines;
            }
            lines.push((line, buffer.clone()));
        }
    }

    #[test]
    fn an_empty_input_has_no_line() {
        assert_eq!(split(b""), []);
    }

    #[test]
    fn the_last_line_says_whether_it_was_ended() {
        assert_eq!(split(b"a\n"), [(Line::Whole, b"a".to_vec())]);
        assert_eq!(
            split(b"a\n\nb"),
            [
                (Line::Whole, b"a".to_vec()),
                (Line::Whole, Vec::new()),
                (Line::Unended, b"b".to_vec())
            ]
        );
    }

    #[test]
    fn a_line_over_the_bound_is_cut_and_said_to_be() {
        let longest = vec![b'x'; MAX_LINE];
        let (mut whole, mut over) = (longest.clone(), longest);
        whole.push(b'\n');
        over.push(b'x');
        let mut buffer = Vec::new();
        let end = next_line(&mut whole.as_slice(), &mut buffer).unwrap();
        assert_eq!((end, buffer.len()), (Line::Whole, MAX_LINE));
        let end = next_line(&mut over.as_slice(), &mut buffer).unwrap();
        assert_eq!((end, buffer.len()), (Line::TooLong, MAX_LINE));
    }
}
