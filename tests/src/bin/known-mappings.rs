//! Makes a known number of mappings: `known-mappings COUNT [FILE]`.
//!
//! Each is three pages of shared anonymous memory, which the kernel never merges. With FILE they are
//! kept and their addresses written to it, one a line; without, each is unmapped at once.

const LENGTH: usize = 3 * 4096;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let file = arguments.next();
    let mut addresses = String::new();
    for _ in 0..count {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use, and what
        // is unmapped is what was mapped and never used.
        unsafe {
            let start = libc::mmap(std::ptr::null_mut(), LENGTH, libc::PROT_READ, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return Err(std::io::Error::last_os_error());
            }
            if file.is_some() {
                addresses.push_str(&format!("{:x}\n", start as usize));
            } else {
                libc::munmap(start, LENGTH);
            }
        }
    }
    match file {
        Some(file) => std::fs::write(file, addresses),
        None => Ok(()),
    }
}
