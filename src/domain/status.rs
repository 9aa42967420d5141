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
    /// The original system's word for a failed download.
    Failed,
    /// The original system's word for a download of which a part is missing.
    Partial,
    /// The original system's word for an order that its site does not know.
    PoNotFound,
    /// A word that is none of these. It is kept as it is.
    Other(String),
}

impl ProcessingStatus {
    /// Reads a cell, without regard to case or surrounding blanks.
    pub fn parse(cell: &str) -> Self {
        let word = cell.trim();
        if word.is_empty() {
            return Self::Pending;
        }
        let mut known = KNOWN.iter();
        known
            .find(|status| word.eq_ignore_ascii_case(status.as_str()))
            .cloned()
            .unwrap_or_else(|| Self::Other(word.to_owned()))
    }

    /// The word that stands in the sheet.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Error => "ERROR",
            Self::NoAttachments => "NO_ATTACHMENTS",
            Self::Failed => "FAILED",
            Self::Partial => "PARTIAL",
            Self::PoNotFound => "PO_NOT_FOUND",
            Self::Other(word) => word,
        }
    }

    /// Whether the last attempt failed.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Error | Self::Failed | Self::Partial | Self::PoNotFound
        )
    }

    /// Whether both are the same word, without regard to case.
    pub(crate) fn is_same_word(&self, other: &ProcessingStatus) -> bool {
        self == other || self.as_str().to_lowercase() == other.as_str().to_lowercase()
    }

    /// Whether a result may take a PO from this status to `to`.
    ///
    /// Nothing leaves COMPLETED, and what has a result does not go back to PENDING; only a forced update
    /// may do that.
    pub fn may_become(&self, to: &ProcessingStatus) -> bool {
        match self {
            Self::Completed => matches!(to, Self::Completed),
            Self::Other(_) => true,
            _ => !matches!(to, Self::Pending),
        }
    }
}

/// Every word that is known.
pub(crate) const KNOWN: [ProcessingStatus; 7] = [
    ProcessingStatus::Pending,
    ProcessingStatus::Completed,
    ProcessingStatus::Error,
    ProcessingStatus::NoAttachments,
    ProcessingStatus::Failed,
    ProcessingStatus::Partial,
    ProcessingStatus::PoNotFound,
];

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
        assert_eq!(ProcessingStatus::parse(" failed"), Failed);
        assert_eq!(ProcessingStatus::parse("Done"), Other("Done".into()));
    }

    #[test]
    fn transitions_are_those_of_the_original_system() {
        let all = [
            Pending,
            Completed,
            Error,
            NoAttachments,
            Partial,
            Other("X".into()),
        ];
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
                "PENDING>PARTIAL",
                "PENDING>X",
                "COMPLETED>COMPLETED",
                "ERROR>COMPLETED",
                "ERROR>ERROR",
                "ERROR>NO_ATTACHMENTS",
                "ERROR>PARTIAL",
                "ERROR>X",
                "NO_ATTACHMENTS>COMPLETED",
                "NO_ATTACHMENTS>ERROR",
                "NO_ATTACHMENTS>NO_ATTACHMENTS",
                "NO_ATTACHMENTS>PARTIAL",
                "NO_ATTACHMENTS>X",
                "PARTIAL>COMPLETED",
                "PARTIAL>ERROR",
                "PARTIAL>NO_ATTACHMENTS",
                "PARTIAL>PARTIAL",
                "PARTIAL>X",
                "X>PENDING",
                "X>COMPLETED",
                "X>ERROR",
                "X>NO_ATTACHMENTS",
                "X>PARTIAL",
                "X>X",
            ]
        );
    }
}
