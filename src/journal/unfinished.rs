//! What a log says to whoever only wants to know whether something is left to do, and for whom.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::frame::{Frame, Head, open_session};
use super::log::{Journal, NAME, SET_ASIDE};
use super::read::scan;
use crate::disk::{Target, sibling_name, target};
use crate::domain::KeyColumns;
use crate::error::{Error, Result};
use crate::sys::names;

impl Journal {
    /// The session that began the log and has not closed it: it goes on, or was interrupted and nobody
    /// has gone on with it. `None` if there is no such log, or if no session began it.
    pub(crate) fn open_session(target: &Target) -> Result<Option<String>> {
        let log = Journal::peek(target)?;
        let open = log.and_then(|(head, frames)| open_session(&head, &frames));
        Ok(open.map(|(session, _)| session))
    }

    /// The key columns of a log that may hold what the sheet does not show; `None` if there is none.
    pub(crate) fn open_key(target: &Target) -> Result<Option<KeyColumns>> {
        Ok(Journal::peek(target)?.map(|(head, _)| head.key()))
    }

    /// These key columns, with keys as they are written in the log of a sheet, if it has one with them.
    pub(crate) fn key_as_in_log(target: &Target, key: &KeyColumns) -> Result<KeyColumns> {
        if !key.is_several() {
            return Ok(key.clone());
        }
        let of_log = Journal::open_key(target)?.filter(|of_log| of_log.is_same(key));
        Ok(of_log.unwrap_or_else(|| key.clone()))
    }

    /// A log of whatever key, for somebody who will not write to it.
    pub(crate) fn peek(target: &Target) -> Result<Option<(Head, Vec<Frame>)>> {
        let Some(found) = Journal::find(target)? else {
            return Ok(None);
        };
        let log = scan(&found, &target.sibling(NAME))?;
        Ok(log.head.clone().map(|head| (head, log.all_frames())))
    }

    /// Where the log of a sheet is, or would be.
    pub(crate) fn path_beside(target: &Target) -> PathBuf {
        target.sibling(NAME)
    }

    /// The names of the other sheets in a sheet's folder that a log lies beside, whether they are there or
    /// not.
    pub(crate) fn names_of_others(sheet: &Target) -> Result<Vec<String>> {
        let path = sheet.folder_path();
        let entries = target::read_folder(path).map_err(Error::io("read", path))?;
        let names = entries.iter().filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let of = name
                .strip_prefix('.')?
                .strip_suffix(NAME)?
                .strip_suffix('.')?;
            let is_other = !of.is_empty() && of != sheet.name() && sibling_name(of, NAME) == name;
            is_other.then(|| of.to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Why and when a log of a sheet with this name was set aside that has such a name now.
    pub(crate) fn parse_set_aside<'n>(
        sheet: &str,
        name: &'n str,
    ) -> Option<(&'n str, DateTime<Utc>)> {
        let rest = name.strip_prefix(&sibling_name(sheet, NAME))?;
        let (why, rest) = rest.strip_prefix('.')?.split_once('-')?;
        let (time, _) = rest.rsplit_once('-')?;
        let time = NaiveDateTime::parse_from_str(time, SET_ASIDE).ok()?;
        Some((why, time.and_utc()))
    }

    /// Gives a log to another sheet in the same folder, which has none. Both write locks are held.
    pub(crate) fn move_to(from: &Target, to: &Target) -> Result<()> {
        let name = to.sibling_name(NAME);
        names::rename_to_free(to.folder(), &from.sibling_name(NAME), &name)
            .map_err(Error::io("take over", from.sibling(NAME)))?;
        to.sync_folder()
    }
}
