//! What is known of one backup, as the program prints it too.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::name::without_number;

/// What is known of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMetadata {
    /// The backup itself.
    pub backup_path: PathBuf,
    /// The sheet it is a backup of.
    pub original_path: PathBuf,
    /// The time in its name: whole seconds, UTC.
    pub created_at: DateTime<Utc>,
    /// The session it was made for.
    pub session_id: String,
    /// How many records it holds, the header not counted.
    pub record_count: usize,
    /// How long it is.
    pub size_bytes: u64,
}

/// What was kept for a person besides the backups of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCopy {
    /// The copy itself.
    pub path: PathBuf,
    /// What it holds.
    pub kind: CopyKind,
    /// When it was kept, in whole seconds.
    pub created_at: DateTime<Utc>,
    /// How long it is.
    pub size_bytes: u64,
    /// Whether it is of this sheet. Else it lies in a folder that sheets of one name can share, and it cannot be told
    /// whether it is of this one.
    pub is_certain: bool,
}

/// What a copy holds that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CopyKind {
    /// A backup or an original, if it cannot be told whether it is of this sheet.
    Backup,
    /// What another program saved, and the sheet did not take over, or not all of it.
    Outside,
    /// The sheet as it was before another program took rows away.
    Replaced,
    /// Results that had no place in the sheet.
    Unplaced,
    /// Results that were given up, or of a sheet that another one followed.
    Discarded,
    /// What a command or worker answered, and was no result, or too large for one.
    Answer,
    /// A journal that was damaged, as it was found.
    DamagedJournal,
    /// Another journal that somebody put in the place of the sheet's.
    ForeignJournal,
    /// What a session could not save beside the sheet.
    Rescued,
}

impl CopyKind {
    /// By the label in the name of a copy beside the backups.
    pub(super) fn of_label(label: &str) -> Option<CopyKind> {
        Some(match without_number(label) {
            "outside" => CopyKind::Outside,
            "replaced" => CopyKind::Replaced,
            "unplaced" => CopyKind::Unplaced,
            "discarded" => CopyKind::Discarded,
            "answer" => CopyKind::Answer,
            _ => return None,
        })
    }

    /// By why a journal was set aside.
    pub(crate) fn of_journal(why: &str) -> Option<CopyKind> {
        Some(match why {
            "damaged" => CopyKind::DamagedJournal,
            "foreign" => CopyKind::ForeignJournal,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;

    #[test]
    fn metadata_survives_json() {
        let made = Place::new().backups().create_backup("a").unwrap();
        let json = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<BackupMetadata>(&json).unwrap(), made);
    }
}
