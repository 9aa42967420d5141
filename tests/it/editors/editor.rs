//! Another program that edits the sheet: it changes one cell to a value that nobody else writes, in
//! each of the ways in which programs save a file.
//!
//! It does not corrupt the sheet by itself. Who edits in place opens the file for writing first and
//! reads it through the same descriptor, so that what it writes fits what it writes to. It may well
//! save a version that it read before tickoff replaced it; tickoff then has to put its results back.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::fixture::TempSheet;

/// How an edit is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A new file takes the sheet's name.
    Replaced,
    /// The same, and it has another name besides.
    Linked,
    /// A new file and the sheet exchange their names.
    Exchanged,
    /// The cell's bytes are written over.
    Overwritten,
    /// The file is emptied and written anew, in pieces.
    Rewritten,
    /// A row is added at its end.
    Appended,
    /// The file is cut off somewhere, and restored by opening it again.
    CutOff,
    /// The file is deleted, and another one made.
    Recreated,
    /// A new file, in which columns are in another order, the delimiter is another or rows were
    /// added and taken away.
    Reshaped,
}

impl Edit {
    /// Whether readers never see a half-written file.
    fn is_atomic(self) -> bool {
        matches!(
            self,
            Edit::Replaced | Edit::Linked | Edit::Exchanged | Edit::Reshaped
        )
    }
}

impl Edit {
    /// With which the notes begin that it writes, so that a lost one tells how it was saved.
    fn letter(self) -> char {
        match self {
            Edit::Replaced => 'r',
            Edit::Linked => 'l',
            Edit::Exchanged => 'x',
            Edit::Overwritten => 'o',
            Edit::Rewritten => 'w',
            Edit::Appended => 'a',
            Edit::CutOff => 'c',
            Edit::Recreated => 'd',
            Edit::Reshaped => 's',
        }
    }
}

/// Whether a note was written by an edit that puts a new file where the sheet was.
pub fn is_by_a_new_file(note: &str) -> bool {
    note.starts_with(['r', 'l', 'x', 'd', 's'])
}

pub const KEY: &str = "PO_NUMBER";
pub const NOTE: &str = "note";
/// What the note of a row is before anybody has changed it.
pub const UNTOUCHED: &str = "t000000000";

/// A sheet without quotes, taken apart.
pub struct Table {
    delimiter: char,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Takes a complete sheet apart; an error says why it is none.
    pub fn parse(text: &str) -> Result<Table, String> {
        let lines = text.strip_suffix('\n').ok_or("no line break at its end")?;
        let mut lines = lines.split('\n');
        let header = lines.next().unwrap_or_default();
        let delimiter = [';', ',', '\t']
            .into_iter()
            .find(|&delimiter| header.split(delimiter).any(|name| name == KEY))
            .ok_or_else(|| format!("the header {header:?}"))?;
        let split = |line: &str| line.split(delimiter).map(str::to_owned).collect::<Vec<_>>();
        let header = split(header);
        let rows: Vec<Vec<String>> = lines.map(split).collect();
        match rows.iter().find(|row| row.len() != header.len()) {
            Some(row) => Err(format!("the row {row:?}")),
            None => Ok(Table {
                delimiter,
                header,
                rows,
            }),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for row in std::iter::once(&self.header).chain(&self.rows) {
            text += &row.join(&self.delimiter.to_string());
            text.push('\n');
        }
        text
    }

    pub fn column(&self, name: &str) -> usize {
        self.header
            .iter()
            .position(|column| column == name)
            .unwrap()
    }

    /// PO → cell.
    pub fn cells(&self, column: &str) -> BTreeMap<&str, &str> {
        let (key, column) = (self.column(KEY), self.column(column));
        self.rows
            .iter()
            .map(|row| (row[key].as_str(), row[column].as_str()))
            .collect()
    }

    fn new_row(&self, po: &str, note: &str) -> Vec<String> {
        let mut row = vec![String::new(); self.header.len()];
        row[self.column(KEY)] = po.to_owned();
        row[self.column(NOTE)] = note.to_owned();
        row
    }
}

pub struct Editor<'a> {
    sheet: &'a TempSheet,
    random: fastrand::Rng,
    /// Odd while the sheet may be half written by this editor.
    half_written: &'a AtomicU64,
    made: u64,
    /// PO → the last value of its note. Values and rows that this editor took away again are not
    /// among them.
    pub notes: BTreeMap<String, String>,
}

impl<'a> Editor<'a> {
    pub fn new(
        sheet: &'a TempSheet,
        random: fastrand::Rng,
        half_written: &'a AtomicU64,
    ) -> Editor<'a> {
        Editor {
            sheet,
            random,
            half_written,
            made: 0,
            notes: BTreeMap::new(),
        }
    }

    /// Makes one edit; it is saved, and the files are closed, when this returns.
    pub fn make(&mut self, edit: Edit) {
        self.made += 1;
        let token = format!("{}{:09}", edit.letter(), self.made);
        if !edit.is_atomic() {
            self.half_written.fetch_add(1, Ordering::SeqCst);
        }
        match edit {
            Edit::Replaced | Edit::Linked | Edit::Exchanged => self.replace(edit, &token),
            Edit::Overwritten => self.overwrite(&token),
            Edit::Rewritten => self.rewrite(&token),
            Edit::Appended => self.append(&token),
            Edit::CutOff => self.cut_off(&token),
            Edit::Recreated => self.recreate(&token),
            Edit::Reshaped => self.reshape(&token),
        }
        if !edit.is_atomic() {
            self.half_written.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits: often not at all, sometimes as long as a person would at least.
    pub fn rest(&mut self) {
        match self.random.u8(..64) {
            0 => std::thread::sleep(Duration::from_millis(self.random.u64(200..500))),
            1..16 => std::thread::sleep(Duration::from_micros(self.random.u64(..5_000))),
            _ => {}
        }
    }

    fn read(&self) -> Table {
        let text = fs::read_to_string(self.sheet.path()).unwrap();
        Table::parse(&text).unwrap_or_else(|problem| panic!("{problem} in {text}"))
    }

    /// Any row, and every other time one of the first, so that cells are changed again soon.
    fn some_row(&mut self, table: &Table) -> usize {
        let rows = match self.random.bool() {
            true => table.rows.len(),
            false => 2,
        };
        self.random.usize(..rows)
    }

    /// Changes the note of some row.
    fn change(&mut self, table: &mut Table, token: &str) {
        let row = self.some_row(table);
        let (key, note) = (table.column(KEY), table.column(NOTE));
        token.clone_into(&mut table.rows[row][note]);
        self.notes
            .insert(table.rows[row][key].clone(), token.to_owned());
    }

    fn think(&mut self) {
        if self.random.u8(..4) == 0 {
            std::thread::sleep(Duration::from_micros(self.random.u64(..2_000)));
        }
    }

    fn replace(&mut self, edit: Edit, token: &str) {
        let mut table = self.read();
        self.change(&mut table, token);
        self.think();
        self.save(&table, edit);
    }

    fn save(&self, table: &Table, edit: Edit) {
        let (sheet, saved) = (self.sheet.path(), self.sheet.folder().join("saved"));
        fs::write(&saved, table.text()).unwrap();
        match edit {
            Edit::Exchanged => {
                renameat_with(CWD, &saved, CWD, sheet, RenameFlags::EXCHANGE).unwrap();
                fs::remove_file(saved).unwrap();
            }
            Edit::Linked => {
                let second = self.sheet.folder().join("second-name");
                fs::hard_link(&saved, &second).unwrap();
                fs::rename(saved, sheet).unwrap();
                fs::remove_file(second).unwrap();
            }
            _ => fs::rename(saved, sheet).unwrap(),
        }
    }

    fn open(&self) -> (File, Table) {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.sheet.path())
            .unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let table = Table::parse(&text).unwrap_or_else(|problem| panic!("{problem} in {text}"));
        (file, table)
    }

    fn overwrite(&mut self, token: &str) {
        let (mut file, table) = self.open();
        let row = self.some_row(&table);
        let (key, note) = (table.column(KEY), table.column(NOTE));
        let length = |cells: &[String]| cells.iter().map(|cell| cell.len() + 1).sum::<usize>();
        let before: usize = std::iter::once(&table.header)
            .chain(&table.rows[..row])
            .map(|row| length(row))
            .sum();
        let at = before + length(&table.rows[row][..note]);
        assert_eq!(table.rows[row][note].len(), token.len());
        self.think();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(token.as_bytes()).unwrap();
        self.notes
            .insert(table.rows[row][key].clone(), token.to_owned());
    }

    fn rewrite(&mut self, token: &str) {
        let (mut file, mut table) = self.open();
        self.change(&mut table, token);
        let text = table.text();
        file.rewind().unwrap();
        file.set_len(0).unwrap();
        for piece in text.as_bytes().chunks(text.len() / 3 + 1) {
            self.think();
            file.write_all(piece).unwrap();
        }
    }

    fn append(&mut self, token: &str) {
        let (mut file, mut table) = self.open();
        let po = format!("NEW{}", self.made);
        let row = table.new_row(&po, token);
        self.notes.insert(po, token.to_owned());
        table.rows = vec![row];
        let text = table.text();
        let row = text.split_inclusive('\n').nth(1).unwrap();
        file.write_all(row.as_bytes()).unwrap();
    }

    fn cut_off(&mut self, token: &str) {
        let mut table = self.read();
        self.change(&mut table, token);
        let text = table.text();
        let length = match self.random.u8(..3) {
            0 => 0,
            _ => self.random.usize(..text.len()),
        };
        let file = OpenOptions::new()
            .write(true)
            .open(self.sheet.path())
            .unwrap();
        let length = (length as u64).min(file.metadata().unwrap().len());
        file.set_len(length).unwrap();
        drop(file);
        self.think();
        fs::write(self.sheet.path(), text).unwrap();
    }

    fn recreate(&mut self, token: &str) {
        let mut table = self.read();
        self.change(&mut table, token);
        fs::remove_file(self.sheet.path()).unwrap();
        self.think();
        fs::write(self.sheet.path(), table.text()).unwrap();
    }

    fn reshape(&mut self, token: &str) {
        let mut table = self.read();
        self.change(&mut table, token);
        match self.random.u8(..4) {
            0 => {
                let (a, b) = (
                    self.random.usize(..table.header.len()),
                    self.random.usize(..table.header.len()),
                );
                for row in std::iter::once(&mut table.header).chain(&mut table.rows) {
                    row.swap(a, b);
                }
            }
            1 => table.delimiter = self.random.choice([';', ',', '\t']).unwrap(),
            2 => self.random.shuffle(&mut table.rows),
            _ => {
                // One row that this editor added may go, and another one comes.
                let key = table.column(KEY);
                let po = format!("NEW{}", self.made);
                let row = table.new_row(&po, token);
                if let Some(old) = table
                    .rows
                    .iter()
                    .position(|row| row[key].starts_with("NEW"))
                {
                    self.notes.remove(&table.rows[old][key]);
                    table.rows.remove(old);
                }
                self.notes.insert(po, token.to_owned());
                table.rows.push(row);
            }
        }
        self.save(&table, Edit::Reshaped);
    }
}
