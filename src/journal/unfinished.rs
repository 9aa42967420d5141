//! What a log says to whoever only wants to know whether something is left to do.

use super::frame::open_session;
use super::log::{Journal, NAME};
use super::read::{Log, scan};
use crate::disk::Target;
use crate::error::Result;

impl Journal {
    /// The session that began the log and has not closed it: it goes on, or was interrupted and nobody
    /// has gone on with it. `None` if there is no such log, or if no session began it.
    pub(crate) fn open_session(target: &Target) -> Result<Option<String>> {
        let log = Journal::whole(target)?;
        let open = log.and_then(|log| open_session(log.head.as_ref()?, &log.frames));
        Ok(open.map(|(session, _)| session))
    }

    /// The key column of a log that may hold what the sheet does not show; `None` if there is none.
    pub(crate) fn open_key(target: &Target) -> Result<Option<String>> {
        let head = Journal::whole(target)?.and_then(|log| log.head);
        Ok(head.map(|head| head.key))
    }

    fn whole(target: &Target) -> Result<Option<Log>> {
        let found = Journal::find(target)?;
        found
            .map(|log| scan(&log, &target.sibling(NAME)))
            .transpose()
    }
}
