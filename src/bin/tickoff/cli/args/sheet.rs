//! Which sheet, how it is read and written, and where its backups are: what becomes the library's
//! [`Options`].

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use tickoff::{DEFAULT_KEEP, Duplicates, Options};

use crate::cli::formulas::Formulas;

/// Which sheet, and how it is to be read.
#[derive(Debug, clap::Args)]
pub struct SheetArgs {
    /// The sheet: a CSV with a row for each PO
    pub file: PathBuf,

    /// Column that holds the key of each job [default: PO_NUMBER]
    #[arg(long, value_name = "COLUMN", help_heading = "Sheet")]
    pub key: Option<String>,

    /// Delimiter, one ASCII character or tab [default: the one of ; , tab with which the header has
    /// the key column]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Sheet")]
    pub delimiter: Option<u8>,

    /// A PO that stands in several rows: refuse the sheet, or write to all of them
    #[arg(
        long,
        value_name = "refuse|all",
        default_value = "refuse",
        hide_possible_values = true,
        help_heading = "Sheet"
    )]
    pub duplicates: DuplicatesArg,
}

impl SheetArgs {
    /// The same for the library.
    pub fn options(&self) -> Options {
        let default = Options::default();
        Options {
            key: self.key.clone().unwrap_or(default.key),
            delimiter: self.delimiter,
            duplicates: match self.duplicates {
                DuplicatesArg::Refuse => Duplicates::Refuse,
                DuplicatesArg::All => Duplicates::All,
            },
            ..Options::default()
        }
    }
}

/// The library's [`Duplicates`] as clap needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum DuplicatesArg {
    Refuse,
    All,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[byte] if byte.is_ascii() && !matches!(byte, 0 | b'"' | b'\r' | b'\n') => Ok(byte),
        _ => Err("it must be one ASCII character, and no quote or line break; or tab".into()),
    }
}

/// How results get into the sheet.
#[derive(Debug, clap::Args)]
pub struct WriteArgs {
    /// A value that a spreadsheet would run as a formula: report it, or refuse it (a job's goes to
    /// ….unplaced.csv beside the backups)
    #[arg(
        long,
        value_name = "warn|reject",
        default_value = "warn",
        hide_possible_values = true,
        help_heading = "Results"
    )]
    pub formulas: Formulas,

    /// Accept a sheet on a network filesystem, at your own risk
    #[arg(long, help_heading = "Results")]
    pub allow_network_fs: bool,
}

/// Where backups are, and how many.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Folder of the backups [default: backup beside the sheet]
    #[arg(long, value_name = "DIR", help_heading = "Backups")]
    pub backup_dir: Option<PathBuf>,

    /// How many backups are kept
    #[arg(long, value_name = "N", default_value = KEEP, help_heading = "Backups")]
    pub keep: NonZeroUsize,
}

const KEEP: &str = "5";
const _: () = assert!(DEFAULT_KEEP == 5);

impl BackupArgs {
    /// These options with what was said of backups.
    pub fn put_into(&self, options: Options) -> Options {
        Options {
            backup_dir: self.backup_dir.clone(),
            keep: self.keep.get(),
            ..options
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert_eq!(delimiter("|"), Ok(b'|'));
        for bad in ["", ";;", "é", "\"", "\n"] {
            assert!(delimiter(bad).is_err(), "{bad:?}");
        }
    }
}
