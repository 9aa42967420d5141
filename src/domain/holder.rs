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
    /// Among which processes its process id is one: the boot of its machine, and its PID namespace.
    /// `None` if the lock file does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<String>,
    /// Whether that process id is its process here, and not perhaps another one: it runs on this host, and
    /// in no other container. The lock file does not hold this; whoever reads it finds out.
    #[serde(skip)]
    pub is_here: bool,
}

impl Holder {
    /// What a lock file tells, read by a process on `host` in `pid_namespace`.
    pub(crate) fn parse(line: &str, host: &str, pid_namespace: Option<&str>) -> Option<Holder> {
        let mut holder: Holder = serde_json::from_str(line).ok()?;
        holder.is_here = pid_namespace.is_some()
            && holder.pid_namespace.as_deref() == pid_namespace
            && holder.host == host;
        Some(holder)
    }

    pub(crate) fn unknown() -> Holder {
        Holder {
            pid: 0,
            host: "unknown host".into(),
            session: "unknown".into(),
            started: DateTime::UNIX_EPOCH,
            pid_namespace: None,
            is_here: false,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another session");
        }
        let elsewhere = match self.is_here {
            true => "",
            false => ", in another container or on another host",
        };
        write!(
            f,
            "process {} on {}{elsewhere} (session {}, started {})",
            self.pid,
            Escaped::text(&self.host),
            Escaped::text(&self.session),
            format_timestamp(self.started)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"pid":77,"host":"h","session":"s","started":"2026-01-05T10:15:00Z","pid_namespace":"b:1"}"#;
    /// As it was written before there was a namespace in it.
    const OLD: &str = r#"{"pid":77,"host":"h","session":"s","started":"2026-01-05T10:15:00Z"}"#;

    #[track_caller]
    fn check(line: &str, host: &str, namespace: Option<&str>, is_here: bool) {
        let holder = Holder::parse(line, host, namespace).unwrap();
        assert_eq!((holder.pid, holder.is_here), (77, is_here));
        let text = holder.to_string();
        let told = match is_here {
            true => "process 77 on h (session s, started 2026-01-05T10:15:00Z)",
            false => {
                "process 77 on h, in another container or on another host (session s, started 2026-01-05T10:15:00Z)"
            }
        };
        assert_eq!(text, told);
    }

    #[test]
    fn a_process_id_is_one_here_only_on_this_host_and_in_this_namespace() {
        check(LINE, "h", Some("b:1"), true);
        check(LINE, "h", Some("b:2"), false);
        check(LINE, "other", Some("b:1"), false);
        check(LINE, "h", None, false);
        check(OLD, "h", Some("b:1"), false);
        check(OLD, "h", None, false);
    }
}
