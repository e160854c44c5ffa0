//! The reader against hand-made BTF, damaged BTF and, twice parsed, the running kernel's.

use proptest::prelude::*;

use super::*;

/// BTF put together by hand.
#[derive(Default)]
pub(crate) struct Maker {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Maker {
    pub(crate) fn name(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    pub(crate) fn add(
        &mut self,
        kind: Kind,
        name: &str,
        size_or_type: u32,
        body: &[u32],
    ) -> TypeId {
        let words_each = match kind {
            Kind::Struct | Kind::Union => 3,
            Kind::Prototype => 2,
            _ => 0,
        };
        let vlen = body.len().checked_div(words_each).unwrap_or(0) as u32;
        let name = self.name(name);
        for word in [name, (kind as u32) << 24 | vlen, size_or_type] {
            self.types.extend(word.to_le_bytes());
        }
        for word in body {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [24, 0, types, types, strings] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

/// `struct outer { long a; union { long b; struct inner { int c; } named; }; }`
fn sample() -> Maker {
    let mut maker = Maker::default();
    let (a, b, c, named) = (
        maker.name("a"),
        maker.name("b"),
        maker.name("c"),
        maker.name("named"),
    );
    let long = maker.add(Kind::Int, "long", 8, &[64]);
    let inner = maker.add(Kind::Struct, "inner", 4, &[c, long, 32]);
    let alias = maker.add(Kind::Typedef, "inner_t", inner, &[]);
    let union = maker.add(Kind::Union, "", 8, &[b, long, 0, named, alias, 0]);
    maker.add(Kind::Struct, "outer", 16, &[a, long, 0, 0, union, 64]);
    maker
}

#[test]
fn members_are_found_inside_anonymous_and_nested_members() {
    let btf = Btf::parse(sample().bytes()).unwrap();
    let outer = btf.find(&[(Kind::Struct, "outer")])[0][0];
    let bits = |path: &[&str]| btf.member(outer, path).map(|member| member.bits);
    assert_eq!(bits(&["a"]), Some(0));
    assert_eq!(bits(&["b"]), Some(64));
    assert_eq!(bits(&["named", "c"]), Some(96));
    assert_eq!(bits(&["c"]), None, "a named member is not searched");
    assert_eq!(bits(&["a", "b"]), None, "an integer has no members");
}

#[test]
fn a_structure_that_contains_itself_ends() {
    let mut maker = Maker::default();
    maker.add(Kind::Struct, "loop", 8, &[0, 1, 0, 0, 1, 0]);
    maker.add(Kind::Typedef, "t", 2, &[]);
    let btf = Btf::parse(maker.bytes()).unwrap();
    assert_eq!(btf.member(1, &["x"]), None);
    assert_eq!(btf.strip(2), 2);
    assert_eq!(btf.spelled(2), "t");
}

#[test]
fn bytes_cut_anywhere_are_refused_or_read_without_a_panic() {
    let whole = sample().bytes();
    for length in 0..whole.len() {
        assert!(Btf::parse(whole[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn what_is_not_btf_is_named() {
    assert!(matches!(
        Btf::parse(vec![]),
        Err(BtfError::Short { what: "header", .. })
    ));
    assert!(matches!(
        Btf::parse(vec![0x7f, b'E', 0, 0]),
        Err(BtfError::Magic(0x457f))
    ));
    let mut other = sample().bytes();
    other[2] = 2;
    assert!(matches!(Btf::parse(other), Err(BtfError::Version(2))));
    let mut other = sample().bytes();
    other[24 + 7] = 31;
    assert!(matches!(
        Btf::parse(other),
        Err(BtfError::Kind { id: 1, kind: 31 })
    ));
}

proptest! {
    #[test]
    fn damage_anywhere_never_panics_nor_hangs(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = sample().bytes();
        for (index, value) in damage {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(btf) = Btf::parse(bytes) {
            for id in 0..=btf.len() as u32 + 1 {
                let _ = (btf.spelled(id), btf.member(id, &["named", "c"]), btf.parameters(id));
            }
            let _ = btf.find(&[(Kind::Struct, "outer"), (Kind::Typedef, "inner_t")]);
        }
    }
}

#[test]
fn the_running_kernels_btf_agrees_with_a_second_parser() {
    use aya_obj::btf::{Btf as Second, BtfKind};
    let ours = Btf::running().unwrap();
    let theirs = Second::from_sys_fs().unwrap();
    for (kind, their_kind, name) in [
        (Kind::Struct, BtfKind::Struct, "mm_struct"),
        (Kind::Struct, BtfKind::Struct, "kernel_siginfo"),
        (Kind::Typedef, BtfKind::Typedef, "btf_trace_sys_enter"),
        (Kind::Function, BtfKind::Func, "bpf_prog_load"),
    ] {
        let found = &ours.find(&[(kind, name)])[0];
        let second = theirs.id_by_type_name_kind(name, their_kind).unwrap();
        assert!(found.contains(&second), "{name}: {found:?} {second}");
    }
    assert!(ours.len() > 10_000);
}
