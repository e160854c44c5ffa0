//! Functions of the kernel that programs may call since they have BTF (Documentation/bpf/kfuncs.rst). aya knows
//! only helpers; so the programs are built with a number in place of each, and this puts the function there.

use map_trace_common::kfunc::READ_ONLY_CAST;
use map_trace_common::settings::Settings;

use super::bpf_probe;
use super::btf::{Btf, Kind};

/// `call`, and whom: a helper, or a function of the kernel (`BPF_PSEUDO_KFUNC_CALL`).
const CALL: u64 = 0x85;
const KERNEL_FUNCTION: u64 = 2 << 12;
/// `r0 = 0`: in place of a call that is never reached.
const NOTHING: u64 = 0xb7;

/// Finds `bpf_rdonly_cast` (Linux 6.2) and a type to use it with, and tries both. Without, the programs read the
/// kernel's memory through a helper.
pub fn find(btf: &Btf, settings: &mut Settings) {
    let found = btf.find(&[
        (Kind::Function, "bpf_rdonly_cast"),
        (Kind::Struct, "pt_regs"),
    ]);
    let first = |index: usize| found.get(index).and_then(|ids| ids.first()).copied();
    let (Some(function), Some(word)) = (first(0), first(1)) else {
        return;
    };
    if bpf_probe::instructions(&trial(function, word)).is_ok() {
        (settings.word_function, settings.word_type) = (function, word);
    }
}

/// Instruction of a call of the kernel's function with this id.
fn call(function: u32) -> u64 {
    CALL | KERNEL_FUNCTION | u64::from(function) << 32
}

/// `r0 = *(u64 *)cast(0, type); r0 = 0; exit`
fn trial(function: u32, word: u32) -> [u64; 6] {
    let set = |register: u64, value: u32| 0xb7 | register << 8 | u64::from(value) << 32;
    [
        set(1, 0),
        set(2, word),
        call(function),
        // r0 = *(u64 *)(r0 + 0)
        0x79,
        set(0, 0),
        0x95,
    ]
}

/// The object's bytes, aligned as a file that is mapped, with its calls resolved.
pub struct Image {
    words: Vec<u64>,
    length: usize,
    /// Whether the function is there.
    pub read_only_cast: bool,
}

impl Image {
    /// Copies an object and resolves its calls; 0 stands for a function that this kernel does not have.
    pub fn new(object: &[u8], function: u32) -> Self {
        let stands_for = CALL | u64::from(READ_ONLY_CAST.unsigned_abs()) << 32;
        let put = if function == 0 { NOTHING } else { call(function) };
        let words = object.chunks(8).map(|chunk| {
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            match u64::from_le_bytes(bytes) {
                word if word == stands_for => put,
                word => word,
            }
        });
        Self {
            words: words.collect(),
            length: object.len(),
            read_only_cast: function != 0,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        let bytes = self.words.as_ptr().cast::<u8>();
        // SAFETY: the words hold at least as many bytes as the object had, and live as long as self.
        unsafe { std::slice::from_raw_parts(bytes, self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Vec<u8> {
        let magic = CALL | u64::from(READ_ONLY_CAST.unsigned_abs()) << 32;
        let words = [1, magic, 0x85 | 14 << 32];
        words.iter().flat_map(|word| word.to_le_bytes()).chain([7, 8, 9]).collect()
    }

    #[test]
    fn only_the_number_that_stands_for_a_function_is_replaced() {
        let image = Image::new(&object(), 0x1234);
        let mut expected = object();
        expected[8..16].copy_from_slice(&(0x2085_u64 | 0x1234 << 32).to_le_bytes());
        assert_eq!(image.bytes(), expected);
        assert!(image.read_only_cast);
    }

    #[test]
    fn without_the_function_nothing_is_called() {
        let image = Image::new(&object(), 0);
        assert_eq!(image.bytes()[8..16], [0xb7, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!image.read_only_cast);
    }

    #[test]
    fn the_object_has_the_calls_that_are_to_be_resolved() {
        let before = super::super::object::bytes();
        let resolved = Image::new(before, 1);
        assert_ne!(before, resolved.bytes());
    }

    /// Linux 6.2 is the declared version of the function.
    #[test]
    fn this_kernel_has_the_function_from_its_version_on() {
        let mut settings = Settings::UNKNOWN;
        find(&Btf::running().unwrap(), &mut settings);
        let version = super::super::host::version(&super::super::host::host().kernel);
        assert_eq!(settings.word_type != 0, version >= Some((6, 2)));
    }
}
