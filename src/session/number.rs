//! The rows of a sheet get numbers as their keys.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::session::flow::{Session, new_id};
use crate::sheet::{Numbered, Options};
use crate::store::number_rows;

impl Session {
    /// Gives every row that has some text and no key a number in the key column, which is added if the sheet has
    /// none, after a backup. Atomic and durable, in a session of its own. The numbers go on behind the highest
    /// there is.
    ///
    /// # Errors
    /// As [`Session::open`], without [`Error::ForeignColumn`]; [`Error::Io`], [`Error::Busy`], [`Error::Backup`];
    /// [`Error::Unsuitable`] if the options name several key columns: the sheet is as it was.
    pub fn number_rows(path: impl AsRef<Path>, options: &Options) -> Result<Numbered> {
        let path = path.as_ref();
        if options.key.is_several() {
            return Err(Error::Unsuitable {
                path: path.to_owned(),
                problem: "has a key of several columns, and numbers go into one: name that one"
                    .into(),
            });
        }
        // What an interrupted session left is visible first.
        let (lost_results, unplaced) = match Session::open_decided(path, options, None) {
            Ok(session) => {
                let handler = Arc::clone(session.handler());
                let unplaced = session.finish()?;
                (handler.has_lost_results(), unplaced)
            }
            Err(Error::NoKeyColumn { .. }) => (false, Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(Numbered {
            lost_results,
            unplaced,
            ..number_rows(path, options, &new_id())?
        })
    }
}
