//! The display of a run, frame by frame: whole lines above it, whole lines in it, and nothing of an older one.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use regex::Regex;
use unicode_width::UnicodeWidthStr;

use super::sheet;
use super::terminal::Terminal;
use crate::command_line::wait_until;
use crate::fixture::TempSheet;

/// Prints, is to be repeated, and fails, with wide characters in keys and messages.
const JOB: &str = "n=1; while [ $n -le 5 ]; do printf \"$n begins, \"; sleep 0.03; echo 漢字 ends; n=$((n + 1)); done
     case $TICKOFF_KEY$TICKOFF_ATTEMPT in *-[15]1) exit 75;; esac
     case $TICKOFF_KEY in *-[0246]) printf '%s' 'ERROR_MESSAGE=no answer 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字' > $TICKOFF_RESULT; exit 1;; esac";

const KEYS: [&str; 8] = [
    "漢字-0",
    "P-1",
    "😀-2",
    "P-3",
    "P-4",
    "漢字😀-5",
    "P-6",
    "P-7",
];

fn wide() -> TempSheet {
    TempSheet::new(format!("PO_NUMBER\n{}\n", KEYS.join("\n")))
}

static ABOVE: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"\d\d:\d\d:\d\d";
    Regex::new(&format!(
        r"^(\S+-\d \| (\d begins, 漢字 ends)?|{time} WARN \S+-\d failed: no answer ?[漢字]*…|{time} INFO \S+-\d attempt 1 is .*|keys: p .*)$"
    ))
    .unwrap()
});

static BAR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[█░]+ +[<>]?\d+ %  \d+/\d+(; .*/s, .* left)?$").unwrap());

static BELOW: LazyLock<Regex> = LazyLock::new(|| {
    let count = r"\d+ (done|errors|no attachments|skipped)";
    Regex::new(&format!(
        r"^({count}(, {count})*,?|\d waits? for another attempt,?( ?the next in \d s)?|the next in \d s|  \d  (-|\S+-\d  \d+ s(  attempt 2)?)|\d × .*)$"
    ))
    .unwrap()
});

/// What the screen shows of a run that goes on: the last line that is there may be half of one.
#[track_caller]
fn check(frame: &[String], columns: usize) {
    let bar = frame.iter().position(|line| BAR.is_match(line));
    let (above, below) = frame.split_at(bar.unwrap_or(frame.len()));
    let whole = match below {
        [] => &above[..above.len().saturating_sub(1)],
        _ => above,
    };
    for line in whole {
        assert!(ABOVE.is_match(line), "{columns}: {line:?} in {frame:#?}");
    }
    let inner = below.len().saturating_sub(1).max(1);
    for line in below.get(1..inner).unwrap_or_default() {
        assert!(BELOW.is_match(line), "{columns}: {line:?} in {frame:#?}");
    }
    for line in frame {
        let is_cut = line.contains(" failed: ") || line.contains(" × ");
        assert!(!is_cut || line.width() < columns, "{columns}: {line:?}");
    }
}

#[test]
fn at_every_width_each_frame_has_whole_lines_and_one_display() {
    for columns in [120, 80, 50, 40] {
        let sheet = wide();
        let run = Terminal::start(&sheet.run("-j 3 --backoff 1s", JOB), columns);
        let (lines, frames) = run.end(1);
        let of_run = |frame: &&Vec<String>| {
            !frame.iter().any(|line| {
                line.starts_with("4 done, 4 errors,")
                    && !frame.iter().any(|line| BAR.is_match(line))
            })
        };
        for frame in frames.iter().take_while(of_run) {
            check(frame, columns.into());
        }
        let shown = |what: &str| frames.iter().flatten().any(|line| line.contains(what));
        assert!(shown(" for another attempt,"), "{columns}: {frames:#?}");
        for (number, key) in KEYS.iter().enumerate() {
            let attempts = if [1, 5].contains(&number) { 2 } else { 1 };
            let line = format!("{key} | 1 begins, 漢字 ends");
            let printed = lines.iter().filter(|shown| **shown == line).count();
            assert_eq!(printed, attempts, "{columns}: {line}: {lines:#?}");
            let failed = format!(" WARN {key} failed: no answer");
            let failures = lines.iter().filter(|line| line.contains(&failed)).count();
            assert_eq!(
                failures,
                usize::from(number % 2 == 0),
                "{columns}: {lines:#?}"
            );
        }
        assert!(!lines.iter().any(|line| BAR.is_match(line)), "{lines:#?}");
        let together = |line: &&String| line.starts_with("4 × ") && line.contains("no ans");
        assert_eq!(lines.iter().filter(together).count(), 1, "{lines:#?}");
    }
}

#[test]
fn a_window_of_another_size_in_mid_run_has_one_display_that_is_whole() {
    let sheet = wide();
    let prints = format!("until [ -e go ]; do echo line; sleep 0.05; done\n{JOB}");
    let mut run = Terminal::start(&sheet.run("-j 3", &prints), 120);
    for columns in [80, 50, 40, 120, 40] {
        wait_until("there is a display", || {
            run.rows().iter().any(|line| BAR.is_match(line))
        });
        run.resize(columns);
        // Two pictures of the display, whatever the machine does besides.
        thread::sleep(Duration::from_millis(700));
        let rows = run.rows();
        let bars = rows.iter().filter(|line| BAR.is_match(line)).count();
        assert!(bars <= 1, "{columns}: {rows:#?}");
        let bar = rows.iter().position(|line| BAR.is_match(line));
        for line in rows.iter().skip(bar.unwrap_or(rows.len()) + 1) {
            let is_last = Some(line) == rows.last();
            assert!(BELOW.is_match(line) || is_last, "{columns}: {rows:#?}");
        }
    }
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    let (lines, _) = run.end(1);
    assert!(!lines.iter().any(|line| BAR.is_match(line)), "{lines:#?}");
}

#[test]
fn a_failure_is_coloured_unless_the_environment_says_no() {
    for (variable, value, is_coloured) in [
        ("NO_COLOR", "", true),
        ("NO_COLOR", "1", false),
        ("TERM", "dumb", false),
    ] {
        let sheet = sheet(2);
        let mut run = sheet.run("-j 1", "[ $TICKOFF_KEY = P2 ] && await go; exit 1");
        let run = Terminal::start(run.env(variable, value), 80);
        let has_failed = || run.rows().iter().any(|line| line.contains("failed"));
        wait_until("the first has failed", has_failed);
        assert_eq!(run.is_coloured(), is_coloured, "{variable}={value}");
        std::fs::write(sheet.folder().join("go"), "").unwrap();
        let (lines, _) = run.end(1);
        let is_long = lines
            .iter()
            .any(|line| line.contains("failed key=P1 reason=exit 1"));
        assert_eq!(is_long, variable == "TERM", "{lines:#?}");
    }
}

#[test]
fn a_run_that_is_being_stopped_says_so_and_not_what_is_to_come() {
    let sheet = sheet(3);
    let script = "[ $TICKOFF_KEY = P1 ] && exit 75; await go";
    let mut run = Terminal::start(&sheet.run("-j 2 --backoff 1h", script), 80);
    let shows = |run: &Terminal, text: &str| run.rows().iter().any(|line| line.contains(text));
    wait_until("a row waits", || shows(&run, "1 waits for another attempt"));
    run.press(b"\x03");
    wait_until("it says that it stops", || shows(&run, "0/3; stopping"));
    assert!(!shows(&run, "for another attempt,"), "{:#?}", run.rows());
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end(130);
}

#[test]
fn what_is_typed_is_in_no_line_of_a_quiet_run_either() {
    let sheet = sheet(2);
    let script = "touch begun; await go; exit 1";
    let mut run = Terminal::start(&sheet.run("-q -j 2", script), 80);
    wait_until("a job has begun", || sheet.folder().join("begun").exists());
    run.press(b"typed\x03");
    wait_until("it says that it stops", || {
        run.rows().iter().any(|line| line.contains("WARN stopping"))
    });
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    let (lines, _) = run.end(130);
    for line in lines {
        assert!(
            line.starts_with(|first: char| first.is_ascii_digit()),
            "{line}"
        );
    }
}
