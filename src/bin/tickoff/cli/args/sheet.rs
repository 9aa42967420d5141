//! Which sheet, how it is read and written, and where its backups are: what becomes the library's
//! [`Options`], with what is remembered of the sheet where the command line leaves it open.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use tickoff::{
    Contradiction, DEFAULT_KEEP, Duplicates, Encoding, KeyColumns, Options, Settings, escape,
    parse_delimiter,
};

use crate::cli::args::{CommandOn, some};
use crate::cli::formulas::Formulas;
use crate::exit::{Exit, Failure, for_a_shell};

/// Which sheet, and how it is to be read.
#[derive(Debug, clap::Args)]
pub struct SheetArgs {
    /// The sheet: a CSV with a row for each job
    pub file: PathBuf,

    /// Column that holds the key of each row. Given for each of several columns, the key is a record of
    /// them: A1;2, with the sheet's delimiter [default: as tickoff.toml says, or PO_NUMBER]
    #[arg(long, value_name = "COLUMN", help_heading = "Sheet")]
    pub key: Vec<String>,

    /// Delimiter, one ASCII character or tab [default: that of tickoff.toml, or the one of ; , tab
    /// with which the header has the key]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Sheet")]
    pub delimiter: Option<u8>,

    /// Encoding of the sheet, UTF-8 or one with one byte for each letter, as windows-1252
    /// [default: that of tickoff.toml, or UTF-8]
    #[arg(long, value_name = "LABEL", help_heading = "Sheet")]
    pub encoding: Option<Encoding>,

    /// A key that stands in several rows: refuse the sheet, or write to all of them
    /// [default: as tickoff.toml says, or refuse]
    #[arg(
        long,
        value_name = "refuse|all",
        hide_possible_values = true,
        help_heading = "Sheet"
    )]
    pub duplicates: Option<DuplicatesArg>,
}

impl SheetArgs {
    /// What the command line says of the sheet.
    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings {
            key: self.key_columns()?,
            delimiter: self.delimiter,
            encoding: self.encoding,
            duplicates: self.duplicates.map(|duplicates| match duplicates {
                DuplicatesArg::Refuse => Duplicates::Refuse,
                DuplicatesArg::All => Duplicates::All,
            }),
            ..Settings::default()
        })
    }

    /// The key columns, if the command line names any.
    pub fn key_columns(&self) -> Result<Option<KeyColumns>, Failure> {
        let usage = |message: String| Err(Failure::Other(Exit::Usage, message));
        if self.key.is_empty() {
            return Ok(None);
        }
        if self.key.iter().any(|name| name.trim().is_empty()) {
            return usage("--key may not be blank: name the column for the jobs".into());
        }
        match KeyColumns::new(&self.key) {
            Ok(key) => Ok(Some(key)),
            Err(problem) => {
                let typed: Vec<_> = self.key.iter().map(|name| escape(name)).collect();
                usage(format!("--key {}: {problem}", typed.join(" --key ")))
            }
        }
    }

    /// How it is to be read, as the command line says it; empty if it says nothing.
    pub fn typed(&self) -> String {
        let keys = self.key.iter().map(|key| ("--key", key.clone()));
        let delimiter = self.delimiter.map(|byte| match byte {
            b'\t' => "tab".to_owned(),
            byte => char::from(byte).to_string(),
        });
        let encoding = self.encoding.map(|encoding| encoding.name().to_owned());
        let duplicates = self.duplicates.map(|it| match it {
            DuplicatesArg::Refuse => "refuse".to_owned(),
            DuplicatesArg::All => "all".to_owned(),
        });
        let others = [
            ("--delimiter", delimiter),
            ("--encoding", encoding),
            ("--duplicates", duplicates),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let typed = keys.chain(others);
        let words: Vec<String> = typed
            .map(|(name, value)| format!("{name} {}", for_a_shell(&value)))
            .collect();
        words.join(" ")
    }

    /// The same for the library, with what is remembered of the sheet.
    pub fn options(&self) -> Result<Options, Failure> {
        self.options_with(self.settings()?)
    }

    /// A command that works on the sheet's rows.
    pub fn in_command(&self, command: &str) -> CommandOn<'_> {
        let file = for_a_shell(&self.file.to_string_lossy());
        CommandOn {
            before: format!("tickoff {command} {file}"),
            behind: "",
            sheet: &self.file,
        }
    }

    /// The same, if the command line says this.
    pub fn options_with(&self, typed: Settings) -> Result<Options, Failure> {
        merged(typed, Settings::of(&self.file)?)
    }
}

/// What a command line says of a sheet, with what is remembered where it leaves that open.
pub fn merged(typed: Settings, kept: Settings) -> Result<Options, Failure> {
    let by_itself = typed.contradiction().is_some();
    let refuse_utf8 = typed.encoding.is_none();
    let settings = typed.or(kept);
    // What status is told of failures alone replaces what is remembered.
    let is_refused = |found: &Contradiction<'_>| by_itself || found.list == "todo";
    if let Some(found) = settings.contradiction().filter(is_refused) {
        let way_on = match (by_itself, found.list) {
            (true, "todo") => "--force processes what is done as well".to_owned(),
            (true, list) => format!("name it with --done or --{list} alone"),
            (false, list) => {
                format!(
                    "tickoff.toml says one of the two, and --done or --{list} replaces its list"
                )
            }
        };
        return Err(Failure::Other(Exit::Usage, format!("{found}; {way_on}")));
    }
    Ok(settings.put_into(Options {
        refuse_utf8,
        ..Options::default()
    }))
}

/// Refuses the name of a column that is to be added, if the sheet's encoding cannot write it.
pub fn refuse_unwritable(option: &str, column: &str, encoding: Encoding) -> Result<(), Failure> {
    if encoding.has_no(column).is_none() {
        return Ok(());
    }
    let message = format!(
        "{option} {}: {} cannot write that name; name another column",
        escape(column.trim()),
        encoding.name()
    );
    Err(Failure::Other(Exit::Usage, message))
}

/// The library's [`Duplicates`] as clap needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum DuplicatesArg {
    Refuse,
    All,
}

fn delimiter(text: &str) -> Result<u8, &'static str> {
    parse_delimiter(text)
        .ok_or("it must be one ASCII character, and no quote or line break; or tab")
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

/// Whether results may add columns.
#[derive(Debug, clap::Args)]
pub struct ColumnArgs {
    /// Add no column for a result: a cell whose column is not there goes to ….unplaced.csv beside the
    /// backups [default: the column is added]
    #[arg(long, help_heading = "Results")]
    pub no_new_columns: bool,
}

impl ColumnArgs {
    /// These options with what was said of columns.
    pub fn put_into(&self, options: Options) -> Options {
        Options {
            add_columns: !self.no_new_columns,
            ..options
        }
    }
}

/// Where backups are, and how many.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Folder of the backups [default: backup beside the sheet]
    #[arg(long, value_name = "DIR", help_heading = "Backups")]
    pub backup_dir: Option<PathBuf>,

    /// How many backups are kept
    #[arg(long, value_name = "N", value_parser = some, default_value = KEEP, help_heading = "Backups")]
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
