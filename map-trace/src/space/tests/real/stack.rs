//! Growth of a stack against the running kernel, by reads of /dev/zero into it: a refused access is EFAULT
//! and no signal.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::super::build::PAGE;
use super::child::find_room;
use crate::space::Space;

/// Maps one page at a fixed free address.
fn map(at: u64, prot: i32, extra: i32) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | extra;
    // SAFETY: a new mapping where nothing is mapped.
    let mapped = unsafe { libc::mmap(at as *mut _, PAGE as usize, prot, flags, -1, 0) };
    assert_eq!(mapped as u64, at, "{}", std::io::Error::last_os_error());
}

#[test]
fn the_replay_grows_a_stack_where_the_kernel_does() {
    let zero = File::open("/dev/zero").expect("/dev/zero");
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: fills the structure given.
    unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) };
    let rw = libc::PROT_READ | libc::PROT_WRITE;
    let (mut grown, mut refused) = (0, 0);
    for (round, below) in [Some(rw), Some(libc::PROT_READ), Some(libc::PROT_NONE), None]
        .iter()
        .enumerate()
    {
        let base = find_room() - (round as u64 + 1) * (1 << 30);
        let stack = base + 5000 * PAGE;
        map(stack, rw, libc::MAP_GROWSDOWN);
        if let Some(prot) = below {
            map(stack - 600 * PAGE, *prot, 0);
        }
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("our own");
        let mut space = Space::from_maps(&smaps, 1).expect("smaps");
        space.set_stack_limit(limit.rlim_cur);
        for distance in [
            1, 2, 100, 341, 342, 343, 344, 400, 598, 599, 600, 601, 2046, 2047, 2048, 2049,
        ] {
            let address = stack - distance * PAGE + 8;
            let predicted = space.touch(address, 2)
                || space.lookup(address).is_some_and(|vma| vma.prot.write());
            // SAFETY: the kernel checks the address; what is mapped there is ours.
            let read = unsafe { libc::read(zero.as_raw_fd(), address as *mut _, 1) };
            assert_eq!(
                predicted,
                read == 1,
                "{distance} pages below, prot below {below:?}"
            );
            grown += u32::from(predicted);
            refused += u32::from(!predicted);
        }
        let maps = std::fs::read_to_string("/proc/self/maps").expect("our own");
        let near = |start: u64| (base..stack + PAGE).contains(&start);
        let differences = space.compare(&maps).expect("maps");
        assert!(
            !differences.iter().any(|found| near(found.start)),
            "{differences:x?}"
        );
        // SAFETY: only what this round mapped lies there.
        unsafe { libc::munmap(base as *mut _, (5001 * PAGE) as usize) };
    }
    assert!(
        grown > 20 && refused > 10,
        "{grown} grown, {refused} refused"
    );
}
