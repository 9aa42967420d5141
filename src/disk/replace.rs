//! Durable, atomic replacement of the sheet that never overwrites what somebody else wrote.
//!
//! 1. The new version is written to a file without a name, its space reserved first, and given the
//!    old one's owner, mode and attributes; synced; and verified, a large one at the same time. A
//!    failure up to here leaves nothing behind, and is never answered by a second sync of the same file: after a failed
//!    fsync the kernel may call the next one a success though the data is gone.
//! 2. It gets the name `.input.csv.{random}-{its inode}-{hash of the version it replaces}.tmp`.
//! 3. A read lease on the public file is taken, which is refused while anybody writes to it; the
//!    public file is compared with the version that was expected.
//! 4. The two names are exchanged (`renameat2`), so that the public name is never without a
//!    complete file and the displaced one is not lost, whatever it is. A plain rename after a
//!    comparison loses the edits that fall between the two.
//! 5. Rights that were changed since the new version got the old one's are taken over from the
//!    displaced file, and the folder is synced. If the lease is still held and the displaced file is the expected one,
//!    nobody wrote to it, and it is removed. Otherwise somebody's edit is in the displaced file,
//!    and the caller merges it.
//!
//! The temporary name tells what a crash left: a file whose inode is the one in its name was never
//! exchanged; one whose contents have the hash in its name is the old version; anything else is
//! somebody's edit. Only one that nobody alive holds is looked at: see [`staged`](super::staged). Where
//! the filesystem has no exchange, or no lease can be had, the comparison is made as late as possible and
//! the displaced file is watched for a while: see [`Publication`].

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::thread;
use std::time::SystemTime;

use crate::disk::snapshot::Snapshot;
use crate::disk::staged::{self, Abandoned, Staged, what_is_told};
use crate::disk::target::{Target, read_folder};
use crate::disk::version::{ContentHash, Look, Stamp, Version, hash_bytes, hash_file};
use crate::error::{Error, Result};
use crate::sys::lease::{Lease, Leased};
use crate::sys::refused::is_unsupported;
use crate::sys::{acl, attributes, names, open, rights, room};
use crate::text::escape;

/// How much is written at once.
const BUFFER: usize = 256 << 10;
/// From this size on a second thread is worth its while.
const LARGE: u64 = 1 << 20;

/// A new version, complete, synced and verified, that is not public yet.
pub(crate) struct Replacement<'t> {
    target: &'t Target,
    staged: Staged<&'t File>,
    hash: ContentHash,
    written_at: SystemTime,
    /// What it took over from the version that was public when it was written.
    rights: Rights,
}

/// Mode, owner and group.
type Rights = (u32, u32, u32);

fn rights_in(of: &Metadata) -> Rights {
    (of.mode() & 0o7777, of.uid(), of.gid())
}

/// What came of the attempt to make a new version public.
pub(crate) enum Publication {
    /// It is the public version, durably. Without a lease nobody can say whether somebody still
    /// writes to the displaced file, which is then given back to be watched.
    Done(Version, Option<File>),
    /// Somebody has the public file open for writing. Nothing was changed.
    Busy,
    /// The public file is not the expected version. Nothing was changed.
    Edited,
    /// It is the public version, and the file that it displaced holds somebody's edit.
    Displaced(Version, Displaced),
}

/// A file that an editor wrote to while it lost its public name.
pub(crate) struct Displaced {
    pub(crate) file: File,
    /// Whether somebody wrote to the version that we knew, and so may not be done; otherwise it is
    /// another file that had taken its name.
    pub(crate) in_place: bool,
    /// The version that was to be displaced.
    pub(crate) expected: ContentHash,
    /// The temporary name that it got, if names could be exchanged.
    name: Option<String>,
}

impl Displaced {
    /// Whether whoever opens the sheet next would find it.
    pub(crate) fn has_a_name(&self) -> bool {
        self.name.is_some()
    }

    /// Removes it, once its edit is merged or kept.
    pub(crate) fn remove(self, target: &Target) -> Result<()> {
        self.name.map_or(Ok(()), |name| unlink(target, &name))
    }
}

impl<'t> Replacement<'t> {
    /// Writes a new version.
    pub(crate) fn write(
        target: &'t Target,
        old: &File,
        size: u64,
        render: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
        verify: impl Fn(&[u8]) -> std::result::Result<(), String> + Sync,
    ) -> Result<Self> {
        let written_at = SystemTime::now();
        let mut new = Replacement::create(target)?;
        let failed = |action| Error::io(action, target.path());
        let doing = "write a new version of";
        // Where no space can be reserved, a full disk only shows as it is written to.
        room::reserve(new.file(), size.max(1)).map_err(failed(doing))?;
        let mut out = BufWriter::with_capacity(BUFFER, new.file());
        render(&mut out)
            .and_then(|()| out.flush())
            .map_err(failed(doing))?;
        drop(out);
        let end = new.file().stream_position().map_err(failed(doing))?;
        new.file().set_len(end).map_err(failed(doing))?;
        new.rights = copy_metadata(target, old, new.file())?;
        let verify = || {
            let written = new
                .read_back()
                .map_err(failed("read back a new version of"))?;
            verify(&written).map_err(|problem| Error::Verification {
                path: target.path().to_owned(),
                problem,
            })?;
            Ok(hash_bytes(&written))
        };
        let sync = || {
            let synced = new.file().sync_all();
            synced.map_err(failed("sync a new version of"))
        };
        new.hash = if end < LARGE {
            sync().and_then(|()| verify())?
        } else {
            // The disk is busy with the one, a processor with the other. Whoever is here begins with the
            // sync: a new thread waits for a processor, and the disk would wait for it.
            thread::scope(|scope| {
                let verifying = thread::Builder::new().spawn_scoped(scope, verify);
                sync()?;
                match verifying.map(|verifying| verifying.join()) {
                    Ok(Ok(verified)) => verified,
                    Ok(Err(panic)) => std::panic::resume_unwind(panic),
                    // The system gives no thread.
                    Err(_) => verify(),
                }
            })?
        };
        new.written_at = written_at;
        Ok(new)
    }

    /// What tells this version apart.
    pub(crate) fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Finds out, before anything runs, whether a replacement could keep owner and mode.
    pub(crate) fn rehearse(target: &Target) -> Result<()> {
        let (old, _) = target.open_sheet()?;
        copy_metadata(target, &old, Replacement::create(target)?.file()).map(drop)
    }

    /// The same without the write lock and without a name that anybody sees; where the filesystem has no
    /// such files this is left to [`Replacement::rehearse`].
    pub(crate) fn rehearse_unseen(target: &Target) -> Result<()> {
        match staged::unnamed(target.folder(), 0o600) {
            Ok(None) => Ok(()),
            Ok(Some(made)) => copy_metadata(target, &target.open_sheet()?.0, &made).map(drop),
            Err(error) => Err(Error::io(
                "create a temporary file in",
                target.folder_path(),
            )(error)),
        }
    }

    fn create(target: &'t Target) -> Result<Self> {
        let staged = Staged::begin(target.folder(), &target.sibling_name(""), 0o600).map_err(
            Error::io("create a temporary file in", target.folder_path()),
        )?;
        Ok(Replacement {
            target,
            staged,
            hash: 0,
            written_at: SystemTime::UNIX_EPOCH,
            rights: (0, 0, 0),
        })
    }

    fn file(&self) -> &File {
        self.staged.file()
    }

    fn read_back(&self) -> io::Result<Snapshot> {
        if !self.staged.has_a_name() {
            return Snapshot::map(self.file());
        }
        let mut bytes = Vec::new();
        self.file().rewind()?;
        self.file().read_to_end(&mut bytes)?;
        Ok(Snapshot::Owned(bytes))
    }

    /// Puts the new version in the place of `expected`. The caller holds the write lock.
    pub(crate) fn publish(self, expected: &mut Version) -> Result<Publication> {
        self.publish_and_hold(expected, &mut None)
    }

    /// The same; `made` gets the new version, open for reading only, before anybody else can write to it.
    pub(crate) fn publish_and_hold(
        mut self,
        expected: &mut Version,
        made: &mut Option<File>,
    ) -> Result<Publication> {
        let target = self.target;
        let failed = |error| Error::io("replace", target.path())(error);
        self.tell(expected.hash)?;
        *made = self.staged.open_to_read().ok();
        let (public, metadata) = target.open_sheet()?;
        let lease = match Lease::take(&public) {
            Leased::Held(lease) => Some(lease),
            Leased::Refused => return Ok(Publication::Busy),
            Leased::Unsupported => None,
        };
        let is_expected = matches!(expected.look(target)?, Look::Same);
        if !is_expected || Stamp::of(&metadata).inode != expected.stamp.inode {
            return Ok(Publication::Edited);
        }
        let name = match self.staged.exchange(target.name()) {
            Ok(name) => Some(name),
            Err(error) if is_unsupported(&error) => {
                // Another file that takes the name from here on is lost.
                if !expected.glance(target)? {
                    return Ok(Publication::Edited);
                }
                self.staged.replace(target.name()).map_err(failed)?;
                None
            }
            Err(error) => return Err(failed(error)),
        };
        // What has the temporary name now is not ours to remove until we know what it is. Without an
        // exchange nothing has it.
        let displaced = name
            .as_deref()
            .map(|name| open_displaced(target, name))
            .transpose()?;
        let left = displaced.as_ref().unwrap_or(&public);
        self.take_changed_rights(left);
        target.sync_folder()?;
        let version = self.version()?;
        let stamp = Stamp::of(&left.metadata().map_err(Error::io("read", target.path()))?);
        let untouched = match &lease {
            Some(lease) => stamp.same_data(&expected.stamp) && lease.is_held(),
            None => expected
                .is_in(left)
                .map_err(Error::io("read", target.path()))?,
        };
        let leased = lease.is_some();
        drop(lease);
        if !untouched {
            let file = displaced.unwrap_or(public);
            staged::hold(&file);
            return Ok(Publication::Displaced(
                version,
                Displaced {
                    in_place: stamp.inode == expected.stamp.inode,
                    expected: expected.hash,
                    file,
                    name,
                },
            ));
        }
        if let Some(name) = name {
            unlink(target, &name)?;
        }
        if leased {
            close_elsewhere((public, displaced), stamp.size);
            return Ok(Publication::Done(version, None));
        }
        Ok(Publication::Done(version, Some(public)))
    }

    /// Puts the new version in a place where there is none any more.
    pub(crate) fn publish_anew(mut self) -> Result<Publication> {
        let target = self.target;
        let published = self.staged.publish(target.name());
        if !published.map_err(Error::io("replace", target.path()))? {
            return Ok(Publication::Edited);
        }
        target.sync_folder()?;
        Ok(Publication::Done(self.version()?, None))
    }

    /// Somebody may have changed the sheet's rights between the writing and the exchange, perhaps to
    /// shut others out. Contents and results are safe by now, so a failure is only worth a warning.
    fn take_changed_rights(&self, displaced: &File) {
        let taken = displaced
            .metadata()
            .map_err(Error::io("read", self.target.path()))
            .and_then(|metadata| {
                if rights_in(&metadata) == self.rights || !metadata.is_file() {
                    return Ok(());
                }
                copy_metadata(self.target, displaced, self.file())?;
                self.file()
                    .sync_all()
                    .map_err(Error::io("sync", self.target.path()))
            });
        if let Err(error) = taken {
            tracing::warn!(error = %error.chain(), "a change of the sheet's owner or mode was not kept");
        }
    }

    /// Gives it the name that tells, after a crash, what is in it.
    fn tell(&mut self, replaces: ContentHash) -> Result<()> {
        let failed = |error| Error::io("name a new version of", self.target.path())(error);
        let inode = self.file().metadata().map_err(failed)?.ino();
        self.staged
            .tell(&format!("{inode}-{replaces:032x}"))
            .map_err(failed)
    }

    fn version(&self) -> Result<Version> {
        let metadata = self.file().metadata();
        let metadata = metadata.map_err(Error::io("read", self.target.path()))?;
        Ok(Version::new(
            Stamp::of(&metadata),
            self.hash,
            self.written_at,
        ))
    }
}

/// What a crash left under temporary names. Nothing is touched that somebody alive holds.
pub(crate) fn leftovers(target: &Target) -> Result<Vec<Displaced>> {
    let mut edits = Vec::new();
    let read = || Error::io("read", target.path());
    for entry in
        read_folder(target.folder_path()).map_err(Error::io("read", target.folder_path()))?
    {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(kind) = Temporary::of(target, name) else {
            continue;
        };
        let abandoned = match Abandoned::take_up(target.folder(), name) {
            Ok(Some(abandoned)) => abandoned,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%error, name = %escape(name), "a file with the name of a temporary one is left alone");
                continue;
            }
        };
        let mut expected = 0;
        let is_ours = match kind {
            Temporary::New => true,
            Temporary::Exchanged { inode, replaced } => {
                expected = replaced;
                abandoned.file().metadata().map_err(read())?.ino() == inode
                    || hash_file(abandoned.file()).map_err(read())? == replaced
            }
        };
        if is_ours {
            abandoned
                .remove()
                .map_err(Error::io("remove", target.folder_path().join(name)))?;
        } else {
            edits.push(Displaced {
                in_place: false,
                expected,
                file: abandoned.into_file(),
                name: Some(name.to_owned()),
            });
        }
    }
    Ok(edits)
}

/// Whether somebody alive displaced a file that was public, and merges what is in it: that holds it, under a temporary
/// name or none. The caller has the write lock.
pub(crate) fn is_displaced(target: &Target, file: &File) -> Result<bool> {
    let failed = || Error::io("read", target.folder_path());
    if !staged::is_held(file).map_err(failed())? {
        return Ok(false);
    }
    let metadata = file.metadata().map_err(failed())?;
    let names = read_folder(target.folder_path()).map_err(failed())?;
    let is_temporary = names.iter().any(|entry| {
        let name = entry.file_name();
        let is_ours = |name| Temporary::of(target, name).is_some();
        entry.ino() == metadata.ino() && name.to_str().is_some_and(is_ours)
    });
    Ok(is_temporary || metadata.nlink() == 0)
}

/// What a temporary name beside a sheet stands for.
#[derive(Debug, PartialEq)]
enum Temporary {
    /// A file that never was public.
    New,
    /// One that was about to be exchanged, or what it was exchanged for.
    Exchanged { inode: u64, replaced: ContentHash },
}

impl Temporary {
    fn of(target: &Target, name: &str) -> Option<Temporary> {
        let beginning = target.sibling_name("");
        match what_is_told(name, &beginning) {
            Some("") => Some(Temporary::New),
            Some(told) => Temporary::exchanged(told),
            None => Temporary::of_old(name.strip_prefix(&beginning)?),
        }
    }

    /// Names as they were before they were random: `new-{pid}-{number}.tmp`, `new-{pid}.tmp`,
    /// `{inode}-{hash}.tmp` and `journal.next`.
    fn of_old(rest: &str) -> Option<Temporary> {
        if rest == "journal.next" {
            return Some(Temporary::New);
        }
        let rest = rest.strip_suffix(".tmp")?;
        match rest.strip_prefix("new-") {
            Some(numbers) => {
                let is_hex = |part| u32::from_str_radix(part, 16).is_ok();
                numbers.split('-').all(is_hex).then_some(Temporary::New)
            }
            None => Temporary::exchanged(rest),
        }
    }

    fn exchanged(told: &str) -> Option<Temporary> {
        let (inode, hash) = told.split_once('-')?;
        let replaced = (hash.len() == 32).then(|| ContentHash::from_str_radix(hash, 16).ok())??;
        Some(Temporary::Exchanged {
            inode: inode.parse().ok()?,
            replaced,
        })
    }
}

fn open_displaced(target: &Target, name: &str) -> Result<File> {
    open::to_read(target.folder(), name).map_err(Error::io("open", target.folder_path().join(name)))
}

fn unlink(target: &Target, name: &str) -> Result<()> {
    names::unlink_if_there(target.folder(), name)
        .map_err(Error::io("remove", target.folder_path().join(name)))
}

/// Closes files that have no name any more. With the last reference the filesystem frees what was in
/// them, which takes it as long for a large one as a sync does.
fn close_elsewhere(files: (File, Option<File>), size: u64) {
    if size >= LARGE {
        // Without a thread they are closed here.
        thread::Builder::new().spawn(move || drop(files)).ok();
    }
}

/// Returns the rights that were taken over.
fn copy_metadata(target: &Target, old: &File, new: &File) -> Result<Rights> {
    let failed = || Error::io("keep owner and mode of", target.path());
    let read = |file: &File| file.metadata().map_err(failed());
    let (from, to): (Metadata, Metadata) = (read(old)?, read(new)?);
    if (from.uid(), from.gid()) != (to.uid(), to.gid()) {
        rights::set_owner(new, Some(from.uid()), Some(from.gid())).map_err(failed())?;
    }
    // A list that the folder gives by default would open the file to more people than the old one.
    acl::remove(new).map_err(failed())?;
    rights::set_mode(new, from.mode() & 0o7777).map_err(failed())?;
    attributes::copy(old, new).map_err(failed())?;
    Ok(rights_in(&from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHEET: &str = "PO_NUMBER\nA\n";

    fn sheet() -> (tempfile::TempDir, Target) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.csv");
        std::fs::write(&path, SHEET).unwrap();
        let target = Target::open(&path).unwrap();
        (folder, target)
    }

    fn new_version(target: &Target) -> Replacement<'_> {
        let (old, _) = target.open_sheet().unwrap();
        let render = |out: &mut BufWriter<&File>| out.write_all(SHEET.as_bytes());
        Replacement::write(target, &old, 0, render, |_| Ok(())).unwrap()
    }

    fn hidden(target: &Target) -> Vec<String> {
        let entries = read_folder(target.folder_path()).unwrap().into_iter();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.'))
            .collect()
    }

    #[track_caller]
    fn check(name: &str, kind: Option<Temporary>) {
        let (_folder, target) = sheet();
        assert_eq!(Temporary::of(&target, name), kind, "{name}");
    }

    #[test]
    fn temporary_names_of_this_program_and_its_former_one_tell_what_they_stand_for() {
        let exchanged = || {
            Some(Temporary::Exchanged {
                inode: 17,
                replaced: 0xab,
            })
        };
        let hash = format!("{:032x}", 0xab);
        check(".in.csv.0123456789abcdef.tmp", Some(Temporary::New));
        check(
            &format!(".in.csv.0123456789abcdef-17-{hash}.tmp"),
            exchanged(),
        );
        check(&format!(".in.csv.17-{hash}.tmp"), exchanged());
        check(".in.csv.new-1-0.tmp", Some(Temporary::New));
        check(".in.csv.new-ab12.tmp", Some(Temporary::New));
        check(".in.csv.journal.next", Some(Temporary::New));
        for other in [
            "in.csv",
            ".in.csv.journal",
            ".in.csv.mine.tmp",
            ".in.csv.17-ab.tmp",
            ".in.csv.0123456789abcdef-17-ab.tmp",
            ".in.csv.new-xyz.tmp",
            ".other.csv.0123456789abcdef.tmp",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn what_somebody_alive_writes_is_no_leftover() {
        let (_folder, target) = sheet();
        let mut alive = new_version(&target);
        alive.tell(7).unwrap();
        let name = hidden(&target);
        assert_eq!(name.len(), 1);
        assert!(leftovers(&target).unwrap().is_empty());
        assert_eq!(hidden(&target), name);
    }

    #[test]
    fn a_displaced_edit_belongs_to_who_displaced_it_as_long_as_that_is_alive() {
        let (folder, target) = sheet();
        let mut new = new_version(&target);
        new.tell(hash_bytes(SHEET.as_bytes())).unwrap();
        // The moment between the last look and the exchange.
        std::fs::write(folder.path().join("saved"), "PO_NUMBER\nB\n").unwrap();
        std::fs::rename(folder.path().join("saved"), target.path()).unwrap();
        let name = new.staged.exchange(target.name()).unwrap();
        let displaced = open_displaced(&target, &name).unwrap();
        staged::hold(&displaced);
        let seen = open_displaced(&target, &name).unwrap();
        assert!(is_displaced(&target, &seen).unwrap());
        assert!(leftovers(&target).unwrap().is_empty());
        drop(displaced);
        assert!(!is_displaced(&target, &seen).unwrap());
        assert_eq!(leftovers(&target).unwrap().len(), 1, "as a kill leaves it");
    }

    #[test]
    fn a_file_that_was_renamed_was_displaced_by_nobody_though_somebody_locks_it() {
        let (folder, target) = sheet();
        std::fs::rename(target.path(), folder.path().join("aside")).unwrap();
        let file = File::open(folder.path().join("aside")).unwrap();
        staged::hold(&file);
        let seen = File::open(folder.path().join("aside")).unwrap();
        assert!(!is_displaced(&target, &seen).unwrap());
    }

    #[test]
    fn what_a_kill_left_is_removed_unless_it_is_an_edit() {
        let (folder, target) = sheet();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::metadata(path).unwrap().ino()
        };
        let hash = hash_bytes(SHEET.as_bytes());
        write(".in.csv.0123456789abcdef.tmp", "half of");
        write(
            &format!(".in.csv.0123456789abcdef-1-{hash:032x}.tmp"),
            SHEET,
        );
        let edit = format!(".in.csv.fedcba9876543210-1-{hash:032x}.tmp");
        write(&edit, "theirs");
        let inode = write("new", "a new version");
        let never_exchanged = format!(".in.csv.0123456789abcdef-{inode}-{hash:032x}.tmp");
        std::fs::rename(
            folder.path().join("new"),
            folder.path().join(never_exchanged),
        )
        .unwrap();
        let edits = leftovers(&target).unwrap();
        assert_eq!(hidden(&target), [edit]);
        for edit in edits {
            edit.remove(&target).unwrap();
        }
        assert!(hidden(&target).is_empty());
    }
}
