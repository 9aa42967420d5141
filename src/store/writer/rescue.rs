//! Results that have no other place go to a file in the system's folder for temporary files.
//!
//! Somebody who removes the sheet's folder takes sheet and journal with it, and a disk that stays full takes no
//! result in. Then what this process has in memory is all that there is.

use std::io::{self, Write as _};
use std::path::PathBuf;

use chrono::Utc;

use super::Writer;
use super::batch::Batch;
use super::site::Site;
use crate::disk::{NewFile, Whereabouts};
use crate::domain::format_timestamp;
use crate::error::{Error, Result};
use crate::journal::{Frame, frame};
use crate::sheet::render::Next;
use crate::sheet::{RowUpdate, WriteOperation, as_table};

/// How the names of these files begin, before the session.
pub(crate) const RESCUED: &str = "tickoff_";
/// How many names are tried.
const MAX_NAMES: u32 = 100;

/// Files that hold what would be gone with this process.
#[derive(Debug, Default)]
pub(crate) struct Rescued {
    /// The sheet with every result, because its journal is not beside it any more.
    pub(crate) sheet: Option<PathBuf>,
    /// Results alone: those that could not be made durable, or have no place in that sheet.
    pub(crate) results: Option<PathBuf>,
}

impl Writer {
    /// Keeps results that could not be made durable, and, of a sheet that could not be written and whose
    /// journal is gone, everything.
    pub(crate) fn rescue(&self, unsaved: &[WriteOperation], is_written: bool) -> Result<Rescued> {
        let sheet = self.sheet.load();
        let now = format_timestamp(Utc::now());
        let mut batch = Batch::new(unsaved.len(), self.columns_left(&sheet));
        for operation in unsaved {
            batch.add(&sheet, &self.site.options, operation, &now)?;
        }
        let frame = batch
            .into_frame()
            .0
            .unwrap_or_else(|| Frame::of(Vec::new()));
        if is_written || self.is_journal_to_be_found() {
            return Ok(Rescued {
                sheet: None,
                results: keep_rows(&self.site, &frame.rows)?,
            });
        }
        let mut without_place = frame::apply(&sheet, &[frame]);
        without_place.extend_from_slice(self.durable.unplaced());
        let whole = |out: &mut dyn io::Write| Next::of(&sheet).render(&mut { out });
        Ok(Rescued {
            sheet: Some(keep(&self.site, "sheet", whole)?),
            results: keep_rows(&self.site, &without_place)?,
        })
    }
}

impl Writer {
    /// Refuses a place to which no path leads: what was written there nobody finds, though it could be written.
    pub(crate) fn refuse_out_of_reach(&self) -> Result<()> {
        let target = &*self.site.target;
        match target.whereabouts() {
            Whereabouts::There | Whereabouts::Moved(_) => Ok(()),
            Whereabouts::Nowhere => Err(Error::NotVisible {
                path: target.path().to_owned(),
                source: Box::new(Error::io("find", target.folder_path())(
                    io::ErrorKind::NotFound.into(),
                )),
            }),
        }
    }

    fn is_journal_to_be_found(&self) -> bool {
        // Where that cannot be read, nothing is there for anybody.
        self.look_for_journal().unwrap_or(false)
    }

    /// Whether nobody finds the journal any more. Who may not look does not know.
    pub(crate) fn is_journal_gone(&self) -> bool {
        match self.look_for_journal() {
            Ok(is_there) => !is_there,
            Err(Error::NotVisible { .. }) => true,
            Err(_) => false,
        }
    }

    fn look_for_journal(&self) -> Result<bool> {
        self.refuse_out_of_reach()?;
        self.durable.is_beside_the_sheet()
    }
}

fn keep_rows(site: &Site, rows: &[RowUpdate]) -> Result<Option<PathBuf>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let table = as_table(&site.options.key, rows);
    keep(site, "results", |out| out.write_all(&table)).map(Some)
}

/// Writes a file that its owner alone can read.
fn keep(
    site: &Site,
    label: &str,
    fill: impl Fn(&mut dyn io::Write) -> io::Result<()>,
) -> Result<PathBuf> {
    let session = &site.session_id;
    for n in 0..MAX_NAMES {
        let path = std::env::temp_dir().join(format!("{RESCUED}{session}.{label}-{n}.csv"));
        let new = NewFile::private(&path)?;
        let mut out = io::BufWriter::new(new.file());
        fill(&mut out)
            .and_then(|()| out.flush())
            .map_err(Error::io("write", &path))?;
        drop(out);
        new.file().sync_all().map_err(Error::io("sync", &path))?;
        if new.publish()? {
            return Ok(path);
        }
    }
    Err(Error::io("create a file in", std::env::temp_dir())(
        io::ErrorKind::AlreadyExists.into(),
    ))
}
