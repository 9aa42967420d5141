//! What tickoff is asked to do: sessions of this process, and the program.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use tickoff::{Decision, Error, Session, Until, Updates};

use super::model::Want;
use super::table::Table;
use super::world::{Check, Live, World};
use crate::command_line::{Ended, end, tickoff};

impl World {
    /// Has the program do something with the sheet, which ends with one of these codes.
    pub fn program(&mut self, arguments: &[&str], codes: &[i32]) -> Result<Ended, String> {
        let mut command = tickoff();
        command.arg(arguments[0]).arg(self.path());
        command.args(&arguments[1..]).current_dir(&self.folder);
        let mut ended = end(&mut command);
        // A program that another history just starts has our locks until it begins.
        let ours = format!("in use by process {} ", std::process::id());
        while self.live.is_none() && ended.stderr.contains(&ours) {
            std::thread::sleep(std::time::Duration::from_millis(20));
            ended = end(&mut command);
        }
        self.judge_end(arguments, ended, codes)
    }

    fn judge_end(&self, arguments: &[&str], ended: Ended, codes: &[i32]) -> Result<Ended, String> {
        if !codes.contains(&ended.code) {
            return Err(format!(
                "{arguments:?} did not end with {codes:?}: {ended:#?}"
            ));
        }
        let advises = |line: &str| {
            let line = line.to_ascii_lowercase();
            let removes = ["remove ", "delete ", "rm "];
            line.contains("journal") && removes.iter().any(|word| line.contains(word))
        };
        match ended.stderr.lines().find(|line| advises(line)) {
            Some(line) => Err(format!("a journal is to be removed: {line}")),
            None => Ok(ended),
        }
    }

    /// Like [`World::program`], for what may be asked first; it is decided then, and tried again.
    fn decided_program(
        &mut self,
        arguments: &[&str],
        codes: &[i32],
        dice: &mut Rng,
    ) -> Result<Ended, String> {
        let mut with_asked = codes.to_vec();
        with_asked.push(3);
        let ended = self.program(arguments, &with_asked)?;
        if ended.code != 3 || codes.contains(&3) {
            self.was_not_asked();
            return Ok(ended);
        }
        if !ended.stderr.contains("tickoff recover") {
            return Err(format!("{arguments:?} fails: {ended:#?}"));
        }
        self.decide(&ended.stderr.clone(), dice)?;
        self.program(arguments, codes)
    }

    /// A result gets the time in whole seconds, and one that is written again in the same tells nothing.
    fn wait_for_a_later_second(&mut self) {
        let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        while now() == self.last_second {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.last_second = now();
    }

    fn was_not_asked(&mut self) {
        let is_renamed_since = std::mem::take(&mut self.is_renamed_since);
        let has_new_name = std::mem::take(&mut self.has_new_name);
        if (is_renamed_since || has_new_name) && !self.model.shows_a_time() {
            self.model.begin_journal();
        }
        self.has_left_journal |= is_renamed_since;
        self.model.may_ask.clear();
        self.model.has_taken_edit_back = false;
    }

    fn may_be_asked(&self, asked: &str) -> bool {
        let is_of_left_journal = self.has_left_journal && asked.contains(" was called ");
        // Which of the two it is that takes an edit back, a later hand or an old save, nothing tells.
        let is_edit = |want: &Want| matches!(want, Want::Edit { .. });
        let is_of_edit = asked.contains("what stood there before another program changed it")
            && (self.model.has_taken_edit_back || self.model.wants.values().any(is_edit));
        !self.model.may_ask.is_empty() || is_of_left_journal || is_of_edit
    }

    /// A person decides what is to become of the results.
    fn decide(&mut self, asked: &str, dice: &mut Rng) -> Check {
        self.count("asked");
        self.tell(format!("  asked: {}", asked.trim()));
        let is_of_left_journal = self.has_left_journal && asked.contains(" was called ");
        if !self.may_be_asked(asked) {
            return Err(format!("it is asked without need: {asked}"));
        }
        (self.is_renamed_since, self.has_new_name) = (false, false);
        self.check_results()?;
        let before = self.text()?;
        if dice.u32(..4) == 0 {
            let told = self.program(&["status"], &[0])?;
            if told.stderr.lines().count() != 1 {
                return Err(format!("a reader is not told in one line: {told:#?}"));
            }
            self.program(&["init"], &[3])?;
            self.program(&["set", "PO0", "STATUS=ERROR"], &[3])?;
            if self.text()? != before {
                return Err("the sheet changed while a decision is asked".into());
            }
        }
        let table = self.table()?;
        let is_applied = dice.u32(..3) > 0;
        let by_program = dice.u32(..3) == 0;
        self.tell(format!("  apply: {is_applied}"));
        self.count(match is_applied {
            true => "recover --apply",
            false => "recover --discard",
        });
        match (by_program, is_applied) {
            (true, true) => drop(self.program(&["recover", "--apply"], &[0, 1])?),
            (true, false) => drop(self.program(&["recover", "--discard"], &[0])?),
            (false, _) => {
                let decision = match is_applied {
                    true => Decision::Apply,
                    false => Decision::Discard,
                };
                let open = || Session::open_decided(self.path(), &self.options(), Some(decision));
                let mut session = open();
                // As of a program's, in `World::program`.
                while let Err(Error::SessionHeld { .. }) = session {
                    std::thread::sleep(Duration::from_millis(20));
                    session = open();
                }
                let ended = session.and_then(Session::finish);
                ended.map_err(|error| format!("recover fails: {}", error.chain()))?;
            }
        }
        self.is_interrupted = false;
        self.was_not_asked();
        if is_of_left_journal && is_applied {
            // The model has forgotten what that journal knows.
            self.observe()?;
            self.model.begin_journal();
            self.model.wants.clear();
            for (po, column, value) in self.table()?.cells() {
                let was = table.get(&po, &column).unwrap_or("").to_owned();
                let values = [was, value];
                let cell = super::model::cell(&po, &column);
                self.model.written.entry(cell).or_default().extend(values);
            }
            return Ok(());
        }
        if is_applied {
            self.check_all(&table)?;
            return self.observe();
        }
        if self.text()? != before {
            return Err("a sheet changed whose results were given up".into());
        }
        self.check_results()?;
        // They are in a copy now, and nothing is known of them any more but what the sheet shows.
        self.model.begin_journal();
        self.check_all(&table)
    }

    /// Opens a session of this process, if there is none.
    pub fn begin(&mut self, dice: &mut Rng) -> Check {
        if self.live.is_some() {
            return Ok(());
        }
        let before = self.table()?;
        self.is_about_to_write();
        let session = match Session::open(self.path(), &self.options()) {
            Err(asked @ Error::Undecided { .. }) => {
                self.decide(&asked.to_string(), dice)?;
                Session::open(self.path(), &self.options())
            }
            opened => opened,
        };
        let mut session =
            session.map_err(|error| format!("no session begins: {}", error.chain()))?;
        self.was_not_asked();
        session
            .prepare(self.model.latest().table.rows.len())
            .map_err(|error| format!("a session cannot begin: {}", error.chain()))?;
        self.work_in(session);
        self.is_interrupted = true;
        self.check_all(&before)?;
        self.observe()
    }

    /// Results of some rows come in.
    pub fn results(&mut self, count: usize, is_waited_for: bool, dice: &mut Rng) -> Check {
        self.begin(dice)?;
        let before = match self.path().exists() {
            true => Some(self.table()?),
            false => None,
        };
        for _ in 0..count {
            let Some(live) = &self.live else { break };
            let sheet = live.session.handler().sheet();
            let mut open: Vec<String> = sheet.pending_pos().collect();
            let forced = open.is_empty() || dice.u32(..12) == 0;
            if forced {
                open = sheet.records().map(|record| record.po_number).collect();
            }
            let Some(po) = dice.choice(&open).cloned() else {
                break;
            };
            // What another command or a hand once set to COMPLETED the session may learn with this result, and
            // what a later hand made of it only after that.
            let forced = forced || {
                let mut versions = self.model.versions.iter();
                versions.any(|version| version.table.get(&po, "STATUS") == Some("COMPLETED"))
            };
            let serial = self.next();
            let step = dice.i64(1..9);
            let mut cells = vec![("LAST_PROCESSED", self.time(step))];
            let (status, message, found) = match dice.u32(..20) {
                0..13 => ("COMPLETED", "", dice.u32(..4).to_string()),
                13..17 => (
                    "ERROR",
                    *dice.choice(&["timeout", "http 500"]).unwrap(),
                    String::new(),
                ),
                _ => ("NO_ATTACHMENTS", "", "0".to_owned()),
            };
            cells.push(("STATUS", status.into()));
            cells.push(("ERROR_MESSAGE", message.into()));
            if !found.is_empty() {
                cells.push(("ATTACHMENTS_FOUND", found));
            }
            if dice.u32(..4) == 0 {
                cells.push(("AttachmentName", format!("r{serial}.pdf")));
            }
            let updates = cells
                .iter()
                .map(|(column, value)| (*column, value.as_str()));
            let updates: Updates = updates.collect();
            let live = self.live.as_ref().unwrap();
            let submitted = live.queue.submit_result(&po, updates, forced);
            let waited = submitted.and_then(|it| live.queue.wait(&it, Until::Durable));
            waited.map_err(|error| format!("the result of {po} fails: {}", error.chain()))?;
            self.tell(format!("  {po}: {cells:?}"));
            for (column, value) in &cells {
                self.model.result(&po, column, value);
            }
            self.model.may_be_public();
        }
        self.check_results()?;
        match before {
            Some(before) if is_waited_for && self.held.is_none() => self.flush(&before),
            _ => Ok(()),
        }
    }

    /// All that is durable becomes visible.
    pub fn flush(&mut self, before: &Table) -> Check {
        let Some(live) = &self.live else {
            return Ok(());
        };
        let flushed = live.queue.flush();
        flushed.map_err(|error| format!("it does not become visible: {}", error.chain()))?;
        // A save that came when all was visible is taken in with the next result, or at the end.
        if self.text()? == self.model.latest().text && before.text() == self.text()? {
            return self.check_results();
        }
        self.check_all(before)?;
        self.observe()
    }

    /// Somebody opens the sheet for writing, and keeps it open.
    pub fn hold(&mut self) {
        if self.live.is_some() {
            let open = fs::OpenOptions::new().append(true).open(self.path());
            self.held = Some(open.unwrap());
        }
    }

    /// The session comes to its end.
    pub fn end(&mut self) -> Check {
        self.held = None;
        let before = self.table()?;
        let Some(Live { session, queue }) = self.live.take() else {
            return Ok(());
        };
        let stopped = queue.stop_writer_thread(std::time::Duration::MAX);
        stopped.map_err(|error| format!("the queue does not end: {}", error.chain()))?;
        drop(queue);
        let ended = session.finish();
        ended.map_err(|error| format!("the session does not end: {}", error.chain()))?;
        self.is_interrupted = false;
        self.was_not_asked();
        self.check_all(&before)?;
        self.observe()
    }

    /// `tickoff apply` gets results, and is killed while the last of them are only durable; or it ends.
    pub fn apply(&mut self, is_killed: bool, dice: &mut Rng) -> Check {
        self.end()?;
        // Also for what is asked.
        self.begin(dice)?;
        self.end()?;
        let before = self.table()?;
        let mut command = tickoff();
        command.args(["apply", "--ack", "--quiet"]).arg(self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut open: Vec<String> = before.keys();
        open.retain(|po| before.is_pending(po));
        dice.shuffle(&mut open);
        open.truncate(dice.usize(1..4));
        let fed = self.feed(&open, is_killed, &mut lines, &mut answers, dice);
        if is_killed || fed.is_err() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.held = None;
            self.is_interrupted = true;
            return fed.and_then(|()| self.check_results());
        }
        drop(lines);
        let ended = child.wait_with_output().unwrap();
        if ended.status.code() != Some(0) {
            return Err(format!("apply: {ended:?}"));
        }
        self.check_all(&before)?;
        self.observe()
    }

    /// Gives it a result of each of these rows, which it answers; if it is to be killed, nothing but the first
    /// becomes visible.
    fn feed(
        &mut self,
        pos: &[String],
        is_killed: bool,
        lines: &mut impl Write,
        answers: &mut impl Iterator<Item = std::io::Result<String>>,
        dice: &mut Rng,
    ) -> Check {
        for (number, po) in pos.iter().enumerate() {
            let step = dice.i64(1..9);
            let time = self.time(step);
            let line = serde_json::json!({"po_number": po, "updates": {"STATUS": "COMPLETED", "LAST_PROCESSED": time}});
            writeln!(lines, "{line}").unwrap();
            let answer = answers.next().ok_or("no answer")?.unwrap();
            if !answer.contains("\"durable\":true") {
                return Err(format!("a result is refused: {answer}"));
            }
            self.tell(format!("  {po} completed at {time}"));
            for (column, value) in [
                ("STATUS", "COMPLETED"),
                ("LAST_PROCESSED", &*time),
                ("ERROR_MESSAGE", ""),
            ] {
                self.model.result(po, column, value);
            }
            self.model.may_be_public();
            if is_killed && number == 0 {
                crate::command_line::wait_until("it is visible", || {
                    self.text().is_ok_and(|text| text.contains(&time))
                });
                self.observe()?;
                // Nothing takes the place of what somebody has open for writing.
                self.held = fs::OpenOptions::new().append(true).open(self.path()).ok();
            }
        }
        Ok(())
    }

    /// A person has tickoff change a cell.
    pub fn set(&mut self, dice: &mut Rng) -> Check {
        self.held = None;
        let before = self.table()?;
        let Some(po) = dice.choice(before.keys()) else {
            return Ok(());
        };
        let note = dice.bool();
        let column = if note { "note" } else { "STATUS" };
        if before.column(column).is_none() {
            return Ok(());
        }
        let value = match note {
            true => format!("set{}", self.next()),
            false => (*dice.choice(&["PENDING", "COMPLETED", "ERROR"]).unwrap()).to_owned(),
        };
        let assigned = format!("{column}={value}");
        self.tell(format!("  {po} {assigned}"));
        self.is_about_to_write();
        self.wait_for_a_later_second();
        self.decided_program(&["set", &po, &assigned], &[0, 1], dice)?;
        let view = self.view()?;
        if view.row(&po).is_none() || view.column(column).is_none() {
            return Ok(());
        }
        self.model.result(&po, column, &value);
        if !note && let Some(time) = view.get(&po, "LAST_PROCESSED").map(str::to_owned) {
            self.model.result(&po, "LAST_PROCESSED", &time);
        }
        let cleared = !note && value != "ERROR" && view.column("ERROR_MESSAGE").is_some();
        if cleared {
            self.model.result(&po, "ERROR_MESSAGE", "");
        }
        let undecided = self.model.undecided();
        self.check_all(&before)?;
        if self.live.is_some() {
            self.model.is_still_undecided(undecided);
        }
        self.observe()
    }

    /// `tickoff run`, whose jobs all do well.
    pub fn run(&mut self, options: &[&str], dice: &mut Rng) -> Check {
        self.end()?;
        let is_forced = options.contains(&"--force");
        let file = self.table()?;
        let mut arguments = vec!["run", "-q"];
        arguments.extend(options);
        arguments.extend(["--", "true"]);
        self.is_about_to_write();
        self.wait_for_a_later_second();
        let mut before = self.view()?;
        let mut codes = vec![0, 1];
        let ended = self.program(&arguments, &[0, 1, 3])?;
        if ended.code == 3 {
            if !ended.stderr.contains("tickoff recover") {
                return Err(format!("a run fails: {ended:#?}"));
            }
            self.decide(&ended.stderr.clone(), dice)?;
            before = self.view()?;
            codes.retain(|code| *code == 0);
            self.program(&arguments, &[0, 1])?;
        }
        self.was_not_asked();
        self.is_interrupted = false;
        let after = self.table()?;
        for po in before.keys() {
            if !is_forced && !before.is_pending(&po) {
                continue;
            }
            if after.row(&po).is_some() && after.is_pending(&po) {
                return Err(format!(
                    "{po} was pending, and was not processed:\n{}",
                    after.text()
                ));
            }
            let time = after.get(&po, "LAST_PROCESSED").unwrap_or("").to_owned();
            self.model.result(&po, "STATUS", "COMPLETED");
            self.model.result(&po, "LAST_PROCESSED", &time);
            self.model.result(&po, "ERROR_MESSAGE", "");
            self.model.may_be_public();
        }
        self.check_all(&file)?;
        self.observe()
    }

    pub fn init(&mut self, dice: &mut Rng) -> Check {
        if self.live.is_some() {
            return self.program(&["init"], &[4]).map(drop);
        }
        let before = self.table()?;
        self.decided_program(&["init"], &[0, 1], dice)?;
        self.is_interrupted = false;
        self.check_all(&before)?;
        self.observe()
    }

    /// Commands that only read.
    pub fn readers(&mut self, dice: &mut Rng) -> Check {
        let text = self.text()?;
        let po = dice.choice(self.table()?.keys()).unwrap();
        match dice.u32(..4) {
            0 => self.program(&["status"], &[0])?,
            1 => self.program(&["pending"], &[0])?,
            2 => self.program(&["get", &po], &[0, 1])?,
            _ => self.program(&["check"], &[0, 3])?,
        };
        match self.held.is_some() || self.live.is_some() || self.text()? == text {
            true => Ok(()),
            false => Err("a command that only reads changed the sheet".into()),
        }
    }

    /// `tickoff run --output COPY`, which leaves the sheet as it is.
    pub fn output(&mut self) -> Check {
        if self.held.take().is_some() {
            // What waited for it becomes visible some time from here on.
            let before = self.table()?;
            self.flush(&before)?;
        }
        let text = self.text()?;
        let before = self.view()?;
        let copy = format!("copy{}.csv", self.next());
        let arguments = ["run", "-q", "--output", &copy, "--", "true"];
        let ended = self.program(&arguments, &[0, 3])?;
        if ended.code == 3 {
            // It is to be decided about the sheet, and nothing is made before.
            let asked = format!("tickoff recover {} ", self.path().display());
            let may_ask = self.may_be_asked(&ended.stderr);
            let is_made = self.folder.join(&copy).exists();
            return match ended.stderr.contains(&asked) && may_ask && !is_made {
                true => Ok(()),
                false => Err(format!("a run with --output fails: {ended:#?}")),
            };
        }
        if self.text()? != text {
            // Of a session that writes to the input just then, the copy may have either version.
            return match self.live {
                Some(_) => Ok(()),
                None => Err("the input of a run with --output changed".into()),
            };
        }
        let made = fs::read_to_string(self.folder.join(&copy)).unwrap();
        let made = Table::parse(&made).ok_or("the copy is no sheet")?;
        for (po, column, value) in before.cells() {
            let is_left = made.get(&po, &column) == Some(&value);
            let is_state = ["STATUS", "LAST_PROCESSED", "ERROR_MESSAGE"]
                .iter()
                .any(|name| column.eq_ignore_ascii_case(name));
            let may_differ = is_state && before.is_pending(&po);
            if !(is_left || may_differ) {
                return Err(format!("{column} of {po} is not {value:?} in the copy"));
            }
        }
        match made.keys().iter().any(|po| made.is_pending(po)) {
            true => Err("not all of the copy was processed".into()),
            false => Ok(()),
        }
    }
}
