//! Text from outside: from names in a file, a program's memory, a path.

/// A character that steers a terminal or hides text: controls (escape sequences, line breaks), marks that
/// reorder or do not show.
pub fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Text from outside, made safe for a terminal and a page: what is [`harmful`] becomes U+FFFD.
pub fn clean(text: &str) -> String {
    let safe = |c| if harmful(c) { '\u{fffd}' } else { c };
    text.chars().map(safe).collect()
}
