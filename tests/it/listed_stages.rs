//! Stages that tickoff.toml lists: what `init` adds for them, what is told of each, and that one of them has to be
//! named where rows are worked on.

use crate::command_line::{end, tickoff};
use crate::fixture::TempSheet;

/// A sheet whose stages fetch and ocr are remembered; both have begun.
fn listed() -> TempSheet {
    let sheet = TempSheet::new("id\n7\n8\n9\n");
    let told = end(sheet
        .tickoff("init")
        .args(["--key", "id", "--stages", "fetch,ocr"]))
    .with(0);
    assert!(
        told.stdout
            .contains("remembered stages = [\"fetch\", \"ocr\"]\n"),
        "{told:#?}"
    );
    end(&mut sheet.run(
        "--stage fetch -j1",
        "[ $TICKOFF_PO != 9 ] || { echo gone >&2; exit 1; }",
    ))
    .with(1);
    end(&mut sheet.run("--stage ocr --after fetch --limit 1", "true")).with(0);
    sheet
}

#[test]
fn status_tells_of_each_stage_that_is_listed() {
    let sheet = listed();
    let told = end(&mut sheet.tickoff("status")).with(0).stdout;
    let told = format!("\n{told}");
    let of = |stage: &str| {
        let from = told.find(&format!("\nstage {stage}\n")).unwrap();
        let block = &told[from + 1..];
        block[..block[1..]
            .find("\nstage ")
            .map_or(block.len(), |end| end + 2)]
            .to_owned()
    };
    for (stage, lines) in [
        (
            "fetch",
            &[
                "completed       2   67 %",
                "error           1   33 %",
                "fetch_STATUS\n  2  COMPLETED\n  1  ERROR\n",
                "  1  exit 1: gone  (9)",
            ][..],
        ),
        (
            "ocr",
            &[
                "completed       1   33 %",
                "pending         2   67 %",
                "\nof the pending rows 1 failed in fetch\n",
            ],
        ),
    ] {
        for line in lines {
            assert!(of(stage).contains(line), "{line}: {told}");
        }
    }
    assert_eq!(told.matches("session         none is going on").count(), 1);

    let json = sheet.status();
    let names = ["total", "completed", "pending", "error"];
    assert_eq!(names.map(|name| &json[name]), [3, 1, 1, 1]);
    assert_eq!(
        json["words"],
        serde_json::json!({"PENDING": 1, "COMPLETED": 1, "ERROR": 1})
    );
    assert_eq!(json["errors"][0]["message"], "exit 1: gone");
    assert!(json["last_result"].is_string());
    let counts: Vec<_> = json["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| {
            assert!(stage.get("session").is_none());
            format!(
                "{} {} {} {}",
                stage["stage"], stage["completed"], stage["pending"], stage["error"]
            )
        })
        .collect();
    assert_eq!(counts, ["\"fetch\" 2 0 1", "\"ocr\" 1 2 0"]);

    let one = end(sheet.tickoff("status").args(["--stage", "ocr"]))
        .with(0)
        .stdout;
    assert!(
        one.starts_with("total           3\ncompleted       1"),
        "{one}"
    );
    assert!(!one.contains("stage "), "{one}");
}

#[test]
fn a_staged_sheet_has_nothing_pending_once_all_its_stages_are_done() {
    let sheet = listed();
    for stage in ["fetch", "ocr"] {
        end(&mut sheet.run(&format!("--stage {stage}"), "true")).with(0);
    }
    let json = sheet.status();
    assert_eq!(
        (&json["completed"], &json["pending"]),
        (&3.into(), &0.into())
    );
    assert_eq!(json["stages"].as_array().unwrap().len(), 2);
    // What was done in the plain columns is none of it, and told beside it.
    end(&mut sheet.run("--stage main --limit 1", "exit 1")).with(1);
    let json = sheet.status();
    assert_eq!(json["completed"], 3);
    assert_eq!(json["stages"][0]["stage"], "main");
    assert_eq!(json["stages"][0]["error"], 1);
}

#[test]
fn status_and_watch_tell_of_the_plain_columns_only_if_something_came_of_them() {
    let sheet = TempSheet::new("PO_NUMBER;status\nP1;\nP2;\n");
    end(sheet.tickoff("init").args(["--stages", "fetch,ocr"])).with(0);
    let stages = |command: &str| {
        let told = end(&mut sheet.tickoff(command)).with(0).stdout;
        let headings = told.lines().filter(|line| line.starts_with("stage "));
        let headings: Vec<_> = headings.map(str::to_owned).collect();
        assert_eq!(told.matches("total").count(), headings.len(), "{told}");
        headings
    };
    let check = |of_status: &[&str]| {
        for command in ["status", "watch"] {
            assert_eq!(stages(command), of_status, "{command}");
        }
    };
    check(&["stage fetch", "stage ocr"]);
    end(&mut sheet.run("--stage fetch", "true")).with(0);
    check(&["stage fetch", "stage ocr"]);
    // Somebody else's words are nothing that came of them.
    let typed = sheet.text().replacen("P1;;", "P1;active;", 1);
    std::fs::write(sheet.path(), &typed).unwrap();
    check(&["stage fetch", "stage ocr"]);
    std::fs::write(sheet.path(), typed.replace("P1;active;", "P1;;")).unwrap();
    crate::fixture::rested(sheet.path());
    end(&mut sheet.run("--stage main --limit 1", "true")).with(0);
    check(&["stage main", "stage fetch", "stage ocr"]);
    end(sheet.tickoff("init").args(["--stages", "fetch,main"])).with(0);
    check(&["stage fetch", "stage main"]);
    let told = end(&mut sheet.tickoff("status")).with(0).stdout;
    assert!(
        told.ends_with("\n\nsession         none is going on\n"),
        "{told}"
    );
}

#[test]
fn init_adds_the_columns_of_the_stages_that_are_listed_and_no_others() {
    const FETCH: &str = "fetch_STATUS;fetch_LAST_PROCESSED;fetch_ERROR_MESSAGE";
    const OCR: &str = "ocr_STATUS;ocr_LAST_PROCESSED;ocr_ERROR_MESSAGE";
    const MAIN: &str = "STATUS;LAST_PROCESSED;ERROR_MESSAGE";
    for (stages, added) in [
        ("fetch,ocr", format!("{FETCH};{OCR}")),
        ("main,ocr", format!("{MAIN};{OCR}")),
        ("fetch", FETCH.to_owned()),
    ] {
        let sheet = TempSheet::new("PO_NUMBER\nP1\n");
        let told = end(sheet.tickoff("init").args(["--stages", stages])).with(0);
        let header = sheet.text().lines().next().unwrap().to_owned();
        assert_eq!(header, format!("PO_NUMBER;{added}"));
        for column in added.split(';') {
            assert!(told.stdout.contains(&format!("added {column}\n")));
        }
        let before = sheet.text();
        end(&mut sheet.tickoff("init")).with(0);
        assert_eq!(sheet.text(), before);
        // A run of the first one adds none.
        let first = stages.split(',').next().unwrap();
        end(&mut sheet.run(&format!("--stage {first}"), "true")).with(0);
        assert_eq!(sheet.text().lines().next(), Some(&header[..]));
        assert_eq!(sheet.backup_names().len(), 2);
    }
    // Those that tickoff.toml lists by hand are added as well.
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let settings = "['input.csv']\nstages = ['ocr']\n";
    std::fs::write(sheet.folder().join("tickoff.toml"), settings).unwrap();
    end(&mut sheet.tickoff("init")).with(0);
    assert!(sheet.text().starts_with(&format!("PO_NUMBER;{OCR}\n")));
}

#[test]
fn init_takes_over_no_column_of_a_stage_that_is_somebody_elses() {
    let foreign = "PO_NUMBER;status;ocr_STATUS\nP1;active;scanned twice\n";
    let sheet = TempSheet::new(foreign);
    for stages in ["ocr,fetch", "fetch,ocr"] {
        let ended = end(sheet.tickoff("init").args(["--stages", stages])).with(3);
        let says = "the column ocr_STATUS holds what is not tickoff's";
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert_eq!(sheet.text(), foreign);
        assert!(!sheet.folder().join("tickoff.toml").exists());
    }
    // A status of somebody's own does not hinder stages.
    end(sheet.tickoff("init").args(["--stages", "fetch"])).with(0);
    assert_eq!(sheet.cell("P1", "status"), "active");
}

#[test]
fn a_stage_that_none_can_be_is_refused_with_its_place_in_the_settings() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    for (text, said) in [
        (
            "['input.csv']\nstages = ['ocr', 'o c r']\n",
            "tickoff.toml:2:18: a stage's name is made of the letters A to Z, digits, - and _",
        ),
        (
            "['input.csv']\nstages = 'ocr'\n",
            "tickoff.toml:2:10: stages must be a list of names: [\"fetch\", \"ocr\"]",
        ),
        (
            "['input.csv']\nstages = ['ocr', 'OCR']\n",
            "tickoff.toml:2:10: stages has a name twice; case does not count",
        ),
    ] {
        std::fs::write(sheet.folder().join("tickoff.toml"), text).unwrap();
        for command in ["status", "check", "watch"] {
            let told = end(&mut sheet.tickoff(command)).with(3).stderr;
            assert!(told.contains(said), "{told}");
        }
    }
    for stages in ["o c r", "ocr,fetch,OCR"] {
        end(sheet.tickoff("init").args(["--stages", stages])).with(2);
    }
}

#[test]
fn where_stages_are_listed_a_command_on_the_rows_without_one_is_refused() {
    let sheet = listed();
    let before = sheet.text();
    let names = "--stage has to name one of the stages in tickoff.toml: fetch, ocr; ";
    for (command, typed, words) in [
        (
            "run",
            "tickoff run FILE --stage fetch -- …",
            &["--", "touch", "ran"][..],
        ),
        (
            "run --dry-run",
            "tickoff run FILE --stage fetch -- …",
            &["--", "true"],
        ),
        (
            "run --output copy.csv",
            "tickoff run FILE --output copy.csv --stage fetch -- …",
            &["--", "touch", "ran"],
        ),
        (
            "run --after fetch",
            "tickoff run FILE --stage fetch -- …",
            &["--", "touch", "ran"],
        ),
        ("apply", "tickoff apply FILE --stage fetch", &[]),
        ("pending", "tickoff pending FILE --stage fetch", &[]),
    ] {
        let ended = end(sheet.tickoff(command).args(words)).with(2);
        let says = format!(
            "{names}the first with rows left is fetch: {typed}; if the plain STATUS is meant: --stage main\n"
        );
        let says = says.replace("FILE", sheet.path().to_str().unwrap());
        assert!(ended.stderr.contains(&says), "{command}: {ended:?}");
        assert_eq!(ended.stdout, "", "{command}");
    }
    assert_eq!(sheet.text(), before);
    for made in ["ran", "copy.csv"] {
        assert!(!sheet.folder().join(made).exists());
    }
    // What looks at the sheet, and what names its columns by itself, needs none.
    for command in ["status", "watch", "check", "init"] {
        end(&mut sheet.tickoff(command)).with(0);
    }
    end(sheet.tickoff("set").args(["9", "fetch_STATUS=COMPLETED"])).with(0);
    end(sheet.tickoff("get").args(["9"])).with(0);
    assert_eq!(sheet.lines("ran"), [""; 0]);
}

#[test]
fn the_stage_that_is_proposed_is_the_first_with_rows_left() {
    let sheet = listed();
    let proposed = || end(&mut sheet.run("", "true")).with(2).stderr;
    end(&mut sheet.run("--stage fetch", "true")).with(0);
    let said = proposed();
    assert!(said.contains("the first with rows left is ocr: "), "{said}");
    end(&mut sheet.run("--stage ocr", "true")).with(0);
    let said = proposed();
    assert!(said.contains("none has rows left: "), "{said}");
    assert!(said.contains(" --stage NAME -- …"), "{said}");
}

#[test]
fn main_is_proposed_like_any_other_if_it_is_listed() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    end(sheet.tickoff("init").args(["--stages", "main,ocr"])).with(0);
    let said = end(&mut sheet.run("", "true")).with(2).stderr;
    let says = "tickoff.toml: main, ocr; the first with rows left is main: tickoff run ";
    assert!(said.contains(says), "{said}");
    assert!(said.ends_with(" --stage main -- …\n"), "{said}");
    end(&mut sheet.run("--stage main", "true")).with(0);
    assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
}

#[test]
fn the_plain_columns_are_worked_on_beside_listed_stages_if_main_is_named() {
    let sheet = listed();
    end(&mut sheet.run("--stage main --limit 1", "[ -z \"$TICKOFF_STAGE\" ]")).with(0);
    assert_eq!(sheet.cell("7", "STATUS"), "COMPLETED");
    let pending = end(sheet.tickoff("pending").args(["--stage", "main"])).with(0);
    assert_eq!(pending.stdout, "8\n9\n");
}

#[test]
fn a_run_takes_any_stage_unless_its_name_is_like_a_listed_one() {
    let sheet = listed();
    let before = sheet.text();
    let ended = end(&mut sheet.run("--stage fecth", "touch ran")).with(2);
    assert!(ended.stderr.contains("did you mean fetch"), "{ended:?}");
    assert_eq!(sheet.text(), before);
    assert_eq!(sheet.lines("ran"), [""; 0]);
    end(&mut sheet.run("--stage OCR", "true")).with(0);
    assert_eq!(sheet.cell("9", "ocr_STATUS"), "COMPLETED");
    end(&mut sheet.run("--stage mail", "true")).with(0);
    assert_eq!(sheet.cell("9", "mail_STATUS"), "COMPLETED");
}

#[test]
fn a_listed_stage_that_has_no_columns_yet_is_said_to_have_not_begun() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    end(&mut sheet.run("--stage aa", "true")).with(0);
    let settings = "['input.csv']\nstages = ['aa', 'ab']\n";
    std::fs::write(sheet.folder().join("tickoff.toml"), settings).unwrap();
    let before = sheet.text();
    let says = |column: &str| {
        format!(
            "the stage ab is in tickoff.toml and has not begun: the sheet has no column {column} yet\n"
        )
    };
    for (command, words, code, column) in [
        ("run", "--stage aa --after ab -- true", 2, "ab_STATUS"),
        (
            "run --dry-run",
            "--stage aa --after ab -- true",
            2,
            "ab_STATUS",
        ),
        ("pending", "--stage aa --after AB", 2, "ab_STATUS"),
        (
            "pending",
            "--stage aa --where ab_status=ERROR",
            2,
            "ab_STATUS",
        ),
        (
            "pending",
            "--stage aa --where ab_ERROR_MESSAGE~x",
            2,
            "ab_ERROR_MESSAGE",
        ),
        ("set", "P1 ab_STATUS=PENDING", 1, "ab_STATUS"),
        ("status", "--stage ab", 0, "ab_STATUS"),
    ] {
        let ended = end(sheet.tickoff(command).args(words.split(' '))).with(code);
        assert!(ended.stderr.contains(&says(column)), "{words}: {ended:?}");
        assert!(!ended.stderr.contains("did you mean"), "{words}: {ended:?}");
        assert_eq!(sheet.text(), before);
    }
    // Its first run is no slip, and a name that is like it is one.
    let begun = end(&mut sheet.run("--stage ab --dry-run", "true")).with(0);
    assert!(!begun.stderr.contains("did you mean"), "{begun:?}");
    let slip = end(&mut sheet.run("--stage aa --after abb", "true")).with(2);
    let (_, meant) = slip.stderr.split_once("did you mean ").unwrap();
    assert!(meant.contains("ab_STATUS"), "{slip:?}");
    let begun = end(&mut sheet.run("--stage ab", "true")).with(0);
    assert!(!begun.stderr.contains("did you mean"), "{begun:?}");
    assert_eq!(sheet.cell("P1", "ab_STATUS"), "COMPLETED");
}

#[test]
fn a_stage_for_which_the_one_before_has_done_nothing_says_so() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    end(sheet.tickoff("init").args(["--stages", "fetch,ocr"])).with(0);
    for options in ["", "--dry-run", "--only P1"] {
        let ended = end(&mut sheet.run(&format!("--stage ocr --after fetch {options}"), "true"));
        let says = "nothing to do: 1 waits for the stage fetch\n";
        assert!(ended.with(0).stderr.contains(says), "{options}");
    }
}

#[test]
fn the_plain_columns_of_a_sheet_in_stages_are_answered_with_those_of_the_stages() {
    let sheet = listed();
    for (command, words, code, meant) in [
        ("set", "9 STATUS=PENDING", 1, "fetch_STATUS or ocr_STATUS?"),
        (
            "set",
            "9 error_message=x",
            1,
            "fetch_ERROR_MESSAGE or ocr_ERROR_MESSAGE?",
        ),
        (
            "pending",
            "--stage ocr --where STATUS=ERROR",
            2,
            "ocr_STATUS?",
        ),
    ] {
        let ended = end(sheet.tickoff(command).args(words.split(' '))).with(code);
        let says = format!(": did you mean {meant}\n");
        assert!(ended.stderr.contains(&says), "{words}: {ended:?}");
    }
    // In a sheet that tickoff works on in the plain columns as well they are meant.
    for condition in ["STATUS=PENDING", "ERROR_MESSAGE="] {
        let words = ["--stage", "main", "--where", condition];
        end(sheet.tickoff("pending").args(words)).with(0);
    }
    end(&mut sheet.run("--stage main --limit 1", "true")).with(0);
    let words = ["--stage", "ocr", "--where", "STATUS=COMPLETED"];
    end(sheet.tickoff("pending").args(words)).with(0);
}

#[test]
fn check_looks_at_each_listed_stage_and_says_the_rest_once() {
    let sheet =
        TempSheet::new("PO_NUMBER;status;a_STATUS;b_STATUS\nP1;active;ERROR;\n;;;\nP2;sold;;odd\n");
    let settings = "['input.csv']\nstages = ['a', 'b']\n";
    std::fs::write(sheet.folder().join("tickoff.toml"), settings).unwrap();
    let told = end(&mut sheet.tickoff("check")).with(3).stdout;
    let found: Vec<_> = told
        .lines()
        .filter_map(|line| line.split_once("input.csv:"))
        .map(|(_, finding)| finding)
        .collect();
    assert_eq!(
        found,
        [
            "2:1: warning: P1: the row is ERROR without a message",
            "3:1: warning: the row has no key; it is kept and never processed, as a row of totals or a note should be",
            "4:10: error: the column b_STATUS holds what is not tickoff's: odd in 1 row (line 4)",
        ],
        "{told}"
    );
    let of_a = end(sheet.tickoff("check").args(["--stage", "a"])).with(0);
    assert!(!of_a.stdout.contains("odd"), "{of_a:?}");
}

#[test]
fn jobs_from_standard_input_name_a_stage_of_their_copy() {
    let sheet = TempSheet::new("id\n7\n");
    end(sheet
        .tickoff("init")
        .args(["--key", "id", "--stages", "fetch"]))
    .with(0);
    let run = |options: &[&str]| {
        let mut run = tickoff();
        run.current_dir(sheet.folder());
        run.args(["run", "-", "--output", "input.csv"]);
        end(run.args(options).args(["--", "true"]))
    };
    let refused = run(&[]).with(2).stderr;
    let says =
        "the first with rows left is fetch: tickoff run - --output input.csv --stage fetch -- …";
    assert!(refused.contains(says), "{refused}");
    run(&["--stage", "fetch"]).with(0);
    assert_eq!(sheet.cell("7", "fetch_STATUS"), "COMPLETED");
}

#[test]
fn without_a_run_watch_tells_of_the_listed_stages() {
    let told = end(&mut listed().tickoff("watch")).with(0).stdout;
    assert!(
        told.contains("\nstage fetch\ntotal           3\ncompleted       2"),
        "{told}"
    );
    assert!(
        told.contains("\nstage ocr\ntotal           3\ncompleted       1"),
        "{told}"
    );
}

#[test]
fn what_there_is_to_say_of_a_sheet_is_said_once_and_not_for_each_stage() {
    let sheet = listed();
    let job = "case $TICKOFF_KEY in 9) kill -9 $PPID; hang;; esac";
    end(&mut sheet.run("--stage ocr -j1 --force", job));
    std::fs::write(sheet.path(), "id;x\nQ1;\nQ2;\nQ3;\nQ4;\n").unwrap();
    crate::fixture::rested(sheet.path());
    for command in ["status", "report --html page.html", "watch"] {
        let ended = end(&mut sheet.tickoff(command)).with(0);
        let asked = ended.stderr.matches("WARN").count();
        assert_eq!(asked, 1, "{command}: {ended:?}");
    }
}

#[test]
fn a_status_column_of_the_person_s_own_takes_any_text() {
    let sheet = TempSheet::new("id;status;Note\n7;archived;\n8;;\n");
    end(sheet
        .tickoff("init")
        .args(["--key", "id", "--stages", "rename"]))
    .with(0);
    end(sheet.tickoff("set").args(["7", "status=ok", "Note=x"])).with(0);
    end(sheet.tickoff("set").args(["8", "status="])).with(0);
    end(&mut sheet.run("--stage rename -j1", "true")).with(0);
    end(sheet.tickoff("set").args(["8", "STATUS=shelf 4"])).with(0);
    assert_eq!(sheet.cell("7", "status"), "ok");
    assert_eq!(sheet.cell("8", "status"), "shelf 4");
    let foreign = TempSheet::new("PO_NUMBER;status\nP1;active\n");
    end(foreign.tickoff("set").args(["P1", "status=sold"])).with(0);
    assert_eq!(foreign.text(), "PO_NUMBER;status\nP1;sold\n");
}

#[test]
fn a_status_of_a_stage_is_set_as_the_main_one_is() {
    let sheet = listed();
    let before = sheet.text();
    let slip = end(sheet.tickoff("set").args(["9", "fetch_STATUS=PENDNIG"])).with(1);
    let says = "9: fetch_STATUS must be PENDING, COMPLETED, ERROR";
    assert!(slip.stderr.contains(says), "{slip:?}");
    assert_eq!(sheet.text(), before);
    let time = sheet.cell("9", "fetch_LAST_PROCESSED");
    assert_eq!(sheet.cell("9", "fetch_ERROR_MESSAGE"), "exit 1: gone");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    end(sheet
        .tickoff("set")
        .args(["9", "fetch_STATUS=pending", "ocr_status=ERROR"]))
    .with(0);
    assert_eq!(sheet.cell("9", "fetch_STATUS"), "PENDING");
    assert_eq!(sheet.cell("9", "fetch_ERROR_MESSAGE"), "");
    assert_ne!(sheet.cell("9", "fetch_LAST_PROCESSED"), time);
    assert_eq!(sheet.cell("9", "ocr_STATUS"), "ERROR");
    assert_ne!(sheet.cell("9", "ocr_LAST_PROCESSED"), "");
}
