//! What commands say, kept in files: a folder for each PO, in it `stdout` and `stderr`.
//!
//! These are of the last attempt, also when it is one of a later run. Those of the attempts before are
//! `stdout.1` and `stderr.1`, `stdout.2` …, the first one first. Nothing is ever overwritten.
//!
//! The name of a folder is the PO, percent-encoded but for ASCII letters, digits, `-`, `_` and `.`, and
//! these too where a name begins with `-` or `.`: so it is a name in the folder whatever the PO is, and no
//! two POs share one. One that is longer than a file system takes is cut off and goes on with `%~` and a
//! hash of 128 bits.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use xxhash_rust::xxh3::xxh3_128;

use crate::disk::Rights;
use crate::error::{Error, Result};
use crate::sys::names;
use crate::text::Escaped;

/// A folder of such folders, for those who have the sheet.
#[derive(Debug, Clone)]
pub struct KeptOutput {
    folder: PathBuf,
    rights: Rights,
}

/// Where one attempt writes.
pub(crate) struct Files {
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

impl KeptOutput {
    /// Makes the folder and those around it, unless they are there. What is made is for those who have the sheet whose
    /// rights these are.
    ///
    /// # Errors
    /// [`OwnName`](crate::Error::OwnName); [`Unsuitable`](crate::Error::Unsuitable) if somebody else put it there, or a
    /// link to it; [`Io`](crate::Error::Io).
    pub fn in_folder(path: impl AsRef<Path>, rights: Rights) -> Result<KeptOutput> {
        let path = path.as_ref();
        // Without links, and absolute: commands may be started in another folder than this process is in.
        let folder = rights.place_of_folder(path)?;
        rights.create_folders(&folder)?;
        rights.own_folder(&folder)?;
        Ok(KeptOutput { folder, rights })
    }

    /// New files for an attempt at a PO; those of the last one are set aside.
    pub(crate) fn files(&self, po: &str) -> io::Result<Files> {
        let around = self.open_folder()?;
        let name = folder_name(po);
        let folder = match self.rights.create_folder_in(&around, &name) {
            Ok(folder) => folder,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {
                let opened = self.rights.own_folder_in(&around, &self.folder, &name);
                let folder = opened.map_err(of_the_system)?;
                set_aside(&folder)?;
                folder
            }
        };
        let stdout = self.rights.create_in(&folder, STDOUT)?;
        let stderr = self.rights.create_in(&folder, STDERR).inspect_err(|_| {
            // Nothing was said: another try is not to set it aside. What is left is empty.
            let _ = names::unlink(&folder, STDOUT);
        })?;
        Ok(Files { stdout, stderr })
    }

    /// What is made in it goes there, whatever others put in its place.
    fn open_folder(&self) -> io::Result<File> {
        match self.rights.own_folder(&self.folder).map_err(of_the_system) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        // Work that is done is not given up for a folder that somebody removed.
        let made = match self.rights.place_of_folder(&self.folder) {
            Ok(place) if place != self.folder => {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(place) => self.rights.create_folders(&place),
            Err(error) => Err(error),
        };
        let opened = made.and_then(|()| self.rights.own_folder(&self.folder));
        let opened = opened.map_err(of_the_system)?;
        tracing::warn!(folder = %Escaped::path(&self.folder), "the folder for what commands say was removed: a new one is made");
        Ok(opened)
    }

    /// Whether it is due to what has the PO's own name there that it has no files: `error` says why.
    pub(crate) fn is_of_the_po(&self, po: &str, error: &io::Error) -> bool {
        let is_there = |around| names::is_there(&around, &folder_name(po));
        self.rights.own_folder(&self.folder).is_ok_and(is_there)
            && error.kind() != io::ErrorKind::ReadOnlyFilesystem
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

fn set_aside(folder: &File) -> io::Result<()> {
    let numbered = |name, number: u64| format!("{name}.{number}");
    let is_free = |name, number| !names::is_there(folder, &numbered(name, number));
    let number = (1..)
        .find(|&number| is_free(STDOUT, number) && is_free(STDERR, number))
        .expect("a folder has fewer files than there are numbers");
    for name in [STDOUT, STDERR] {
        match names::rename(folder, name, numbered(name, number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// For whoever tries again: what kind of error it is.
fn of_the_system(error: Error) -> io::Error {
    let kind = match &error {
        Error::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.chain())
}

/// What names a file without meaning anything else, in a path or to a shell.
const HARMLESS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The longest name, with room for the hash within the 255 bytes that file systems allow.
const LONGEST: usize = 200;

fn folder_name(po: &str) -> String {
    let mut name = utf8_percent_encode(po, HARMLESS).to_string();
    match po.as_bytes().first() {
        Some(b'.') => name.replace_range(..1, "%2E"),
        Some(b'-') => name.replace_range(..1, "%2D"),
        _ => {}
    }
    if name.len() > LONGEST {
        name.truncate(LONGEST);
        name.push_str(&format!("%~{:032x}", xxh3_128(po.as_bytes())));
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_folders_name_is_a_name_whatever_the_po_is() {
        for (po, name) in [
            ("PO15000037", "PO15000037"),
            ("../x", "%2E.%2Fx"),
            ("a/b", "a%2Fb"),
            ("..", "%2E."),
            (".", "%2E"),
            ("-rf", "%2Drf"),
            ("a\nb", "a%0Ab"),
            ("%2E", "%252E"),
            ("é", "%C3%A9"),
            ("a b", "a%20b"),
        ] {
            assert_eq!(folder_name(po), name);
        }
    }

    #[test]
    fn no_two_pos_share_a_folder() {
        let long = "é/".repeat(150);
        let pos = [
            long.clone(),
            long.clone() + "x",
            "A".repeat(LONGEST),
            "A".repeat(LONGEST + 1),
            // What a long one would be called.
            folder_name(&long),
            "a".into(),
            "A".into(),
            ".a".into(),
            "%2Ea".into(),
        ];
        let names: BTreeSet<_> = pos.iter().map(|po| folder_name(po)).collect();
        assert_eq!(names.len(), pos.len());
        assert!(names.iter().all(|name| name.len() <= 255), "{names:?}");
    }

    /// Where all may make files, before the run or between two jobs.
    #[test]
    fn nothing_is_made_where_somebody_else_put_the_folder_or_a_link() {
        if !crate::sys::rights::is_root() {
            return eprintln!("SKIPPED: a file can be given away by root alone");
        }
        const STRANGER: u32 = 65534;
        for (is_link, is_around) in [(true, false), (false, false), (true, true)] {
            let shared = tempfile::tempdir().unwrap();
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            fs::set_permissions(shared.path(), open).unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let around = shared.path().join("results");
            let folder = match is_around {
                true => around.join("inner"),
                false => around.clone(),
            };
            let rights = Rights::of(elsewhere.path()).unwrap();
            let kept = KeptOutput::in_folder(&folder, rights).unwrap();
            let folder = around;
            kept.files("P1").unwrap();
            fs::rename(&folder, shared.path().join("old")).unwrap();
            if is_link {
                std::os::unix::fs::symlink(elsewhere.path(), &folder).unwrap();
                std::os::unix::fs::lchown(&folder, Some(STRANGER), None).unwrap();
            } else {
                fs::create_dir_all(folder.join("P2")).unwrap();
                std::os::unix::fs::symlink(elsewhere.path().join("x"), folder.join("P2/stdout"))
                    .unwrap();
                std::os::unix::fs::chown(&folder, Some(STRANGER), None).unwrap();
            }
            let refused = kept.files("P2").err().unwrap().to_string();
            assert!(
                refused.contains("of another user") || refused.contains("to another user"),
                "{refused}"
            );
            assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0);
        }
    }

    #[test]
    fn every_attempt_has_files_of_its_own_and_the_last_one_the_plain_names() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptOutput::in_folder(
            folder.path().join("new/results"),
            Rights::of(folder.path()).unwrap(),
        )
        .unwrap();
        for attempt in ["first", "second", "third"] {
            let mut files = kept.files("P1").unwrap();
            write!(files.stdout, "{attempt}").unwrap();
            write!(files.stderr, "{attempt}!").unwrap();
        }
        let read = |name: &str| {
            fs::read_to_string(folder.path().join("new/results/P1").join(name)).unwrap()
        };
        assert_eq!(
            [
                "stdout.1", "stdout.2", "stdout", "stderr.1", "stderr.2", "stderr"
            ]
            .map(read),
            ["first", "second", "third", "first!", "second!", "third!"]
        );
    }
}
