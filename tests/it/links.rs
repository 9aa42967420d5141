//! A sheet that is named by a link, and what becomes of the link.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::command_line::{Ended, Running, end, tickoff, wait_until};
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;NOTE;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nPO1;n1;;;\nPO2;n2;;;\nPO3;n3;;;\nPO4;n4;;;\n";

/// Notes each row that it does, and waits in the second one.
const SCRIPT: &str = "echo $TICKOFF_PO >> ran; [ $TICKOFF_PO != PO2 ] || { touch second; while [ ! -e go ] && [ -e \"$PWD\" ]; do sleep 0.01; done; }";

/// A sheet, and a link to it that is `link.csv` in a folder of its own.
struct Linked {
    sheet: TempSheet,
    folder: PathBuf,
}

impl Linked {
    fn new() -> Linked {
        let sheet = TempSheet::new(SHEET);
        let folder = sheet.folder().canonicalize().unwrap().join("links");
        std::fs::create_dir(&folder).unwrap();
        symlink("../input.csv", folder.join("link.csv")).unwrap();
        Linked { sheet, folder }
    }

    fn link(&self) -> PathBuf {
        self.folder.join("link.csv")
    }

    fn tickoff(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = tickoff();
        program.args([command, "link.csv"]).args(arguments);
        program.current_dir(&self.folder);
        program
    }

    fn run(&self) -> Command {
        self.tickoff("run", &["-q", "-j1", "--", "sh", "-c", SCRIPT])
    }

    /// A file takes the link's place, as a program does it that saves by renaming.
    fn save(&self, text: &str) {
        std::fs::write(self.folder.join("saved"), text).unwrap();
        std::fs::rename(self.folder.join("saved"), self.link()).unwrap();
    }

    /// A run during whose second row something is done to the link.
    #[track_caller]
    fn change_in_mid_run(&self, run: &mut Command, change: impl FnOnce()) -> Ended {
        let running = Running::start(run);
        wait_until("the second row", || self.folder.join("second").exists());
        wait_until("the first result is shown", || self.completed() == 1);
        change();
        running.wait_until_it_says("no more work is handed out");
        std::fs::write(self.folder.join("go"), "").unwrap();
        running.end()
    }

    fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("ran")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn completed(&self) -> usize {
        self.sheet.text().matches(";COMPLETED;").count()
    }

    #[track_caller]
    fn follow(&self, told: &str) {
        let (_, advice) = told.split_once("to bring both together, ").unwrap();
        let (commands, _) = advice.split_once(" and run the command again").unwrap();
        let mut sh = Command::new("sh");
        let done = sh.args(["-c", commands]).status().unwrap();
        assert!(done.success(), "{commands}");
        let kept = std::fs::read_to_string(self.sheet.folder().join("input.csv.before")).unwrap();
        assert!(kept.contains(";COMPLETED;"), "{kept}");
    }
}

#[test]
fn a_file_that_takes_the_links_place_in_mid_run_ends_the_run_and_no_row_is_done_twice() {
    let linked = Linked::new();
    let mut saved = String::new();
    let ended = linked
        .change_in_mid_run(&mut linked.run(), || {
            saved = linked.sheet.text().replace("n4", "edited");
            linked.save(&saved);
        })
        .with(6);
    assert!(
        ended.stderr.contains("links/link.csv does not lead to "),
        "{ended:?}"
    );
    assert_eq!(linked.completed(), 2);
    let is_theirs = || std::fs::read_to_string(linked.link()).unwrap() == saved;
    assert!(is_theirs());
    for (command, arguments) in [
        ("run", &["-q", "--", "touch", "ran-again"][..]),
        ("set", &["PO4", "NOTE=x"]),
        ("recover", &["--apply"]),
    ] {
        let refused = end(&mut linked.tickoff(command, arguments)).with(3);
        assert!(refused.stderr.contains("was a link to "), "{refused:?}");
    }
    assert!(is_theirs() && !linked.folder.join("ran-again").exists());
    linked.follow(&ended.stderr);
    end(&mut linked.run()).with(0);
    assert_eq!(linked.ran(), ["PO1", "PO2", "PO3", "PO4"]);
    assert_eq!(linked.completed(), 4);
    assert_eq!(linked.sheet.cell("PO4", "NOTE"), "edited");
}

#[test]
fn an_old_save_that_takes_the_links_place_in_mid_run_costs_no_result() {
    let linked = Linked::new();
    let ended = linked
        .change_in_mid_run(&mut linked.run(), || linked.save(SHEET))
        .with(6);
    linked.follow(&ended.stderr);
    end(&mut linked.tickoff("recover", &["--apply"])).with(0);
    end(&mut linked.run()).with(0);
    assert_eq!(linked.ran(), ["PO1", "PO2", "PO3", "PO4"]);
    assert_eq!(linked.completed(), 4);
}

#[test]
fn a_link_that_leads_to_another_sheet_or_is_gone_in_mid_run_ends_the_run() {
    let repointed = Linked::new();
    let other = repointed.folder.join("other.csv");
    std::fs::write(&other, SHEET).unwrap();
    let ended = repointed
        .change_in_mid_run(&mut repointed.run(), || {
            std::fs::remove_file(repointed.link()).unwrap();
            symlink("other.csv", repointed.link()).unwrap();
        })
        .with(6);
    let said = format!(
        "any more, but to {}: all results are in the sheet",
        other.display()
    );
    assert!(ended.stderr.contains(&said), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), SHEET);
    assert_eq!(repointed.completed(), 2);

    let removed = Linked::new();
    let ended = removed
        .change_in_mid_run(&mut removed.run(), || {
            std::fs::remove_file(removed.link()).unwrap();
        })
        .with(6);
    let said = "any more, and is gone: all results are in the sheet";
    assert!(ended.stderr.contains(said), "{ended:?}");
    assert_eq!(removed.completed(), 2);
}

#[test]
fn a_folders_link_that_leads_to_another_folder_in_mid_run_ends_the_run() {
    let linked = Linked::new();
    let current = linked.folder.join("current");
    symlink("..", &current).unwrap();
    let next = linked.folder.join("next");
    std::fs::create_dir(&next).unwrap();
    std::fs::write(next.join("input.csv"), SHEET).unwrap();
    let mut run = tickoff();
    run.args([
        "run",
        "current/input.csv",
        "-q",
        "-j1",
        "--",
        "sh",
        "-c",
        SCRIPT,
    ]);
    run.current_dir(&linked.folder);
    let ended = linked
        .change_in_mid_run(&mut run, || {
            std::fs::remove_file(&current).unwrap();
            symlink("next", &current).unwrap();
        })
        .with(6);
    assert!(
        ended
            .stderr
            .contains("next/input.csv: all results are in the sheet"),
        "{ended:?}"
    );
    assert_eq!(
        std::fs::read_to_string(next.join("input.csv")).unwrap(),
        SHEET
    );
    assert_eq!(linked.completed(), 2);
}

#[test]
fn a_link_whose_place_is_taken_in_the_last_row_is_told_at_the_end() {
    let linked = Linked::new();
    let script = "[ $TICKOFF_PO != PO4 ] || sed -i s/n3/edited/ link.csv";
    let mut run = linked.tickoff("run", &["-q", "-j1", "--", "sh", "-c", script]);
    let ended = end(&mut run).with(6);
    assert!(
        ended.stderr.contains("since a file took the link's place"),
        "{ended:?}"
    );
    assert_eq!(linked.completed(), 4);
}

#[test]
fn an_old_save_that_takes_the_links_place_between_runs_is_told_to_every_command() {
    let linked = Linked::new();
    end(&mut linked.tickoff("run", &["-q", "--limit", "2", "--", "true"])).with(0);
    let old = linked.sheet.text();
    end(&mut linked.tickoff("set", &["PO1", "NOTE=acknowledged"])).with(0);
    let saved = old.replace("n4", "edited");
    linked.save(&saved);
    let said = "was a link to ";
    let refused = end(&mut linked.tickoff("run", &["-q", "--", "touch", "ran"])).with(3);
    assert!(
        refused
            .stderr
            .contains("without the results of 1 row that are there"),
        "{refused:?}"
    );
    for command in ["status", "pending"] {
        let shown = end(&mut linked.tickoff(command, &[])).with(0);
        assert!(shown.stderr.contains(said), "{shown:?}");
    }
    let checked = end(&mut linked.tickoff("check", &[])).with(3);
    assert!(checked.stdout.contains(said), "{checked:?}");
    assert!(!linked.folder.join("ran").exists());
    assert_eq!(std::fs::read_to_string(linked.link()).unwrap(), saved);
    linked.follow(&refused.stderr);
    end(&mut linked.tickoff("run", &["-q", "--", "true"])).with(0);
    assert_eq!(linked.sheet.cell("PO1", "NOTE"), "acknowledged");
    assert_eq!(linked.sheet.cell("PO4", "NOTE"), "edited");
    assert_eq!(linked.completed(), 4);
}

#[test]
fn a_file_that_takes_the_place_of_a_link_behind_the_link_is_told_as_well() {
    let linked = Linked::new();
    let chain = linked.folder.join("chain.csv");
    symlink("link.csv", &chain).unwrap();
    let run = |script: &str| {
        let mut tickoff = tickoff();
        tickoff
            .arg("run")
            .arg(&chain)
            .args(["-q", "--", "sh", "-c", script]);
        end(tickoff.current_dir(&linked.folder))
    };
    run("true").with(0);
    linked.save(&SHEET.replace("n3", "mine"));
    let refused = run("touch again").with(3);
    assert!(
        refused.stderr.contains("link.csv was a link to "),
        "{refused:?}"
    );
    assert!(!linked.folder.join("again").exists());
}

#[test]
fn a_file_in_the_links_place_that_is_meant_to_be_there_is_a_sheet_of_its_own() {
    let run = ["-q", "--", "true"];
    let worked_on = || {
        let linked = Linked::new();
        end(&mut linked.tickoff("run", &["-q", "--limit", "2", "--", "true"])).with(0);
        assert!(linked.folder.join(".link.csv.link").is_symlink());
        linked
    };
    let whole = worked_on();
    whole.save(&whole.sheet.text());
    let another = worked_on();
    another.save("PO_NUMBER;STATUS\nX1;\nX2;\n");
    let told = worked_on();
    told.save(SHEET);
    end(&mut told.tickoff("run", &run)).with(3);
    std::fs::remove_file(told.folder.join(".link.csv.link")).unwrap();
    for linked in [whole, another, told] {
        let ended = end(&mut linked.tickoff("run", &run)).with(0);
        assert_eq!(ended.stderr, "");
        assert_eq!(linked.completed(), 2);
        assert!(!linked.folder.join(".link.csv.link").is_symlink());
    }
}

#[test]
fn a_link_that_leads_to_the_next_sheet_is_followed_between_runs_without_a_word() {
    let linked = Linked::new();
    end(&mut linked.tickoff("run", &["-q", "--", "true"])).with(0);
    std::fs::write(linked.folder.join("next.csv"), SHEET).unwrap();
    std::fs::remove_file(linked.link()).unwrap();
    symlink("next.csv", linked.link()).unwrap();
    let ended = end(&mut linked.tickoff("run", &["-q", "--", "true"])).with(0);
    assert_eq!(ended.stderr, "");
    let next = std::fs::read_to_string(linked.folder.join("next.csv")).unwrap();
    assert_eq!(next.matches(";COMPLETED;").count(), 4);
    let remembered = std::fs::read_link(linked.folder.join(".link.csv.link")).unwrap();
    assert_eq!(remembered, PathBuf::from("next.csv"));
}
