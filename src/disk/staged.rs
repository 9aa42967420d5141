//! A new file: complete under its name, or not to be seen at all.
//!
//! Whatever is made anew (a sheet's next version, a backup, a copy, a report, a log that starts over) begins here, is
//! filled and synced by its caller, and gets its name when it is whole. It begins without a name
//! (O_TMPFILE), so that nobody else can open it and a crash leaves nothing of it; where the filesystem
//! cannot do that, it begins under a hidden temporary name.
//!
//! A temporary name is random. It was made of the process's id once: two containers that share a volume
//! are both process 1, so each removed, and put into the sheet's place, the half-written file of the
//! other (a reader saw 4 torn sheets in 1,239). Whoever has a file under a temporary name holds a lock
//! (flock) on it, which goes with the process. So a temporary file that is locked belongs to somebody
//! alive and is left alone; one that can be locked was [abandoned](Abandoned). A clean-up may find a new
//! file before its maker has locked it, and therefore removes a name only while it has the lock itself:
//! the maker, when it has the lock, looks whether the name is still there.
//!
//! Nothing is moved or removed by its name before the inode that has the name was compared with that of
//! the open file.

use std::borrow::Borrow;
use std::fs::File;
#[cfg(feature = "cli")]
use std::fs::Permissions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
#[cfg(feature = "cli")]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
#[cfg(feature = "cli")]
use std::path::PathBuf;

use crate::disk::target::read_folder;
use crate::sys::{flock, inode, names, open, private_file, refused};
use crate::text::escape;

/// How often another name is tried when a clean-up was quicker than the lock.
const MAX_NAMES: u32 = 100;
/// How many hexadecimal digits of a temporary name are random.
const RANDOM_DIGITS: usize = 16;
const ENDING: &str = ".tmp";

/// A new file that nobody is to see yet, in a folder that is held open. Dropped, it leaves nothing but
/// the names that it was given for good.
#[derive(Debug)]
pub(crate) struct Staged<F: Borrow<File>> {
    folder: F,
    file: File,
    /// What its temporary names begin with.
    beginning: String,
    /// The temporary name that it has. It is locked while it has one.
    name: Option<String>,
}

impl<F: Borrow<File>> Staged<F> {
    /// Begins a file with this mode, less the umask. Its temporary names, if it needs any, begin so.
    pub(crate) fn begin(folder: F, beginning: &str, mode: u32) -> io::Result<Staged<F>> {
        match unnamed(folder.borrow(), mode)? {
            Some(file) => Ok(Staged {
                folder,
                file,
                beginning: beginning.to_owned(),
                name: None,
            }),
            None => Staged::begin_hidden(folder, beginning, mode),
        }
    }

    fn begin_hidden(folder: F, beginning: &str, mode: u32) -> io::Result<Staged<F>> {
        let (file, name) = create_hidden(folder.borrow(), beginning, mode)?;
        Ok(Staged {
            folder,
            file,
            beginning: beginning.to_owned(),
            name: Some(name),
        })
    }

    pub(crate) fn folder(&self) -> &File {
        self.folder.borrow()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The same file for reading only, by the name that it has.
    pub(crate) fn open_to_read(&self) -> io::Result<File> {
        let name = self.name.as_ref().ok_or(io::ErrorKind::NotFound)?;
        open::to_read(self.folder(), name)
    }

    /// Whether others could open it by now.
    pub(crate) fn has_a_name(&self) -> bool {
        self.name.is_some()
    }

    /// Gives the file a temporary name that tells what it is for: see [`what_is_told`].
    pub(crate) fn tell(&mut self, what: &str) -> io::Result<()> {
        let name = temporary_name(&self.beginning, what);
        match &self.name {
            None => {
                lock(&self.file)?;
                private_file::give_name(&self.file, self.folder.borrow(), &name)?;
            }
            Some(first) => {
                self.refuse_stranger(first)?;
                names::rename(self.folder.borrow(), first, &name)?;
            }
        }
        self.name = Some(name);
        Ok(())
    }

    /// Gives the file a name for good, and takes the temporary one away; `false` if that is taken.
    pub(crate) fn publish(&mut self, name: impl AsRef<Path>) -> io::Result<bool> {
        let folder = self.folder.borrow();
        let named = match &self.name {
            None => private_file::give_name(&self.file, folder, name),
            Some(first) => {
                self.refuse_stranger(first)?;
                match names::link(folder, first, &name) {
                    Err(error) if refused::is_for_want_of_links(&error) => {
                        names::rename_to_free(folder, first, &name)
                    }
                    linked => linked,
                }
            }
        };
        match named {
            Ok(()) => {
                self.give_up_name();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the file a name for good, and takes it away from whoever has it.
    pub(crate) fn replace(&mut self, name: impl AsRef<Path>) -> io::Result<()> {
        if self.name.is_none() {
            self.tell("")?;
        }
        let temporary = self.checked_name()?;
        names::rename(self.folder.borrow(), temporary, name)?;
        self.let_go();
        self.name = None;
        Ok(())
    }

    /// Lets the file, which has told what it is for, and another one swap their names. The other one's is
    /// the temporary name then, which is returned and is the caller's to remove.
    pub(crate) fn exchange(&mut self, other: &str) -> io::Result<String> {
        let temporary = self.checked_name()?;
        names::exchange(self.folder.borrow(), temporary, other)?;
        self.let_go();
        Ok(self.name.take().expect("it was given one"))
    }

    fn checked_name(&self) -> io::Result<&str> {
        let name = self.name.as_deref().expect("it was given one");
        self.refuse_stranger(name)?;
        Ok(name)
    }

    /// An error unless the name is this file's.
    fn refuse_stranger(&self, name: &str) -> io::Result<()> {
        match has_name(&self.file, self.folder.borrow(), name)? {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "another file has taken the temporary name {}",
                escape(name)
            ))),
        }
    }

    /// Removes the temporary name, if it has one, and then the lock.
    fn give_up_name(&mut self) {
        if let Some(name) = self.name.take() {
            if let Err(error) = remove_if_still(&self.file, self.folder.borrow(), &name) {
                tracing::warn!(%error, name = %escape(&name), "a temporary file is left behind");
            }
            self.let_go();
        }
    }

    /// What has a name for good is not to be found locked.
    fn let_go(&self) {
        // The lock goes with the file in any case.
        let _ = flock::unlock(&self.file);
    }
}

impl<F: Borrow<File>> Drop for Staged<F> {
    fn drop(&mut self) {
        self.give_up_name();
    }
}

/// A file that only this process knows, readable by its owner alone: it has no name, or lost it before
/// anything was written to it.
pub(crate) fn scratch(folder: &File, beginning: &str) -> io::Result<File> {
    if let Some(file) = unnamed(folder, 0o600)? {
        return Ok(file);
    }
    let (file, name) = create_hidden(folder, beginning, 0o600)?;
    remove_if_still(&file, folder, &name)?;
    Ok(file)
}

/// A file that never has a name. `None`: the filesystem has none such.
pub(crate) fn unnamed(folder: &File, mode: u32) -> io::Result<Option<File>> {
    match private_file::create(folder, mode) {
        Err(error) if is_for_want_of_private_files(&error) => Ok(None),
        made => made.map(Some),
    }
}

/// A file under a temporary name whose maker is gone. It stays locked, so that nobody else takes it up
/// as well.
pub(crate) struct Abandoned<'f> {
    folder: &'f File,
    file: File,
    name: String,
}

impl<'f> Abandoned<'f> {
    /// Takes up the file that has this temporary name. `None`: it is gone, is no regular file, or belongs
    /// to somebody alive.
    pub(crate) fn take_up(folder: &'f File, name: &str) -> io::Result<Option<Abandoned<'f>>> {
        let file = match open::to_read(folder, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let taken = file.metadata()?.is_file() && is_free(&file)? && has_name(&file, folder, name)?;
        Ok(taken.then(|| Abandoned {
            folder,
            file,
            name: name.to_owned(),
        }))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        names::unlink_if_there(self.folder, &self.name)
    }
}

/// Removes what killed makers left in a folder under temporary names that begin so. What cannot be removed
/// is hidden and harmless. The path is that of the folder.
pub(crate) fn remove_abandoned(folder: &File, path: &Path, beginning: &str) {
    let removed = read_folder(path).and_then(|entries| {
        for entry in entries {
            let name = entry.file_name();
            if let Some(name) = name.to_str()
                && what_is_told(name, beginning).is_some()
                && let Some(abandoned) = Abandoned::take_up(folder, name)?
            {
                abandoned.remove()?;
            }
        }
        Ok(())
    });
    if let Err(error) = removed {
        tracing::debug!(%error, "what a killed process left is not removed");
    }
}

/// What a temporary name [tells](Staged::tell): `input.csv-7` of `.x.0123456789abcdef-input.csv-7.tmp`
/// with the beginning `.x.`, and nothing of `.x.0123456789abcdef.tmp`. `None`: it is no temporary name.
pub(crate) fn what_is_told<'n>(name: &'n str, beginning: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(beginning)?.strip_suffix(ENDING)?;
    let (random, told) = rest.split_at_checked(RANDOM_DIGITS)?;
    let is_ours = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if !random.bytes().all(is_ours) {
        return None;
    }
    match told {
        "" => Some(""),
        told => told.strip_prefix('-'),
    }
}

fn temporary_name(beginning: &str, what: &str) -> String {
    // Seeded by the system's random numbers, as std needs them for its maps.
    let random = RandomState::new().build_hasher().finish();
    let dash = if what.is_empty() { "" } else { "-" };
    format!("{beginning}{random:0RANDOM_DIGITS$x}{dash}{what}{ENDING}")
}

/// Makes a file under a temporary name, and locks it.
fn create_hidden(folder: &File, beginning: &str, mode: u32) -> io::Result<(File, String)> {
    for _ in 0..MAX_NAMES {
        let name = temporary_name(beginning, "");
        let file = match open::create(folder, &name, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        match lock(&file).and_then(|locked| Ok(locked && has_name(&file, folder, &name)?)) {
            Ok(true) => return Ok((file, name)),
            // A clean-up found it before it was locked.
            Ok(false) => {}
            Err(error) => {
                // It is empty and hidden, and the error says more than a second one.
                let _ = names::unlink(folder, &name);
                return Err(error);
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("{MAX_NAMES} temporary files were removed as soon as they were made"),
    ))
}

/// Holds a file that has got a temporary name of ours, so that no clean-up takes it up. If one has done so
/// already, it does with the file what its holder would do.
pub(crate) fn hold(file: &File) {
    let _ = flock::try_exclusive(file);
}

/// Whether somebody holds a file that has a temporary name of ours. Where the filesystem has no locks nobody can
/// tell.
pub(crate) fn is_held(file: &File) -> io::Result<bool> {
    let is_free = is_free(file)?;
    if is_free {
        flock::unlock(file)?;
    }
    Ok(!is_free)
}

/// Locks a file of ours. `false`: somebody else has the lock. Where the filesystem has no locks nobody
/// can take the file up, and it is as good as locked.
fn lock(file: &File) -> io::Result<bool> {
    match flock::try_exclusive(file) {
        Err(error) if refused::is_for_want_of_locks(&error) => Ok(true),
        locked => locked,
    }
}

/// Locks a file of somebody who may be gone. Where the filesystem has no locks nobody can tell.
fn is_free(file: &File) -> io::Result<bool> {
    match flock::try_exclusive(file) {
        Err(error) if refused::is_for_want_of_locks(&error) => Ok(false),
        locked => locked,
    }
}

fn has_name(file: &File, folder: &File, name: &str) -> io::Result<bool> {
    match inode::of(folder, name) {
        Ok(inode) => Ok(inode == file.metadata()?.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_if_still(file: &File, folder: &File, name: &str) -> io::Result<()> {
    match has_name(file, folder, name)? {
        true => names::unlink_if_there(folder, name),
        false => Ok(()),
    }
}

/// Gives an open file one more name, a random one in a folder of its filesystem that begins so, for its owner alone.
/// That takes no room.
#[cfg(feature = "cli")]
pub(crate) fn give_another_name(
    file: &File,
    folder: &Path,
    beginning: &str,
) -> io::Result<PathBuf> {
    file.set_permissions(Permissions::from_mode(0o600))?;
    let held = File::open(folder)?;
    let named = tempfile::Builder::new()
        .prefix(beginning)
        .make_in(folder, |path| private_file::give_name(file, &held, path))?;
    Ok(named.keep()?.1)
}

/// Whether the filesystem has no files without a name. Kernels that do not know O_TMPFILE look for a
/// folder to create.
fn is_for_want_of_private_files(error: &io::Error) -> bool {
    refused::is_unsupported(error) || error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    const BEGINNING: &str = ".x.";

    type Begin = fn(File, &str, u32) -> io::Result<Staged<File>>;

    /// Each promise holds for both ways to begin.
    #[track_caller]
    fn check(promise: impl Fn(Staged<File>, &Path)) {
        for begin in [Staged::begin as Begin, Staged::begin_hidden] {
            let path = tempfile::tempdir().unwrap();
            let folder = open::folder(path.path()).unwrap();
            promise(begin(folder, BEGINNING, 0o600).unwrap(), path.path());
        }
    }

    fn all_names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn visible_names(folder: &Path) -> Vec<String> {
        let mut names = all_names(folder);
        names.retain(|name| !name.starts_with('.'));
        names
    }

    #[test]
    fn a_file_is_not_seen_before_it_is_published() {
        check(|mut staged, folder| {
            staged.file().write_all(b"all of it").unwrap();
            assert!(visible_names(folder).is_empty());
            assert!(staged.publish("name").unwrap());
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"all of it");
        });
    }

    #[test]
    fn a_name_that_is_taken_is_left_to_its_owner() {
        check(|mut staged, folder| {
            std::fs::write(folder.join("name"), "theirs").unwrap();
            symlink("elsewhere", folder.join("link")).unwrap();
            assert!(!staged.publish("name").unwrap());
            assert!(!staged.publish("link").unwrap());
            assert!(staged.publish("other").unwrap());
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"theirs");
            assert!(!folder.join("elsewhere").exists());
        });
    }

    #[test]
    fn a_file_that_replaces_another_has_its_name_and_no_lock() {
        check(|mut staged, folder| {
            std::fs::write(folder.join("name"), "old").unwrap();
            staged.file().write_all(b"new").unwrap();
            staged.replace("name").unwrap();
            let file = File::open(folder.join("name")).unwrap();
            assert!(flock::try_exclusive(&file).unwrap());
            drop(staged);
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"new");
            assert_eq!(all_names(folder), ["name"]);
        });
    }

    #[test]
    fn two_files_that_exchange_their_names_are_both_there() {
        check(|mut staged, folder| {
            std::fs::write(folder.join("name"), "old").unwrap();
            staged.file().write_all(b"new").unwrap();
            staged.tell("5").unwrap();
            let displaced = staged.exchange("name").unwrap();
            drop(staged);
            assert_eq!(what_is_told(&displaced, BEGINNING), Some("5"));
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"new");
            assert_eq!(std::fs::read(folder.join(displaced)).unwrap(), b"old");
        });
    }

    #[test]
    fn nothing_stays_of_a_file_that_was_given_up() {
        check(|mut staged, folder| {
            staged.tell("5").unwrap();
            drop(staged);
            assert!(all_names(folder).is_empty());
        });
    }

    #[test]
    fn only_the_name_that_was_asked_for_stays() {
        check(|mut staged, folder| {
            assert!(staged.publish("name").unwrap());
            assert_eq!(all_names(folder), ["name"]);
            drop(staged);
            assert_eq!(all_names(folder), ["name"]);
        });
    }

    #[test]
    fn a_file_that_took_a_temporary_name_gets_no_other_and_stays() {
        check(|mut staged, folder| {
            std::fs::write(folder.join("name"), "old").unwrap();
            staged.tell("5").unwrap();
            std::fs::rename(folder.join("name"), folder.join(".kept")).unwrap();
            let temporary = staged.name.clone().unwrap();
            std::fs::rename(folder.join(".kept"), folder.join(&temporary)).unwrap();
            std::fs::write(folder.join("name"), "public").unwrap();
            for refused in [
                staged.tell("6").unwrap_err(),
                staged.publish("free").unwrap_err(),
                staged.replace("name").unwrap_err(),
                staged.exchange("name").unwrap_err(),
            ] {
                assert_eq!(
                    refused.to_string(),
                    format!("another file has taken the temporary name {temporary}")
                );
            }
            drop(staged);
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"public");
            assert_eq!(std::fs::read(folder.join(temporary)).unwrap(), b"old");
        });
    }

    #[test]
    fn a_file_that_somebody_alive_writes_is_not_taken_up() {
        check(|mut staged, folder| {
            staged.tell("5").unwrap();
            let name = staged.name.clone().unwrap();
            let open = open::folder(folder).unwrap();
            assert!(Abandoned::take_up(&open, &name).unwrap().is_none());
            // As a kill leaves it.
            std::fs::write(folder.join("copy"), "half of").unwrap();
            std::fs::rename(folder.join("copy"), folder.join(&name)).unwrap();
            let abandoned = Abandoned::take_up(&open, &name).unwrap().unwrap();
            assert!(
                Abandoned::take_up(&open, &name).unwrap().is_none(),
                "one clean-up is enough"
            );
            abandoned.remove().unwrap();
            assert!(all_names(folder).is_empty());
            assert!(Abandoned::take_up(&open, &name).unwrap().is_none());
        });
    }

    #[test]
    fn clean_ups_take_no_file_from_under_who_makes_one() {
        let path = tempfile::tempdir().unwrap();
        let folder = open::folder(path.path()).unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in all_names(path.path()) {
                        if let Some(abandoned) = Abandoned::take_up(&folder, &name).unwrap() {
                            abandoned.remove().unwrap();
                        }
                    }
                }
            });
            let made = (0..3_000).try_for_each(|_| {
                let (file, name) = create_hidden(&folder, BEGINNING, 0o600)?;
                std::thread::yield_now();
                let is_there = has_name(&file, &folder, &name)?;
                remove_if_still(&file, &folder, &name)?;
                match is_there {
                    true => Ok(()),
                    false => Err(io::Error::other("it was removed")),
                }
            });
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            made.unwrap();
        });
    }

    #[test]
    fn nobody_else_can_open_a_scratch_file() {
        let path = tempfile::tempdir().unwrap();
        let folder = open::folder(path.path()).unwrap();
        let mut file = scratch(&folder, BEGINNING).unwrap();
        file.write_all(b"x").unwrap();
        assert!(all_names(path.path()).is_empty());
    }

    #[track_caller]
    fn check_told(name: &str, told: Option<&str>) {
        assert_eq!(what_is_told(name, BEGINNING), told, "{name}");
    }

    #[test]
    fn a_temporary_name_is_told_from_others() {
        let name = temporary_name(BEGINNING, "12-ab");
        check_told(&name, Some("12-ab"));
        check_told(&temporary_name(BEGINNING, ""), Some(""));
        check_told(".x.0123456789abcdef.tmp", Some(""));
        check_told(".x.0123456789abcdef-.tmp", Some(""));
        check_told(".x.0123456789abcdef-7-8.tmp", Some("7-8"));
        for other in [
            ".x.0123456789abcde.tmp",
            ".x.0123456789abcdefa.tmp",
            ".x.0123456789ABCDEF.tmp",
            ".x.0123456789abcdef",
            ".y.0123456789abcdef.tmp",
            ".x.tmp",
            ".x.ääääääää-1.tmp",
        ] {
            check_told(other, None);
        }
        assert_ne!(temporary_name(BEGINNING, ""), temporary_name(BEGINNING, ""));
    }
}
