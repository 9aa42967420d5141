//! `tickoff backup`: what to do with whole copies of the sheet.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tickoff::{BackupManager, BackupMetadata, Options, escape};

use super::args::{BackupArgs, BackupCommand};
use super::exit::{Exit, Failure};
use super::output::{json_line, print};

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
