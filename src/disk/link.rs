//! A sheet that is named by a link.
//!
//! A program that saves by renaming puts a file in the link's place, and not where the link led. Two versions of
//! the sheet are there then, and nobody who looks at the one with the name sees the results in the other. While
//! a session works on the sheet it looks whether the name [still leads there](Link::look). For later, a link of
//! the same text lies beside the name: it tells from where a file that has the name [came](link_before).
//!
//! Neither version is touched. Results are not written to the new one, which may be half of a save or another
//! sheet, and what it says is not taken over, since it may be meant to stay apart: who moves it to where the
//! link led makes it a save like any other, which is judged, and loses nothing.

use std::io;
use std::iter;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::disk::target::Target;
use crate::sys::{names, rights};

/// Of the link that remembers a link.
const NAME: &str = "link";
/// How many links the system follows, and none behind them.
const MAX_LINKS: usize = 40;

/// A name that led to a sheet through a link somewhere in its path.
#[derive(Debug)]
pub(crate) struct Link {
    name: PathBuf,
    /// Where the links themselves lie, one leading to the next; none if the name is one behind a linked folder.
    places: Vec<Target>,
    sheet: PathBuf,
}

/// To where a name leads by now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To the sheet, as far as can be known.
    There,
    /// To a file that took the place of a link.
    ToFile(PathBuf),
    /// To another file.
    Elsewhere(PathBuf),
    /// It is gone.
    Nowhere,
}

impl Link {
    /// `None` if the path is the sheet's own.
    pub(crate) fn to(path: &Path, sheet: &Target) -> Option<Link> {
        let name = std::path::absolute(path).ok()?;
        (name != sheet.path()).then(|| Link {
            name,
            places: chain(path),
            sheet: sheet.path().to_owned(),
        })
    }

    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    pub(crate) fn sheet(&self) -> &Path {
        &self.sheet
    }

    pub(crate) fn look(&self) -> Leads {
        let is_place = |path: &Path| self.places.iter().any(|place| place.path() == path);
        match std::fs::canonicalize(&self.name) {
            Ok(path) if path == self.sheet => Leads::There,
            Ok(path) if is_place(&path) => Leads::ToFile(path),
            Ok(path) => Leads::Elsewhere(path),
            // A sheet that is gone itself, or whose folder was moved, is noticed by who writes to it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.sheet.exists() => {
                Leads::Nowhere
            }
            Err(_) => Leads::There,
        }
    }

    /// Remembers beside each link where it leads. Who may not write there cannot rename a file over it either.
    pub(crate) fn remember(&self) -> io::Result<()> {
        self.places.iter().try_for_each(remember)
    }
}

/// The links that lead from a path to a file.
fn chain(path: &Path) -> Vec<Target> {
    let links = iter::successors(Target::of_link(path), |link| {
        let text = std::fs::read_link(link.path()).ok()?;
        Target::of_link(&link.folder_path().join(text))
    });
    links.take(MAX_LINKS).collect()
}

fn remember(link: &Target) -> io::Result<()> {
    let text = std::fs::read_link(link.path())?;
    let beside = link.sibling(NAME);
    match std::fs::read_link(&beside) {
        Ok(before) if before == text => return Ok(()),
        Ok(_) => std::fs::remove_file(&beside)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(text, beside)
}

/// Where a link led that had a sheet's name before, if one is remembered.
pub(crate) fn link_before(sheet: &Target) -> Option<PathBuf> {
    let beside = sheet.sibling(NAME);
    let owner = std::fs::symlink_metadata(&beside).ok()?.uid();
    let sheets = sheet.metadata().ok()??.uid();
    let is_ours = [rights::user(), sheets, 0].contains(&owner);
    is_ours.then(|| std::fs::read_link(&beside).ok())?
}

/// The file that has the name is taken for a sheet of its own.
pub(crate) fn forget(sheet: &Target) -> io::Result<()> {
    if link_before(sheet).is_some() {
        names::unlink_if_there(sheet.folder(), &sheet.sibling_name(NAME))?;
    }
    Ok(())
}

/// The path of what remembers a link.
pub(crate) fn remembered_at(sheet: &Target) -> PathBuf {
    sheet.sibling(NAME)
}
