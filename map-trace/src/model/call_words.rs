//! Names of syscall arguments and results, for events.

/// Joins the names of the set bits; bits without a name are added in hex.
fn flags(value: u64, names: &[(u64, &str)]) -> String {
    let mut left = value;
    let mut words = Vec::new();
    for &(bits, name) in names {
        if left & bits == bits {
            words.push(name.to_owned());
            left &= !bits;
        }
    }
    if left != 0 {
        words.push(format!("{left:#x}"));
    }
    if words.is_empty() {
        "0".to_owned()
    } else {
        words.join("|")
    }
}

/// mmap(2) flags (include/uapi/linux/mman.h, asm-generic/mman-common.h, asm/mman.h).
pub fn mmap_flags(value: u64) -> String {
    // The type is a field, not bits: 1 shared, 2 private, 3 shared and validated.
    let kind = match value & 0xf {
        0x01 => Some("MAP_SHARED"),
        0x02 => Some("MAP_PRIVATE"),
        0x03 => Some("MAP_SHARED_VALIDATE"),
        _ => None,
    };
    let rest = if kind.is_some() { value & !0xf } else { value };
    const NAMES: [(u64, &str); 14] = [
        (0x10, "MAP_FIXED"),
        (0x20, "MAP_ANONYMOUS"),
        (0x40, "MAP_32BIT"),
        (0x100, "MAP_GROWSDOWN"),
        (0x800, "MAP_DENYWRITE"),
        (0x1000, "MAP_EXECUTABLE"),
        (0x2000, "MAP_LOCKED"),
        (0x4000, "MAP_NORESERVE"),
        (0x8000, "MAP_POPULATE"),
        (0x10000, "MAP_NONBLOCK"),
        (0x20000, "MAP_STACK"),
        (0x40000, "MAP_HUGETLB"),
        (0x80000, "MAP_SYNC"),
        (0x10_0000, "MAP_FIXED_NOREPLACE"),
    ];
    match (kind, rest) {
        (Some(kind), 0) => kind.to_owned(),
        (Some(kind), rest) => format!("{kind}|{}", flags(rest, &NAMES)),
        (None, rest) => flags(rest, &NAMES),
    }
}

/// mremap(2) flags (include/uapi/linux/mman.h).
pub fn mremap_flags(value: u64) -> String {
    flags(
        value,
        &[
            (1, "MREMAP_MAYMOVE"),
            (2, "MREMAP_FIXED"),
            (4, "MREMAP_DONTUNMAP"),
        ],
    )
}

/// madvise(2) advice (include/uapi/asm-generic/mman-common.h).
pub fn advice(value: u64) -> String {
    let name = match value & 0xffff_ffff {
        0 => "MADV_NORMAL",
        1 => "MADV_RANDOM",
        2 => "MADV_SEQUENTIAL",
        3 => "MADV_WILLNEED",
        4 => "MADV_DONTNEED",
        8 => "MADV_FREE",
        9 => "MADV_REMOVE",
        10 => "MADV_DONTFORK",
        11 => "MADV_DOFORK",
        12 => "MADV_MERGEABLE",
        13 => "MADV_UNMERGEABLE",
        14 => "MADV_HUGEPAGE",
        15 => "MADV_NOHUGEPAGE",
        16 => "MADV_DONTDUMP",
        17 => "MADV_DODUMP",
        18 => "MADV_WIPEONFORK",
        19 => "MADV_KEEPONFORK",
        20 => "MADV_COLD",
        21 => "MADV_PAGEOUT",
        22 => "MADV_POPULATE_READ",
        23 => "MADV_POPULATE_WRITE",
        24 => "MADV_DONTNEED_LOCKED",
        25 => "MADV_COLLAPSE",
        100 => "MADV_HWPOISON",
        101 => "MADV_SOFT_OFFLINE",
        102 => "MADV_GUARD_INSTALL",
        103 => "MADV_GUARD_REMOVE",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The name of an errno, for what memory syscalls answer; a number for the rest.
pub fn errno(error: i64) -> String {
    let name = match i32::try_from(error).unwrap_or(0) {
        libc::EPERM => "EPERM",
        libc::EINTR => "EINTR",
        libc::EIO => "EIO",
        libc::EBADF => "EBADF",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::ETXTBSY => "ETXTBSY",
        libc::ENOSPC => "ENOSPC",
        libc::ENOSYS => "ENOSYS",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EHWPOISON => "EHWPOISON",
        _ => return format!("errno {error}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mmap_flags_name_type_and_bits() {
        assert_eq!(mmap_flags(0x22), "MAP_PRIVATE|MAP_ANONYMOUS");
        assert_eq!(mmap_flags(0x32), "MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS");
        assert_eq!(mmap_flags(3), "MAP_SHARED_VALIDATE");
        assert_eq!(mmap_flags(0), "0");
        assert_eq!(mmap_flags(0x0100_0002), "MAP_PRIVATE|0x1000000");
    }

    #[test]
    fn unknown_words_stay_numbers() {
        assert_eq!(advice(4), "MADV_DONTNEED");
        assert_eq!(advice(77), "77");
        assert_eq!(errno(22), "EINVAL");
        assert_eq!(errno(9999), "errno 9999");
        assert_eq!(mremap_flags(9), "MREMAP_MAYMOVE|0x8");
    }
}
