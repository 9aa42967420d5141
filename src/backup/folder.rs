//! The folder of backups, and whether it is the one that it seems to be.
//!
//! Somebody may have put a link to a place of their choice, or a folder of their own, where our backups are to go:
//! [`Trusted`] says which are followed and used. One in which others may write than may write the sheet is not used
//! either: they could put a backup there, or take ours away. Everything is made and removed in what was opened.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::manager::BackupManager;
use crate::disk::{Rights, Trusted, staged};
use crate::error::{Error, Result};

/// What the names begin with that copies have before they are whole, if they need any.
pub(super) const TEMPORARY: &str = ".tickoff-";

impl BackupManager {
    /// The folder, made if it is not there.
    pub(super) fn create_folder(&self) -> Result<File> {
        let trusted = self.trusted();
        let found = trusted.named_folder_path(&self.folder)?;
        // Nothing is made behind a link that leads nowhere.
        self.rights()?
            .create_folders(match self.folder.is_symlink() {
                true => &self.folder,
                false => &found,
            })?;
        let folder = trusted.folder(&self.folder)?;
        self.refuse_open_to_others(&folder)?;
        staged::remove_abandoned(&folder, &self.folder, TEMPORARY);
        Ok(folder)
    }

    /// Refuses a folder that has the name of a file of ours.
    pub(super) fn refuse_own_name(&self) -> Result<()> {
        match self.trusted().named_folder_path(&self.folder) {
            Err(error @ Error::OwnName { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// The folder, if it is there.
    pub(super) fn find_folder(&self) -> Result<Option<File>> {
        self.refuse_own_name()?;
        match self.trusted().folder(&self.folder) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let folder = opened?;
                self.refuse_open_to_others(&folder)?;
                Ok(Some(folder))
            }
        }
    }

    fn refuse_open_to_others(&self, folder: &File) -> Result<()> {
        let is_open = Rights::of_place(self.sheet_or_its_folder())?.is_open_to_others(folder);
        match is_open.map_err(Error::io("read", &self.folder))? {
            false => Ok(()),
            true => Err(Error::Unsuitable {
                path: self.folder.clone(),
                problem: "is open to others, who could put a backup there or take one away, and is not used: take that away with chmod go-w, or name another folder with --backup-dir".into(),
            }),
        }
    }

    /// Which of the files in the folder a stranger may have put there: none, unless others may write in it.
    pub(super) fn strangers_in(&self, folder: &File) -> Result<impl Fn(&Metadata) -> bool> {
        const BUT_ITS_OWNER: u32 = 0o022;
        let there = folder.metadata().map_err(Error::io("read", &self.folder))?;
        let trusted = self.trusted();
        Ok(move |file: &Metadata| {
            there.mode() & BUT_ITS_OWNER != 0 && !trusted.includes(file.uid())
        })
    }

    /// Those of the sheet; if that is gone, nobody else gets any.
    fn rights(&self) -> Result<Rights> {
        match Rights::of(&self.sheet) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Rights::default())
            }
            found => found,
        }
    }

    fn trusted(&self) -> Trusted {
        let told = std::fs::metadata(self.sheet_or_its_folder());
        Trusted::for_backups(told.ok().map(|told| told.uid()))
    }

    /// What tells who may do what with the sheet: if it is gone, its folder, from which they could take it.
    fn sheet_or_its_folder(&self) -> &Path {
        match self.sheet.parent() {
            Some(folder) if !self.sheet.exists() => folder,
            _ => &self.sheet,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::super::place::Place;
    use super::*;
    use crate::sys::rights;

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
        for mode in [0o775, 0o1777] {
            assert_eq!(
                said(mode, folder(Some(STRANGER))),
                Some(format!("backup belongs to another user {end}"))
            );
        }
    }

    #[test]
    fn the_owner_of_the_sheet_may_send_us_elsewhere() {
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
        let refused = said(0o1777, given(""));
        assert!(
            refused.is_some(),
            "the folder's owner is a stranger to root"
        );
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
