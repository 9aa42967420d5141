//! Who works on a sheet.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::time::format_timestamp;
use crate::text::Escaped;

/// Who holds a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id; 0 if the lock file does not tell.
    pub pid: u32,
    /// The host it runs on.
    pub host: String,
    /// Its session id.
    pub session: String,
    /// When its session began.
    pub started: DateTime<Utc>,
}

impl Holder {
    pub(crate) fn parse(line: &str) -> Option<Holder> {
        serde_json::from_str(line).ok()
    }

    pub(crate) fn unknown() -> Holder {
        Holder {
            pid: 0,
            host: "unknown host".into(),
            session: "unknown".into(),
            started: DateTime::UNIX_EPOCH,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another session");
        }
        write!(
            f,
            "process {} on {} (session {}, started {})",
            self.pid,
            Escaped::text(&self.host),
            Escaped::text(&self.session),
            format_timestamp(self.started)
        )
    }
}
