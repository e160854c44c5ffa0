//! Each kind of record, told.

use map_trace_common::record::{
    ExecRecord, ExitRecord, ForkRecord, MemoryCallRecord, PageFaultRecord, PteSampleRecord,
    SignalRecord, UserfaultfdRecord, WatchHitRecord, flag,
};

use super::Pipeline;
use crate::model::event::{
    EventKind, ExecEvent, ExitEvent, ForkEvent, PteSampleEvent, SignalEvent, TraceLine,
    WatchHitEvent,
};
use crate::model::pte::PteLevel;
use crate::model::summary::Executable;
use crate::model::{Address, Pte, signal};
use crate::session::calls;
use crate::session::faults::Followed;
use crate::session::modules;
use crate::space::ExecFacts;

/// What an entry speaks of.
const PAGE: u64 = 4096;
/// Executables listed at most.
const MAX_EXECUTABLES: usize = 256;

/// `si_code` of a signal the kernel sent without fault information.
const SI_KERNEL: i32 = 0x80;

impl Pipeline {
    pub(super) fn pte_sample(&mut self, record: &PteSampleRecord) {
        let header = record.header;
        let mut context = self.context(&header);
        let unread = header.flags & flag::PTE_UNREAD != 0;
        let level = PteLevel::from_number(record.pte_level).filter(|_| !unread);
        let Some(level) = level else {
            self.trouble.undecodable += 1;
            return;
        };
        let unstable = header.flags & flag::PTE_UNSTABLE != 0;
        self.watched.look_again();
        let place = self.spaces.place(header.tgid, record.address);
        let line = TraceLine::PteSample(Box::new(PteSampleEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            address: Address(record.address),
            on: self
                .on(
                    header.tgid,
                    record.address & !(PAGE - 1),
                    PAGE,
                    &mut context,
                )
                .or_else(|| self.watched.name(EventKind::PteSample, record.range.into())),
            mapped: place.certain.then_some(place.vma.is_some()),
            pte: Pte::decode(record.pte, level, unstable, &self.ptes),
            context,
        }));
        self.store(&line);
    }

    pub(super) fn watch_hit(&mut self, record: &WatchHitRecord) {
        let header = record.header;
        let context = self.context(&header);
        self.watched.look_again();
        let line = TraceLine::WatchHit(Box::new(WatchHitEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            address: Address(record.address),
            ip: Address(record.ip),
            on: self.watched.word(record.address),
            context,
        }));
        self.store(&line);
    }

    pub(super) fn page_fault(&mut self, record: PageFaultRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        let mut context = self.context(&header);
        let on = self.on(header.tgid, record.address, 1, &mut context);
        let place = self.spaces.place(header.tgid, record.address);
        if place.below_stack {
            self.spaces
                .touch(header.tgid, record.address, header.ktime_ns);
        }
        if let Some(other) = self.faults.hold(record, place, context, on) {
            self.tell_fault(other, None);
        }
    }

    pub(super) fn memory_call(&mut self, record: &MemoryCallRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        let context = self.context(&header);
        let old_prot = self.entered.remove(&header.tid).flatten();
        if let Some(call) = calls::mapping_call(record) {
            self.spaces.call(header.tgid, &call);
            if let Some(range) = calls::unmapped(record) {
                let time_ns = record.exit_ns.saturating_sub(self.start_ns);
                self.watched.unmap(header.tgid, range, time_ns);
            }
            self.returned.note(record);
        }
        let around = calls::Around {
            start_ns: self.start_ns,
            old_prot,
            context,
        };
        let mut event = calls::event(record, around, &self.ptes);
        self.map_of_call(record, &mut event);
        if let Some(line) = calls::line(header.kind, event) {
            self.store(&line);
        }
    }

    pub(super) fn signal(&mut self, record: &SignalRecord) {
        let header = record.header;
        let delivered = header.flags & flag::UNDELIVERED == 0;
        let from_kernel = record.code > 0;
        let followed = Followed {
            signal: record.signal,
            code: record.code,
            address: record.address,
        };
        self.settle(header.tid, from_kernel.then_some(followed));
        let mut context = self.context(&header);
        let has_address = from_kernel && record.code != SI_KERNEL;
        let on = has_address
            .then(|| self.on(header.tgid, record.address, 1, &mut context))
            .flatten();
        let line = TraceLine::Signal(Box::new(SignalEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            signal: signal::name(record.signal),
            code: signal::code_name(record.signal, record.code),
            address: has_address.then_some(Address(record.address)),
            ip: Address(record.ip),
            handled: delivered.then_some(record.handler > 1),
            on,
            context,
        }));
        self.store(&line);
    }

    pub(super) fn fork(&mut self, record: &ForkRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        let thread = header.flags & flag::THREAD != 0;
        let followed = header.flags & flag::FOLLOWED != 0;
        if followed && !thread {
            let shared = header.flags & flag::SHARED_MM != 0;
            self.spaces
                .fork(header.tgid, record.child_tgid, shared, header.ktime_ns);
            self.structure.registry.fork(header.tgid, record.child_tgid);
            let generation = self.generations.get(&header.tgid).copied().unwrap_or(0);
            self.generations.insert(record.child_tgid, generation);
        }
        let line = TraceLine::Fork(ForkEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            child_pid: record.child_tgid,
            child_tid: record.child_tid,
            thread,
            followed,
        });
        self.store(&line);
    }

    pub(super) fn exec(&mut self, record: &ExecRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        self.generations.insert(header.tgid, record.generation);
        self.structure.registry.forget(header.tgid);
        self.runtimes.begin(header.tgid);
        let facts = ExecFacts {
            ktime_ns: header.ktime_ns,
            start_stack: record.start_stack,
            start_brk: record.start_brk,
            brk: record.start_brk,
            stack_limit: record.stack_limit,
        };
        self.spaces.exec(header.tgid, &facts);
        let executable = self.executable(header.tgid, record.start_code);
        let line = TraceLine::Exec(Box::new(ExecEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            executable: executable
                .as_ref()
                .map(|executable| executable.path.clone()),
            build_id: executable.and_then(|executable| executable.build_id),
            comm: comm(&record.comm),
        }));
        self.store(&line);
    }

    /// The executable whose text starts at `start_code`, listed once.
    fn executable(&mut self, tgid: u32, start_code: u64) -> Option<Executable> {
        let vma = self.spaces.place(tgid, start_code).vma?;
        let path = vma.name()?.to_owned();
        let build_id = vma.build_id().map(modules::hex);
        let same = |known: &&Executable| known.path == path && known.build_id == build_id;
        if let Some(known) = self.executables.iter().find(same) {
            return Some(known.clone());
        }
        let executable = match modules::open(tgid, &vma, self.stacks.symbolizer()) {
            Some(binary) => binary.facts().executable(&path),
            None => Executable {
                path,
                build_id,
                ..Executable::default()
            },
        };
        // Go's build id is in the file only, so that the mapping alone did not tell it.
        if self.executables.len() < MAX_EXECUTABLES && !self.executables.contains(&executable) {
            self.executables.push(executable.clone());
        }
        Some(executable)
    }

    pub(super) fn exit(&mut self, record: &ExitRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        let process = header.flags & flag::LAST_THREAD != 0;
        if process {
            self.structure.registry.forget(header.tgid);
            self.runtimes.end(header.tgid);
        }
        let status = record.exit_code;
        let line = TraceLine::Exit(ExitEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            process,
            exited: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            signaled: libc::WIFSIGNALED(status).then(|| signal::name(libc::WTERMSIG(status))),
        });
        self.store(&line);
    }

    pub(super) fn userfaultfd(&mut self, record: &UserfaultfdRecord) {
        self.settle(record.header.tid, None);
        self.registrations.apply(record, &mut self.spaces);
    }
}

/// A command name out of its fixed field.
fn comm(bytes: &[u8; 16]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
