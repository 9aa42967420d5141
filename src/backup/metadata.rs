//! What is known of one backup, as the program prints it too.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
