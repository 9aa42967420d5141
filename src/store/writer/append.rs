//! Columns and rows are added at the sheet's ends.

use std::io::Write as _;

use crate::disk::{Publication, Replacement};
use crate::error::Result;
use crate::journal::Frame;
use crate::sheet::render::Next;
use crate::store::fitness;
use crate::store::patience::patiently;

use super::Writer;

impl Writer {
    /// Adds columns behind the header, durably, and returns those that were missing. The next checkpoint
    /// makes them visible; whoever else rewrites the sheet before finds them in the journal.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) if the header has no room for them; then, and if the
    /// journal cannot be written, none was added.
    pub(crate) fn add_columns(&mut self, names: &[String]) -> Result<Vec<String>> {
        let path = self.site.path().to_owned();
        let _held = patiently(&path, || {
            let held = self.lock.acquire()?;
            Ok(self.catch_up()?.then_some(held))
        })?;
        let sheet = self.sheet.load_full();
        let schema = sheet.schema();
        let is_missing = |name: &&String| schema.position(name).is_none();
        let missing: Vec<String> = names.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            fitness::refuse_without_room(&sheet, &missing)?;
            self.make_durable(Frame {
                columns: missing.iter().map(|name| name.into()).collect(),
                ..Frame::now()
            })?;
        }
        Ok(missing)
    }

    /// Adds rows at the sheet's end, visibly.
    pub(crate) fn append_rows(&mut self, rows: &[u8]) -> Result<()> {
        self.when_all_is_visible(|writer, _| {
            let sheet = writer.sheet.load_full();
            let next = Next::of(&sheet);
            let (old, _) = writer.site.target.open_sheet()?;
            let mut end = Vec::new();
            if !sheet.bytes().ends_with(b"\n") {
                end.extend_from_slice(sheet.dialect().terminator);
            }
            end.extend_from_slice(rows);
            let replacement = Replacement::write(
                &writer.site.target,
                &old,
                (sheet.bytes().len() + end.len()) as u64,
                |out| next.render(out).and_then(|()| out.write_all(&end)),
                |written| match written.strip_suffix(end.as_slice()) {
                    Some(before) => next.verify(before),
                    None => Err("the added rows are not at its end".into()),
                },
            )?;
            // The version that we know stays the old one: the next checkpoint finds the new one
            // like another program's, and makes it the base with its rows.
            match writer.outside.exchange(replacement)? {
                Publication::Done(..) => Ok(Some(())),
                Publication::Displaced(_, edit) => {
                    writer.outside.displace(edit, &sheet);
                    Ok(Some(()))
                }
                Publication::Busy | Publication::Edited => Ok(None),
            }
        })?;
        self.checkpoint_patiently()
    }
}
