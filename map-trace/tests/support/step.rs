//! Steps a program instruction by instruction and keeps its true call stack.

#![expect(clippy::expect_used, reason = "what a test needs fails the test")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::Arc;

use iced_x86::{Decoder, DecoderOptions, FlowControl};
use map_trace::binary::stack::RawStack;
use map_trace::binary::{Binary, vdso};

/// rsp moving further than this in one step is a switch to another stack.
const SWITCH: u64 = 4 << 10;

/// A stopped program.
pub struct Stepper {
    child: Child,
    pid: libc::pid_t,
    memory: File,
    maps: Vec<(u64, u64, u64, String)>,
    opened: HashMap<PathBuf, Arc<Binary>>,
    /// Return-address slots of the calls under way, one list a stack.
    slots: Vec<Vec<u64>>,
    last_sp: u64,
    ip: u64,
    pending: libc::c_int,
}

impl Stepper {
    /// Starts a program and runs it to the first call of a function of its own.
    pub fn start(path: &Path, function: &str) -> Self {
        let mut command = Command::new(path);
        command.env_clear().stdout(Stdio::null());
        command
            .env("GODEBUG", "asyncpreemptoff=1")
            .env("GOGC", "off");
        // SAFETY: between fork and exec only two system calls are made, both async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                Ok(())
            });
        }
        let child = command.spawn().expect("program starts");
        let pid = child.id() as libc::pid_t;
        let mut stepper = Self {
            memory: File::options()
                .read(true)
                .write(true)
                .open(format!("/proc/{pid}/mem"))
                .expect("memory"),
            child,
            pid,
            maps: Vec::new(),
            opened: HashMap::new(),
            slots: vec![Vec::new()],
            last_sp: 0,
            ip: 0,
            pending: 0,
        };
        assert_eq!(stepper.wait(), Some(libc::SIGTRAP), "exec");
        stepper.refresh();
        let place = stepper.address_of(path, function);
        stepper.run_to(place);
        stepper
    }

    /// Where a function of the program is now.
    pub fn address_of(&self, path: &Path, function: &str) -> u64 {
        let own = fs::canonicalize(path).expect("path");
        let binary = &self.opened[&own];
        let svma = binary.symbol(function)[0].svma;
        let wanted = binary.file_offset_of_svma(svma).expect("offset");
        self.maps
            .iter()
            .filter(|(_, _, _, name)| Path::new(name) == own)
            .find_map(|(start, end, offset, _)| {
                let place = start + wanted.checked_sub(*offset)?;
                (place < *end).then_some(place)
            })
            .expect("own text")
    }

    pub fn ip(&self) -> u64 {
        self.ip
    }

    fn run_to(&mut self, place: u64) {
        let mut byte = [0];
        self.memory.read_exact_at(&mut byte, place).expect("text");
        self.memory.write_all_at(&[0xcc], place).expect("text");
        loop {
            self.resume(libc::PTRACE_CONT);
            let signal = self.wait().expect("the function is reached");
            if signal == libc::SIGTRAP {
                break;
            }
            self.pending = signal;
        }
        self.memory.write_all_at(&byte, place).expect("text");
        let mut registers = self.registers();
        assert_eq!(registers.rip, place + 1);
        registers.rip = place;
        // SAFETY: the child is stopped; the structure lives across the call.
        let set = unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &registers) };
        assert_eq!(set, 0);
        self.refresh();
    }

    fn resume(&mut self, request: libc::c_uint) {
        let signal = std::mem::take(&mut self.pending);
        // SAFETY: the child is stopped by us; no memory of ours is involved.
        let done = unsafe { libc::ptrace(request, self.pid, 0, signal) };
        assert_eq!(done, 0);
    }

    /// The signal it stopped with; none when it ended.
    fn wait(&self) -> Option<libc::c_int> {
        let mut status = 0;
        // SAFETY: the status lives across the call.
        let waited = unsafe { libc::waitpid(self.pid, &mut status, libc::__WALL) };
        assert_eq!(waited, self.pid);
        libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))
    }

    pub fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: all-zero is a valid value of a structure of integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: the child is stopped; the structure lives across the call.
        let got = unsafe {
            libc::ptrace(
                libc::PTRACE_GETREGS,
                self.pid,
                0,
                ptr::from_mut(&mut registers),
            )
        };
        assert_eq!(got, 0);
        registers
    }

    fn refresh(&mut self) {
        let text = fs::read_to_string(format!("/proc/{}/maps", self.pid)).expect("maps");
        self.maps = text
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let (start, end) = words[0].split_once('-')?;
                let number = |text| u64::from_str_radix(text, 16).expect("number");
                let name = words.get(5).copied().unwrap_or_default();
                words[1].contains('x').then(|| {
                    (
                        number(start),
                        number(end),
                        number(words[2]),
                        name.to_owned(),
                    )
                })
            })
            .collect();
        for (_, _, _, name) in self.maps.clone() {
            let path = PathBuf::from(&name);
            if !self.opened.contains_key(&path) {
                let binary = match name.as_str() {
                    "[vdso]" => vdso(),
                    _ => Binary::open(&path).ok().map(Arc::new),
                };
                self.opened.extend(binary.map(|b| (path, b)));
            }
        }
    }

    pub fn lookup(&self, address: u64) -> Option<(Arc<Binary>, u64)> {
        let (start, _, offset, name) = self
            .maps
            .iter()
            .find(|(start, end, _, _)| (*start..*end).contains(&address))?;
        let binary = self.opened.get(Path::new(name))?;
        let svma = binary.svma_of_file_offset(address - start + offset)?;
        Some((Arc::clone(binary), svma))
    }

    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// The stack as the kernel side records it.
    pub fn raw(&self) -> RawStack {
        let registers = self.registers();
        let mut raw = RawStack {
            ip: registers.rip,
            sp: registers.rsp,
            bp: registers.rbp,
            ..RawStack::default()
        };
        raw.words = (0..16).map_while(|i| self.word(raw.sp + i * 8)).collect();
        let mut node = raw.bp;
        while raw.frames.len() < 127 {
            let (Some(next), Some(frame)) = (self.word(node), self.word(node.wrapping_add(8)))
            else {
                break;
            };
            if frame == 0 {
                break;
            }
            raw.frames.push(frame);
            if next <= node {
                break;
            }
            node = next;
        }
        raw
    }

    /// The true callers, innermost first: the words in the slots of the calls under way.
    pub fn callers(&self) -> Vec<u64> {
        let slots = self.slots.last().map(Vec::as_slice).unwrap_or_default();
        slots
            .iter()
            .rev()
            .filter_map(|&slot| self.word(slot))
            .collect()
    }

    /// One instruction further; false when the program ended.
    pub fn step(&mut self) -> bool {
        let before = self.registers();
        let mut code = [0; 16];
        let size = self.memory.read_at(&mut code, before.rip).unwrap_or(0);
        let mut decoder = Decoder::with_ip(64, &code[..size], before.rip, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let calls = matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall
        ) && instruction.mnemonic() != iced_x86::Mnemonic::Syscall;
        self.resume(libc::PTRACE_SINGLESTEP);
        match self.wait() {
            None => return false,
            Some(libc::SIGTRAP) => {}
            Some(signal) => {
                self.pending = signal;
                return true;
            }
        }
        let after = self.registers();
        self.follow(after.rsp);
        self.ip = after.rip;
        if calls && after.rip != before.rip {
            let slots = self.slots.last_mut().expect("a stack");
            slots.push(after.rsp);
        }
        if !self
            .maps
            .iter()
            .any(|(start, end, _, _)| (*start..*end).contains(&after.rip))
        {
            self.refresh();
        }
        true
    }

    /// Leaves the calls that have returned, and goes over to another stack when rsp did.
    fn follow(&mut self, sp: u64) {
        if self.last_sp != 0 && sp.abs_diff(self.last_sp) > SWITCH {
            let known = self
                .slots
                .iter()
                .position(|slots| slots.last().is_some_and(|&top| top.abs_diff(sp) <= SWITCH));
            let slots = known.map_or_else(Vec::new, |at| self.slots.remove(at));
            self.slots.push(slots);
        }
        self.last_sp = sp;
        let slots = self.slots.last_mut().expect("a stack");
        while slots.last().is_some_and(|&slot| slot < sp) {
            slots.pop();
        }
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
