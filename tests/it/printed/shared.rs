//! A terminal that others print to as well: who reads what jobs print, or a shell.

use std::fs;
use std::time::Duration;

use super::sheet;
use super::terminal::Terminal;
use crate::command_line::{Running, wait_until};

fn has_bar(line: &impl AsRef<str>) -> bool {
    line.as_ref().contains(['█', '░'])
}

#[test]
fn there_is_no_display_where_the_reader_of_jobs_may_print_to_the_terminal() {
    let script = "echo out $TICKOFF_KEY; sleep .4; [ $TICKOFF_KEY != P2 ]";
    for (options, shown) in [("", true), ("--show none", false)] {
        let sheet = sheet(6);
        let run = sheet.run(&format!("-j 3 {options}"), script);
        let run = Terminal::of_shell("\"$0\" \"$@\" | cat", &run);
        let (lines, frames) = run.end(0);
        let bars = frames.iter().flatten().any(has_bar);
        assert_eq!(bars, !shown, "{options}: {frames:#?}");
        for key in 1..=6 {
            let line = format!("out P{key}");
            let count = lines.iter().filter(|shown| **shown == line).count();
            assert_eq!(count, usize::from(shown), "{options}: {lines:#?}");
        }
        let failed = |line: &&String| line.ends_with(" WARN P2 failed: exit 1");
        assert_eq!(lines.iter().filter(failed).count(), 1, "{lines:#?}");
    }
}

#[test]
fn a_watch_that_is_ended_leaves_nothing_under_the_prompt() {
    let sheet = sheet(2);
    let run = Running::start(&mut sheet.run("-j 2", ": > running; await go"));
    wait_until("it runs", || sheet.folder().join("running").exists());
    let script = "trap : INT; \"$0\" \"$@\"; echo \"prompt $?\"";
    let mut watch = Terminal::of_shell(script, &sheet.tickoff("watch"));
    let is_shown = |watch: &Terminal| watch.rows().iter().any(has_bar);
    wait_until("it is shown", || is_shown(&watch) && !watch.echoes());
    watch.press(b"typed\n");
    std::thread::sleep(Duration::from_millis(600));
    let rows = watch.rows();
    assert_eq!(rows.iter().filter(has_bar).count(), 1);
    assert!(!rows.iter().any(|row| row.contains("typed")), "{rows:#?}");
    watch.press(b"\x03");
    let (lines, _) = watch.end(0);
    assert_eq!(lines, ["prompt 130"]);
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
}

#[test]
fn a_run_in_the_background_has_no_display_and_says_nothing_of_keys() {
    let sheet = sheet(2);
    let run = sheet.run("-j 1", "sleep .5");
    let script = "set -m; \"$0\" \"$@\" & wait $!";
    let run = Terminal::of_shell(script, &run);
    let (_, frames) = run.end(0);
    let drawn = frames.iter().flatten();
    let drawn: Vec<_> = drawn
        .filter(|line| has_bar(line) || line.contains("keys:"))
        .collect();
    assert!(drawn.is_empty(), "{drawn:#?}");
}
