//! Durable, atomic replacement of the sheet that never overwrites what somebody else wrote.
//!
//! 1. The new version is written to a file without a name, its space reserved first, and given the
//!    old one's owner, mode and attributes; synced; and verified, a large one at the same time. A
//!    failure up to here leaves nothing behind, and is never answered by a second sync of the same file: after a failed
//!    fsync the kernel may call the next one a success though the data is gone.
//! 2. It gets the name `.input.csv.{its inode}-{hash of the version it replaces}.tmp`.
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
//! somebody's edit. Where the filesystem has no exchange, or no lease can be had, the comparison is
//! made as late as possible and the displaced file is watched for a while: see [`Publication`].

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::SystemTime;

use crate::disk::snapshot::{Snapshot, unnamed_file};
use crate::disk::target::{Target, read_folder};
use crate::disk::version::{ContentHash, Look, Stamp, Version, hash_bytes, hash_file};
use crate::error::{Error, Result};
use crate::sys::lease::{Lease, Leased};
use crate::sys::refused::is_unsupported;
use crate::sys::{attributes, names, open, private_file, rights, room};

/// How much is written at once.
const BUFFER: usize = 256 << 10;
/// From this size on a second thread is worth its while.
const LARGE: u64 = 1 << 20;

/// A new version, complete, synced and verified, that is not public yet.
pub(crate) struct Replacement<'t> {
    target: &'t Target,
    file: File,
    /// Removed on drop.
    name: Option<String>,
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
    name: String,
}

impl Displaced {
    /// Removes it, once its edit is merged or kept.
    pub(crate) fn remove(self, target: &Target) -> Result<()> {
        unlink(target, &self.name)
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
        room::reserve(&new.file, size.max(1)).map_err(failed(doing))?;
        let mut out = BufWriter::with_capacity(BUFFER, &new.file);
        render(&mut out)
            .and_then(|()| out.flush())
            .map_err(failed(doing))?;
        drop(out);
        let end = (&new.file).stream_position().map_err(failed(doing))?;
        new.file.set_len(end).map_err(failed(doing))?;
        new.rights = copy_metadata(target, old, &new.file)?;
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
        let sync = || new.file.sync_all().map_err(failed("sync a new version of"));
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
        copy_metadata(target, &old, &Replacement::create(target)?.file).map(drop)
    }

    /// The same without the write lock and without a name that anybody sees; where the filesystem has no
    /// such files this is left to [`Replacement::rehearse`].
    pub(crate) fn rehearse_unseen(target: &Target) -> Result<()> {
        match unnamed_file(target) {
            Err(Error::Io { source, .. }) if is_unsupported(&source) => Ok(()),
            made => copy_metadata(target, &target.open_sheet()?.0, &made?).map(drop),
        }
    }

    fn create(target: &'t Target) -> Result<Self> {
        let (file, name) = match unnamed_file(target) {
            Ok(file) => (file, None),
            Err(Error::Io { source, .. }) if is_unsupported(&source) => {
                static NUMBER: AtomicU32 = AtomicU32::new(0);
                let name = format!(
                    "{}-{:x}-{:x}.tmp",
                    target.sibling_name("new"),
                    std::process::id(),
                    NUMBER.fetch_add(1, Ordering::Relaxed)
                );
                let file = open::create(target.folder(), &name).map_err(Error::io(
                    "create a temporary file in",
                    target.folder_path(),
                ))?;
                (file, Some(name))
            }
            Err(error) => return Err(error),
        };
        Ok(Replacement {
            target,
            file,
            name,
            hash: 0,
            written_at: SystemTime::UNIX_EPOCH,
            rights: (0, 0, 0),
        })
    }

    fn read_back(&self) -> io::Result<Snapshot> {
        match self.name {
            None => Snapshot::map(&self.file),
            Some(_) => {
                let mut bytes = Vec::new();
                (&self.file).rewind()?;
                io::copy(&mut (&self.file), &mut bytes)?;
                Ok(Snapshot::Owned(bytes))
            }
        }
    }

    /// Puts the new version in the place of `expected`. The caller holds the write lock.
    pub(crate) fn publish(mut self, expected: &mut Version) -> Result<Publication> {
        let target = self.target;
        let failed = |error| Error::io("replace", target.path())(error);
        let name = self.take_name(expected.hash)?;
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
        let folder = target.folder();
        match names::exchange(folder, &name, target.name()) {
            Ok(()) => {}
            Err(error) if is_unsupported(&error) => {
                names::rename(folder, &name, target.name()).map_err(failed)?;
                self.name = None;
                self.take_changed_rights(&public);
                target.sync_folder()?;
                drop(lease);
                return Ok(Publication::Done(self.version()?, Some(public)));
            }
            Err(error) => return Err(failed(error)),
        }
        // What has the temporary name now is not ours to remove until we know what it is.
        self.name = None;
        let displaced = open_displaced(target, &name)?;
        self.take_changed_rights(&displaced);
        target.sync_folder()?;
        let version = self.version()?;
        let stamp = Stamp::of(
            &displaced
                .metadata()
                .map_err(Error::io("read", target.path()))?,
        );
        let untouched =
            stamp.same_data(&expected.stamp) && lease.as_ref().is_none_or(Lease::is_held);
        let leased = lease.is_some();
        drop(lease);
        if !untouched {
            return Ok(Publication::Displaced(
                version,
                Displaced {
                    in_place: stamp.inode == expected.stamp.inode,
                    expected: expected.hash,
                    file: displaced,
                    name,
                },
            ));
        }
        unlink(target, &name)?;
        if leased {
            close_elsewhere([public, displaced], stamp.size);
            return Ok(Publication::Done(version, None));
        }
        Ok(Publication::Done(version, Some(public)))
    }

    /// Puts the new version in a place where there is none any more.
    pub(crate) fn publish_anew(mut self) -> Result<Publication> {
        let target = self.target;
        let name = self.take_name(0)?;
        let folder = target.folder();
        match names::rename_to_free(folder, &name, target.name()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(Publication::Edited);
            }
            Err(error) => return Err(Error::io("replace", target.path())(error)),
        }
        self.name = None;
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
                copy_metadata(self.target, displaced, &self.file)?;
                self.file
                    .sync_all()
                    .map_err(Error::io("sync", self.target.path()))
            });
        if let Err(error) = taken {
            tracing::warn!(error = %error.chain(), "a change of the sheet's owner or mode was not kept");
        }
    }

    fn take_name(&mut self, replaces: ContentHash) -> Result<String> {
        let target = self.target;
        let failed = Error::io("name a new version of", target.path());
        let inode = self
            .file
            .metadata()
            .map_err(Error::io("read", target.path()))?
            .ino();
        let name = target.sibling_name(&format!("{inode}-{replaces:032x}.tmp"));
        match self.name.take() {
            None => {
                private_file::give_name(&self.file, target.folder(), &name).map_err(failed)?;
            }
            Some(first) => {
                self.name = Some(first.clone());
                names::rename(target.folder(), &first, &name).map_err(failed)?;
            }
        }
        self.name = Some(name.clone());
        Ok(name)
    }

    fn version(&self) -> Result<Version> {
        let metadata = self
            .file
            .metadata()
            .map_err(Error::io("read", self.target.path()))?;
        Ok(Version::new(
            Stamp::of(&metadata),
            self.hash,
            self.written_at,
        ))
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Err(error) = unlink(self.target, name)
        {
            tracing::warn!(error = %error.chain(), "a temporary file is left behind");
        }
    }
}

/// What a crash left under temporary names.
pub(crate) fn leftovers(target: &Target) -> Result<Vec<Displaced>> {
    let mut edits = Vec::new();
    let failed = Error::io("read", target.folder_path());
    for entry in read_folder(target.folder_path()).map_err(failed)? {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(kind) = temporary_kind(target, name) else {
            continue;
        };
        let file = match open_displaced(target, name) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "a file with the name of a temporary one is left alone");
                continue;
            }
        };
        let metadata = file.metadata().map_err(Error::io("read", target.path()))?;
        if !metadata.is_file() {
            continue;
        }
        let mut expected = 0;
        let is_ours = match kind {
            Temporary::New => true,
            Temporary::Exchanged { inode, replaced } => {
                expected = replaced;
                metadata.ino() == inode
                    || hash_file(&file).map_err(Error::io("read", target.path()))? == replaced
            }
        };
        if is_ours {
            unlink(target, name)?;
        } else {
            edits.push(Displaced {
                in_place: false,
                expected,
                file,
                name: name.to_owned(),
            });
        }
    }
    Ok(edits)
}

enum Temporary {
    New,
    Exchanged { inode: u64, replaced: ContentHash },
}

fn temporary_kind(target: &Target, name: &str) -> Option<Temporary> {
    let rest = name
        .strip_prefix(&target.sibling_name(""))?
        .strip_suffix(".tmp")?;
    if let Some(number) = rest.strip_prefix("new-") {
        let is_hex = |part| u32::from_str_radix(part, 16).is_ok();
        return number.split('-').all(is_hex).then_some(Temporary::New);
    }
    let (inode, hash) = rest.split_once('-')?;
    let replaced = (hash.len() == 32).then(|| ContentHash::from_str_radix(hash, 16).ok())??;
    Some(Temporary::Exchanged {
        inode: inode.parse().ok()?,
        replaced,
    })
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
fn close_elsewhere(files: [File; 2], size: u64) {
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
    rights::set_mode(new, from.mode() & 0o7777).map_err(failed())?;
    attributes::copy(old, new).map_err(failed())?;
    Ok(rights_in(&from))
}
