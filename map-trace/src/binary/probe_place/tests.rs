//! Places in small functions written by hand.

use super::*;

fn chosen(code: &[u8]) -> ProbePlaces {
    let offset = |svma: u64| svma.checked_sub(0x1000);
    places(&Code::decode(code, 0x1000), &offset, &|_| None)
}

fn entry_of(code: &[u8]) -> (u64, Class, Counting) {
    let place = chosen(code).entry.expect("a place");
    assert_eq!(place.file_offset, place.address - 0x1000);
    (place.address - 0x1000, place.class, place.counting)
}

/// `cmp rsp,[r14+16]; jbe grow`, the body, then `grow: call +0; jmp start`.
fn with_stack_check(body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap();
    let mut code = vec![0x49, 0x3b, 0x66, 0x10, 0x76, len];
    code.extend(body);
    code.extend([0xe8, 0, 0, 0, 0]);
    let back = 0_u8.wrapping_sub(6 + len + 5 + 2);
    code.extend([0xeb, back]);
    code
}

#[test]
fn the_push_after_the_stack_check_is_taken() {
    // push rbp; mov rbp,rsp; sub rsp,0x20; add rsp,0x20; pop rbp; ret
    let body = [
        0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3,
    ];
    let code = with_stack_check(&body);
    assert_eq!(entry_of(&code), (6, Class::Emulated, Counting::Exact));
    let places = chosen(&code);
    let returns: Vec<_> = places.returns.iter().map(|p| p.address).collect();
    assert_eq!(returns, [0x1000 + 6 + 13]);
    assert!(places.exits_complete && places.tail_jumps.is_empty());
    assert_eq!(places.returns[0].class, Class::SingleStepped);
}

#[test]
fn without_a_push_the_jump_of_the_stack_check_is_taken_with_its_rule() {
    // sub rsp,0x18; mov [rsp+0x10],rbp; lea rbp,[rsp+0x10]; test rbx,rbx; je +1; nop; ret
    let body = [
        0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, 0x48, 0x8d, 0x6c, 0x24, 0x10, 0x48,
        0x85, 0xdb, 0x74, 0x01, 0x90, 0xc3,
    ];
    let expected = (4, Class::Emulated, Counting::ExactUnlessFlags);
    assert_eq!(entry_of(&with_stack_check(&body)), expected);
}

#[test]
fn a_function_without_a_stack_check_is_probed_at_its_push() {
    // endbr64; push rbp; ret
    let code = [0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3];
    assert_eq!(entry_of(&code), (4, Class::Emulated, Counting::Exact));
    // push r12 has two bytes.
    assert_eq!(entry_of(&[0x41, 0x54, 0xc3]).1, Class::Emulated);
    // The long form of push rbp (ff /6) is stepped.
    assert_eq!(entry_of(&[0xff, 0xf5, 0xc3]).1, Class::SingleStepped);
}

#[test]
fn a_nop_is_never_chosen() {
    // nop (5 bytes); mov eax,1; ret
    let code = [0x0f, 0x1f, 0x44, 0, 0, 0xb8, 1, 0, 0, 0, 0xc3];
    assert_eq!(entry_of(&code), (5, Class::SingleStepped, Counting::Exact));
}

#[test]
fn no_place_is_taken_behind_a_lost_argument() {
    // mov ebx,1; push rbp; ret
    let code = [0xbb, 1, 0, 0, 0, 0x55, 0xc3];
    assert_eq!(entry_of(&code), (0, Class::SingleStepped, Counting::Exact));
}

#[test]
fn no_place_is_taken_that_a_loop_passes_again() {
    // test rax,rax; again: push rbp; pop rbp; jne again; ret
    let code = [0x48, 0x85, 0xc0, 0x55, 0x5d, 0x75, 0xfc, 0xc3];
    assert_eq!(entry_of(&code), (0, Class::SingleStepped, Counting::Exact));
    // again: push rbp; pop rbp; jne again; ret
    assert_eq!(chosen(&[0x55, 0x5d, 0x75, 0xfc, 0xc3]).entry, None);
}

#[test]
fn a_loop_to_the_start_is_no_stack_check() {
    // start: cmp rsp,[r14+16]; jbe loop; push rbp; ret; loop: jmp start
    let code = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x02, 0x55, 0xc3, 0xeb, 0xf6];
    assert_eq!(chosen(&code).entry, None);
}

#[test]
fn tail_jumps_are_ways_out_and_indirect_jumps_leave_them_unknown() {
    // push rbp; pop rbp; jmp far away
    let places = chosen(&[0x55, 0x5d, 0xe9, 0, 1, 0, 0]);
    assert_eq!(places.tail_jumps.len(), 1);
    assert_eq!(places.tail_jumps[0].class, Class::Emulated);
    assert!(places.exits_complete && places.returns.is_empty());
    // jmp rax
    assert!(!chosen(&[0xff, 0xe0]).exits_complete);
    // Bytes that are no instruction.
    assert!(!chosen(&[0x06, 0xc3]).exits_complete);
}

#[test]
fn a_switch_is_no_way_out() {
    // lea rdx,[rip+0x100]; jmp [rdx+rcx*8]; ret
    let code = [0x48, 0x8d, 0x15, 0, 1, 0, 0, 0xff, 0x24, 0xca, 0xc3];
    let code = Code::decode(&code, 0x1000);
    let table = |inside: u64| move |at: u64| (at == 0x1107).then_some(inside);
    let complete = |target| places(&code, &|svma| Some(svma), &table(target)).exits_complete;
    assert!(complete(0x100a));
    assert!(!complete(0x9000));
}

#[test]
fn nothing_is_chosen_in_nothing() {
    assert_eq!(chosen(&[]).entry, None);
    assert_eq!(chosen(&[0xcc, 0xcc]).entry, None);
}
