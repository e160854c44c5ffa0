//! Calibration: makes page-table entries readable, and proves that they are read right.
//!
//! No interface exposes a PTE's write bit, but a BPF program can read the entry through the kernel's direct
//! map once the map's base is known. User space touches a page of its own, writes a random cookie, learns its
//! frame from pagemap, and lets a program try bases until the frame's first word is the cookie. The walk is
//! then checked: the entry it finds must have pagemap's frame. See docs/architecture.md.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;
use std::time::Instant;

use map_trace_common::calibrate::{CANDIDATES_PER_RUN, Calibrate};
use map_trace_common::page_tables::PageTables;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};

use super::bpf_call::{self, Order};
use super::object::{Object, ObjectError, Shared};
use super::programs::Form;
use crate::model::header::Calibration;

const PAGE: usize = 4096;
/// Bytes that an entry of the level above maps (PMD).
const HUGE: usize = 2 << 20;
/// Physical address bits of an entry (bits 12 to 51), without software and attribute bits.
const FRAME_BITS: u64 = 0x000f_ffff_ffff_f000;
/// Candidates tried at most: 64 TiB, the size of the direct map with four levels (Documentation/arch/x86/x86_64/mm.rst).
const CANDIDATES_MAX: u64 = 64 << 10;

/// How often a check is made anew: the kernel may move a page between its frame's number and its entry being read, a
/// locked one too (mm/compaction.c, `sysctl_compact_unevictable_allowed`), and on a busy machine it does.
const ATTEMPTS: usize = 4;

/// Why entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    #[error("{0}")]
    Object(#[from] ObjectError),
    #[error("the calibration program cannot be run: {0}")]
    Run(String),
    #[error("/proc/self/pagemap gives no frame numbers: {0}")]
    Pagemap(String),
    #[error("a page for calibration could not be mapped: {0}")]
    Page(rustix::io::Errno),
    #[error("no base of the direct map was found below {0:#x} (kernel reads refused by lockdown?)")]
    NotFound(u64),
    /// Frame numbers are nobody's business: they are not told.
    #[error("the walk did not find the frame that pagemap names")]
    Disagrees,
}

/// Anonymous memory of our own, a page where not said otherwise, unmapped when dropped.
struct Page(NonNull<std::ffi::c_void>, usize);

impl Page {
    fn new() -> Result<Self, CalibrateError> {
        Self::of(PAGE)
    }

    fn of(bytes: usize) -> Result<Self, CalibrateError> {
        // SAFETY: a fresh anonymous mapping where the kernel likes.
        let address = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(CalibrateError::Page)?;
        NonNull::new(address)
            .map(|address| Self(address, bytes))
            .ok_or(CalibrateError::Page(rustix::io::Errno::NOMEM))
    }

    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// Touches the page for reading only: the shared zero page is mapped.
    fn read(&self) -> u64 {
        // SAFETY: the mapping is ours and readable.
        unsafe { self.0.cast::<u64>().read_volatile() }
    }

    fn write(&self, cookie: u64) -> Result<(), CalibrateError> {
        // SAFETY: the mapping is ours and writable.
        unsafe {
            self.0.cast::<u64>().write_volatile(cookie);
            mlock(self.0.as_ptr(), PAGE).map_err(CalibrateError::Page)
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped in `of`, nothing refers to it any more. A failure leaves a page mapped.
        let _ = unsafe { munmap(self.0.as_ptr(), self.1) };
    }
}

/// Frame number of a resident page of ours (Documentation/admin-guide/mm/pagemap.rst).
fn pagemap_frame(address: u64) -> Result<u64, CalibrateError> {
    let unreadable = |why: std::io::Error| CalibrateError::Pagemap(why.to_string());
    let file = File::open("/proc/self/pagemap").map_err(unreadable)?;
    let mut word = [0; 8];
    file.read_exact_at(&mut word, address / PAGE as u64 * 8)
        .map_err(unreadable)?;
    let word = u64::from_ne_bytes(word);
    let frame = word & ((1 << 55) - 1);
    if word >> 63 == 0 || frame == 0 {
        return Err(CalibrateError::Pagemap(format!(
            "entry {word:#x}; CAP_SYS_ADMIN is needed"
        )));
    }
    Ok(frame)
}

fn random() -> Result<u64, CalibrateError> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|why| CalibrateError::Run(format!("/dev/urandom: {why}")))?;
    // Never 0, and never a small number that unrelated memory holds.
    Ok(u64::from_ne_bytes(bytes) | 1 << 63 | 1)
}

/// Runs the calibration program once.
fn run(object: &mut Object, request: Calibrate) -> Result<Calibrate, CalibrateError> {
    let map_error = |why| ObjectError::MapAccess {
        name: "CALIBRATE",
        why,
    };
    object
        .calibration_map()?
        .set(0, Shared(request), 0)
        .map_err(map_error)?;
    let program = object.descriptor("calibrate", Form::RawTracepoint)?;
    let mut attr = bpf_call::TestRunAttr {
        program: program.unsigned_abs(),
        ..bpf_call::TestRunAttr::default()
    };
    // SAFETY: the attribute points to nothing.
    unsafe { bpf_call::order(Order::TestRun, &mut attr) }
        .map_err(|why| CalibrateError::Run(why.to_string()))?;
    Ok(object.calibration_map()?.get(&0, 0).map_err(map_error)?.0)
}

/// Finds the direct map and the zero page. Leaves a description for the trace's header either way.
pub fn calibrate(object: &mut Object) -> (Calibration, Result<PageTables, CalibrateError>) {
    let start = Instant::now();
    let mut found = search(object);
    for _ in 1..ATTEMPTS {
        if !matches!(
            found,
            Err(CalibrateError::NotFound(_) | CalibrateError::Disagrees)
        ) {
            break;
        }
        found = search(object);
    }
    let calibration = Calibration {
        usable: found.is_ok(),
        reason: found.as_ref().err().map(ToString::to_string),
        levels: found.as_ref().map_or(0, |tables| tables.levels as u32),
        zero_page: found.as_ref().is_ok_and(|tables| tables.zero_frame != 0),
        duration_ns: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        ..Calibration::default()
    };
    (calibration, found)
}

fn search(object: &mut Object) -> Result<PageTables, CalibrateError> {
    let page = Page::new()?;
    let cookie = random()?;
    page.write(cookie)?;
    let frame = pagemap_frame(page.address())?;
    let mut last = CalibrateError::NotFound(0);
    // With la57 the CPU may still run four levels; the walk that agrees with pagemap tells.
    for levels in [4, 5] {
        let request = Calibrate {
            cookie,
            frame,
            address: page.address(),
            tables: PageTables {
                frame_mask: FRAME_BITS,
                levels,
                ..PageTables::default()
            },
            ..Calibrate::default()
        };
        match walk_with(object, request) {
            Ok(tables) => return with_zero_page(object, tables),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// Tries the candidates in batches, then checks the entry against pagemap.
fn walk_with(object: &mut Object, mut request: Calibrate) -> Result<PageTables, CalibrateError> {
    while request.first_candidate < CANDIDATES_MAX {
        let answer = run(object, request)?;
        if answer.tables.direct_map != 0 {
            return checked(&answer);
        }
        request.first_candidate += u64::from(CANDIDATES_PER_RUN);
        if answer.pgd == 0 {
            return Err(CalibrateError::Run(
                "the page-global directory could not be read".into(),
            ));
        }
        request.pgd = answer.pgd;
    }
    Err(CalibrateError::NotFound(request.pgd))
}

/// The walk is right when it finds pagemap's frame; an encryption bit, if any, is what remains.
fn checked(answer: &Calibrate) -> Result<PageTables, CalibrateError> {
    let walked = (answer.entry & FRAME_BITS) >> 12;
    let extra = (walked ^ answer.frame) << 12;
    let encryption = extra.count_ones() == 1 && extra >= 1 << 40;
    if answer.level != 1 || answer.entry & 1 == 0 || (extra != 0 && !encryption) {
        return Err(CalibrateError::Disagrees);
    }
    Ok(PageTables {
        frame_mask: FRAME_BITS & !extra,
        ..answer.tables
    })
}

/// A page that was only read is backed by the shared zero page: its entry tells which frame that is. Two
/// pages must agree.
fn with_zero_page(object: &mut Object, tables: PageTables) -> Result<PageTables, CalibrateError> {
    let mut frames = Vec::new();
    for _ in 0..2 {
        let page = Page::new()?;
        if page.read() != 0 {
            return Ok(tables);
        }
        let entry = entry(object, &tables, page.address())?;
        // Mapped read-only: were it writable, it would be a page of its own.
        if entry & 3 == 1 {
            frames.push(entry & tables.frame_mask);
        }
    }
    let same = frames.len() == 2 && frames.first() == frames.last();
    let huge_zero_frame = huge_zero_frame(object, &tables).unwrap_or(0);
    Ok(PageTables {
        zero_frame: if same { frames[0] } else { 0 },
        huge_zero_frame,
        ..tables
    })
}

/// The same for memory that asks for huge pages: 0 where a read of it does not map the huge zero page
/// (/sys/kernel/mm/transparent_hugepage/enabled and use_zero_page decide). The kernel keeps that page where
/// it is while a process that has used it, this one, lives (mm/huge_memory.c, `mm_get_huge_zero_folio`).
fn huge_zero_frame(object: &mut Object, tables: &PageTables) -> Result<u64, CalibrateError> {
    let memory = Page::of(2 * HUGE)?;
    let aligned = (memory.address() + HUGE as u64 - 1) & !(HUGE as u64 - 1);
    // SAFETY: the mapping is ours; the advice changes no content, and the address read lies inside.
    let word = unsafe {
        if madvise(memory.0.as_ptr(), memory.1, Advice::LinuxHugepage).is_err() {
            return Ok(0);
        }
        (aligned as *const u64).read_volatile()
    };
    let request = Calibrate {
        address: aligned,
        tables: *tables,
        ..Calibrate::default()
    };
    let answer = run(object, request)?;
    // Present, a leaf (bit 7) of the level above, read-only. Bit 12 of one is not of the frame.
    let huge = word == 0 && answer.level == 2 && answer.entry & 0x83 == 0x81;
    Ok(if huge {
        answer.entry & tables.frame_mask & !0x1000
    } else {
        0
    })
}

/// The entry of an address of our own.
fn entry(object: &mut Object, tables: &PageTables, address: u64) -> Result<u64, CalibrateError> {
    let request = Calibrate {
        address,
        tables: *tables,
        ..Calibrate::default()
    };
    Ok(run(object, request)?.entry)
}

/// Repeats the check at the end of a run: a fresh page's entry must again have pagemap's frame, which must be the same
/// before and after.
pub fn recheck(object: &mut Object, tables: &PageTables) -> Result<bool, CalibrateError> {
    let mut agrees = false;
    for _ in 0..ATTEMPTS {
        let page = Page::new()?;
        page.write(random()?)?;
        let frame = pagemap_frame(page.address())?;
        let entry = entry(object, tables, page.address())?;
        let moved = pagemap_frame(page.address())? != frame;
        agrees = entry & 3 == 3 && (entry & tables.frame_mask) >> 12 == frame;
        if !moved {
            break;
        }
    }
    Ok(agrees)
}
