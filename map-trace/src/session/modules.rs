//! What code lies at an address of a process: the mapping from the replay, the binary from its file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::binary::symbolizer::{Code, Place, Symbolizer, Wanted};
use crate::binary::{Binary, JitMap};
use crate::model::vma::VmaKind;
use crate::space::{Spaces, Vma};

/// The executable mappings of a process as one stack meets them: each is looked up once, since finding a binary takes
/// longer than all that is then asked of it.
pub struct Met<'a> {
    tgid: u32,
    spaces: &'a Spaces,
    symbolizer: &'a Symbolizer,
    jits: &'a JitMaps,
    mappings: RefCell<Vec<Mapping>>,
}

/// An executable mapping, and who can name its code.
struct Mapping {
    start: u64,
    end: u64,
    /// Where `start` is in the file.
    offset: u64,
    module: Option<Arc<str>>,
    code: Mapped,
}

enum Mapped {
    Binary(Arc<Binary>),
    Jit(Place),
    Unknown,
}

impl<'a> Met<'a> {
    pub const fn new(
        tgid: u32,
        spaces: &'a Spaces,
        symbolizer: &'a Symbolizer,
        jits: &'a JitMaps,
    ) -> Self {
        Self {
            tgid,
            spaces,
            symbolizer,
            jits,
            mappings: RefCell::new(Vec::new()),
        }
    }

    /// The code at an address, for naming; `None` when nothing executable is mapped there.
    pub fn place(&self, address: u64) -> Option<Place> {
        let mut mappings = self.mappings.borrow_mut();
        let known = mappings
            .iter()
            .find(|mapping| mapping.start <= address && address < mapping.end);
        if let Some(mapping) = known {
            return Some(mapping.place(address));
        }
        let vma = self.spaces.place(self.tgid, address).vma?;
        if !vma.prot.execute() {
            return None;
        }
        let mapping = self.mapping(&vma);
        let place = mapping.place(address);
        // An address below a growing stack is not in it.
        if mapping.start <= address && address < mapping.end {
            mappings.push(mapping);
        }
        Some(place)
    }

    fn mapping(&self, vma: &Vma) -> Mapping {
        let module = vma.name().map(Arc::<str>::from);
        let code = match vma.kind {
            VmaKind::File => {
                open(self.tgid, vma, self.symbolizer).map_or(Mapped::Unknown, Mapped::Binary)
            }
            VmaKind::Special if module.as_deref() == Some("[vdso]") => self
                .symbolizer
                .vdso()
                .map_or(Mapped::Unknown, Mapped::Binary),
            VmaKind::Special => Mapped::Unknown,
            _ => Mapped::Jit(self.jits.place(self.tgid)),
        };
        Mapping {
            start: vma.start,
            end: vma.end,
            offset: if vma.kind == VmaKind::File {
                vma.offset
            } else {
                0
            },
            module,
            code,
        }
    }
}

impl Mapping {
    fn place(&self, address: u64) -> Place {
        let offset = address
            .saturating_sub(self.start)
            .saturating_add(self.offset);
        let code = match &self.code {
            Mapped::Jit(place) => return place.clone(),
            Mapped::Binary(binary) => binary
                .svma_of_file_offset(offset)
                .map(|svma| Code::Binary(Arc::clone(binary), svma)),
            Mapped::Unknown => None,
        };
        Place {
            module: self.module.clone(),
            code: code.unwrap_or(Code::Unknown),
        }
    }
}

/// The binary a mapping shows. While the process lives its own links lead to the very file that is mapped,
/// in whatever mount namespace, replaced or deleted; afterwards only the path is left, and what is found
/// there must have the build id (or inode) that was mapped.
pub fn open(tgid: u32, vma: &Vma, symbolizer: &Symbolizer) -> Option<Arc<Binary>> {
    let path = vma.name()?;
    let backing = vma.backing.as_deref()?;
    let device = backing
        .device
        .map(|device| libc::makedev(device.major, device.minor));
    let wanted = Wanted {
        path: path.to_owned(),
        build_id: vma.build_id().map(hex),
        inode: device.zip(backing.inode),
    };
    let plain = path.strip_suffix(" (deleted)").unwrap_or(path);
    let candidates = [
        PathBuf::from(format!(
            "/proc/{tgid}/map_files/{:x}-{:x}",
            vma.start, vma.end
        )),
        PathBuf::from(format!("/proc/{tgid}/root{plain}")),
        PathBuf::from(plain),
    ];
    symbolizer.open(&wanted, &candidates)
}

/// Files of a process opened at once, at most: fewer than the symbolizer keeps.
const MAX_HIDDEN: usize = 16;

/// Opens the code of a running process that its path does not lead to: a file that was deleted or replaced, or is
/// of another mount namespace. Once the process has ended nothing leads there any more.
pub fn open_hidden(tgid: u32, spaces: &Spaces, symbolizer: &Symbolizer) {
    let Some(space) = spaces.space(tgid) else {
        return;
    };
    let code = space
        .iter()
        .filter(|vma| vma.kind == VmaKind::File && vma.prot.execute());
    for vma in code.filter(|vma| !path_leads_to(vma)).take(MAX_HIDDEN) {
        let _unknown_then = open(tgid, vma, symbolizer);
    }
}

/// What is at the mapping's path, as we see it, is what is mapped.
fn path_leads_to(vma: &Vma) -> bool {
    let found = vma.name().and_then(|path| std::fs::metadata(path).ok());
    let backing = vma.backing.as_deref();
    let mapped = backing.and_then(|backing| {
        let device = backing.device?;
        Some((libc::makedev(device.major, device.minor), backing.inode?))
    });
    found.is_some_and(|found| Some((found.dev(), found.ino())) == mapped)
}

/// Perf maps of processes that run generated code, read again when they are old: they grow.
#[derive(Default)]
pub struct JitMaps(RefCell<HashMap<u32, ReadMap>>);

/// When a process's map was read, and what it held.
type ReadMap = (Instant, Option<Arc<JitMap>>);

/// Age at which a perf map is read again.
const JIT_AGE: Duration = Duration::from_secs(1);
/// Processes whose perf maps are kept.
const MAX_JIT_MAPS: usize = 64;

impl JitMaps {
    /// Anonymous executable memory: a JIT's, named by its perf map where it keeps one.
    fn place(&self, tgid: u32) -> Place {
        let code = self.of(tgid).map_or(Code::Unknown, Code::Jit);
        Place {
            module: Some("[jit]".into()),
            code,
        }
    }

    fn of(&self, tgid: u32) -> Option<Arc<JitMap>> {
        let mut maps = self.0.borrow_mut();
        if let Some((read, map)) = maps.get(&tgid)
            && read.elapsed() < JIT_AGE
        {
            return map.clone();
        }
        if maps.len() >= MAX_JIT_MAPS {
            maps.clear();
        }
        let map = JitMap::read(&JitMap::path(tgid, pid_in_namespace(tgid))).map(Arc::new);
        maps.insert(tgid, (Instant::now(), map.clone()));
        map
    }
}

/// The pid a process has in its own pid namespace (proc_pid_status(5), NSpid): it names its perf map by it.
fn pid_in_namespace(tgid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{tgid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let innermost = line.and_then(|line| line.split_whitespace().last());
    innermost.and_then(|pid| pid.parse().ok()).unwrap_or(tgid)
}

/// A build id in the usual notation.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
