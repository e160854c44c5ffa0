//! The short form: what it takes, what it refuses, and that it prints what it read.

use proptest::prelude::*;
use proptest::{collection::vec, option::of, sample::select};

use crate::claim::fields::{Holds, fields};
use crate::claim::{Area, Compare, Condition, EVENTS, EventWord, Expect, Rule, Value, parse};
use crate::model::{Address, Operation};

fn regions() -> Vec<String> {
    ["hot", "my-region_2.x"].map(str::to_owned).to_vec()
}

fn printed(text: &str) -> String {
    parse(text, &regions()).unwrap().to_string()
}

#[test]
fn rules_are_read_as_they_are_meant() {
    for (text, canonical) in [
        (
            "mprotect during iterate == 0",
            "mprotect during iterate == 0",
        ),
        ("  mprotect==0 ", "mprotect == 0"),
        ("page_fault during hot<=3", "page_fault during hot <= 3"),
        (
            "signal where signal=SIGSEGV == 0",
            "signal where signal=SIGSEGV == 0",
        ),
        (
            "signal where signal = SIGSEGV ,code != \"SEGV_MAPERR\" == 0",
            "signal where signal=SIGSEGV, code!=SEGV_MAPERR == 0",
        ),
        (
            "pte.writable during iterate == all",
            "pte_sample where writable=true during iterate == all",
        ),
        (
            "page_fault.error_code.write on heap during assign > 5",
            "page_fault where error_code.write=true during assign on heap > 5",
        ),
        (
            "page_fault on 0x0C000-0xd000 where vma.name=null == 0",
            "page_fault where vma.name=null on 0xc000-0xd000 == 0",
        ),
        (
            "mprotect where result=-22, address=0xC000 >= 1",
            "mprotect where result=-22, address=0xc000 >= 1",
        ),
        ("madvise on \"a, b\" < 2", "madvise on \"a, b\" < 2"),
        ("madvise on \"heap\" < 2", "madvise on \"heap\" < 2"),
        ("exec where comm=\"7\" == 1", "exec where comm=\"7\" == 1"),
        ("exec where comm=7 == 1", "exec where comm=\"7\" == 1"),
        (
            "page_fault where error_code.raw=0x7 == 0",
            "page_fault where error_code.raw=7 == 0",
        ),
        (
            "mprotect on main.(*T).f == 0",
            "mprotect on main.(*T).f == 0",
        ),
    ] {
        assert_eq!(printed(text), canonical);
        assert_eq!(printed(canonical), canonical);
    }
}

#[test]
fn an_error_names_the_column_and_the_nearest_word() {
    for (text, error) in [
        (
            "",
            "column 1: an event such as mprotect goes here, not 'the end'",
        ),
        (
            "mprotct == 0",
            "column 1: 'mprotct' is not an event; did you mean 'mprotect'?",
        ),
        (
            "mprotect during itrate == 0",
            "column 17: 'itrate' is neither an operation nor a region; did you mean 'iterate'?",
        ),
        (
            "mprotect where operation=itrate == 0",
            "column 16: 'itrate' is neither an operation nor a region; did you mean 'iterate'?",
        ),
        (
            "mprotect during telephone == 0",
            "column 17: 'telephone' is neither an operation nor a region; --region NAME=PATTERN names one",
        ),
        (
            "mprotect durng iterate == 0",
            "column 10: where, during, on or a comparison goes here, not 'durng'; did you mean 'during'?",
        ),
        (
            "mprotect during iterate",
            "column 24: a rule ends with a comparison such as '== 0'",
        ),
        (
            "mprotect = 0",
            "column 10: '=' compares nothing; '==' is meant for that",
        ),
        (
            "mprotect == many",
            "column 13: 'many' is not a number of events, nor 'all'",
        ),
        (
            "mprotect == -1",
            "column 13: '-1' is not a number of events, nor 'all'",
        ),
        ("mprotect < 0", "column 10: no number is '< 0'"),
        ("mprotect >= 0", "column 10: every number is '>= 0'"),
        (
            "mprotect == all",
            "column 10: '== all' needs a 'where': all of them must be what?",
        ),
        (
            "mprotect == 0 1",
            "column 15: '1' after the end of the rule",
        ),
        (
            "mprotect where prot == 0",
            "column 21: '=' or '!=' goes after a field, not '=='",
        ),
        (
            "mprotect where prto=r-- == 0",
            "column 16: mprotect has no field 'prto'; did you mean 'prot'?",
        ),
        (
            "signal where signal=SIGSGV == 0",
            "column 14: signal is never 'SIGSGV'; did you mean 'SIGSEGV'?",
        ),
        ("page_fault.cause == 0", "column 12: cause is never 'true'"),
        (
            "exec during iterate == 0",
            "column 13: exec belongs to no operation",
        ),
        ("fork on heap == 0", "column 9: fork touches no memory"),
        (
            "mprotect on 0x2-0x1 == 0",
            "column 13: the range 0x2-0x1 ends before it starts",
        ),
        (
            "mprotect on 0xzz == 0",
            "column 13: '0xzz' is not a range such as 0x7f00-0x8000",
        ),
        (
            "exec where comm=\"a == 0",
            "column 17: the quotes are not closed",
        ),
        (
            "mprotect during hot during hot == 0",
            "column 21: a second 'during'",
        ),
        ("größe == 0", "column 1: 'größe' is not an event"),
        (
            "mprotect \u{1b} == 0",
            "column 10: '\\u{1b}' means nothing here",
        ),
    ] {
        assert_eq!(
            parse(text, &regions()).unwrap_err().to_string(),
            error,
            "{text}"
        );
    }
    assert!(parse(&"x".repeat(5000), &[]).is_err());
}

fn value(holds: &Holds) -> BoxedStrategy<Value> {
    let text = "[a-z0-9 ,\"\\\\=!<>é*|_-]{0,6}";
    match holds {
        Holds::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Holds::Number => any::<i64>()
            .prop_map(|number| Value::Number(number.into()))
            .boxed(),
        Holds::Address => any::<u64>()
            .prop_map(|at| Value::Text(Address(at).to_string()))
            .boxed(),
        Holds::Prot => (0_u64..8)
            .prop_map(|bits| Value::Text(crate::model::Prot::from_bits(bits).to_string()))
            .boxed(),
        Holds::Word(words) | Holds::Named(words) => {
            select(words.clone()).prop_map(Value::Text).boxed()
        }
        Holds::Flags(words) => vec(select(words.clone()), 1..4)
            .prop_map(|flags| Value::Text(flags.join("|")))
            .boxed(),
        Holds::Text => text.prop_map(Value::Text).boxed(),
    }
}

fn condition(event: &'static EventWord) -> BoxedStrategy<Condition> {
    let Some(fields) = fields(event) else {
        let value = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool)];
        return ("[a-z]{1,4}(\\.[a-z]{1,3})?", any::<bool>(), value)
            .prop_map(|(path, not, value)| Condition { path, not, value })
            .boxed();
    };
    select(fields.to_vec())
        .prop_flat_map(|field| {
            let holds = match field.path.as_str() {
                "operation" | "sub_operation" => Holds::Word(vec!["assign".into(), "hot".into()]),
                _ => field.holds,
            };
            let value = prop_oneof![1 => Just(Value::Null), 4 => value(&holds)];
            (Just(field.path), any::<bool>(), value)
        })
        .prop_map(|(path, not, value)| Condition { path, not, value })
        .boxed()
}

fn area() -> impl Strategy<Value = Area> {
    prop_oneof![
        Just(Area::Buckets),
        Just(Area::Heap),
        Just(Area::Stack),
        (0..u64::MAX, 1..u64::MAX).prop_map(|(start, length)| {
            Area::Range(Address(start), Address(start.saturating_add(length)))
        }),
        "[a-z0x.(),\" \\\\é]{1,8}".prop_map(Area::Symbol),
        select(vec!["heap", "0x1-0x2"]).prop_map(|name| Area::Symbol(name.to_owned())),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let event = (0..EVENTS.len()).prop_map(|index| &EVENTS[index]);
    event.prop_flat_map(|event| {
        let operations = [
            "iterate",
            "assign",
            "runtime",
            "none",
            "hot",
            "my-region_2.x",
        ];
        let during = of(select(operations.map(Operation::from_word).to_vec()));
        let count = (select(Compare::ALL.to_vec()), 1..u64::MAX - 1)
            .prop_map(|((compare, _), number)| Expect::Count(compare, number));
        let expect = prop_oneof![1 => Just(Expect::All), 4 => count];
        (vec(condition(event), 0..4), during, of(area()), expect).prop_map(
            move |(conditions, during, on, expect)| Rule {
                event,
                during: during.filter(|_| event.in_operation),
                on: on.filter(|_| event.has_address),
                expect: match conditions.is_empty() {
                    true if expect == Expect::All => Expect::Count(Compare::Equal, 0),
                    _ => expect,
                },
                conditions,
            },
        )
    })
}

proptest! {
    #[test]
    fn a_rule_reads_back_as_it_was_printed(rule in rule()) {
        let text = rule.to_string();
        prop_assert_eq!(parse(&text, &regions()), Ok(rule), "{}", text);
    }

    #[test]
    fn any_text_is_a_rule_or_an_error_inside_it(text in "\\PC{0,40}|[a-z =<>!\".,0x-]{0,60}") {
        if let Err(error) = parse(&text, &regions()) {
            prop_assert!(error.column <= text.chars().count() + 1);
        }
    }

    #[test]
    fn any_bytes_are_a_rule_or_an_error(bytes in vec(any::<u8>(), 0..80)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&text, &[]);
        let _ = crate::claim::parse_file("f", &text, &[]);
    }

    #[test]
    fn a_rule_cut_short_anywhere_never_panics(rule in rule(), cut in 0_usize..200) {
        let text: String = rule.to_string().chars().take(cut).collect();
        let _ = parse(&text, &regions());
    }
}
