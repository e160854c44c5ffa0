use proptest::prelude::*;

use super::{explain, topics};
use crate::model::event::EventKind;
use crate::model::{Cause, Operation, signal};

fn explained(topic: &str) -> String {
    explain(&[topic]).unwrap_or_else(|error| panic!("{error}"))
}

/// Words that stand in no list of the model.
const OTHER_WORDS: &str = "map_make map_grow map_clear iteration pte_sample watch_hit \
     supported refuted inconclusive \
     tracepoint perf rusage refused residue balanced \
     present writable user accessed dirty no_execute zero_page saved_dirty prot_none uffd_wp empty \
     unstable make access assign delete clear grow iterate runtime none";

/// Signals and codes a trace on x86 can hold.
fn signal_words() -> impl Iterator<Item = String> {
    let codes = signal::RECORDED.into_iter().flat_map(|signal| {
        (1..=10)
            .map(move |code| signal::code_name(signal, code))
            // Beyond the named codes, and codes of other architectures.
            .filter(|name| !name.starts_with(|first: char| first.is_ascii_digit()))
            .filter(|name| !name.contains("ADI") && !name.contains("MTE"))
    });
    signal::RECORDED.into_iter().map(signal::name).chain(codes)
}

#[test]
fn every_word_of_the_model_is_explained() {
    let words = Cause::ALL
        .map(Cause::word)
        .into_iter()
        .chain(EventKind::ALL.map(EventKind::word))
        .chain(OTHER_WORDS.split_whitespace())
        .map(str::to_owned)
        .chain(signal_words());
    for word in words {
        let text = explained(&word);
        assert!(text.starts_with(&format!("{word}: ")), "{word}: {text}");
        assert!(text.len() > word.len() + 30, "{word} says nothing: {text}");
    }
    for word in OTHER_WORDS.split_whitespace().rev().take(9) {
        let operation = Operation::from_word(word);
        assert!(
            !matches!(operation, Operation::Region(_)),
            "{word} is no operation"
        );
    }
}

#[test]
fn every_listed_topic_is_one_word_with_a_text_that_fits_the_screen() {
    let mut all: Vec<_> = topics().collect();
    for topic in &all {
        for line in explained(topic).lines() {
            assert!(line.chars().count() <= 100, "{topic}: {line}");
            assert!(!line.ends_with(' '), "{topic}: {line:?}");
        }
    }
    for line in explain(&[]).expect("the list").lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "a word has two meanings");
}

#[test]
fn case_hyphens_and_a_leading_word_do_not_matter() {
    assert_eq!(explained("Zero-Page-COW"), explained("zero_page_cow"));
    assert_eq!(explain(&["pte", "writable"]), explain(&["writable"]));
    assert_eq!(
        explain(&["SIGSEGV", "segv_accerr"]),
        explain(&["SEGV_ACCERR"])
    );
}

#[test]
fn an_error_code_is_taken_apart_in_any_notation() {
    let text = explain(&["error-code", "7"]).expect("seven is a code");
    assert!(
        text.contains("write to a present page, in user mode"),
        "{text}"
    );
    assert!(text.contains("zero_page_cow"), "{text}");
    assert_eq!(explain(&["error_code", "0x7"]), Ok(text.clone()));
    assert_eq!(explain(&["7"]), Ok(text));
    let fetch = explain(&["error-code", "21"]).expect("a fetch");
    assert!(fetch.contains("fetch of a present page"), "{fetch}");
    let odd = explain(&["error-code", "0x100000000"]).expect("any number");
    assert!(odd.contains("without a known meaning"), "{odd}");
    for wrong in ["-1", "0x", "0xg", "+7", "99999999999999999999"] {
        assert!(explain(&["error-code", wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn a_misspelt_topic_names_the_nearest() {
    let error = explain(&["zero_page_cwo"]).expect_err("no such topic");
    assert_eq!(error.nearest.first(), Some(&"zero_page_cow"));
    assert!(
        error.to_string().contains("did you mean zero_page_cow"),
        "{error}"
    );
    let error = explain(&["SEGV_ACERR"]).expect_err("no such topic");
    assert_eq!(error.nearest.first(), Some(&"SEGV_ACCERR"));
    let nothing = explain(&["qqqqqqqqqqqq"]).expect_err("no such topic");
    assert_eq!(nothing.nearest, Vec::<&str>::new());
}

#[test]
fn what_the_user_typed_cannot_reach_the_terminal_raw() {
    let error = explain(&["\u{1b}[31mred\n"]).expect_err("no such topic");
    assert!(!error.to_string().contains(['\u{1b}', '\n']), "{error}");
}

proptest! {
    #[test]
    fn any_words_at_all_have_an_answer(words in prop::collection::vec(".{0,60}", 0..4)) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Err(error) = explain(&words) {
            prop_assert!(error.topic.chars().count() <= 80);
        }
    }

    #[test]
    fn any_error_code_is_explained(number: u64) {
        let text = explain(&["error-code", &number.to_string()]);
        prop_assert!(text.is_ok_and(|text| text.contains("Its cause")));
    }
}
