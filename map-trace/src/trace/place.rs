//! A place for a result: found out to be writable before the program starts, emptied only when there is something to
//! put there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::WriteError;

/// An opened file that keeps what it held until the first write, and goes away again when there never is one and
/// it was made for this.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    file: File,
    /// Made by us, and still empty.
    fresh: bool,
    begun: bool,
}

impl OutputFile {
    /// Opens or makes the file. Refuses a regular file that can be executed: `-o ./app` is a slip.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let path = path.to_owned();
        if is_program(&path) {
            return Err(WriteError::IsProgram { path });
        }
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let (file, fresh) = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Not `truncate`: what is there stays until the first write.
                let opened = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path);
                (opened, false)
            }
            made => (made, true),
        };
        match file {
            Ok(file) => Ok(Self {
                path,
                file,
                fresh,
                begun: false,
            }),
            Err(source) => Err(WriteError::Create { path, source }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a whole result.
    pub fn fill(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.write_all(bytes).map_err(|source| {
            take_back(&self.path);
            WriteError::Write {
                path: self.path.clone(),
                source,
            }
        })
    }
}

/// Empties the file of a result that could not be written whole: half of it may look like all of it.
pub fn take_back(path: &Path) {
    if let Ok(file) = OpenOptions::new().write(true).open(path)
        && file.metadata().is_ok_and(|found| found.is_file())
    {
        let _why = file.set_len(0);
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.begun {
            // A device or a pipe has no length to set.
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.begun = true;
            self.fresh = false;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.fresh {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_program(path: &Path) -> bool {
    let Ok(facts) = path.metadata() else {
        return false;
    };
    if !facts.is_file() {
        return false;
    }
    let mut magic = [0; 4];
    let start = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let elf = start.is_ok() && magic == *b"\x7fELF";
    elf || (facts.permissions().mode() & 0o111 != 0 && facts.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_does_not_exist_is_found_out_at_once() {
        let place = tempfile::tempdir().unwrap();
        let error = OutputFile::create(&place.path().join("none/app.jsonl")).unwrap_err();
        let error = crate::error::Error::from(error);
        assert_eq!(error.code, crate::exit_code::ExitCode::FAILED);
        let text = error.to_string();
        assert!(text.contains("cannot create") && text.contains("make its directory first"));
    }

    #[test]
    fn a_program_is_not_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let app = place.path().join("app");
        fs::write(&app, b"\x7fELF and so on").unwrap();
        let error = OutputFile::create(&app).unwrap_err();
        assert!(matches!(error, WriteError::IsProgram { .. }));
        assert_eq!(fs::read(&app).unwrap(), b"\x7fELF and so on");
    }

    #[test]
    fn a_result_that_never_comes_leaves_everything_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        fs::write(&old, "before").unwrap();
        drop((
            OutputFile::create(&old).unwrap(),
            OutputFile::create(&new).unwrap(),
        ));
        assert_eq!(fs::read_to_string(&old).unwrap(), "before");
        assert!(!new.exists());
    }

    #[test]
    fn a_result_replaces_all_of_an_older_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("result");
        fs::write(&path, "something long from before").unwrap();
        let mut output = OutputFile::create(&path).unwrap();
        output.fill(b"new").unwrap();
        output.fill(b"er").unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    }

    #[test]
    fn a_device_is_written_to_and_a_full_one_said_to_be() {
        OutputFile::create(Path::new("/dev/null"))
            .unwrap()
            .fill(b"x")
            .unwrap();
        let error = OutputFile::create(Path::new("/dev/full"))
            .unwrap()
            .fill(b"x")
            .unwrap_err();
        let text = crate::error::Error::from(error).to_string();
        assert!(text.starts_with("cannot write all of /dev/full") && text.contains("free some"));
    }
}
