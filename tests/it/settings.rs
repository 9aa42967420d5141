//! What is remembered of a sheet in `tickoff.toml` beside it: every command reads it, `init` writes it, and
//! it stays the user's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use tickoff::{Duplicates, Options, ProcessingStatus};

use crate::command_line::{Ended, Running, bytes, end, program, tickoff, wait_until};
use crate::fixture::TempSheet;

const CUSTOMERS: &str = "name,id,STATUS\nAda,7,\nBob,8,NO_ATTACHMENTS\n";
const STRANGER: u32 = 65534;

impl TempSheet {
    fn settings(&self) -> PathBuf {
        self.folder().join("tickoff.toml")
    }

    fn write_settings(&self, text: &str) {
        fs::write(self.settings(), text).unwrap();
    }

    fn read_settings(&self) -> String {
        fs::read_to_string(self.settings()).unwrap()
    }

    /// `tickoff init input.csv {options}`.
    #[track_caller]
    fn init(&self, options: &str) -> Ended {
        end(self.tickoff("init").args(options.split_whitespace())).with(0)
    }
}

/// Every command that opens a sheet, in a form that succeeds.
fn every_command(sheet: &TempSheet) -> Vec<Command> {
    let with = |command: &str, arguments: &[&str]| {
        let mut command = sheet.tickoff(command);
        command.args(arguments);
        command
    };
    vec![
        with("run", &["--dry-run", "--", "true"]),
        with("run", &["--limit", "1", "--", "true"]),
        with("apply", &[]),
        with("set", &["7", "STATUS=PENDING"]),
        with("get", &["7"]),
        with("status", &[]),
        with("pending", &[]),
        with("check", &[]),
        with("report", &["--html", "page.html"]),
        with("watch", &[]),
        with("init", &[]),
        with("backup create", &[]),
        with("backup restore", &[]),
        with("recover", &["--apply"]),
    ]
}

#[test]
fn init_remembers_what_is_said_of_a_sheet_and_every_command_reads_it() {
    let sheet = TempSheet::new(CUSTOMERS);
    let said = sheet.init("--key id --done COMPLETED,NO_ATTACHMENTS");
    assert_eq!(
        said.stdout,
        "remembered key = \"id\"\nremembered done = [\"COMPLETED\", \"NO_ATTACHMENTS\"]\nadded LAST_PROCESSED\nadded ERROR_MESSAGE\n"
    );
    assert_eq!(
        sheet.read_settings(),
        "[\"input.csv\"]\nkey = \"id\"\ndone = [\"COMPLETED\", \"NO_ATTACHMENTS\"]\n"
    );
    assert_eq!(end(&mut sheet.tickoff("pending")).with(0).stdout, "7\n");
    for mut command in every_command(&sheet) {
        let ended = end(&mut command);
        assert_eq!(ended.code, 0, "{command:?} {ended:?}");
    }
}

#[test]
fn every_command_refuses_settings_that_are_wrong_with_their_place() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("[\"input.csv\"]\nkey = \"id\"\ndelimitr = \",\"\n");
    for mut command in every_command(&sheet) {
        let ended = end(&mut command).with(3);
        assert_eq!(
            sheet.without_folder(&ended.stderr),
            "tickoff: DIR/tickoff.toml:3:1: no setting delimitr, they are key, delimiter, encoding, duplicates, done, failed, todo, stages: did you mean delimiter?\n    delimitr = \",\"\n    ^\n",
            "{command:?}"
        );
    }
    assert_eq!(sheet.leftovers(), ["tickoff.toml"]);
    sheet.write_settings("[\"input.csv\"\n");
    let ended = end(&mut sheet.tickoff("status")).with(3);
    assert!(
        ended.stderr.contains("tickoff.toml:1:13: unclosed table"),
        "{ended:?}"
    );
}

#[test]
fn an_option_wins_over_what_is_remembered_and_a_list_replaces_it() {
    let sheet = TempSheet::new("id,other,STATUS\n7,a,ERROR\n7,b,NO_ATTACHMENTS\n");
    sheet.write_settings(
        "[\"input.csv\"]\nkey = \"id\"\nduplicates = \"all\"\ndone = [\"ERROR\"]\n",
    );
    let pending = |options: &[&str]| end(sheet.tickoff("pending").args(options));
    assert_eq!(pending(&[]).with(0).stdout, "7\n");
    assert_eq!(pending(&["--key", "other"]).with(0).stdout, "b\n");
    let replaced = ["--key", "other", "--done", "NO_ATTACHMENTS"];
    assert_eq!(pending(&replaced).with(0).stdout, "a\n");
    pending(&["--duplicates", "refuse"]).with(3);
    pending(&["--delimiter", ";"]).with(3);
    let forced = end(sheet
        .tickoff("run")
        .args(["--force", "--dry-run", "--", "echo", "{}"]));
    assert_eq!(forced.with(0).stdout, "echo 7\n");
}

#[test]
fn words_that_are_remembered_make_a_status_column_the_sheets_own() {
    let sheet = TempSheet::new("PO_NUMBER,STATUS\nP1,active\nP2,sold\nP3,lost\n");
    end(sheet.tickoff("init").args(["--key", "PO_NUMBER"])).with(3);
    assert!(!sheet.settings().exists());
    let said = sheet.init("--done sold --failed lost --todo active");
    assert_eq!(
        said.stdout,
        "remembered done = [\"sold\"]\nremembered failed = [\"lost\"]\nremembered todo = [\"active\"]\nadded LAST_PROCESSED\nadded ERROR_MESSAGE\n"
    );
    assert_eq!(
        sheet.read_settings(),
        "[\"input.csv\"]\ndone = [\"sold\"]\nfailed = [\"lost\"]\ntodo = [\"active\"]\n"
    );
    assert_eq!(sheet.counts()["error"], 1);
    assert_eq!(
        end(&mut sheet.tickoff("pending")).with(0).stdout,
        "P1\nP3\n"
    );
    end(&mut sheet.tickoff("check")).with(0);
    let other = end(sheet.tickoff("status").args(["--failed", "sold", "--json"])).json();
    assert_eq!(other["error"], 1);
    // With a list that replaces the file's, a word is unknown again.
    let replaced = ["--todo", "waiting", "--dry-run", "--", "echo", "{}"];
    let refused = end(sheet.tickoff("run").args(replaced)).with(3);
    assert!(refused.stderr.contains("active in 1 row"), "{refused:?}");
    let ran = end(sheet.tickoff("run").args(["--dry-run", "--", "echo", "{}"])).with(0);
    assert_eq!(ran.stdout, "echo P1\necho P3\n");
}

#[test]
fn init_remembers_no_words_that_contradict_those_that_are_there() {
    let sheet = TempSheet::pending(1);
    sheet.init("--done shipped");
    let settings = sheet.read_settings();
    let refused = end(sheet.tickoff("init").args(["--todo", "Shipped"])).with(2);
    assert!(
        refused
            .stderr
            .contains("--done or --todo replaces its list"),
        "{refused:?}"
    );
    let refused = end(sheet.tickoff("init").args(["--failed", "Shipped"])).with(2);
    let says = "Shipped cannot be done and a failure at once; --done or --failed replaces its list";
    assert!(refused.stderr.contains(says), "{refused:?}");
    assert_eq!(sheet.read_settings(), settings);
}

#[test]
fn a_sheet_of_another_name_has_no_settings() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("[\"INPUT.csv\"]\nkey = \"id\"\n[\"b.csv\"]\nkey = \"id\"\n");
    end(&mut sheet.tickoff("status")).with(3);
}

#[test]
fn the_settings_of_a_link_to_a_sheet_lie_beside_the_sheet() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("[\"input.csv\"]\nkey = \"id\"\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.csv");
    symlink(sheet.path(), &link).unwrap();
    end(tickoff().arg("status").arg(&link)).with(0);
    end(tickoff().arg("init").arg(&link).args(["--delimiter", ","])).with(0);
    assert!(sheet.read_settings().ends_with("delimiter = \",\"\n"));
    let there = fs::read_dir(elsewhere.path()).unwrap();
    let mut names: Vec<_> = there.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".link.csv.link", "link.csv"]);
}

#[test]
fn the_library_reads_the_settings_on_request_alone() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("[\"input.csv\"]\nkey = \"id\"\nduplicates = \"all\"\n");
    let options = Options::remembered(sheet.path()).unwrap();
    assert_eq!(
        (options.key.names()[0].as_str(), options.duplicates),
        ("id", Duplicates::All)
    );
    assert_eq!(options.done, [ProcessingStatus::Completed]);
    assert!(tickoff::CsvHandler::open_with(sheet.path(), &options).is_ok());
    assert!(tickoff::CsvHandler::open(sheet.path(), sheet.backups()).is_err());
}

/// `tickoff run input.csv --output copy.csv {options}`, in whichever folder the copy is.
fn run_into(sheet: &TempSheet, copy: &str, options: &str) -> Ended {
    let mut run = sheet.tickoff("run");
    run.args(["--output", copy]);
    run.args(options.split_whitespace()).args(["--", "true"]);
    end(&mut run).with(0)
}

/// What `status --json` says of a copy, if no option tells how it is read.
#[track_caller]
fn check_all_done(sheet: &TempSheet, copy: &str) {
    let mut status = tickoff();
    status.args(["status", copy, "--json"]);
    let status = end(status.current_dir(sheet.folder())).with(0).json();
    assert_eq!(status["completed"], status["total"], "{status}");
}

#[test]
fn how_the_copy_of_a_sheet_is_read_is_remembered_so_that_no_other_command_is_told() {
    let sheet = TempSheet::new("n|id|o\n|7|1\n|8|1\n|8|1\n");
    let ended = run_into(
        &sheet,
        "copy.csv",
        "--key id --key o --delimiter | --duplicates all",
    );
    assert!(
        ended
            .stderr
            .contains("remembered key = [\"id\", \"o\"] in tickoff.toml"),
        "{ended:?}"
    );
    let remembered =
        "[\"copy.csv\"]\nkey = [\"id\", \"o\"]\ndelimiter = \"|\"\nduplicates = \"all\"\n";
    assert_eq!(sheet.read_settings(), remembered);
    check_all_done(&sheet, "copy.csv");
    let again = run_into(&sheet, "copy.csv", "--key id --key o --delimiter |");
    assert!(!again.stderr.contains("remembered"), "{again:?}");
    assert_eq!(sheet.read_settings(), remembered);
}

#[test]
fn what_is_remembered_of_the_input_is_remembered_of_its_copy() {
    let sheet = TempSheet::new("id,STATUS\n7,sold\n8,\n");
    let of_input = "['input.csv']\nkey = 'id' # theirs\ntodo = ['sold']\n";
    sheet.write_settings(of_input);
    fs::create_dir(sheet.folder().join("out")).unwrap();
    run_into(&sheet, "out/copy.csv", "");
    assert_eq!(sheet.read_settings(), of_input);
    let beside = fs::read_to_string(sheet.folder().join("out/tickoff.toml")).unwrap();
    assert_eq!(beside, "[\"copy.csv\"]\nkey = \"id\"\ntodo = [\"sold\"]\n");
    check_all_done(&sheet, "out/copy.csv");

    let said = "['copy.csv']\nkey = 'STATUS'\ntodo = ['sold']\n";
    fs::write(sheet.folder().join("out/tickoff.toml"), said).unwrap();
    let ended = run_into(&sheet, "out/copy.csv", "--key id");
    assert!(
        ended
            .stderr
            .contains("copy.csv is STATUS: commands without --key look for that column"),
        "{ended:?}"
    );
    let beside = fs::read_to_string(sheet.folder().join("out/tickoff.toml")).unwrap();
    assert_eq!(beside, said);

    let plain = TempSheet::new("PO_NUMBER\nP1\n");
    run_into(&plain, "copy.csv", "");
    assert!(!plain.settings().exists(), "there is nothing to be said");
}

#[test]
fn comments_and_what_is_said_of_other_sheets_are_kept() {
    let sheet = TempSheet::new(CUSTOMERS);
    sheet.write_settings(
        "# ours\n[\"b.csv\"] # last year's\nkey = 'x'\n\n# the customers\n['input.csv']\n# by accounting\nkey = 'name' # not unique\n\n# end\n",
    );
    sheet.init("--key id --delimiter ,");
    assert_eq!(
        sheet.read_settings(),
        "# ours\n[\"b.csv\"] # last year's\nkey = 'x'\n\n# the customers\n['input.csv']\n# by accounting\nkey = \"id\" # not unique\ndelimiter = \",\"\n\n# end\n"
    );
}

#[test]
fn init_without_anything_new_does_not_touch_the_file() {
    let sheet = TempSheet::new(CUSTOMERS);
    let another = TempSheet::new("PO_NUMBER\n");
    another.init("");
    assert!(!another.settings().exists());
    let text = "['input.csv']\ndone=['completed',\n]\nkey='id'";
    sheet.write_settings(text);
    let before = fs::metadata(sheet.settings()).unwrap();
    for options in ["", "--key id", "--key id --done COMPLETED"] {
        let said = sheet.init(options);
        assert!(!said.stdout.contains("remembered"), "{said:?}");
    }
    let after = fs::metadata(sheet.settings()).unwrap();
    let stamp = |file: &fs::Metadata| (file.ino(), file.ctime(), file.ctime_nsec());
    assert_eq!(stamp(&before), stamp(&after));
    assert_eq!(sheet.read_settings(), text);
}

#[test]
fn what_does_not_fit_the_sheet_is_not_remembered() {
    let sheet = TempSheet::new(CUSTOMERS);
    let said = end(sheet.tickoff("init").args(["--key", "ident"])).with(3);
    assert!(said.stderr.contains("no column ident"), "{said:?}");
    assert!(!sheet.settings().exists());
}

#[test]
fn two_inits_on_two_sheets_of_a_folder_are_both_remembered() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    let names: Vec<String> = (0..6).map(|number| format!("{number}.csv")).collect();
    for name in &names {
        fs::copy(sheet.path(), sheet.folder().join(name)).unwrap();
    }
    for round in ["ERROR", "NO_ATTACHMENTS"] {
        let inits: Vec<Running> = names
            .iter()
            .map(|name| {
                let mut init = tickoff();
                init.arg("init").arg(sheet.folder().join(name));
                Running::start(init.args(["--key", "id", "--done", round]))
            })
            .collect();
        for init in inits {
            init.end().with(0);
        }
        let settings = sheet.read_settings();
        for name in &names {
            let table = format!("[\"{name}\"]\nkey = \"id\"\ndone = [\"{round}\"]\n");
            assert!(settings.contains(&table), "{settings}");
        }
    }
}

#[test]
fn an_edit_that_is_saved_while_settings_are_written_is_kept() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("# 0\n['input.csv']\nkey = 'id'\n");
    let edits = 150;
    thread::scope(|scope| {
        let editing = scope.spawn(|| {
            for edit in 1..=edits {
                let text = sheet.read_settings();
                let (_, rest) = text.split_once('\n').unwrap();
                let next = sheet.folder().join("next");
                fs::write(&next, format!("# {edit}\n{rest}")).unwrap();
                fs::rename(&next, sheet.settings()).unwrap();
                // For a moment ours may be there, until theirs is written into it.
                wait_until("the edit is there", || {
                    sheet.read_settings().starts_with(&format!("# {edit}\n"))
                });
            }
        });
        let mut delimiters = [b',', b';'].into_iter().cycle();
        while !editing.is_finished() {
            let settings = tickoff::Settings {
                delimiter: delimiters.next(),
                ..Default::default()
            };
            settings.remember(sheet.path()).unwrap();
        }
    });
    let text = sheet.read_settings();
    assert!(text.starts_with(&format!("# {edits}\n")), "{text}");
}

#[test]
fn what_a_killed_init_left_is_removed_by_the_next() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    let left = sheet.folder().join(".tickoff.toml.0123456789abcdef.tmp");
    fs::write(left, "half of").unwrap();
    sheet.init("--key id");
    assert_eq!(sheet.leftovers(), [".tickoff.toml.lock", "tickoff.toml"]);
}

#[test]
fn a_file_of_a_stranger_is_refused() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("['input.csv']\nkey = 'id'\n");
    if chown(sheet.settings(), Some(STRANGER), None).is_err() {
        eprintln!("SKIPPED: a file cannot be given away here, which takes root");
        return;
    }
    for mut command in every_command(&sheet) {
        let ended = end(&mut command).with(3);
        assert_eq!(
            sheet.without_folder(&ended.stderr),
            "tickoff: DIR/tickoff.toml belongs to another user (uid 65534), and their settings are not followed: look into it, then remove it or make it yours\n",
            "{command:?}"
        );
    }
    let before = bytes(sheet.path());
    end(sheet.tickoff("init").args(["--delimiter", ","])).with(3);
    assert_eq!(bytes(sheet.path()), before);
    // The sheet's owner is nobody's stranger.
    chown(sheet.path(), Some(STRANGER), None).unwrap();
    end(&mut sheet.tickoff("status")).with(0);
}

#[test]
fn a_file_that_everybody_may_write_is_refused() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    sheet.write_settings("['input.csv']\nkey = 'id'\n");
    fs::set_permissions(sheet.settings(), PermissionsExt::from_mode(0o666)).unwrap();
    let ended = end(&mut sheet.tickoff("status")).with(3);
    assert_eq!(
        sheet.without_folder(&ended.stderr),
        "tickoff: DIR/tickoff.toml can be written by everybody, so anybody may have chosen its settings: look into it, then take that right away with chmod o-w\n"
    );
    fs::set_permissions(sheet.settings(), PermissionsExt::from_mode(0o664)).unwrap();
    end(&mut sheet.tickoff("status")).with(0);
}

#[test]
fn a_link_or_a_pipe_in_its_place_is_refused_and_not_followed() {
    let sheet = TempSheet::new("id,STATUS\n7,\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = elsewhere.path().join("theirs.toml");
    fs::write(&theirs, "['input.csv']\nkey = 'id'\n").unwrap();
    let refused = "tickoff: DIR/tickoff.toml is a link, or no regular file: settings are read from nothing else\n";
    let check = || {
        for options in [&["status"][..], &["init", "--key", "id"]] {
            let mut command = sheet.tickoff(options[0]);
            let ended = end(command.args(&options[1..])).with(3);
            assert_eq!(sheet.without_folder(&ended.stderr), refused);
        }
        fs::remove_file(sheet.settings()).unwrap();
    };
    symlink(&theirs, sheet.settings()).unwrap();
    check();
    symlink(elsewhere.path().join("nothing"), sheet.settings()).unwrap();
    check();
    let made = Command::new("mkfifo").arg(sheet.settings()).status();
    assert!(made.unwrap().success());
    check();
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn the_file_has_its_sheet_s_rights_and_keeps_its_own() {
    let sheet = TempSheet::new(CUSTOMERS);
    fs::set_permissions(sheet.path(), PermissionsExt::from_mode(0o666)).unwrap();
    let is_given = chown(sheet.path(), Some(STRANGER), Some(STRANGER)).is_ok();
    sheet.init("--key id");
    let rights = |path| {
        let file = fs::metadata(path).unwrap();
        (file.mode() & 0o777, file.uid())
    };
    let owner = rights(sheet.path().to_owned()).1;
    assert_eq!(rights(sheet.settings()), (0o664, owner));
    if !is_given {
        eprintln!("SKIPPED: a file cannot be given away here, which takes root");
        return;
    }
    fs::set_permissions(sheet.settings(), PermissionsExt::from_mode(0o640)).unwrap();
    chown(sheet.settings(), Some(0), None).unwrap();
    sheet.init("--delimiter ,");
    assert_eq!(rights(sheet.settings()), (0o640, 0));
}

#[test]
fn a_copy_has_settings_of_its_own_and_the_input_s_where_it_says_nothing() {
    let sheet = TempSheet::new("id,STATUS\n7,\n8,ERROR\n9,NO_ATTACHMENTS\n");
    sheet.write_settings("['input.csv']\nkey = 'id'\ndone = ['NO_ATTACHMENTS']\n");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.csv");
    let run = || {
        let mut run = sheet.tickoff("run");
        let ended = end(run
            .arg("--output")
            .arg(&copy)
            .args(["--dry-run", "--", "echo", "{}"]));
        ended.with(0).stdout
    };
    assert_eq!(run(), "echo 7\necho 8\n");
    fs::write(
        folder.path().join("tickoff.toml"),
        "['copy.csv']\ndone = ['ERROR']\n",
    )
    .unwrap();
    assert_eq!(run(), "echo 7\necho 9\n");
    let mut run = sheet.tickoff("run");
    end(run.arg("--output").arg(&copy).args(["--", "true"])).with(0);
    assert!(fs::read_to_string(&copy).unwrap().contains("8,ERROR,"));
    assert_eq!(sheet.leftovers(), ["tickoff.toml"]);
}

#[test]
fn a_sheet_without_the_key_column_is_answered_with_the_command_that_names_it() {
    let sheet = TempSheet::new("name|customer no|mail\nAda|7|a@x\nAda|8|\n||\n");
    let mut status = sheet.tickoff("status");
    let said = end(status.args(["--delimiter", "|"])).with(3).stderr;
    let (before, command) = said.trim_end().rsplit_once(": ").unwrap();
    assert_eq!(
        sheet.without_folder(before),
        "tickoff: DIR/input.csv:1: no column PO_NUMBER in the header, which has name, customer no, mail\n    name|customer no|mail\n    ^\ntickoff: filled in every row and different in each: customer no; if customer no is the key"
    );
    assert_eq!(
        command,
        "tickoff init input.csv --key 'customer no' --delimiter '|'"
    );
    let mut check = sheet.tickoff("check");
    let check = end(check.args(["--delimiter", "|"])).with(3);
    assert!(check.stderr.trim_end().ends_with(command), "{check:?}");
    let script = command.replacen("tickoff", &program(), 1);
    let mut shell = Command::new("sh");
    end(shell.args(["-c", &script]).current_dir(sheet.folder())).with(0);
    assert_eq!(end(&mut sheet.tickoff("pending")).with(0).stdout, "7\n8\n");
}

#[test]
fn another_key_may_be_taken_as_long_as_there_are_no_results() {
    let sheet = TempSheet::new("a,b\n1,x\n2,y\n");
    let init = |key: &str| end(sheet.tickoff("init").args(["--key", key]));
    init("a").with(0);
    init("b").with(0);
    let ended = end(&mut sheet.run("-q", "true")).with(0);
    assert_eq!(ended.stderr, "");
    let refused = init("a").with(3);
    assert!(
        refused.stderr.contains("holds results by the key"),
        "{refused:?}"
    );
}

/// The commands of these would count rows as new that are done.
#[test]
fn a_renamed_or_copied_sheet_is_not_run_without_the_words_of_its_name_before() {
    for (settings, stage, job, said, options) in [
        (
            "done = ['NO_ATTACHMENTS']",
            "",
            "echo STATUS=NO_ATTACHMENTS > $TICKOFF_RESULT",
            "done = [\"NO_ATTACHMENTS\"]",
            "--done NO_ATTACHMENTS",
        ),
        (
            "stages = ['fetch', 'ocr']",
            "--stage fetch",
            "true",
            "stages = [\"fetch\", \"ocr\"]",
            "--stages fetch,ocr",
        ),
    ] {
        for is_copied in [false, true] {
            let sheet = TempSheet::pending(2);
            sheet.write_settings(&format!("['input.csv']\n{settings}\n"));
            end(&mut sheet.run(&format!("-q {stage}"), job)).with(0);
            let orders = sheet.folder().join("orders.csv");
            match is_copied {
                false => std::fs::rename(sheet.path(), &orders).unwrap(),
                true => drop(std::fs::copy(sheet.path(), &orders).unwrap()),
            }
            for dry in [&[][..], &["--dry-run"]] {
                let mut run = tickoff();
                run.arg("run").arg(&orders).args(dry);
                let ended = end(run.args(["--", "touch", "ran"]).current_dir(sheet.folder()));
                assert_eq!(ended.code, 3, "{ended:?}");
                let wanted = format!(
                    "has results that were written as input.csv, and tickoff.toml says of input.csv what it does not say of this sheet, {said}: tickoff init {} {options} remembers it",
                    orders.display()
                );
                assert!(ended.stderr.contains(&wanted), "{ended:?}");
            }
            let mut init = tickoff();
            init.arg("init").arg(&orders).args(options.split(' '));
            end(init.current_dir(sheet.folder())).with(0);
            let mut run = tickoff();
            run.arg("run").arg(&orders).args(stage.split_whitespace());
            end(run.args(["--", "touch", "ran"]).current_dir(sheet.folder())).with(0);
            assert!(!sheet.folder().join("ran").exists());
        }
    }
}

/// What they refuse a run does as well, and the other way round; also when the sheet has a log of its own by then.
#[test]
fn no_command_that_says_which_rows_are_done_takes_a_renamed_sheet_without_its_words() {
    for has_log in [false, true] {
        let sheet = TempSheet::pending(2);
        sheet.write_settings("['input.csv']\ndone = ['NO_ATTACHMENTS']\n");
        let job = "echo STATUS=NO_ATTACHMENTS > $TICKOFF_RESULT";
        end(&mut sheet.run("-q", job)).with(0);
        let orders = sheet.folder().join("orders.csv");
        fs::rename(sheet.path(), &orders).unwrap();
        let on = |arguments: &[&str]| {
            let mut command = tickoff();
            command.args([arguments[0], "orders.csv"]);
            command.args(&arguments[1..]).current_dir(sheet.folder());
            end(&mut command)
        };
        if has_log {
            on(&["set", "PO0", "STATUS=NO_ATTACHMENTS"]).with(0);
        }
        let text = fs::read_to_string(&orders).unwrap();
        let said = "what it does not say of this sheet, done = [\"NO_ATTACHMENTS\"]: tickoff init ";
        for refused in [
            &["check"][..],
            &["pending"],
            &["apply"],
            &["init"],
            &["run", "--dry-run", "--", "touch", "ran"],
            &["run", "--", "touch", "ran"],
            &["run", "--output", "copy.csv", "--", "touch", "ran"],
            &["run", "--output", "copy.csv", "--dry-run", "--", "true"],
        ] {
            let ended = on(refused).with(3);
            assert!(ended.stderr.contains(said), "{refused:?}: {ended:?}");
            assert_eq!(ended.stdout, "", "{refused:?}");
        }
        assert!(on(&["status"]).with(0).stderr.contains(said));
        assert!(!sheet.folder().join("ran").exists());
        assert!(!sheet.folder().join("copy.csv").exists());
        assert_eq!(fs::read_to_string(&orders).unwrap(), text);
        let done = ["--done", "NO_ATTACHMENTS"];
        assert_eq!(on(&[&["pending"], &done[..]].concat()).with(0).stdout, "");
        on(&[&["init"], &done[..]].concat()).with(0);
        assert_eq!(on(&["pending"]).with(0).stdout, "");
        on(&["check"]).with(0);
    }
}

#[test]
fn a_copy_that_keeps_the_results_remembers_what_the_words_of_its_input_mean() {
    let sheet = TempSheet::pending(2);
    sheet.write_settings("['input.csv']\ndone = ['NO_ATTACHMENTS']\n");
    let job = "echo STATUS=NO_ATTACHMENTS > $TICKOFF_RESULT";
    end(&mut sheet.run("-q --output copy.csv", job)).with(0);
    let mut pending = tickoff();
    pending
        .args(["pending", "copy.csv"])
        .current_dir(sheet.folder());
    assert_eq!(end(&mut pending).with(0).stdout, "");
}
