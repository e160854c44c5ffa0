//! The mapping side band: perf's own record of every mapping a program makes, with file names and build
//! ids, while the target lives.
//!
//! A software event that never fires carries the records. The kernel refuses an inherited event with a
//! ring on "any CPU", so there is one event and one ring for each CPU. Records carry CLOCK_MONOTONIC, the
//! clock of our probes. Nobody is woken for them: they are drained on a timer.

use std::io;

use perf_event::events::Software;
use perf_event::{Builder, Clock, ReadFormat, SampleFlag, Sampler};

use super::side_band_record::{self, SideBandRecord};

/// Bytes of each ring: room for some 2,000 mappings between two drains.
const RING_BYTES: usize = 256 << 10;
/// Fill that makes a descriptor readable, bytes.
const WAKE_BYTES: usize = RING_BYTES / 4;
/// Highest CPU number accepted from sysfs.
const MAX_CPU: usize = 8191;

/// Why there is no side band.
#[derive(Debug, thiserror::Error)]
pub enum SideBandError {
    #[error("cannot tell which CPUs are online: {0:?}")]
    Cpus(String),
    #[error("opening the mapping record of CPU {cpu} failed: {source}")]
    Open { cpu: usize, source: io::Error },
    #[error("mapping the ring of CPU {cpu} failed: {source}")]
    Ring { cpu: usize, source: io::Error },
}

/// Open rings.
pub struct SideBand {
    rings: Vec<Sampler>,
    features: Features,
    lost_records: u64,
    /// A record of loss was among the drained since it was last asked.
    overflowed: bool,
    undecodable: u64,
}

/// What this kernel's perf can do for us.
#[derive(Clone, Copy, Debug)]
struct Features {
    /// The event itself counts what its ring lost (`PERF_FORMAT_LOST`, Linux 6.0).
    lost: bool,
    /// Mappings carry build ids (Linux 5.12).
    build_ids: bool,
}

/// From everything to the least, the way kernels grew.
const FEATURES: [Features; 3] = [
    Features {
        lost: true,
        build_ids: true,
    },
    Features {
        lost: false,
        build_ids: true,
    },
    Features {
        lost: false,
        build_ids: false,
    },
];

/// What one drain found.
#[derive(Debug, Default)]
pub struct Drained {
    /// In order of time within a CPU; not across CPUs.
    pub records: Vec<SideBandRecord>,
    /// Records that could not be decoded, in total since the start.
    pub undecodable: u64,
}

impl SideBand {
    /// The records of a suspended child from its exec on, and of what it starts.
    ///
    /// # Errors
    /// The events or rings could not be made.
    pub fn at_exec(pid: u32) -> Result<Self, SideBandError> {
        Self::open(Some(pid))
    }

    /// The records of every process from now on, for `attach`: the caller keeps those it follows.
    ///
    /// # Errors
    /// The events or rings could not be made.
    pub fn system_wide() -> Result<Self, SideBandError> {
        Self::open(None)
    }

    fn open(pid: Option<u32>) -> Result<Self, SideBandError> {
        let [mut features, rest @ ..] = FEATURES;
        let mut rest = rest.into_iter();
        let mut rings = Vec::new();
        for cpu in online_cpus()? {
            let ring = loop {
                let ring = ring(pid, cpu, features);
                match (&ring, rest.clone().next()) {
                    // An older kernel refuses the bits it does not know.
                    (Err(SideBandError::Open { source, .. }), Some(less))
                        if source.raw_os_error() == Some(libc::EINVAL) =>
                    {
                        features = less;
                        rest.next();
                    }
                    _ => break ring,
                }
            };
            match ring {
                Ok(ring) => rings.push(ring),
                // The CPU went offline since it was listed.
                Err(SideBandError::Open { source, .. })
                    if source.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            rings,
            features,
            lost_records: 0,
            overflowed: false,
            undecodable: 0,
        })
    }

    /// Whether mappings carry build ids; without, the files must be read while they are there.
    pub const fn build_ids(&self) -> bool {
        self.features.build_ids
    }

    /// Records lost since the start because a ring was full. Before Linux 6.0 what is lost at the very
    /// end, with no record after it, is not known to the kernel's reader and not counted.
    ///
    /// # Errors
    /// What read(2) answered.
    pub fn lost(&mut self) -> io::Result<u64> {
        if !self.features.lost {
            return Ok(self.lost_records);
        }
        let mut lost = 0_u64;
        for ring in &mut self.rings {
            lost = lost.saturating_add(ring.read_full()?.lost().unwrap_or(0));
        }
        Ok(lost)
    }

    /// Whether loss was among what was drained since this was last asked. Costs nothing, and is known only once
    /// there is room for a record again.
    pub const fn take_overflowed(&mut self) -> bool {
        std::mem::replace(&mut self.overflowed, false)
    }

    /// Takes everything that is in the rings now. Does not block.
    pub fn drain(&mut self) -> Drained {
        let mut records = Vec::new();
        for ring in &mut self.rings {
            // A ring can be refilled while it is read: no more than it holds is taken in one go.
            let mut taken = 0;
            while taken < RING_BYTES {
                let Some(record) = ring.next_record() else {
                    break;
                };
                let body = record.to_contiguous();
                taken += body.len() + 8;
                match side_band_record::decode(record.ty(), record.misc(), &body) {
                    Ok(Some(SideBandRecord::Lost { count })) => {
                        self.lost_records = self.lost_records.saturating_add(count);
                        self.overflowed = true;
                    }
                    Ok(found) => records.extend(found),
                    Err(_) => self.undecodable += 1,
                }
            }
        }
        Drained {
            records,
            undecodable: self.undecodable,
        }
    }
}

fn ring(pid: Option<u32>, cpu: usize, features: Features) -> Result<Sampler, SideBandError> {
    let mut builder = Builder::new(Software::DUMMY);
    match pid.map(libc::pid_t::try_from) {
        Some(Ok(pid)) => builder.observe_pid(pid).inherit(true).enable_on_exec(true),
        Some(Err(_)) => {
            let source = io::Error::from_raw_os_error(libc::ESRCH);
            return Err(SideBandError::Open { cpu, source });
        }
        None => builder.any_pid().enabled(true),
    };
    if features.lost {
        builder.read_format(ReadFormat::LOST);
    } else {
        builder.read_format(ReadFormat::empty());
    }
    builder
        .one_cpu(cpu)
        .include_kernel()
        .mmap(true)
        .mmap2(true)
        .mmap_data(true)
        .comm(true)
        .comm_exec(true)
        .build_id(features.build_ids)
        .sample(SampleFlag::TID | SampleFlag::TIME)
        .sample_id_all(true)
        .clockid(Clock::MONOTONIC)
        .wakeup_watermark(WAKE_BYTES);
    let counter = builder
        .build()
        .map_err(|source| SideBandError::Open { cpu, source })?;
    counter
        .sampled(RING_BYTES)
        .map_err(|source| SideBandError::Ring { cpu, source })
}

fn online_cpus() -> Result<Vec<usize>, SideBandError> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online")
        .map_err(|error| SideBandError::Cpus(error.to_string()))?;
    parse_cpus(text.trim()).ok_or(SideBandError::Cpus(text))
}

/// A list such as `0-3,5` (Documentation/admin-guide/cputopology.rst).
fn parse_cpus(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.parse().ok()?;
        let last: usize = last.parse().ok()?;
        if last > MAX_CPU {
            return None;
        }
        cpus.extend(first..=last);
    }
    (!cpus.is_empty()).then_some(cpus)
}

#[cfg(test)]
mod tests {
    use super::super::side_band_record::{FileIdentity, Mapping};
    use super::*;
    use crate::target::{self, prepare};

    fn monotonic_ns() -> u64 {
        // SAFETY: the pointer is to a writable timespec, and zeroed is a valid one.
        let now = unsafe {
            let mut now: libc::timespec = std::mem::zeroed();
            assert_eq!(libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now), 0);
            now
        };
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }

    /// Runs a program to its end and returns its records by time.
    fn records_of(argv: &[&str]) -> (Vec<SideBandRecord>, u32) {
        let command = target::Command {
            argv: argv.iter().map(Into::into).collect(),
            user: target::UserChoice::Root,
            ..target::Command::default()
        };
        let suspended = prepare(&command).unwrap().spawn().unwrap();
        let pid = suspended.pid();
        let mut band = SideBand::at_exec(pid).unwrap();
        assert!(band.drain().records.is_empty());
        let mut running = suspended.release().unwrap();
        running.wait().unwrap();
        let drained = band.drain();
        assert_eq!((drained.undecodable, band.lost().unwrap()), (0, 0));
        let mut records = drained.records;
        records.sort_by_key(|record| match record {
            SideBandRecord::Mapping(mapping) => mapping.time_ns,
            SideBandRecord::Exec(exec) => exec.time_ns,
            SideBandRecord::Lost { count } => panic!("{count} lost among the records"),
        });
        (records, pid)
    }

    fn mappings(records: &[SideBandRecord]) -> Vec<&Mapping> {
        records
            .iter()
            .filter_map(|record| match record {
                SideBandRecord::Mapping(mapping) => Some(mapping),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn an_exec_comes_first_then_the_program_its_loader_the_vdso_and_libc_with_build_ids() {
        let before = monotonic_ns();
        let (records, pid) = records_of(&["/bin/true"]);
        let after = monotonic_ns();
        let SideBandRecord::Exec(exec) = &records[0] else {
            panic!("{:?} came first", records[0]);
        };
        assert_eq!(
            (exec.tgid, exec.tid, &exec.name[..]),
            (pid, pid, &b"true"[..])
        );
        let mappings = mappings(&records);
        for mapping in &mappings {
            assert_eq!(mapping.tgid, pid);
            assert!((before..=after).contains(&mapping.time_ns));
            assert_eq!((mapping.start & 0xfff, mapping.len & 0xfff), (0, 0));
        }
        for part in ["/true", "ld-linux", "libc.so"] {
            let code = mappings.iter().find(|mapping| {
                String::from_utf8_lossy(&mapping.name).contains(part) && mapping.prot == 5
            });
            let code = code.unwrap_or_else(|| panic!("no code of {part}: {mappings:?}"));
            let FileIdentity::BuildId(id) = &code.file else {
                panic!("{code:?}");
            };
            assert_eq!(id.len(), 20);
        }
        assert!(mappings.iter().any(|mapping| mapping.name == b"[vdso]"));
        assert!(mappings.iter().any(|mapping| mapping.name == b"[stack]"));
    }

    #[test]
    fn children_are_followed() {
        let (records, pid) = records_of(&["/bin/sh", "-c", "/bin/true; exit 0"]);
        let execs: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                SideBandRecord::Exec(exec) => Some((exec.tgid == pid, exec.name.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(execs, [(true, b"sh".to_vec()), (false, b"true".to_vec())]);
    }

    #[test]
    fn lists_of_cpus_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_cpus("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpus("7"), Some(vec![7]));
        for bad in ["", "a", "1-", "0-99999999999", "3-1"] {
            assert_eq!(parse_cpus(bad), None, "{bad}");
        }
    }
}
