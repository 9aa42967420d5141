//! `tickoff apply`: results that another program computed, one JSON object a line.
//!
//! Every line gets one answer, in the order of the lines, once its result is durable; nothing is
//! answered that a crash could take back. One thread reads and submits, the other waits and answers,
//! so that a program that sends without pause fills the queue and shares its syncs, while one that
//! waits for each answer gets it at once. Between the two there is much room: a program that sends
//! everything before it reads its first answer blocks us only when that is full, and we block it.
//! What waits there is only what that program has not read yet.

mod answer;
mod request;
mod room;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use tickoff::{
    DEFAULT_CAPACITY, Error, MAX_LINE_BYTES, Options, Results, Session, Sheet, Stop,
    SubmittedResult, Updates, WriteQueue, escape, escape_name, same_column,
};

use super::args::{BackupArgs, ColumnArgs, LogArgs, SheetArgs, StageArgs, WordArgs, WriteArgs};
use super::formulas::Judge;
use super::interruption::{APPLY, Interruption};
use super::name_before;
use crate::exit::{Exit, Failure};
use crate::stderr::Display;
use crate::sys::{Unbuffered, UntilStopped};
use answer::{Answers, Refusal, Submitted};
use request::Request;
use room::Room;

/// Apply results that another program computed
///
/// Reads one JSON object a line from stdin: {"po_number": …, "updates": {COLUMN: VALUE, …},
/// "operation_id": …}; key is another name of po_number. The operation_id is optional and comes back
/// in the answer. A row whose work failed has {"po_number": …, "error": TEXT} and becomes ERROR, also if
/// there are updates beside it. A line is refused only if it is no such object, or its key is not in the sheet, was
/// not there when apply began, and has no result in the journal; that is reported with its number, and the others are
/// applied.
///
/// A result is not refused for what is in it. A column that is not there is added, up to 64. What has no
/// place in the sheet (a row that is gone, a status for a row that is COMPLETED or has an unknown word, another
/// field beside updates) goes to a file ….unplaced.csv beside the backups, and the exit code is 1.
///
/// With --ack each line is answered, in order, by one JSON object with line, operation_id,
/// po_number, key and durable; if durable is false, error says why. Lines that are not answered yet, because nobody
/// reads the answers or there is no room for results, take up to 64 MiB; then no further line is read.
///
/// On a full disk results wait until there is room. Ctrl-C ends the reading, a second one the waiting. Results
/// that could not be made durable are in a file that is named at the end, and the exit code is 6.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ./results.py | tickoff apply orders.csv
  echo '{\"po_number\":\"PO1\",\"updates\":{\"STATUS\":\"COMPLETED\"}}' |
    tickoff apply orders.csv --ack")]
pub struct ApplyArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    #[command(flatten)]
    words: WordArgs,

    #[command(flatten)]
    stage: StageArgs,

    /// Answer each line on stdout once its result is durable
    #[arg(long)]
    ack: bool,

    /// Let operations take a row out of COMPLETED or back to PENDING, and replace an unknown word in STATUS
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    columns: ColumnArgs,

    #[command(flatten)]
    write: WriteArgs,

    #[command(flatten)]
    backup: BackupArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// Applies the lines of stdin, in a session of its own.
pub fn run(args: &ApplyArgs, display: &Display) -> Result<Exit, Failure> {
    let options = Options {
        allow_network_fs: args.write.allow_network_fs,
        take_unknown: args.force,
        ..args.stage.put_into_listed(
            args.sheet
                .options_with(args.words.put_into(args.sheet.settings()?))?,
            &args.sheet.in_command("apply"),
        )?
    };
    let options = args.columns.put_into(args.backup.put_into(options));
    let opened = Session::open(&args.sheet.file, &options).and_then(|mut session| {
        session.refuse_unprepared()?;
        Ok(session)
    });
    let mut session: Session = opened.inspect_err(|error| {
        if matches!(error, Error::NotVisible { .. }) {
            display.report("no line was read: an earlier session's results cannot be written");
        }
    })?;
    let typed = args.words.put_into(args.sheet.settings()?);
    name_before::refuse(&session.handler().sheet(), typed)?;
    tell_not_utf8(&session.handler().sheet());
    let queue = WriteQueue::new(Arc::clone(session.handler()), DEFAULT_CAPACITY);
    queue.start_writer_thread()?;
    let interruption = Interruption::watch(display, APPLY)?;
    let results = Results::new(&queue, args.force, &interruption.stop);
    let applied = apply(
        &mut session,
        &queue,
        &results,
        &interruption.stop,
        args,
        display,
    );
    let unsaved = results.unsaved();
    let handler = Arc::clone(session.handler());
    let (finished, kept) = match queue.stop_writer_thread(Duration::MAX) {
        Err(died @ Error::WriterDied { .. }) => (Err(died), None),
        _ => session.finish_with(&unsaved),
    };
    if !matches!(finished, Err(Error::Rescued { .. })) {
        tell_unsaved(&unsaved, kept.as_deref(), display);
    }
    finished?;
    let exit = applied?.and(interruption.exit());
    Ok(exit.and(Exit::after(&handler)))
}

/// Says which results are not in the sheet, and where they are.
fn tell_unsaved(unsaved: &[(String, Updates)], kept: Option<&Path>, display: &Display) {
    const NAMED: usize = 10;
    let mut keys: Vec<String> = unsaved.iter().map(|(po, _)| escape_name(po)).collect();
    keys.dedup();
    let more = match keys.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    keys.truncate(NAMED);
    let keys = keys.join(", ");
    match kept {
        _ if unsaved.is_empty() => {}
        Some(kept) => display.report(format!(
            "the results of {keys}{more} are not saved in the sheet, but in {}: once the cause is gone, give them to tickoff apply again",
            escape(&kept.to_string_lossy())
        )),
        None => display.report(format!(
            "the results of {keys}{more} are not saved: once the cause is gone, give them to tickoff apply again"
        )),
    }
}

/// Says that there are cells which are no text in the sheet's encoding.
fn tell_not_utf8(sheet: &Sheet) {
    if let Some(found) = sheet.not_utf8().filter(|_| sheet.encoding().is_utf8()) {
        tracing::warn!(
            "results are written in UTF-8, which other cells are not in, the first in line {}, {}; if the sheet is in another encoding, pass that one: --encoding windows-1252 for a CSV of Excel's in Western Europe",
            found.line,
            escape(&found.column)
        );
    }
}

/// Applies the lines of stdin to a queue whose writer runs; the first that has a result prepares the session. When it
/// returns, every result that was not refused is durable, or among those that are not saved.
fn apply(
    session: &mut Session,
    queue: &WriteQueue,
    results: &Results<'_>,
    stop: &Stop,
    args: &ApplyArgs,
    display: &Display,
) -> Result<Exit, Failure> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let input = UntilStopped {
        file: File::from(stdin.map_err(Failure::Input)?),
        stop: stop.clone(),
    };
    let output = args.ack.then(|| UntilStopped {
        file: Unbuffered(io::stdout()),
        stop: stop.clone(),
    });
    let answers = Answers::new(output, |message| display.report(message));
    let first = queue.handler().sheet();
    let judge = Judge::new(args.write.formulas);
    let mut is_prepared = false;
    // Read once a key is not in the sheet.
    let mut had_results: Option<HashSet<String>> = None;
    let exit = pump(
        BufReader::new(input),
        stop,
        answers,
        &judge,
        |column| {
            let columns = queue.handler().columns();
            columns.iter().any(|known| same_column(known, column))
        },
        |po, updates| {
            if queue.handler().status(po).is_none() && first.status(po).is_none() {
                if had_results.is_none() {
                    had_results = Some(queue.handler().keys_with_results().map_err(|error| {
                        Refusal::from(results.keep(po, updates.clone(), error))
                    })?);
                }
                if !had_results.iter().any(|keys| keys.contains(po.trim())) {
                    return Err(queue.handler().sheet().unknown_po(po).into());
                }
            }
            if !is_prepared {
                session.prepare(0).map_err(|error| {
                    Refusal::of_session(results.keep(po, updates.clone(), error))
                })?;
                is_prepared = true;
            }
            results.submit(po, updates).map_err(Refusal::from)
        },
        |submitted: &SubmittedResult| results.wait(submitted),
    );
    for message in judge.counted() {
        display.report(message);
    }
    exit
}

/// Submits each line while, on another thread, what was submitted before is waited for.
fn pump<O: Send, E: Into<Refusal>>(
    mut input: impl BufRead,
    stop: &Stop,
    answers: Answers<impl Write + Send, impl Fn(String) + Send>,
    judge: &Judge,
    is_known: impl Fn(&str) -> bool,
    mut submit: impl FnMut(&str, Updates) -> Result<O, E>,
    wait: impl Fn(&O) -> tickoff::Result<()> + Send,
) -> Result<Exit, Failure> {
    std::thread::scope(|scope| {
        let (submitted, to_answer) = channel();
        let answering = scope.spawn(move || answers.give(to_answer, wait));
        let room = Room::of(room::MOST);
        let mut bytes = Vec::new();
        let mut number = 0;
        let read = loop {
            let line = match read_line(&mut input, &mut bytes) {
                _ if stop.is_requested() => {
                    tracing::warn!("what comes behind line {number} was not taken");
                    break Ok(());
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Failure::Input(error)),
                Ok(Some(line)) => line,
            };
            number += 1;
            let size = bytes.len();
            let mut line = match line {
                Line::Fits if bytes.trim_ascii().is_empty() => continue,
                Line::Fits => Request::parse(bytes.trim_ascii_end()),
                Line::TooLong => Request::refused(
                    &std::mem::take(&mut bytes),
                    format!("the line is longer than {MAX_LINE_BYTES} bytes"),
                ),
            };
            let mut warnings = std::mem::take(&mut line.notes);
            let outcome = submit_line(&mut line, judge, &is_known, &mut submit, &mut warnings);
            let over = matches!(&outcome, Err(refusal) if refusal.is_final);
            let mut next = Submitted {
                number,
                line,
                warnings,
                outcome,
                place: None,
            };
            next.place = Some(room.take(size + next.bytes(), || {
                tracing::warn!(
                    "64 MiB of lines are not answered: no further one is read until they are"
                );
            }));
            submitted
                .send(next)
                .expect("answering goes on until this is dropped");
            if over {
                break Ok(());
            }
        };
        drop(submitted);
        let exit = answering
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        read.map(|()| exit)
    })
}

/// Hands a line's updates on; they are gone from it afterwards. What is to be said of them beside the
/// result goes to `warnings`.
fn submit_line<O, E: Into<Refusal>>(
    line: &mut Request,
    judge: &Judge,
    is_known: impl Fn(&str) -> bool,
    submit: impl FnOnce(&str, Updates) -> Result<O, E>,
    warnings: &mut Vec<String>,
) -> Result<O, Refusal> {
    let updates = std::mem::replace(&mut line.updates, Ok(Updates::new()));
    let updates = updates.map_err(Refusal::of_form)?;
    let po = line
        .po_number
        .as_deref()
        .expect("updates without a key are refused");
    let (updates, found) = judge.result(po, updates, is_known);
    warnings.extend(found);
    submit(po, updates).map_err(Into::into)
}

enum Line {
    Fits,
    TooLong,
}

/// Reads up to the next line feed, or the end; `None` if that is reached already.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
    line.clear();
    let read = input
        .by_ref()
        .take(MAX_LINE_BYTES as u64)
        .read_until(b'\n', line)?;
    if read == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok((read > 0).then_some(Line::Fits))
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, PipeReader, PipeWriter, pipe};
    use std::sync::Mutex;

    use tickoff::Error;

    use super::*;
    use crate::cli::formulas::Formulas;

    /// Runs lines against a queue that knows P1 and P2, where P2 fails only when its turn comes.
    struct Outcome {
        answers: String,
        reports: Vec<String>,
        submitted: Vec<String>,
        exit: Result<Exit, Failure>,
    }

    fn submit_known(po: &str) -> tickoff::Result<String> {
        match po {
            "P1" | "P2" | "7" => Ok(po.to_owned()),
            "stop" => Err(Error::QueueStopped),
            _ => Err(Error::UnknownPo {
                po: po.to_owned(),
                form: None,
                close: vec![],
                more: 0,
            }),
        }
    }

    fn wait_known(po: &str) -> tickoff::Result<()> {
        match po {
            "P2" => Err(Error::NotDurable {
                po: po.to_owned(),
                source: Box::new(Error::QueueFull),
            }),
            _ => Ok(()),
        }
    }

    fn outcome(lines: &str, formulas: Formulas) -> Outcome {
        let mut answers = Vec::new();
        let reports = Mutex::new(Vec::new());
        let submitted = Mutex::new(Vec::new());
        let exit = pump(
            lines.as_bytes(),
            &Stop::new(),
            Answers::new(Some(&mut answers), |message| {
                reports.lock().unwrap().push(message)
            }),
            &Judge::new(formulas),
            |_| true,
            |po, updates| {
                submitted
                    .lock()
                    .unwrap()
                    .push(format!("{po} {}", serde_json::to_string(&updates).unwrap()));
                submit_known(po)
            },
            |po: &String| wait_known(po),
        );
        Outcome {
            answers: String::from_utf8(answers).unwrap(),
            reports: reports.into_inner().unwrap(),
            submitted: submitted.into_inner().unwrap(),
            exit,
        }
    }

    #[test]
    fn each_line_is_submitted_and_answered_in_order() {
        let outcome = outcome(
            "{\"po_number\":\"P1\",\"updates\":{\"STATUS\":\"COMPLETED\",\"N\":2},\"operation_id\":\"a\"}\n\n\
             {\"operation_id\":{\"x\":[1]},\"updates\":{},\"po_number\":7}",
            Formulas::Warn,
        );
        assert_eq!(
            outcome.submitted,
            ["P1 {\"STATUS\":\"COMPLETED\",\"N\":\"2\"}", "7 {}"]
        );
        assert_eq!(
            outcome.answers,
            "{\"line\":1,\"operation_id\":\"a\",\"po_number\":\"P1\",\"key\":\"P1\",\"durable\":true}\n\
             {\"line\":3,\"operation_id\":{\"x\":[1]},\"po_number\":\"7\",\"key\":\"7\",\"durable\":true}\n"
        );
        assert_eq!(outcome.exit.unwrap(), Exit::Done);
    }

    #[test]
    fn a_refused_line_is_answered_and_reported_and_the_rest_is_applied() {
        let outcome = outcome(
            "{\"po_number\":\"P9\",\"updates\":{},\"operation_id\":9}\n\
             {\"po_number\":\"P1\",\"updates\":{}}\n",
            Formulas::Warn,
        );
        assert_eq!(
            outcome.answers,
            "{\"line\":1,\"operation_id\":9,\"po_number\":\"P9\",\"key\":\"P9\",\"durable\":false,\"error\":\"no row has the key P9\"}\n\
             {\"line\":2,\"operation_id\":null,\"po_number\":\"P1\",\"key\":\"P1\",\"durable\":true}\n"
        );
        assert_eq!(outcome.reports, ["line 1: no row has the key P9"]);
        assert_eq!(outcome.exit.unwrap().code(), 1);
    }

    #[test]
    fn a_result_that_did_not_become_durable_is_not_acknowledged() {
        let outcome = outcome(
            "{\"po_number\":\"P2\",\"updates\":{}}\n{\"po_number\":\"P9\",\"updates\":{}}\n",
            Formulas::Warn,
        );
        assert!(outcome.answers.starts_with(
            "{\"line\":1,\"operation_id\":null,\"po_number\":\"P2\",\"key\":\"P2\",\"durable\":false,"
        ));
        assert_eq!(
            outcome.reports[0],
            "line 1: the result of P2 could not be made durable: the write queue is full"
        );
        assert_eq!(outcome.exit.unwrap().code(), 6);
    }

    #[track_caller]
    fn check_refused(line: &str, message: &str) {
        let outcome = outcome(line, Formulas::Reject);
        assert_eq!(outcome.reports[0], format!("line 1: {message}"));
        assert!(outcome.submitted.is_empty());
        assert_eq!(outcome.exit.unwrap().code(), 1);
    }

    #[test]
    fn lines_that_cannot_be_understood_are_refused_with_the_reason() {
        check_refused(
            "nonsense",
            "not a JSON object: expected ident at line 1 column 2",
        );
        check_refused("{\"po_number\":\"P1\"}", "updates is missing");
        let no_po = "po_number, or key, must be a text or a number; of several columns it is one text, 'A1;2'";
        check_refused("{\"updates\":{}}", no_po);
        check_refused("{\"po_number\":null,\"updates\":{}}", no_po);
        check_refused("{\"po_number\":[\"P1\"],\"updates\":{}}", no_po);
        check_refused(
            "{\"po_number\":\"P1\",\"key\":\"P2\",\"updates\":{}}",
            "po_number and key are not the same",
        );
        check_refused(
            "{\"po_number\":\"P1\",\"updates\":{\"A\\u001b\":{}}}",
            "the value of \"A\\u{1b}\" must be a text, a number, true, false, null or a list of texts",
        );
    }

    #[test]
    fn a_refused_line_is_answered_by_its_id_as_far_as_it_was_understood() {
        let outcome = outcome(
            "{\"operation_id\":\"x\",\"po_number\":\"P1\"}",
            Formulas::Warn,
        );
        assert!(outcome.answers.starts_with(
            "{\"line\":1,\"operation_id\":\"x\",\"po_number\":\"P1\",\"key\":\"P1\",\"durable\":false,"
        ));
    }

    #[test]
    fn a_refused_line_is_answered_by_its_po_however_little_of_it_can_be_read() {
        for line in [
            "{\"po_number\":\"P1\",\"operation_id\":1.10,\"updates\":{\"A\":",
            "{\"key\":\"P1\",\"operation_id\":1.10,\"updates\":{\"A\":{}}}",
        ] {
            let answers = outcome(line, Formulas::Warn).answers;
            assert!(
                answers.starts_with("{\"line\":1,\"operation_id\":1.10,\"po_number\":\"P1\",\"key\":\"P1\",\"durable\":false,"),
                "{answers}"
            );
        }
    }

    #[test]
    fn a_line_is_read_as_users_languages_write_it() {
        let lines = "\u{feff}{\"key\":1.50,\"updates\":{\"A\":\"x\\udcfc\",\"N\":1.10,\" a\":1e3}}";
        let outcome = outcome(lines, Formulas::Warn);
        assert_eq!(outcome.submitted, ["1.50 {\"A\":\"1e3\",\"N\":\"1.10\"}"]);
        assert_eq!(
            outcome.reports[0],
            "line 1: a is there twice: the last value counts"
        );
    }

    #[test]
    fn of_a_formula_that_is_rejected_the_rest_is_submitted() {
        let lines = "{\"po_number\":\"P1\",\"updates\":{\"A\":\"=1\",\"B\":2}}";
        let outcome = outcome(lines, Formulas::Reject);
        assert_eq!(outcome.submitted, ["P1 {\"B\":\"2\"}"]);
        assert_eq!(
            outcome.reports,
            ["line 1: P1: A would run as a formula in a spreadsheet: it goes to ….unplaced.csv"]
        );
    }

    #[test]
    fn a_formula_is_reported_and_written() {
        let outcome = outcome(
            "{\"po_number\":\"P1\",\"updates\":{\"A\":\"=1\"}}",
            Formulas::Warn,
        );
        assert_eq!(
            outcome.reports,
            ["line 1: P1: A would run as a formula in a spreadsheet"]
        );
        assert_eq!(outcome.submitted.len(), 1);
        assert_eq!(outcome.exit.unwrap(), Exit::Done);
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_and_the_next_is_applied() {
        let long = format!("{{\"po_number\":\"{}\"}}\n", "x".repeat(MAX_LINE_BYTES));
        let outcome = outcome(
            &(long + "{\"po_number\":\"P1\",\"updates\":{}}\n"),
            Formulas::Warn,
        );
        assert_eq!(
            outcome.reports,
            [
                "line 1: the line is longer than 67108864 bytes",
                "tickoff help apply shows what a line must look like"
            ]
        );
        assert_eq!(outcome.submitted, ["P1 {}"]);
    }

    #[test]
    fn nothing_more_is_read_once_the_queue_takes_nothing_more() {
        let outcome = outcome(
            "{\"po_number\":\"stop\",\"updates\":{}}\n{\"po_number\":\"P1\",\"updates\":{}}\n",
            Formulas::Warn,
        );
        assert_eq!(outcome.submitted, ["stop {}"]);
        assert_eq!(outcome.exit.unwrap().code(), 6);
    }

    /// Takes part of the first answer and then fails in this way; would take what comes later.
    struct FailsOnce {
        kind: Option<io::ErrorKind>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for FailsOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut taken = self.taken.lock().unwrap();
            let some = if taken.is_empty() { 5 } else { bytes.len() };
            match self.kind.take_if(|_| !taken.is_empty()) {
                Some(kind) => Err(kind.into()),
                None => taken.write(&bytes[..some]),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Three results are applied, and the answers end where the first failure left them.
    #[track_caller]
    fn check_answers_fail(kind: io::ErrorKind) -> Result<Exit, Failure> {
        let submitted = Mutex::new(0);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let to = FailsOnce {
            kind: Some(kind),
            taken: taken.clone(),
        };
        let exit = pump(
            REQUEST.repeat(3).as_slice(),
            &Stop::new(),
            Answers::new(Some(to), |_| {}),
            &Judge::new(Formulas::Warn),
            |_| true,
            |po, _| {
                *submitted.lock().unwrap() += 1;
                submit_known(po)
            },
            |po: &String| wait_known(po),
        );
        assert_eq!(submitted.into_inner().unwrap(), 3);
        assert_eq!(*taken.lock().unwrap(), b"{\"lin");
        exit
    }

    #[test]
    fn results_are_applied_when_nobody_reads_the_answers_any_more() {
        assert_eq!(
            check_answers_fail(io::ErrorKind::BrokenPipe).unwrap(),
            Exit::Done
        );
    }

    #[test]
    fn answers_that_are_lost_for_another_reason_are_a_failure_at_the_end() {
        let failure = check_answers_fail(io::ErrorKind::StorageFull).unwrap_err();
        assert!(matches!(failure, Failure::Output(_)), "{failure}");
    }

    /// Runs `talk` with the two ends of a conversation with `apply`.
    fn converse(talk: impl FnOnce(PipeWriter, BufReader<PipeReader>)) {
        let (requests, to_requests) = pipe().unwrap();
        let (from_answers, answers) = pipe().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let answers = Answers::new(Some(answers), |_| {});
                let exit = pump(
                    BufReader::new(requests),
                    &Stop::new(),
                    answers,
                    &Judge::new(Formulas::Warn),
                    |_| true,
                    |po, _| submit_known(po),
                    |po: &String| wait_known(po),
                );
                assert_eq!(exit.unwrap(), Exit::Done);
            });
            talk(to_requests, BufReader::new(from_answers));
        });
    }

    const REQUEST: &[u8] = b"{\"po_number\":\"P1\",\"updates\":{}}\n";

    #[test]
    fn a_program_that_waits_for_each_answer_gets_it() {
        converse(|mut requests, mut answers| {
            for number in 1..=100 {
                requests.write_all(REQUEST).unwrap();
                let mut answer = String::new();
                answers.read_line(&mut answer).unwrap();
                assert!(
                    answer.starts_with(&format!("{{\"line\":{number},")),
                    "{answer}"
                );
            }
        });
    }

    #[test]
    fn a_program_that_sends_everything_before_it_reads_is_not_blocked() {
        const LINES: usize = 20_000;
        converse(|mut requests, answers| {
            requests.write_all(&REQUEST.repeat(LINES)).unwrap();
            drop(requests);
            assert_eq!(answers.lines().count(), LINES);
        });
    }
}
