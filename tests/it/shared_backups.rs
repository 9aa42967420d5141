//! Two sheets of one name whose backups lie in one folder: neither takes those of the other, wherever that is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command_line::{Ended, end, tickoff};

struct Two(tempfile::TempDir);

impl Two {
    /// a/s.csv and b/s.csv with the same keys, of which `a` holds what nobody else has, in a backup alone.
    fn new() -> Two {
        let two = Two(tempfile::tempdir().unwrap());
        for sheet in ["a", "b"] {
            let path = two.sheet(sheet);
            fs::create_dir(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("PO_NUMBER;N\nP1;{sheet}1\nP2;{sheet}2\n")).unwrap();
            two.run(sheet, 1);
        }
        let edited = two.text("a").replace("r1 P2", "PRECIOUS");
        fs::write(two.sheet("a"), edited).unwrap();
        two.run("a", 2);
        assert_eq!(two.precious().len(), 1);
        two
    }

    fn sheet(&self, folder: &str) -> PathBuf {
        self.0.path().join(folder).join("s.csv")
    }

    fn text(&self, folder: &str) -> String {
        fs::read_to_string(self.sheet(folder)).unwrap()
    }

    fn command(&self, command: &str, folder: &str, arguments: &[&str]) -> Ended {
        let mut program = tickoff();
        program
            .args(command.split(' '))
            .arg(self.sheet(folder))
            .arg("--backup-dir")
            .arg(self.0.path().join("common"));
        end(program.args(arguments))
    }

    fn run(&self, folder: &str, n: u32) {
        let script = format!("echo \"OUT=r{n} $TICKOFF_KEY\" > $TICKOFF_RESULT");
        let arguments = ["--force", "--quiet", "--", "sh", "-c", &script];
        self.command("run", folder, &arguments).with(0);
    }

    /// The backups that hold what nobody else has.
    fn precious(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join("common")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let has_it = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("PRECIOUS");
        paths.filter(has_it).collect()
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_sheet_whose_folder_is_not_where_it_was_keeps_its_backups() {
    let two = Two::new();
    fs::rename(two.0.path().join("a"), two.0.path().join("c")).unwrap();
    for n in 3..9 {
        two.run("b", n);
    }
    two.command("backup prune", "b", &["--keep", "1", "--originals"])
        .with(0);
    let [precious] = &two.precious()[..] else {
        panic!("{:?}", two.precious());
    };
    let listed = |folder| two.command("backup list", folder, &[]).with(0).stdout;
    let of_b = listed("b");
    let (own, others) = of_b.split_once("\n\nof a sheet of this name, ").unwrap();
    assert!(!own.contains(name(precious)), "{of_b}");
    assert!(others.contains(name(precious)), "{of_b}");
    let of_c = listed("c");
    assert!(of_c.contains(name(precious)), "{of_c}");
    assert!(!of_c.contains("of a sheet of this name"), "{of_c}");
}

#[test]
fn the_latest_is_surely_of_this_sheet_and_another_is_taken_by_its_name_alone() {
    let two = Two::new();
    fs::rename(two.0.path().join("a"), two.0.path().join("c")).unwrap();
    two.command("backup restore", "b", &["latest"]).with(0);
    assert!(two.text("b").contains("P1;b1"), "{}", two.text("b"));
    let precious = two.precious().remove(0);
    two.command("backup restore", "b", &[name(&precious)])
        .with(0);
    assert!(two.text("b").contains("PRECIOUS"));
}

#[test]
fn where_none_is_surely_of_this_sheet_latest_is_refused_and_names_one() {
    let two = Two::new();
    fs::remove_dir_all(two.0.path().join("a")).unwrap();
    fs::create_dir(two.0.path().join("d")).unwrap();
    fs::write(two.sheet("d"), "PO_NUMBER;N\nP1;d1\n").unwrap();
    for which in ["latest", "original"] {
        let refused = two.command("backup restore", "d", &[which]).with(3);
        assert!(
            refused.stderr.contains("here is surely of s.csv: s_"),
            "{refused:?}"
        );
        assert_eq!(two.text("d"), "PO_NUMBER;N\nP1;d1\n");
    }
    two.run("d", 1);
    let listed = two.command("backup list", "d", &[]).with(0).stdout;
    assert!(
        listed.contains(".original.csv\n2 in all:"),
        "it has its own: {listed}"
    );
}
