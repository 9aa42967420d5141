//! A key column that was renamed: the journal knows the rows by its old name.

use crate::disk::Target;
use crate::domain::KeyColumns;
use crate::error::{Error, Named, Result};
use crate::journal::{Frame, Head, Journal, frame};
use crate::sheet::Sheet;
use crate::store::free_name::free_name;
use crate::text::shell::command_line;

/// The key by which the journal of a sheet knows its rows, if that column has another name by now: the old name
/// is gone, and the keys are the same ones. `None` if the old name is there, so that the key is another column.
///
/// # Errors
/// [`Error::Journal`] if the old name is gone, and the keys are others.
pub(crate) fn key_before(target: &Target, sheet: &Sheet) -> Result<Option<KeyColumns>> {
    let Some((head, frames)) = Journal::peek(target)? else {
        return Ok(None);
    };
    if !is_gone(&head, sheet) {
        return Ok(None);
    }
    let (was, is) = (head.key(), &sheet.options().key);
    if is_renamed(&head, &frames, sheet) {
        return Ok(Some(was));
    }
    let journal = Journal::path_beside(target);
    let away = command_line([&journal, &free_name(&journal, ".other")].into_iter());
    Err(Error::Journal {
        path: journal,
        problem: format!(
            "holds results by the key {}, which the sheet does not have, and fewer than three in four of the keys in {} are those of its rows: name the key column, or in the header {} again; if this is another sheet, mv -n {away}",
            Named(was.names()),
            Named(is.names()),
            Named(was.names()),
        ),
    })
}

/// Whether the key of a journal has another name in a sheet, and the same keys.
pub(crate) fn is_renamed(head: &Head, frames: &[Frame], sheet: &Sheet) -> bool {
    let has_same_length = head.key().names().len() == sheet.options().key.names().len();
    let is_kin = || frame::sample(frames).is_some_and(|sample| sample.is_kin_of(sheet));
    is_gone(head, sheet) && has_same_length && is_kin()
}

/// Whether a sheet has none of the names that its key had and has no more.
fn is_gone(head: &Head, sheet: &Sheet) -> bool {
    let (was, is) = (head.key(), &sheet.options().key);
    let gone = was.names().iter().filter(|name| !is.contains(name));
    let gone: Vec<&String> = gone.collect();
    let is_there = |name: &&String| sheet.schema().position(name).is_some();
    !gone.is_empty() && head.is_known() && !gone.iter().any(is_there)
}
