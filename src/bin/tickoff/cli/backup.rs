//! `tickoff backup`: what to do with whole copies of the sheet.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tickoff::{BackupManager, BackupMetadata, Options, escape};

use super::args::{BackupArgs, SheetArgs};
use crate::exit::{Exit, Failure};
use crate::stdout::{json_line, print};

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Copy the sheet now, then prune; prints the path of the backup
    #[command(after_help = "\
Examples:
  tickoff backup create orders.csv
  tickoff backup create orders.csv --session before-cleanup")]
    Create {
        /// The sheet
        file: PathBuf,

        /// Session id in the backup's name: 1 to 64 letters, digits, - and _
        #[arg(long, value_name = "ID", default_value = "manual")]
        session: String,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// List the backups of the sheet, newest first
    #[command(after_help = "\
Example:
  tickoff backup list orders.csv")]
    List {
        /// The sheet
        file: PathBuf,

        /// Print each backup as a JSON object on a line of its own
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// Put a backup in the sheet's place, after backing up what it replaces
    ///
    /// So `restore FILE latest` a second time undoes the first.
    #[command(after_help = "\
Examples:
  tickoff backup restore orders.csv
  tickoff backup restore orders.csv orders_20260105_101500_nightly.csv")]
    Restore {
        #[command(flatten)]
        sheet: SheetArgs,

        /// latest, a session id, the name of a file in the folder of backups, or a path
        #[arg(value_name = "BACKUP", default_value = "latest")]
        which: String,

        /// Accept a sheet on a network filesystem, at your own risk
        #[arg(long, help_heading = "Results")]
        allow_network_fs: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// Delete all but the newest backups; prints the paths of those deleted
    ///
    /// Spares the backups of a session that is going on or was interrupted.
    #[command(after_help = "\
Example:
  tickoff backup prune orders.csv --keep 2")]
    Prune {
        /// The sheet
        file: PathBuf,

        #[command(flatten)]
        backup: BackupArgs,
    },
}

/// Makes, lists, restores or prunes backups.
pub fn run(command: &BackupCommand) -> Result<Exit, Failure> {
    match command {
        BackupCommand::Create {
            file,
            session,
            backup,
        } => {
            let backups = manager(file, backup)?;
            let made = backups.create_backup(session)?.backup_path;
            print_paths(std::slice::from_ref(&made))?;
            backups.cleanup_old_backups(&[made])?;
        }
        BackupCommand::List { file, json, backup } => {
            let found = manager(file, backup)?.list()?;
            print(|out| {
                if *json {
                    found.iter().try_for_each(|backup| json_line(out, backup))
                } else {
                    table(out, &found)
                }
            })?;
        }
        BackupCommand::Restore {
            sheet,
            which,
            allow_network_fs,
            backup,
        } => {
            let backups = manager(&sheet.file, backup)?;
            let chosen = backups.resolve(which)?;
            let options = Options {
                allow_network_fs: *allow_network_fs,
                ..sheet.options()
            };
            backups.restore_from_backup(&chosen, &options)?;
            print_paths(&[chosen])?;
        }
        BackupCommand::Prune { file, backup } => {
            print_paths(&manager(file, backup)?.cleanup_old_backups(&[])?)?;
        }
    }
    Ok(Exit::Done)
}

fn manager(file: &Path, args: &BackupArgs) -> tickoff::Result<BackupManager> {
    BackupManager::new(file, args.backup_dir.clone(), args.keep.get())
}

fn print_paths(paths: &[PathBuf]) -> Result<(), Failure> {
    print(|out| {
        paths
            .iter()
            .try_for_each(|path| writeln!(out, "{}", escape(&path.to_string_lossy())))
    })
}

/// The path last, since it is the longest.
fn table(out: &mut (impl Write + ?Sized), backups: &[BackupMetadata]) -> io::Result<()> {
    backups.iter().try_for_each(|backup| {
        writeln!(
            out,
            "{}  {:>9} records  {:>12} bytes  {}  {}",
            backup.created_at.format("%Y-%m-%dT%H:%M:%SZ"),
            backup.record_count,
            backup.size_bytes,
            escape(&backup.session_id),
            escape(&backup.backup_path.to_string_lossy())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::parse;

    #[test]
    fn the_newest_backup_is_restored_unless_another_is_named() {
        let which = |line| match parse(line).unwrap() {
            Command::Backup(BackupCommand::Restore { which, .. }) => which,
            other => panic!("{other:?}"),
        };
        assert_eq!(which("tickoff backup restore in.csv"), "latest");
        assert_eq!(
            which("tickoff backup restore in.csv a.csv --backup-dir b"),
            "a.csv"
        );
    }

    #[test]
    fn a_backup_is_one_line_of_the_list() {
        let backup = BackupMetadata {
            backup_path: "backup/input_20260105_101500_a.csv".into(),
            original_path: "input.csv".into(),
            created_at: chrono::DateTime::from_timestamp(1_767_608_100, 0).unwrap(),
            session_id: "a".into(),
            record_count: 446,
            size_bytes: 103_472,
        };
        let mut text = Vec::new();
        table(&mut text, &[backup]).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "2026-01-05T10:15:00Z        446 records        103472 bytes  a  backup/input_20260105_101500_a.csv\n"
        );
    }
}
