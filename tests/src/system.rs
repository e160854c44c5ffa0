//! What some tests need of the machine for a moment: settings, swap. Put back when dropped.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a page, and of the head of a swap area.
const PAGE: usize = 4096;
/// Longer than the kernel takes to make a device node.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says that a test cannot run here, where a reader of the counts will find it.
pub fn skipped(test: &str, why: &str) {
    // Not println: what a test that passes prints is not shown.
    let mut out = std::io::stdout().lock();
    writeln!(out, "skipped: {test}: {why}").expect("stdout takes a line");
}

/// A file of /proc/sys or /sys with another value than it had.
pub struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Changes a setting until this is dropped; `None` when this kernel does not have it.
    pub fn change(path: &str, value: &str) -> Option<Self> {
        let path = PathBuf::from(path);
        let before = fs::read_to_string(&path).ok()?.trim().to_owned();
        fs::write(&path, value).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        Some(Self { path, before })
    }

    /// The value now.
    pub fn value(&self) -> String {
        let value = fs::read_to_string(&self.path);
        value
            .unwrap_or_else(|why| panic!("{}: {why}", self.path.display()))
            .trim()
            .to_owned()
    }

    /// The value it had.
    pub fn before(&self) -> &str {
        &self.before
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let restored = fs::write(&self.path, &self.before);
        assert!(
            restored.is_ok() || thread::panicking(),
            "{}: {restored:?}",
            self.path.display()
        );
    }
}

/// A swap area of our own: compressed memory (zram) where there is some, else a file.
pub struct Swap {
    path: CString,
    /// The number of the zram device that was added.
    device: Option<String>,
    file: Option<PathBuf>,
}

impl Swap {
    /// Adds swap; says why when this kernel has none.
    pub fn add(pages: u32) -> Result<Self, String> {
        if !Path::new("/proc/swaps").exists() {
            return Err("this kernel has no swap".into());
        }
        let swap = Self::device(pages).map_or_else(|| Self::file(pages), Ok)?;
        // SAFETY: a path that ends in a zero byte.
        let result = unsafe { libc::swapon(swap.path.as_ptr(), 0) };
        if result != 0 {
            return Err(format!("swapon: {}", std::io::Error::last_os_error()));
        }
        Ok(swap)
    }

    /// A new zram device (Documentation/admin-guide/blockdev/zram.rst).
    fn device(pages: u32) -> Option<Self> {
        let number = fs::read_to_string("/sys/class/zram-control/hot_add").ok()?;
        let number = number.trim().to_owned();
        let path = format!("/dev/zram{number}");
        let swap = Self {
            path: CString::new(path.clone()).ok()?,
            device: Some(number.clone()),
            file: None,
        };
        let size = pages as usize * PAGE;
        fs::write(
            format!("/sys/block/zram{number}/disksize"),
            size.to_string(),
        )
        .ok()?;
        let start = Instant::now();
        while !Path::new(&path).exists() {
            assert!(start.elapsed() < PATIENCE, "{path} did not come");
            thread::yield_now();
        }
        let mut device = fs::OpenOptions::new().write(true).open(&path).ok()?;
        device
            .write_all(&head(pages))
            .and_then(|()| device.sync_all())
            .ok()?;
        Some(swap)
    }

    /// A file without holes, on whatever holds /var/tmp.
    fn file(pages: u32) -> Result<Self, String> {
        let path = PathBuf::from(format!("/var/tmp/map-trace-swap-{}", std::process::id()));
        let mut bytes = head(pages);
        bytes.resize(pages as usize * PAGE, 0);
        fs::write(&path, bytes).map_err(|why| why.to_string())?;
        Ok(Self {
            path: CString::new(path.as_os_str().as_encoded_bytes()).expect("a path"),
            device: None,
            file: Some(path),
        })
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // SAFETY: a path that ends in a zero byte; fails when it was never on.
        unsafe { libc::swapoff(self.path.as_ptr()) };
        if let Some(number) = &self.device {
            let _left = fs::write("/sys/class/zram-control/hot_remove", number);
        }
        if let Some(path) = &self.file {
            let _left = fs::remove_file(path);
        }
    }
}

/// The first page of a swap area (include/linux/swap.h, `union swap_header`).
fn head(pages: u32) -> Vec<u8> {
    let mut head = vec![0; PAGE];
    head[1024..1028].copy_from_slice(&1_u32.to_ne_bytes());
    head[1028..1032].copy_from_slice(&(pages - 1).to_ne_bytes());
    head[PAGE - 10..].copy_from_slice(b"SWAPSPACE2");
    head
}
