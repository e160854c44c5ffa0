//! Whether a file is a program this tracer can run: an x86-64 ELF file, or a script whose interpreter is
//! one.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::identity::Identity;
use super::lookup;
use crate::error::{Error, Result};

/// What the kernel looks at to find a file's format (`BINPRM_BUF_SIZE`, include/uapi/linux/binfmts.h).
const HEAD: usize = 256;
/// Interpreters that are scripts themselves: as many as the kernel follows (fs/exec.c, `exec_binprm`).
const MAX_INTERPRETERS: usize = 5;
/// Longest path of an ELF interpreter (`PATH_MAX`; fs/binfmt_elf.c).
const MAX_PATH: u64 = 4096;

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Elf,
    /// An ELF file of another kind, and which.
    ForeignElf(String),
    /// The interpreter of a `#!` line.
    Script(PathBuf),
    /// A `#!` line without an interpreter.
    EmptyInterpreter,
    Text,
    Empty,
    /// Something else; binfmt_misc(5) may know it.
    Other,
}

/// Refuses what this tracer or the kernel cannot run.
///
/// # Errors
/// 126 with the reason and the fix.
pub(super) fn check(program: &Path, user: &Identity) -> Result<()> {
    let mut file = program.to_path_buf();
    for _ in 0..=MAX_INTERPRETERS {
        let Some((format, handle)) = read(&file) else {
            // Not readable, even for us: the kernel decides.
            return Ok(());
        };
        let interpreter = match format {
            Format::Script(interpreter) => interpreter,
            Format::Elf => return check_elf_interpreter(&file, &handle, user),
            other => return refuse(&file, &other),
        };
        if let Err(refusal) = lookup::check(&interpreter, user) {
            return Err(bad_interpreter(&file, &interpreter, refusal, user));
        }
        file = interpreter;
    }
    Err(
        lookup::cannot_run(program, "its interpreters are scripts too many times over")
            .fix("run the innermost interpreter directly"),
    )
}

fn refuse(file: &Path, format: &Format) -> Result<()> {
    let shown = file.display();
    Err(match format {
        Format::Elf | Format::Script(_) | Format::Other => return Ok(()),
        Format::ForeignElf(what) => lookup::cannot_run(file, &format!("it is {what}"))
            .fix("only x86-64 programs can be traced; build it for x86-64"),
        Format::EmptyInterpreter => {
            lookup::cannot_run(file, "its first line is #! without an interpreter")
                .fix("write the interpreter there, such as #!/bin/sh")
        }
        Format::Text => lookup::cannot_run(file, "it is text without a #! line").fix(format!(
            "start it through its interpreter: map-trace run -- sh {shown}"
        )),
        Format::Empty => lookup::cannot_run(file, "it is empty").fix("name a program file"),
    })
}

/// The line for a program that the kernel does not recognise (ENOEXEC).
pub(super) fn unknown_format(file: &Path) -> Error {
    let format = read(file).map_or(Format::Other, |(format, _)| format);
    match refuse(file, &format) {
        Err(error) => error,
        Ok(()) => lookup::cannot_run(file, "its format is not one this kernel executes")
            .fix("file(1) tells what it is; only x86-64 programs and scripts can be traced"),
    }
}

fn bad_interpreter(
    script: &Path,
    interpreter: &Path,
    refusal: lookup::Refusal,
    user: &Identity,
) -> Error {
    let carriage_return = interpreter.as_os_str().as_bytes().ends_with(b"\r");
    let why = if carriage_return {
        "its #! line ends with a carriage return".to_owned()
    } else {
        let inner = refusal.error(interpreter, user);
        format!("its interpreter {}: {}", interpreter.display(), inner.why)
    };
    let fix = if carriage_return {
        format!("sed -i 's/\\r$//' {}", script.display())
    } else {
        "install that interpreter or correct the #! line".into()
    };
    lookup::cannot_run(script, &why).fix(fix)
}

fn read(file: &Path) -> Option<(Format, File)> {
    let handle = File::open(file).ok()?;
    let mut head = Vec::with_capacity(HEAD);
    (&handle).take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some((format(&head), handle))
}

fn format(head: &[u8]) -> Format {
    if head.is_empty() {
        Format::Empty
    } else if head.starts_with(b"\x7fELF") {
        elf(head)
    } else if let Some(line) = head.strip_prefix(b"#!") {
        script(line)
    } else if head
        .iter()
        .all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace())
    {
        Format::Text
    } else {
        Format::Other
    }
}

/// The word after `#!`, as fs/binfmt_script.c takes it.
fn script(line: &[u8]) -> Format {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
    let word = line
        .split(|byte| matches!(byte, b' ' | b'\t' | 0))
        .find(|word| !word.is_empty());
    match word {
        Some(word) => Format::Script(PathBuf::from(std::ffi::OsStr::from_bytes(word))),
        None => Format::EmptyInterpreter,
    }
}

/// `e_ident[EI_CLASS]`, `e_ident[EI_DATA]`, `e_type`, `e_machine` (elf(5)).
fn elf(head: &[u8]) -> Format {
    let half = |at: usize| {
        let bytes = head.get(at..at + 2)?;
        Some(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]))
    };
    let (Some(class), Some(data), Some(kind), Some(machine)) =
        (head.get(4), head.get(5), half(16), half(18))
    else {
        return Format::ForeignElf("an ELF file cut short".into());
    };
    if *data != 1 {
        return Format::ForeignElf("a big-endian program of another architecture".into());
    }
    match (*class, machine) {
        (2, 62) => {}
        (1, 62) => return Format::ForeignElf("an x32 program".into()),
        (_, 3) => return Format::ForeignElf("a 32-bit x86 program".into()),
        (_, 40) => return Format::ForeignElf("an ARM program".into()),
        (_, 183) => return Format::ForeignElf("an AArch64 program".into()),
        (_, 243) => return Format::ForeignElf("a RISC-V program".into()),
        (_, other) => return Format::ForeignElf(format!("a program for ELF machine {other}")),
    }
    match kind {
        2 | 3 => Format::Elf,
        1 => Format::ForeignElf("an object file, not a linked program".into()),
        4 => Format::ForeignElf("a core dump".into()),
        other => Format::ForeignElf(format!("an ELF file of type {other}")),
    }
}

/// The dynamic loader named by `PT_INTERP` must be there.
fn check_elf_interpreter(file: &Path, handle: &File, user: &Identity) -> Result<()> {
    let Some(interpreter) = elf_interpreter(handle) else {
        return Ok(());
    };
    match lookup::check(&interpreter, user) {
        Err(lookup::Refusal::Missing) => Err(lookup::cannot_run(
            file,
            &format!("its dynamic loader {} is missing", interpreter.display()),
        )
        .fix("install that C library, or link the program statically")),
        _ => Ok(()),
    }
}

/// The path in the first `PT_INTERP` of a 64-bit little-endian ELF file.
fn elf_interpreter(file: &File) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    let mut header = [0_u8; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    let table = u64::from_le_bytes(header.get(32..40)?.try_into().ok()?);
    let entry_size = u16::from_le_bytes(header.get(54..56)?.try_into().ok()?);
    let entries = u16::from_le_bytes(header.get(56..58)?.try_into().ok()?);
    for index in 0..u64::from(entries) {
        let mut entry = [0_u8; 56];
        let at = table.checked_add(index * u64::from(entry_size))?;
        file.read_exact_at(&mut entry, at).ok()?;
        if u32::from_le_bytes(entry.get(0..4)?.try_into().ok()?) != PT_INTERP {
            continue;
        }
        let offset = u64::from_le_bytes(entry.get(8..16)?.try_into().ok()?);
        let size = u64::from_le_bytes(entry.get(32..40)?.try_into().ok()?);
        let mut path = vec![0; usize::try_from(size.min(MAX_PATH)).ok()?];
        file.read_exact_at(&mut path, offset).ok()?;
        let path = path.split(|byte| *byte == 0).next()?;
        return Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf_head(class: u8, data: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut head = b"\x7fELF".to_vec();
        head.extend([class, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        head.extend(kind.to_le_bytes());
        head.extend(machine.to_le_bytes());
        head
    }

    #[test]
    fn only_linked_x86_64_programs_are_programs() {
        assert_eq!(format(&elf_head(2, 1, 2, 62)), Format::Elf);
        assert_eq!(format(&elf_head(2, 1, 3, 62)), Format::Elf);
        for (head, word) in [
            (elf_head(2, 1, 1, 62), "object file"),
            (elf_head(2, 1, 4, 62), "core dump"),
            (elf_head(1, 1, 2, 3), "32-bit x86"),
            (elf_head(1, 1, 2, 62), "x32"),
            (elf_head(2, 1, 2, 183), "AArch64"),
            (elf_head(2, 2, 2, 62), "big-endian"),
            (elf_head(2, 1, 2, 0xffff), "65535"),
        ] {
            let Format::ForeignElf(what) = format(&head) else {
                panic!("{word} was taken");
            };
            assert!(what.contains(word), "{what}");
        }
    }

    #[test]
    fn an_elf_header_cut_anywhere_is_said_to_be_cut() {
        let head = elf_head(2, 1, 2, 62);
        for length in 4..head.len() {
            assert_eq!(
                format(&head[..length]),
                Format::ForeignElf("an ELF file cut short".into())
            );
        }
    }

    #[test]
    fn the_interpreter_of_a_script_is_the_first_word() {
        for line in ["#!/bin/sh\n", "#! \t/bin/sh -e x\n", "#!/bin/sh"] {
            assert_eq!(format(line.as_bytes()), Format::Script("/bin/sh".into()));
        }
        assert_eq!(format(b"#!/bin/sh\r\n"), Format::Script("/bin/sh\r".into()));
        assert_eq!(format(b"#! \n/bin/sh\n"), Format::EmptyInterpreter);
    }

    #[test]
    fn text_nothing_and_the_unknown_are_told_apart() {
        assert_eq!(format("gr\u{fc}n\n".as_bytes()), Format::Text);
        assert_eq!(format(b""), Format::Empty);
        assert_eq!(format(b"\xca\xfe\xba\xbe\0\0"), Format::Other);
    }
}
