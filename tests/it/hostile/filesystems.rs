//! Filesystems and attributes on which the promises cannot be kept: told before any job runs, with what to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command_line::{end, program, tickoff};
use crate::fixture::TempSheet;

const TEXT: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n";

/// A folder that is seen through FUSE, until it is dropped.
struct Mirror(tempfile::TempDir);

impl Mirror {
    /// Of a folder, as a filesystem of this type; `None`, and said so, where that cannot be had.
    fn of(folder: &Path, kind: &str) -> Option<Mirror> {
        let mirror = tempfile::tempdir().unwrap();
        let mut bindfs = Command::new("bindfs");
        bindfs.args(["-o", &format!("subtype={kind}")]);
        let mounted = bindfs.arg(folder).arg(mirror.path()).output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            eprintln!("SKIPPED: no FUSE here, which takes bindfs and /dev/fuse");
            return None;
        }
        Some(Mirror(mirror))
    }

    /// A command on the sheet, as it is seen there.
    fn tickoff(&self, command: &str) -> Command {
        let mut program = tickoff();
        program
            .args([command, "input.csv"])
            .current_dir(self.0.path());
        program
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).output();
        assert!(unmounted.is_ok_and(|unmounted| unmounted.status.success()));
    }
}

#[test]
fn a_local_fuse_is_used_without_leases_and_that_is_said_once() {
    let sheet = TempSheet::new(TEXT);
    let Some(mirror) = Mirror::of(sheet.folder(), "grpcfuse") else {
        return;
    };
    let ended = end(mirror.tickoff("run").args(["--", "true"])).with(0);
    let said = "is on fuse.grpcfuse, where nobody tells who writes to it from the other side";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{ended:?}");
    assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
    let check = end(&mut mirror.tickoff("check")).with(0);
    assert!(check.stdout.contains(said), "{check:?}");
}

#[test]
fn a_fuse_of_another_host_is_refused_by_its_name() {
    for kind in ["sshfs", "rclone"] {
        let sheet = TempSheet::new(TEXT);
        let Some(mirror) = Mirror::of(sheet.folder(), kind) else {
            return;
        };
        for command in ["run", "init", "apply", "set"] {
            let mut program = mirror.tickoff(command);
            match command {
                "run" => program.args(["--", "touch", "ran"]),
                "set" => program.args(["P1", "STATUS=ERROR"]),
                _ => &mut program,
            };
            let ended = end(&mut program).with(3);
            let said = format!(
                "is on the network filesystem {kind}, where locks and replacing cannot be trusted: copy it to a local disk, or pass --allow-network-fs at your own risk"
            );
            assert!(ended.stderr.contains(&said), "{command}: {ended:?}");
        }
        assert_eq!(sheet.text(), TEXT);
        let mut run = mirror.tickoff("run");
        end(run.args(["--allow-network-fs", "--", "true"])).with(0);
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
    }
}

#[test]
fn a_sheet_that_an_attribute_keeps_as_it_is_is_refused_before_anything_runs() {
    for (attribute, is_folders, said) in [
        ("i", false, "is immutable: take that away with chattr -i"),
        ("a", false, "is append-only: take that away with chattr -a"),
        (
            "a",
            true,
            "lies in a folder that is append-only: take that away with chattr -a",
        ),
        (
            "i",
            true,
            "lies in a folder that is immutable: take that away with chattr -i",
        ),
    ] {
        let sheet = TempSheet::new(TEXT);
        let place = if is_folders {
            sheet.folder()
        } else {
            sheet.path()
        };
        let chattr = |sign: &str| {
            let changed = Command::new("chattr")
                .arg(format!("{sign}{attribute}"))
                .arg(place)
                .output();
            changed.is_ok_and(|changed| changed.status.success())
        };
        if !chattr("+") {
            eprintln!("SKIPPED: chattr(1) sets no attributes here, which takes root");
            return;
        }
        let ended = [
            end(&mut sheet.run("", "touch ran")),
            end(sheet.tickoff("set").args(["P1", "STATUS=ERROR"])),
            end(&mut sheet.tickoff("check")),
        ];
        assert!(chattr("-"));
        for ended in ended {
            let ended = ended.with(3);
            assert!(
                (ended.stderr.clone() + &ended.stdout).contains(said),
                "{ended:?}"
            );
        }
        assert_eq!(sheet.text(), TEXT);
        assert!(!sheet.folder().join("ran").exists());
        assert!(!sheet.backups().exists());
        assert_eq!(fs::read_dir(sheet.folder()).unwrap().count(), 1);
    }
}

#[test]
fn a_system_without_proc_is_told_of_before_a_job_runs() {
    let sheet = TempSheet::new(TEXT);
    let mut run = Command::new("unshare");
    run.args(["-m", "sh", "-c"])
        .arg("umount -l /proc || exit 77; exec \"$0\" run input.csv -- true")
        .arg(program())
        .current_dir(sheet.folder());
    let ended = end(&mut run);
    if ended.code == 77 || ended.stderr.starts_with("unshare") {
        eprintln!("SKIPPED: no mount namespace can be had here, which takes root");
        return;
    }
    let ended = ended.with(0);
    assert!(ended.stderr.contains("there is no /proc: "), "{ended:?}");
}
