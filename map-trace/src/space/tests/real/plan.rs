//! Seeded series of memory calls.

use super::super::build::PAGE;
use crate::space::Call;

/// Pages of the arena the calls are aimed at.
pub const ARENA_PAGES: u64 = 64;

/// One call to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub call: Call,
    pub args: [u64; 6],
}

/// Descriptors to map.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// A file open for reading and writing, and for reading only; /dev/zero.
    pub fds: [i32; 3],
    /// The lowest break to ask for.
    pub brk: u64,
}

/// Numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

pub fn plan(seed: u64, length: usize, arena: u64, files: Files) -> Vec<Step> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..8 {
        random.next();
    }
    (0..length)
        .map(|_| step(&mut random, arena, files))
        .collect()
}

/// An address of the arena; now and then one that is not of a page.
fn address(random: &mut Random, arena: u64) -> u64 {
    let stray = if random.one_in(40) {
        random.below(PAGE)
    } else {
        0
    };
    arena + random.below(ARENA_PAGES) * PAGE + stray
}

/// A length; now and then an odd, empty or absurd one.
fn length(random: &mut Random) -> u64 {
    match random.below(60) {
        0 => 0,
        1 => u64::MAX - random.below(3 * PAGE),
        2 => 1 << 55,
        3..10 => 1 + random.below(6 * PAGE),
        _ => (1 + random.below(10)) * PAGE,
    }
}

fn prot(random: &mut Random) -> u64 {
    random.pick(&[0, 1, 1, 2, 3, 3, 3, 4, 5, 7])
}

fn step(random: &mut Random, arena: u64, files: Files) -> Step {
    match random.below(20) {
        0..7 => mmap(random, arena, files),
        7..10 => Step {
            call: Call::Munmap,
            args: [address(random, arena), length(random), 0, 0, 0, 0],
        },
        10..14 => mprotect(random, arena),
        14..16 => mremap(random, arena),
        16..19 => madvise(random, arena),
        _ => {
            let by = random.below(20 * PAGE);
            let to = if random.one_in(4) { 0 } else { files.brk + by };
            Step {
                call: Call::Brk,
                args: [to, 0, 0, 0, 0, 0],
            }
        }
    }
}

fn mmap(random: &mut Random, arena: u64, files: Files) -> Step {
    let fixed = [
        libc::MAP_FIXED,
        libc::MAP_FIXED,
        libc::MAP_FIXED_NOREPLACE,
        0,
    ];
    let extra = [
        0,
        0,
        0,
        libc::MAP_NORESERVE,
        libc::MAP_STACK,
        libc::MAP_GROWSDOWN,
        libc::MAP_LOCKED,
    ];
    let kind = random.pick(&[
        libc::MAP_PRIVATE,
        libc::MAP_PRIVATE,
        libc::MAP_SHARED,
        libc::MAP_SHARED_VALIDATE,
    ]);
    let mut flags = kind | random.pick(&fixed);
    let (fd, offset) = if random.one_in(3) {
        let offset = random.below(8) * PAGE + u64::from(random.one_in(30));
        (random.pick(&files.fds) as u64, offset)
    } else {
        flags |= libc::MAP_ANONYMOUS | random.pick(&extra);
        (u64::MAX, 0)
    };
    let args = [
        address(random, arena),
        length(random),
        prot(random),
        flags as u64,
        fd,
        offset,
    ];
    Step {
        call: Call::Mmap,
        args,
    }
}

fn mprotect(random: &mut Random, arena: u64) -> Step {
    let grows = if random.one_in(12) {
        libc::PROT_GROWSDOWN as u64
    } else {
        0
    };
    let args = [
        address(random, arena),
        length(random),
        prot(random) | grows,
        u64::MAX,
        0,
        0,
    ];
    let call = if random.one_in(4) {
        Call::PkeyMprotect
    } else {
        Call::Mprotect
    };
    Step { call, args }
}

fn mremap(random: &mut Random, arena: u64) -> Step {
    let old = address(random, arena);
    let old_length = length(random);
    let new_length = if random.one_in(2) {
        old_length
    } else {
        length(random)
    };
    let flags = random.pick(&[0, 1, 1, 3, 3, 3, 5, 7]);
    let args = [
        old,
        old_length,
        new_length,
        flags,
        address(random, arena),
        0,
    ];
    Step {
        call: Call::Mremap,
        args,
    }
}

fn madvise(random: &mut Random, arena: u64) -> Step {
    let advice = random.pick(&[
        libc::MADV_NORMAL,
        libc::MADV_RANDOM,
        libc::MADV_SEQUENTIAL,
        libc::MADV_DONTNEED,
        libc::MADV_DONTFORK,
        libc::MADV_DOFORK,
        libc::MADV_MERGEABLE,
        libc::MADV_UNMERGEABLE,
        libc::MADV_HUGEPAGE,
        libc::MADV_NOHUGEPAGE,
        libc::MADV_DONTDUMP,
        libc::MADV_DODUMP,
        libc::MADV_WIPEONFORK,
        libc::MADV_KEEPONFORK,
        libc::MADV_FREE,
        9999,
    ]);
    // Holes do not end it, and what it empties may be the child's stack.
    let empties = matches!(advice, libc::MADV_DONTNEED | libc::MADV_FREE);
    let most = if empties { 1 << 30 } else { u64::MAX };
    let args = [
        address(random, arena),
        length(random).min(most),
        advice as u64,
        0,
        0,
        0,
    ];
    Step {
        call: Call::Madvise,
        args,
    }
}
