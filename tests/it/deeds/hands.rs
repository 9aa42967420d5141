//! What people and their programs do to a sheet.

use std::fs;

use fastrand::Rng;

use super::model::{Cell, Want, cell};
use super::table::{KEY, Table, is_same};
use super::world::{Check, World};
use crate::fixture::rested;

/// A change that somebody makes to the version that is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    Note,
    ResultChanged,
    StatusPutBack,
    RowPutBack,
    DoneByHand,
    RowAdded,
    RowRemoved,
    KeyChanged,
    ColumnAdded,
    ColumnRemoved,
    ColumnRenamed,
    Sorted,
    OtherDelimiter,
    NumbersReformatted,
    TimesReformatted,
    MessagesCleared,
}

use Change::*;

/// The first of them more often.
const CHANGES: [Change; 24] = [
    Note,
    Note,
    Note,
    Note,
    ResultChanged,
    ResultChanged,
    StatusPutBack,
    StatusPutBack,
    StatusPutBack,
    RowPutBack,
    DoneByHand,
    DoneByHand,
    Sorted,
    Sorted,
    RowAdded,
    RowRemoved,
    KeyChanged,
    ColumnAdded,
    ColumnRemoved,
    ColumnRenamed,
    OtherDelimiter,
    NumbersReformatted,
    TimesReformatted,
    MessagesCleared,
];

impl Change {
    fn name(self) -> &'static str {
        match self {
            Note => "save: another cell",
            ResultChanged => "save: a result changed",
            StatusPutBack => "save: a status put back",
            RowPutBack => "save: a row put back",
            DoneByHand => "save: done by hand",
            RowAdded => "save: a row added",
            RowRemoved => "save: a row removed",
            KeyChanged => "save: a key changed",
            ColumnAdded => "save: a column added",
            ColumnRemoved => "save: a column removed",
            ColumnRenamed => "save: a column renamed",
            Sorted => "save: sorted",
            OtherDelimiter => "save: another delimiter",
            NumbersReformatted => "save: numbers reformatted",
            TimesReformatted => "save: times reformatted",
            MessagesCleared => "save: messages cleared",
        }
    }

    /// Makes it; `None` if there is nothing to change so. `base` is the sheet before all results.
    fn make(self, sheet: &mut Table, base: &Table, serial: u32, dice: &mut Rng) -> Option<String> {
        let keys = sheet.keys();
        let po = dice.choice(&keys)?.clone();
        let done: Vec<&String> = keys.iter().filter(|po| !sheet.is_pending(po)).collect();
        let open: Vec<&String> = keys.iter().filter(|po| sheet.is_pending(po)).collect();
        let named = |wanted: &[&str]| -> Vec<String> {
            let names = sheet.header.iter().map(|name| name.trim().to_owned());
            names
                .filter(|name| wanted.iter().any(|it| name.eq_ignore_ascii_case(it)))
                .collect()
        };
        let others: Vec<String> = sheet
            .header
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| name.to_ascii_lowercase().starts_with("note"))
            .collect();
        match self {
            Note => {
                let column = dice.choice(&others)?.clone();
                sheet.set(&po, &column, &format!("mine{serial}"));
                Some(format!("{column} of {po}"))
            }
            ResultChanged => {
                let columns = named(&["ERROR_MESSAGE", "ATTACHMENTS_FOUND", "AttachmentName"]);
                let column = dice.choice(columns)?;
                sheet.set(&po, &column, &format!("by hand {serial}"));
                Some(format!("{column} of {po}"))
            }
            StatusPutBack => {
                let po = (*dice.choice(&done)?).clone();
                let to = *dice.choice(&["", "PENDING"])?;
                sheet.set(&po, "STATUS", to);
                Some(format!("{po} to {to:?}"))
            }
            RowPutBack => {
                let po = (*dice.choice(&done)?).clone();
                for name in named(&RESULTS) {
                    sheet.set(&po, &name, base.get(&po, &name).unwrap_or(""));
                }
                Some(po)
            }
            DoneByHand => {
                let po = (*dice.choice(&open)?).clone();
                sheet.column("STATUS")?;
                sheet.set(&po, "STATUS", "COMPLETED");
                Some(po)
            }
            RowAdded => {
                let mut row = vec![String::new(); sheet.header.len()];
                row[sheet.key_column()] = format!("N{serial}");
                sheet.rows.insert(dice.usize(..=sheet.rows.len()), row);
                Some(format!("N{serial}"))
            }
            RowRemoved if keys.len() > 3 => {
                sheet.rows.remove(sheet.row(&po)?);
                Some(po)
            }
            KeyChanged => {
                let (row, key) = (sheet.row(&po)?, sheet.key_column());
                sheet.rows[row][key] = format!("K{serial}");
                Some(format!("{po} to K{serial}"))
            }
            ColumnAdded => {
                let at = dice.usize(..=sheet.header.len());
                sheet.header.insert(at, format!("note{serial}"));
                let rows = sheet.rows.iter_mut();
                rows.for_each(|row| row.insert(at.min(row.len()), format!("c{serial}")));
                Some(format!("note{serial}"))
            }
            ColumnRemoved => {
                let of_results = named(&["ATTACHMENTS_FOUND", "AttachmentName"]);
                let name = dice.choice([others, of_results].concat())?;
                let at = sheet.column(&name)?;
                let name = sheet.header.remove(at);
                let rows = sheet.rows.iter_mut().filter(|row| at < row.len());
                rows.for_each(|row| drop(row.remove(at)));
                Some(name)
            }
            ColumnRenamed => {
                let of_results = named(&["ATTACHMENTS_FOUND", "AttachmentName"]);
                let name = dice.choice([others, of_results].concat())?;
                let at = sheet.column(&name)?;
                sheet.header[at] = format!("note{serial}");
                Some(format!("{name} to note{serial}"))
            }
            Sorted => {
                let column = dice.usize(..sheet.header.len());
                let value = |row: &Vec<String>| row.get(column).cloned();
                sheet.rows.sort_by_key(value);
                dice.bool().then(|| sheet.rows.reverse());
                Some(format!("by {}", sheet.header[column]))
            }
            OtherDelimiter => {
                let others = [';', ',', '\t'].into_iter();
                let others: Vec<char> = others.filter(|it| *it != sheet.delimiter).collect();
                sheet.delimiter = *dice.choice(&others)?;
                Some(format!("{:?}", sheet.delimiter))
            }
            NumbersReformatted => {
                let at = sheet.column("ATTACHMENTS_FOUND")?;
                for value in sheet.rows.iter_mut().filter_map(|row| row.get_mut(at)) {
                    if value.parse::<u32>().is_ok() {
                        value.push_str(".0");
                    }
                }
                Some(String::new())
            }
            TimesReformatted => {
                let at = sheet.column("LAST_PROCESSED")?;
                for value in sheet.rows.iter_mut().filter_map(|row| row.get_mut(at)) {
                    *value = value.replace('T', " ").trim_end_matches('Z').to_owned();
                }
                Some(String::new())
            }
            MessagesCleared => {
                let at = sheet.column("ERROR_MESSAGE")?;
                let values = sheet.rows.iter_mut().filter_map(|row| row.get_mut(at));
                values.for_each(String::clear);
                Some(String::new())
            }
            RowRemoved => None,
        }
    }
}

const RESULTS: [&str; 5] = [
    "STATUS",
    "LAST_PROCESSED",
    "ERROR_MESSAGE",
    "ATTACHMENTS_FOUND",
    "AttachmentName",
];

impl World {
    /// A version that somebody has open: the latest, or any that was public.
    fn open_version(&self, is_stale: bool, dice: &mut Rng) -> usize {
        let latest = self.model.latest_number();
        let mut older: Vec<usize> = (self.model.sheet_since..latest).collect();
        older.retain(|&at| !self.model.versions[at].is_possible);
        match dice.choice(&older) {
            Some(&older) if is_stale => older,
            _ => latest,
        }
    }

    /// Somebody saves what is open, with changes.
    pub fn save(&mut self, is_stale: bool, dice: &mut Rng) -> Check {
        let open = self.open_version(is_stale, dice);
        let mut saved = self.model.versions[open].table.clone();
        let base = self.model.versions[self.model.cut.min(open)].table.clone();
        let mut told = Vec::new();
        for _ in 0..dice.usize(1..=2) {
            let change = dice.choice(CHANGES).unwrap();
            let change = match is_stale && dice.bool() {
                true => Note,
                false => change,
            };
            let is_slow = self.live.is_some() && change == RowRemoved && dice.u32(..20) > 0;
            if is_slow {
                // A sheet that lost rows is looked at for two seconds.
                continue;
            }
            let serial = self.next();
            if let Some(what) = change.make(&mut saved, &base, serial, dice) {
                self.count(change.name());
                told.push(format!("{change:?} {what}"));
            }
        }
        self.tell(format!(
            "  opened version {open} of {}, saved with {told:?}",
            self.model.versions.len()
        ));
        let other = self.model.versions[self.model.sheet_since..]
            .iter()
            .any(|version| !is_kin(&version.table, &saved));
        if other {
            self.tell("  which would be another sheet");
            return Ok(());
        }
        self.put(open, saved, dice.u32(..8) == 0)
    }

    /// Somebody who had this version open saves the sheet as this.
    fn put(&mut self, open: usize, saved: Table, in_place: bool) -> Check {
        let text = saved.text();
        if text == self.text()? {
            return Ok(());
        }
        let now = self.view()?;
        let journals = self.journals();
        let is_begun = journals.contains(&self.folder.join(format!(".{}.journal", self.name)));
        let lacks_time = now.keys().iter().any(|po| {
            let time = |table: &Table| table.get(po, "LAST_PROCESSED").unwrap_or("").to_owned();
            !time(&now).is_empty() && saved.row(po).is_some() && time(&saved).is_empty()
        });
        let is_older = open < self.model.latest_number() || lacks_time;
        self.has_left_journal |= !is_begun && !journals.is_empty() && is_older;
        self.model.saved(open, &saved, &now);
        match in_place {
            true => {
                self.held = None;
                fs::write(self.path(), &text).unwrap();
                rested(&self.path());
            }
            false => self.place(&text),
        }
        self.check_results()
    }

    /// An older version takes the sheet's place, byte for byte.
    pub fn roll_back(&mut self, dice: &mut Rng) -> Check {
        let open = self.open_version(true, dice);
        self.tell(format!(
            "  to version {open} of {}",
            self.model.versions.len()
        ));
        let saved = self.model.versions[open].table.clone();
        self.put(open, saved, false)
    }

    /// The sheet is deleted, and comes back; while it is gone a session has a result, or a command fails.
    pub fn delete_and_restore(&mut self, dice: &mut Rng) -> Check {
        let text = self.text()?;
        let before = self.table()?;
        self.held = None;
        fs::remove_file(self.path()).unwrap();
        if self.live.is_some() {
            self.results(1, false, dice)?;
            if dice.u32(..20) == 0 {
                self.tell("  it does not come back");
                // What nobody had taken in yet went with it.
                self.model
                    .wants
                    .retain(|_, want| !matches!(want, Want::Edit { .. }));
                self.model.aside.clear();
                let versions = &self.model.versions[self.model.sheet_since..];
                let saved = versions.iter().filter(|version| !version.is_taken_in);
                let cells = saved.flat_map(|version| version.table.cells());
                self.model.gone = cells
                    .map(|(po, column, value)| (cell(&po, &column), value))
                    .collect();
                let now = self.view_of_session();
                self.flush(&now.unwrap_or(before))?;
                self.model.gone.clear();
                return Ok(());
            }
        } else {
            let ended = self.program(&["status"], &[3])?;
            let waits = ended.stderr.contains(" holds results for ");
            self.tell(format!("  status says {:?}", ended.stderr.trim()));
            let is_shown = |(at, want): (&Cell, &Want)| match want {
                Want::Result { value, .. } => before
                    .get(&at.0, &at.1)
                    .is_some_and(|shown| is_same(&at.1, shown, value)),
                _ => true,
            };
            let is_all_shown = self.model.wants.iter().all(is_shown);
            // Of what was only announced at a kill nobody knows.
            let is_known = !self.is_interrupted && self.model.may_ask.is_empty();
            if is_all_shown && waits && is_known {
                return Err("results are missed though the sheet showed all of them".into());
            }
        }
        self.place(&text);
        self.check_results()
    }

    /// A sheet with other keys takes the name.
    pub fn other_sheet(&mut self, dice: &mut Rng) -> Check {
        let old = self.table()?;
        let mut other = old.clone();
        let serial = self.next();
        other.delimiter = *dice.choice(&[';', ',']).unwrap();
        other.rows.truncate(dice.usize(2..9));
        let (key, columns) = (other.key_column(), other.header.len());
        for (number, row) in other.rows.iter_mut().enumerate() {
            *row = vec![String::new(); columns];
            row[key] = format!("X{serial}-{number}");
        }
        if self.live.is_some() {
            let text = self.text()?;
            self.place(&other.text());
            self.results(2, false, dice)?;
            std::thread::sleep(std::time::Duration::from_millis(20));
            if dice.bool() {
                self.tell("  killed meanwhile");
                self.kill();
            }
            if self.text()? != other.text() {
                return Err("another sheet under the name was changed".into());
            }
            self.place(&text);
            return self.check_results();
        }
        let versions = self.model.versions.len();
        let waits = self.has_waiting();
        self.model.saved(self.model.latest_number(), &other, &old);
        if self.is_interrupted || waits {
            self.model.may_ask.push("another sheet has the name");
        }
        if !waits {
            // Who put it there had seen the old one, which nothing is left to be done for.
            let may_ask = std::mem::take(&mut self.model.may_ask);
            self.model.forget(false);
            self.model.wants.clear();
            self.model.may_ask = may_ask;
        }
        (self.model.cut, self.model.sheet_since) = (versions, versions);
        self.model
            .wants
            .retain(|_, want| !matches!(want, Want::Edit { .. }));
        self.place(&other.text());
        self.check_results()
    }

    /// The sheet gets another name in its folder.
    pub fn rename(&mut self, dice: &mut Rng) -> Check {
        self.end()?;
        // Of what was public it is thought that it went along. Who takes an older version back and renames it
        // before tickoff has seen that is asked if the version shows a time of a result.
        let waits = self.has_waiting();
        let old = self.path();
        let table = self.table()?;
        let is_older = self.model.wants.iter().any(|(at, want)| match want {
            Want::Result { value, .. } | Want::Either { result: value, .. } => {
                let shown = table.get(&at.0, &at.1).unwrap_or("");
                table.row(&at.0).is_some() && !is_same(&at.1, shown, value)
            }
            Want::Edit { .. } => false,
        });
        self.name = format!("orders{}.csv", self.next());
        fs::rename(old, self.path()).unwrap();
        self.tell(format!("  to {}, results wait: {waits}", self.name));
        self.is_renamed_since |= !waits && (self.is_interrupted || is_older);
        match waits || self.is_renamed_since {
            true => self.model.may_ask.push("it was renamed"),
            // An older version may yet take its place, of which nothing tells under the new name.
            false if self.model.shows_a_time() => self.has_new_name = true,
            false => self.model.begin_journal(),
        }
        let _ = dice;
        Ok(())
    }

    /// The journal goes.
    pub fn remove_journal(&mut self, dice: &mut Rng) -> Check {
        let journal = self.folder.join(format!(".{}.journal", self.name));
        if fs::remove_file(journal).is_err() {
            return Ok(());
        }
        if self.live.is_none() {
            let has_other = !self.journals().is_empty();
            self.model.forget(has_other);
            self.is_interrupted = false;
            self.has_left_journal |= has_other;
            return Ok(());
        }
        // It is noticed with the next result.
        self.results(1, true, dice)?;
        if self.live.is_some() && self.held.is_none() {
            self.model.cut = self.model.versions.len() - 1;
        }
        Ok(())
    }

    pub fn remove_locks(&mut self, dice: &mut Rng) -> Check {
        for lock in ["lock", "session"] {
            if dice.u32(..3) > 0 {
                let path = self.folder.join(format!(".{}.{lock}", self.name));
                fs::remove_file(path).ok();
            }
        }
        if self.live.is_some() {
            let session = self.folder.join(format!(".{}.session", self.name));
            crate::command_line::wait_until("the session is back", || session.exists());
        }
        Ok(())
    }

    /// A backup goes, but none of the copies that are kept for what has no place.
    pub fn remove_backup(&mut self, dice: &mut Rng) -> Check {
        let names = fs::read_dir(self.folder.join("backup"))
            .into_iter()
            .flatten();
        let mut paths: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().matches('.').count() == 1);
        paths.sort();
        if let Some(path) = dice.choice(&paths) {
            fs::remove_file(path).unwrap();
        }
        Ok(())
    }
}

/// Whether nine in ten keys of one of two versions are in the other: otherwise they are two sheets.
fn is_kin(one: &Table, other: &Table) -> bool {
    let (one, other) = (one.keys(), other.keys());
    let shared = one.iter().filter(|key| other.contains(key)).count();
    shared * 10 >= one.len().min(other.len()) * 9
}

/// A sheet that a history begins with.
pub fn first_sheet(dice: &mut Rng) -> Table {
    let header: &[&str] = match dice.u32(..4) {
        0 => &[KEY, "note"],
        1 => &[
            "note",
            "STATUS",
            KEY,
            "ATTACHMENTS_FOUND",
            "LAST_PROCESSED",
            "ERROR_MESSAGE",
        ],
        _ => &[
            KEY,
            "STATUS",
            "LAST_PROCESSED",
            "ERROR_MESSAGE",
            "ATTACHMENTS_FOUND",
            "note",
        ],
    };
    let mut table = Table {
        delimiter: *dice.choice(&[';', ';', ',', '\t']).unwrap(),
        header: header.iter().map(|&name| name.to_owned()).collect(),
        rows: Vec::new(),
    };
    for number in 0..dice.usize(4..20) {
        let po = format!("PO{number}");
        let mut row = vec![String::new(); header.len()];
        row[table.key_column()].clone_from(&po);
        table.rows.push(row);
        table.set(&po, "note", &format!("n{number}"));
        if dice.u32(..6) == 0 {
            table.set(&po, "STATUS", "ERROR");
            table.set(
                &po,
                "LAST_PROCESSED",
                &format!("2025-01-01T00:00:{number:02}Z"),
            );
            table.set(&po, "ERROR_MESSAGE", "timeout");
        }
    }
    table
}
