//! Where a PO stands, and where it may go from there.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a PO stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProcessingStatus {
    /// Not processed yet. An empty cell, or a sheet without the column, means the same.
    #[default]
    Pending,
    /// Processed; no later run takes it up again.
    Completed,
    /// The last attempt failed; the next run tries again.
    Error,
    /// There was nothing to fetch; the next run looks again.
    NoAttachments,
    /// A word that is none of the four. It is kept as it is and counts as pending.
    Other(String),
}

impl ProcessingStatus {
    /// Reads a cell, without regard to case or surrounding blanks.
    pub fn parse(cell: &str) -> Self {
        let word = cell.trim();
        for (name, status) in [
            ("", Self::Pending),
            ("PENDING", Self::Pending),
            ("COMPLETED", Self::Completed),
            ("ERROR", Self::Error),
            ("NO_ATTACHMENTS", Self::NoAttachments),
        ] {
            if word.eq_ignore_ascii_case(name) {
                return status;
            }
        }
        Self::Other(word.to_owned())
    }

    /// The word that stands in the sheet.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Error => "ERROR",
            Self::NoAttachments => "NO_ATTACHMENTS",
            Self::Other(word) => word,
        }
    }

    /// Whether a result may take a PO from this status to `to`.
    ///
    /// Nothing leaves COMPLETED and nothing goes back to PENDING; only a forced update may do that.
    pub fn may_become(&self, to: &ProcessingStatus) -> bool {
        match self {
            Self::Completed => matches!(to, Self::Completed),
            Self::Other(_) => true,
            _ => matches!(to, Self::Completed | Self::Error | Self::NoAttachments),
        }
    }
}

impl fmt::Display for ProcessingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::text::Escaped::text(self.as_str()))
    }
}

impl Serialize for ProcessingStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProcessingStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ProcessingStatus::*;

    #[test]
    fn a_status_is_read_without_regard_to_case_or_blanks() {
        assert_eq!(ProcessingStatus::parse(" no_Attachments "), NoAttachments);
        assert_eq!(ProcessingStatus::parse("  "), Pending);
        assert_eq!(ProcessingStatus::parse("FAILED"), Other("FAILED".into()));
    }

    #[test]
    fn transitions_are_those_of_the_original_system() {
        let all = [Pending, Completed, Error, NoAttachments, Other("X".into())];
        let allowed: Vec<String> = all
            .iter()
            .flat_map(|from| all.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.may_become(to))
            .map(|(from, to)| format!("{from}>{to}"))
            .collect();
        assert_eq!(
            allowed,
            [
                "PENDING>COMPLETED",
                "PENDING>ERROR",
                "PENDING>NO_ATTACHMENTS",
                "COMPLETED>COMPLETED",
                "ERROR>COMPLETED",
                "ERROR>ERROR",
                "ERROR>NO_ATTACHMENTS",
                "NO_ATTACHMENTS>COMPLETED",
                "NO_ATTACHMENTS>ERROR",
                "NO_ATTACHMENTS>NO_ATTACHMENTS",
                "X>PENDING",
                "X>COMPLETED",
                "X>ERROR",
                "X>NO_ATTACHMENTS",
                "X>X",
            ]
        );
    }
}
