//! tracefs: the `format` files of tracepoints, against which map-trace checks its field offsets.

use std::fs;
use std::path::Path;

const MOUNT_POINT: &str = "/sys/kernel/tracing";

/// The command that mounts it; none when it is mounted, here or under debugfs.
pub fn command() -> Option<Vec<String>> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if is_mounted(&mounts) || !Path::new(MOUNT_POINT).is_dir() {
        return None;
    }
    let words = ["mount", "-t", "tracefs", "tracefs", MOUNT_POINT];
    Some(words.map(str::to_owned).to_vec())
}

/// proc(5), mounts: the second field is the mount point, the third the type.
fn is_mounted(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(MOUNT_POINT) && fields.next() == Some("tracefs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracefs_counts_as_mounted_only_at_its_own_place() {
        assert!(is_mounted(
            "a / ext4 rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n"
        ));
        assert!(!is_mounted("tracefs /mnt tracefs rw 0 0\n"));
        assert!(!is_mounted("x /sys/kernel/tracing tmpfs rw 0 0\n"));
        assert!(!is_mounted(""));
    }
}
