//! Columns and rows are added at the sheet's ends.

use std::io::Write as _;

use crate::disk::{Publication, Replacement};
use crate::error::Result;
use crate::sheet::render::Next;

use super::Writer;

impl Writer {
    /// Adds columns behind the header, if they are missing. The next checkpoint makes them visible.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) if a surplus field would slide under one of them.
    pub(crate) fn add_columns(&mut self, names: &[&str]) -> Result<()> {
        let sheet = self.sheet.load_full();
        for name in names {
            if sheet.schema().position(name).is_none() {
                sheet.add_column(name)?;
                self.visible.fall_behind();
            }
        }
        Ok(())
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
