//! The folder of backups, and whether it is the one that it seems to be.
//!
//! In a folder where others may make files, somebody may have put a link to a place of their choice, or
//! a folder of their own, where our backups are to go. A link is followed only if somebody made it who may
//! send us there: we, root, the sheet's owner, or whoever owns the folder that it lies in. That is what
//! Linux does by itself in folders like /tmp, if `fs.protected_symlinks` is on; it is off on many
//! systems, and elsewhere there is no such thing. A *folder* of somebody else is refused only in such a
//! shared folder: in a team's folder it is the one that whoever ran first has made for all.
//!
//! The folder is looked at after it was opened, too, and everything is made and removed in what was
//! opened: a link that is put there in between is seen.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::manager::BackupManager;
use crate::disk::{staged, target};
use crate::error::{Error, Result};
use crate::sys::{open, rights};

/// Sticky and open to all, as /tmp is.
const SHARED: u32 = 0o1002;
/// What the names begin with that copies have before they are whole, if they need any.
pub(super) const TEMPORARY: &str = ".tickoff-";

impl BackupManager {
    /// The folder, made if it is not there.
    pub(super) fn create_folder(&self) -> Result<File> {
        self.refuse_strangers()?;
        target::create_folder(&self.folder)?;
        let folder = self.open_folder()?;
        staged::remove_abandoned(&folder, &self.folder, TEMPORARY);
        Ok(folder)
    }

    /// The folder, if it is there.
    pub(super) fn find_folder(&self) -> Result<Option<File>> {
        self.refuse_strangers()?;
        match self.open_folder() {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn open_folder(&self) -> Result<File> {
        let folder = open::folder(&self.folder).map_err(Error::io("open", &self.folder))?;
        self.refuse_strangers()?;
        match is_at(&folder, &self.folder) {
            Ok(true) => Ok(folder),
            Ok(false) => Err(self.problem("was replaced while it was opened: try again".into())),
            Err(error) => Err(Error::io("read", &self.folder)(error)),
        }
    }

    fn refuse_strangers(&self) -> Result<()> {
        for path in self.folder.ancestors() {
            let Some(parent) = path.parent() else { break };
            let there = if_there(path.symlink_metadata(), path)?;
            let around = if_there(parent.metadata(), parent)?;
            let (Some(there), Some(around)) = (there, around) else {
                continue;
            };
            let is_shared = around.mode() & SHARED == SHARED;
            let is_judged = there.is_symlink() || (is_shared && path == self.folder);
            if is_judged && there.uid() != around.uid() && !self.may_send_us(&there) {
                let what = match there.is_symlink() {
                    true => "is a link of another user",
                    false => "belongs to another user",
                };
                return Err(Error::Unsuitable {
                    path: path.to_owned(),
                    problem: format!(
                        "{what} (uid {}), and backups are not put there: remove it, or name another folder with --backup-dir",
                        there.uid()
                    ),
                });
            }
        }
        Ok(())
    }

    /// Whether we, root or the sheet's owner made it.
    fn may_send_us(&self, there: &Metadata) -> bool {
        let owner = there.uid();
        owner == rights::user()
            || owner == 0
            || std::fs::metadata(&self.sheet).is_ok_and(|sheet| sheet.uid() == owner)
    }
}

/// Whether the path means this folder.
fn is_at(folder: &File, path: &Path) -> io::Result<bool> {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    Ok(identity(folder.metadata()?) == identity(std::fs::metadata(path)?))
}

/// A file in the way of a folder is found when the folder is made.
fn if_there(found: io::Result<Metadata>, path: &Path) -> Result<Option<Metadata>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match found {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        found => found.map(Some).map_err(Error::io("read", path)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::super::place::Place;
    use super::*;

    const STRANGER: u32 = 65534;

    /// What is said of backups after something was put in their folder's place; `None`: they were made.
    fn said(mode: u32, put: impl Fn(&Place)) -> Option<String> {
        let place = Place::new();
        place.write("elsewhere/theirs.txt", "");
        std::fs::set_permissions(place.path(""), PermissionsExt::from_mode(mode)).unwrap();
        put(&place);
        let made = place.backups().create_backup("a");
        if made.is_err() {
            assert_eq!(place.names("elsewhere"), ["theirs.txt"]);
            assert!(place.backups().list().is_err());
        }
        made.err().map(|error| {
            error
                .to_string()
                .replace(place.path("").to_str().unwrap(), "")
        })
    }

    fn link(owner: Option<u32>) -> impl Fn(&Place) {
        move |place| {
            symlink("elsewhere", place.path("backup")).unwrap();
            lchown(place.path("backup"), owner, None).unwrap();
        }
    }

    fn folder(owner: Option<u32>) -> impl Fn(&Place) {
        move |place| {
            std::fs::create_dir(place.path("backup")).unwrap();
            chown(place.path("backup"), owner, None).unwrap();
        }
    }

    #[test]
    fn ones_own_link_and_folder_are_used() {
        for mode in [0o700, 0o1777] {
            assert_eq!(said(mode, link(None)), None);
            assert_eq!(said(mode, folder(None)), None);
        }
    }

    #[test]
    fn a_link_or_a_folder_that_somebody_else_planted_is_refused() {
        if !rights::is_root() {
            eprintln!("SKIPPED: a file cannot be given away here, which takes root");
            return;
        }
        let end = "(uid 65534), and backups are not put there: remove it, or name another folder with --backup-dir";
        for mode in [0o755, 0o777, 0o1777] {
            assert_eq!(
                said(mode, link(Some(STRANGER))),
                Some(format!("backup is a link of another user {end}"))
            );
        }
        assert_eq!(
            said(0o1777, folder(Some(STRANGER))),
            Some(format!("backup belongs to another user {end}"))
        );
        assert_eq!(said(0o775, folder(Some(STRANGER))), None, "a team's folder");
    }

    #[test]
    fn the_owner_of_the_sheet_or_of_the_folder_may_send_us_elsewhere() {
        if !rights::is_root() {
            eprintln!("SKIPPED: a file cannot be given away here, which takes root");
            return;
        }
        let given = |what: &'static str| {
            move |place: &Place| {
                chown(place.path(what), Some(STRANGER), None).unwrap();
                link(Some(STRANGER))(place);
            }
        };
        assert_eq!(said(0o1777, given("input.csv")), None);
        assert_eq!(said(0o1777, given("")), None);
    }

    #[test]
    fn a_link_above_the_folder_is_judged_as_well() {
        if !rights::is_root() {
            eprintln!("SKIPPED: a file cannot be given away here, which takes root");
            return;
        }
        let place = Place::new();
        place.write("elsewhere/theirs.txt", "");
        symlink("elsewhere", place.path("above")).unwrap();
        lchown(place.path("above"), Some(STRANGER), None).unwrap();
        let folder = Some(place.path("above/backup"));
        let backups = BackupManager::new(place.path("input.csv"), folder, 5).unwrap();
        let error = backups.create_backup("a").unwrap_err();
        assert!(matches!(error, Error::Unsuitable { .. }), "{error}");
        assert_eq!(place.names("elsewhere"), ["theirs.txt"]);
    }
}
