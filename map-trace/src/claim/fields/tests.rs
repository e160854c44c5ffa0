//! What conditions of a rule may name, and what a mistake in one is answered with.

use super::*;
use crate::claim::words::EVENTS;

fn holds(event: &str, path: &str) -> Option<Holds> {
    let fields = fields(EventWord::find(event)?)?;
    let field = fields.iter().find(|field| field.path == path)?;
    Some(field.holds.clone())
}

#[test]
fn the_fields_of_the_contract_are_known() {
    assert_eq!(holds("page_fault", "error_code.write"), Some(Holds::Bool));
    assert_eq!(holds("page_fault", "error_code.raw"), Some(Holds::Number));
    assert_eq!(holds("page_fault", "pte.present"), Some(Holds::Bool));
    assert_eq!(holds("page_fault", "vma.prot"), Some(Holds::Prot));
    assert_eq!(holds("page_fault", "vma.start"), Some(Holds::Address));
    assert_eq!(holds("page_fault", "address"), Some(Holds::Address));
    assert_eq!(holds("mprotect", "result"), Some(Holds::Number));
    assert_eq!(holds("mprotect", "on"), Some(Holds::Text));
    assert_eq!(holds("mprotect", "operation"), Some(Holds::Text));
    assert_eq!(holds("signal", "handled"), Some(Holds::Bool));
    assert_eq!(holds("fork", "thread"), Some(Holds::Bool));
    let Some(Holds::Word(causes)) = holds("page_fault", "cause") else {
        panic!("causes are words")
    };
    assert_eq!(causes.len(), crate::model::Cause::ALL.len());
    assert_eq!(
        holds("page_fault", "mode"),
        Some(Holds::Word(vec!["user".into(), "kernel".into()]))
    );
}

#[test]
fn every_kind_that_is_read_has_fields_and_no_path_twice() {
    for event in EVENTS.iter().filter(|event| event.kind().is_some()) {
        let fields = fields(event).unwrap();
        assert!(fields.len() > 3, "{}: {fields:?}", event.word);
        assert!(fields.windows(2).all(|pair| pair[0].path != pair[1].path));
    }
}

#[test]
fn a_value_that_no_field_can_have_is_refused() {
    let fault = EventWord::find("page_fault").unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    for (path, value, why) in [
        (
            "cause",
            text("protecton"),
            "cause is never 'protecton'; did you mean 'protection'?",
        ),
        (
            "error_code.write",
            Value::Number(1),
            "error_code.write is true or false, not '1'",
        ),
        (
            "error_code.raw",
            text("many"),
            "error_code.raw is a number, not 'many'",
        ),
        (
            "vma.prot",
            text("rw"),
            "vma.prot is a protection such as rw-, not 'rw'",
        ),
        (
            "address",
            Value::Number(1),
            "address is an address such as 0x7f00, not '1'",
        ),
        (
            "pte",
            Value::Bool(true),
            "page_fault has no field 'pte'; it has parts, such as 'pte.accessed'",
        ),
        (
            "caus",
            text("x"),
            "page_fault has no field 'caus'; did you mean 'cause'?",
        ),
    ] {
        assert_eq!(check(fault, path, value).unwrap_err(), why);
    }
    assert_eq!(check(fault, "address", text("0x0F00")), Ok(text("0xf00")));
    assert_eq!(
        check(fault, "error_code.raw", text("0x7")),
        Ok(Value::Number(7))
    );
    assert_eq!(check(fault, "vma.name", Value::Number(7)), Ok(text("7")));
}

#[test]
fn names_that_no_call_or_signal_has_are_refused() {
    let of = |event: &str, path: &str, value: &str| {
        check(EventWord::find(event).unwrap(), path, Value::of_bare(value))
    };
    for (event, path, value, why) in [
        (
            "madvise",
            "advice",
            "MADV_DONTNED",
            "advice is never 'MADV_DONTNED'; did you mean 'MADV_DONTNEED'?",
        ),
        (
            "mmap",
            "flags",
            "MAP_PRIVATE|MAP_FIXD",
            "flags never has 'MAP_FIXD'; did you mean 'MAP_FIXED'?",
        ),
        (
            "mprotect",
            "error",
            "EINVALID",
            "error is never 'EINVALID'; did you mean 'EINVAL'?",
        ),
        (
            "signal",
            "code",
            "SEGV_ACERR",
            "code is never 'SEGV_ACERR'; did you mean 'SEGV_ACCERR'?",
        ),
    ] {
        assert_eq!(of(event, path, value).unwrap_err(), why);
    }
    for (event, path, value) in [
        ("madvise", "advice", "MADV_COLLAPSE"),
        ("madvise", "advice", "77"),
        ("mmap", "flags", "MAP_SHARED"),
        ("mmap", "flags", "MAP_PRIVATE|MAP_FIXED|0x1000000"),
        ("mremap", "flags", "MREMAP_MAYMOVE"),
        ("mmap", "error", "errno 200"),
        ("signal", "code", "SI_KERNEL"),
        ("signal", "code", "-4"),
    ] {
        let text = Value::Text(value.to_owned());
        assert_eq!(of(event, path, value), Ok(text), "{path}={value}");
    }
}
