//! Loops and stores put together by hand.

use std::collections::BTreeMap;

use super::*;
use crate::binary::disasm::Code;

const START: u64 = 0x1000;
/// Functions that are called, by their address.
const ITER_INIT: u64 = 0x9000;
const ITER_NEXT: u64 = 0x9100;
const BODY: u64 = 0x9200;
const ASSIGN: u64 = 0x9300;
const BARRIER: u64 = 0x9400;
const MOVE: u64 = 0x9500;
const PANIC: u64 = 0x9600;

fn role(svma: u64) -> Role {
    Role::of(match svma {
        ITER_INIT => "runtime.mapiterinit",
        ITER_NEXT => "runtime.mapiternext",
        ASSIGN => "runtime.mapassign_fast64",
        BARRIER => "runtime.gcWriteBarrier1",
        MOVE => "runtime.typedmemmove",
        PANIC => "runtime.panicIndex",
        _ => "main.body",
    })
}

/// A piece of code with places in it that have names.
#[derive(Default)]
struct Asm {
    bytes: Vec<u8>,
    places: BTreeMap<&'static str, u64>,
    /// Where a distance is to be filled in, and to which place.
    jumps: Vec<(usize, &'static str)>,
}

impl Asm {
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn place(mut self, name: &'static str) -> Self {
        self.places.insert(name, START + self.bytes.len() as u64);
        self
    }

    fn call(mut self, to: u64) -> Self {
        let after = START + self.bytes.len() as u64 + 5;
        self.bytes.push(0xe8);
        let distance = i32::try_from(to as i64 - after as i64).unwrap();
        self.bytes.extend(distance.to_le_bytes());
        self
    }

    fn jump(mut self, opcode: &[u8], to: &'static str) -> Self {
        self.bytes.extend(opcode);
        self.jumps.push((self.bytes.len(), to));
        self.raw(&[0; 4])
    }

    fn jmp(self, to: &'static str) -> Self {
        self.jump(&[0xe9], to)
    }

    fn je(self, to: &'static str) -> Self {
        self.jump(&[0x0f, 0x84], to)
    }

    /// `lea rcx,[rsp+slot]; call mapiterinit`
    fn begin(self, slot: u8) -> Self {
        self.raw(&[0x48, 0x8d, 0x4c, 0x24, slot]).call(ITER_INIT)
    }

    /// `mov rcx,[rsp+slot]; test rcx,rcx; je end`
    fn head(self, slot: u8, end: &'static str) -> Self {
        self.raw(&[0x48, 0x8b, 0x4c, 0x24, slot, 0x48, 0x85, 0xc9])
            .je(end)
    }

    /// `lea rax,[rsp+slot]; call mapiternext`
    fn step(self, slot: u8) -> Self {
        self.raw(&[0x48, 0x8d, 0x44, 0x24, slot]).call(ITER_NEXT)
    }

    /// A call of the program's own, whose place has this name.
    fn at(self, name: &'static str) -> Self {
        self.place(name).call(BODY)
    }

    /// `test eax,eax; je to`
    fn perhaps(self, to: &'static str) -> Self {
        self.raw(&[0x85, 0xc0]).je(to)
    }

    fn graph(mut self) -> (Graph, BTreeMap<&'static str, u64>) {
        for (at, to) in &self.jumps {
            let from = START + *at as u64 + 4;
            let distance = i32::try_from(self.places[to] as i64 - from as i64).unwrap();
            self.bytes[*at..*at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        let code = Code::decode(&self.bytes, START);
        let graph = Graph::build(code, &mut role, &|_| None).unwrap();
        (graph, self.places)
    }

    /// The answers at the places that are asked for.
    fn in_loop(self, expected: &[(&str, Judged)]) {
        let (graph, places) = self.graph();
        let loops = Loops::find(&graph);
        for (name, judged) in expected {
            let at = graph.holding(places[name]).unwrap();
            let answer = loops.as_ref().map_or(Judged::Unknown, |loops| loops.at(at));
            assert_eq!(answer, *judged, "{name}");
        }
    }

    fn stores(self, expected: &[(&str, Stores)]) {
        let (graph, places) = self.graph();
        for (name, stores) in expected {
            let at = graph.holding(places[name]).unwrap();
            let answer = if graph.is_call(at) {
                stores::at_call(&graph, at)
            } else {
                stores::at_instruction(&graph, at)
            };
            assert_eq!(answer, *stores, "{name}");
        }
    }
}

use Judged::{No, Unknown, Yes};

#[test]
fn a_loop_is_open_from_its_start_to_its_end() {
    Asm::default()
        .at("before")
        .begin(0x10)
        .place("head")
        .head(0x10, "end")
        .at("body")
        .place("step")
        .step(0x10)
        .jmp("head")
        .place("end")
        .at("after")
        .raw(&[0xc3])
        .in_loop(&[
            ("before", No),
            ("head", Yes),
            ("body", Yes),
            ("step", Yes),
            ("after", No),
        ]);
}

#[test]
fn after_a_break_the_loop_is_over_and_on_the_way_out_nobody_knows() {
    let code = || {
        Asm::default()
            .place("again")
            .at("before")
            .begin(0x10)
            .place("head")
            .head(0x10, "end")
            .at("body")
            .perhaps("leave")
            .step(0x10)
            .jmp("head")
            .place("leave")
            .at("leaving")
            .place("end")
            .at("after")
    };
    let expected = [
        ("before", No),
        ("body", Yes),
        ("leaving", Unknown),
        ("after", No),
    ];
    code().raw(&[0xc3]).in_loop(&expected);
    // In another loop, which begins it anew.
    let outer = code().perhaps("out").jmp("again");
    outer.place("out").raw(&[0xc3]).in_loop(&expected);
}

#[test]
fn nested_loops_are_told_apart_by_their_iterators() {
    let nested = |inner: u8| {
        Asm::default()
            .begin(0x10)
            .place("head")
            .head(0x10, "end")
            .at("outer")
            .begin(inner)
            .place("inner head")
            .head(inner, "inner end")
            .at("inner")
            .step(inner)
            .jmp("inner head")
            .place("inner end")
            .at("between")
            .step(0x10)
            .jmp("head")
            .place("end")
            .at("after")
            .raw(&[0xc3])
    };
    nested(0x70).in_loop(&[
        ("outer", Yes),
        ("inner", Yes),
        ("between", Yes),
        ("after", No),
    ]);
    // One slot for both, were there such code, would make the start of one the end of the other.
    nested(0x10).in_loop(&[("outer", No), ("inner", Yes)]);
}

#[test]
fn an_iterator_nobody_knows_leaves_the_function_open() {
    // mov rcx,[rdx]; call mapiterinit
    Asm::default()
        .at("before")
        .raw(&[0x48, 0x8b, 0x0a])
        .call(ITER_INIT)
        .at("after")
        .raw(&[0xc3])
        .in_loop(&[("before", Unknown), ("after", Unknown)]);
    // jmp rax
    Asm::default()
        .begin(0x10)
        .at("body")
        .raw(&[0xff, 0xe0])
        .in_loop(&[("body", Unknown)]);
}

#[test]
fn a_panic_does_not_fall_into_the_code_behind_it() {
    Asm::default()
        .at("first")
        .perhaps("panics")
        .begin(0x10)
        .raw(&[0xc3])
        .place("panics")
        .call(PANIC)
        .place("head")
        .head(0x10, "end")
        .at("body")
        .step(0x10)
        .jmp("head")
        .place("end")
        .raw(&[0xc3])
        .in_loop(&[("panics", No), ("body", No)]);
}

#[test]
fn a_failed_check_belongs_where_it_was_made() {
    Asm::default()
        .begin(0x10)
        .place("head")
        .head(0x10, "end")
        .perhaps("in body")
        .step(0x10)
        .jmp("head")
        .place("end")
        .perhaps("after")
        .raw(&[0xc3])
        .place("in body")
        .call(PANIC)
        .place("after")
        .call(PANIC)
        .in_loop(&[("in body", Yes), ("after", No)]);
}

#[test]
fn a_value_is_stored_through_what_the_assign_gave_back() {
    use Stores::{No, Yes};
    Asm::default()
        .call(ASSIGN)
        // test [rax],al; mov [rax+8],rcx; mov rdx,rax
        .place("check")
        .raw(&[0x84, 0x00])
        .place("store")
        .raw(&[0x48, 0x89, 0x48, 0x08, 0x48, 0x89, 0xc2])
        .call(BARRIER)
        // mov [r11],rcx; mov [rdx],rcx; mov [rbx],rcx
        .place("buffer")
        .raw(&[0x49, 0x89, 0x0b])
        .place("behind barrier")
        .raw(&[0x48, 0x89, 0x0a])
        .place("elsewhere")
        .raw(&[0x48, 0x89, 0x0b])
        // mov [rsp+0x20],rax
        .raw(&[0x48, 0x89, 0x44, 0x24, 0x20])
        .call(BODY)
        // mov [rax],rcx: what the other call gave back
        .place("other call")
        .raw(&[0x48, 0x89, 0x08])
        // mov rsi,[rsp+0x20]; mov [rsi],rcx
        .raw(&[0x48, 0x8b, 0x74, 0x24, 0x20])
        .place("reloaded")
        .raw(&[0x48, 0x89, 0x0e])
        // mov rdi,[rsi]; mov [rdi],rcx: what the value points to
        .raw(&[0x48, 0x8b, 0x3e])
        .place("pointed to")
        .raw(&[0x48, 0x89, 0x0f])
        // mov rbx,rsi; call typedmemmove
        .raw(&[0x48, 0x89, 0xf3])
        .place("moved")
        .call(MOVE)
        .place("moved elsewhere")
        .call(MOVE)
        .raw(&[0xc3])
        .stores(&[
            ("check", Yes),
            ("store", Yes),
            ("buffer", No),
            ("behind barrier", Yes),
            ("elsewhere", No),
            ("other call", No),
            ("reloaded", Yes),
            ("pointed to", No),
            ("moved", Yes),
            ("moved elsewhere", No),
        ]);
}

#[test]
fn a_place_that_comes_from_an_assign_on_one_way_only_is_no_store() {
    Asm::default()
        .perhaps("else")
        .call(ASSIGN)
        .place("else")
        .place("store")
        .raw(&[0x48, 0x89, 0x08, 0xc3])
        .stores(&[("store", Stores::No)]);
    Asm::default()
        .perhaps("else")
        .call(ASSIGN)
        .jmp("store")
        .place("else")
        .call(ASSIGN)
        .place("store")
        .raw(&[0x48, 0x89, 0x08, 0xc3])
        .stores(&[("store", Stores::Yes)]);
}

#[test]
fn a_copying_function_writes_for_its_caller_and_reads_for_itself() {
    let first = |bytes: &[u8]| Code::decode(bytes, START).instructions[0];
    // movups [rdi],xmm0; movups xmm0,[rsi]; rep movsq
    let sure = |sure| Stores::OfCaller { sure };
    assert_eq!(stores::in_copy(&first(&[0x0f, 0x11, 0x07])), sure(true));
    assert_eq!(stores::in_copy(&first(&[0x0f, 0x10, 0x06])), Stores::No);
    assert_eq!(stores::in_copy(&first(&[0xf3, 0x48, 0xa5])), sure(false));
}

#[test]
fn any_bytes_are_judged_without_harm() {
    use proptest::prelude::*;
    proptest!(|(mut bytes in prop::collection::vec(any::<u8>(), 0..200), calls in prop::collection::vec((0..200usize, 0..7u64), 0..6))| {
        for (at, which) in calls {
            if at + 5 <= bytes.len() {
                let distance = (ITER_INIT + which * 0x100) as i64 - (START as i64 + at as i64 + 5);
                bytes[at] = 0xe8;
                bytes[at + 1..at + 5].copy_from_slice(&(distance as i32).to_le_bytes());
            }
        }
        let code = Code::decode(&bytes, START);
        if let Some(graph) = Graph::build(code, &mut role, &|_| Some(START)) {
            let loops = Loops::find(&graph);
            for at in 0..graph.instructions.len() + 1 {
                let _ = loops.as_ref().map(|loops| loops.at(at));
                let _ = (stores::at_instruction(&graph, at), stores::at_call(&graph, at));
            }
        }
    });
}
