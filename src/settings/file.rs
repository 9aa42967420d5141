//! The file of settings as it stands there: whose it is, and what it says.
//!
//! A program that is still writing it is waited for, so that half of it is never taken for all. A file of
//! somebody else could make a sheet's rows count as done that are not: it is refused.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Key, TableLike};

use super::table::{NAMES, Name, Settings, Wrong};
use crate::csv::grammar;
use crate::disk::target::SETTINGS;
use crate::disk::{Snapshot, Version, take_open};
use crate::error::{Error, Result};
use crate::sheet::Options;
use crate::store::patience::patiently;
use crate::sys::{regular, rights};
use crate::text::{Excerpt, close_to};

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Writable by everybody.
pub(super) const BY_OTHERS: u32 = 0o002;

impl Settings {
    /// What `tickoff.toml` beside a sheet says of it; nothing if there is no such file, or no table in it with the
    /// sheet's name. Of a link to a sheet, it is the file beside the sheet that counts. The sheet may be missing.
    ///
    /// # Errors
    /// [`Error::Settings`] if the file is no TOML or says something that is unknown, of whichever sheet;
    /// [`Error::Unsuitable`] if it belongs to somebody else or is no regular file; [`Error::Busy`] if a program that
    /// writes it does not end; [`Error::Io`].
    pub fn of(sheet: &Path) -> Result<Settings> {
        Place::of(sheet).map_or(Ok(Settings::default()), |place| place.read())
    }

    /// The same of a copy that keeps the results of a sheet, and that may be missing: what is not said of it is said
    /// of `input`.
    ///
    /// # Errors
    /// As [`Settings::of`], for both.
    pub fn of_copy(copy: &Path, input: &Path) -> Result<Settings> {
        let of_input = Place::of(input);
        let of_copy = Place::of(copy).map(|place| Place {
            owner: place
                .owner
                .or(of_input.as_ref().and_then(|input| input.owner)),
            ..place
        });
        let read =
            |place: Option<Place>| place.map_or(Ok(Settings::default()), |place| place.read());
        Ok(read(of_copy)?.or(read(of_input)?))
    }
}

impl Options {
    /// The default options with what is [remembered](Settings::of) of a sheet, which is [refused](Options::refuse_utf8)
    /// if it was saved as UTF-8 since.
    ///
    /// # Errors
    /// As [`Settings::of`].
    pub fn remembered(sheet: impl AsRef<Path>) -> Result<Options> {
        let refuse_utf8 = true;
        Ok(Settings::of(sheet.as_ref())?.put_into(Options {
            refuse_utf8,
            ..Options::default()
        }))
    }
}

/// Where the settings of a sheet are.
pub(super) struct Place {
    /// The file of settings.
    pub(super) path: PathBuf,
    /// The sheet's name, which is its table's.
    pub(super) sheet: String,
    /// The sheet's owner; `None` if there is no sheet.
    owner: Option<u32>,
}

/// A version of the file, and what was open of it.
pub(super) struct Taken {
    pub(super) bytes: Snapshot,
    pub(super) version: Version,
    pub(super) file: File,
}

impl Place {
    /// `None` if there is no such folder, or no sheet can have that name: whoever opens the sheet says so.
    pub(super) fn of(sheet: &Path) -> Option<Place> {
        let canonical = std::fs::canonicalize(sheet).or_else(|_| {
            let folder = sheet
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = std::fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
            let name = sheet.file_name().ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(folder.join(name))
        });
        let canonical = canonical.ok()?;
        Some(Place {
            path: canonical.with_file_name(SETTINGS),
            sheet: canonical.file_name()?.to_str()?.to_owned(),
            owner: canonical.metadata().ok().map(|sheet| sheet.uid()),
        })
    }

    /// What is said of the sheet.
    pub(super) fn read(&self) -> Result<Settings> {
        match patiently(&self.path, || self.take())? {
            None => Ok(Settings::default()),
            Some(taken) => self.parse(&taken.bytes),
        }
    }

    /// The file as it is: `Some(None)` if there is none, `None` while somebody is writing it.
    pub(super) fn take(&self) -> Result<Option<Option<Taken>>> {
        let file = match regular::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(None)),
            // Somebody has a write lease on it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(Error::io("open", &self.path)(error)),
            Ok(None) => {
                return Err(self.unsuitable(
                    "is a link, or no regular file: settings are read from nothing else".into(),
                ));
            }
            Ok(Some(file)) => file,
        };
        self.refuse_stranger(&file)?;
        let taken = self.take_whole(&file)?;
        Ok(taken.map(|(bytes, version)| {
            Some(Taken {
                bytes,
                version,
                file,
            })
        }))
    }

    /// What is in a version of the file; `None` while somebody is writing it.
    pub(super) fn take_whole(&self, file: &File) -> Result<Option<(Snapshot, Version)>> {
        let taken = take_open(file, &self.path, |mut file| {
            let mut bytes = Vec::new();
            file.rewind()
                .and_then(|()| file.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes))
                .map_err(Error::io("read", &self.path))?;
            Ok(Snapshot::Owned(bytes))
        })?;
        match &taken {
            Some((bytes, _)) if bytes.len() as u64 > MAX_BYTES => {
                Err(self.unsuitable(format!("is larger than {MAX_BYTES} bytes")))
            }
            _ => Ok(taken),
        }
    }

    fn refuse_stranger(&self, file: &File) -> Result<()> {
        let metadata = file.metadata().map_err(Error::io("read", &self.path))?;
        let owner = metadata.uid();
        if owner != rights::user() && owner != 0 && Some(owner) != self.owner {
            return Err(self.unsuitable(format!(
                "belongs to another user (uid {owner}), and their settings are not followed: look into it, then remove it or make it yours"
            )));
        }
        if metadata.mode() & BY_OTHERS != 0 {
            return Err(self.unsuitable(
                "can be written by everybody, so anybody may have chosen its settings: look into it, then take that right away with chmod o-w"
                    .into(),
            ));
        }
        Ok(())
    }

    pub(super) fn unsuitable(&self, problem: String) -> Error {
        Error::Unsuitable {
            path: self.path.clone(),
            problem,
        }
    }

    /// What a file with these contents says of the sheet. Of the other sheets' tables it is only known that nothing is
    /// wrong with them.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Settings> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| self.wrong(bytes, error.valid_up_to(), "not UTF-8".into()))?;
        let document = Document::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.wrong(bytes, at, error.message().to_owned())
        })?;
        let mut found = Settings::default();
        for (name, item) in document.iter() {
            let at = place(document.get_key_value(name).map(|(key, _)| key));
            let Some(table) = item.as_table_like() else {
                let problem = format!(
                    "{name} stands in no sheet's table: begin one above it with the sheet's name, [\"orders.csv\"]"
                );
                return Err(self.wrong(bytes, at, problem));
            };
            let settings = self.parse_table(bytes, name, table)?;
            if name == self.sheet {
                found = settings;
            }
        }
        Ok(found)
    }

    fn parse_table(&self, bytes: &[u8], sheet: &str, table: &dyn TableLike) -> Result<Settings> {
        let mut settings = Settings::default();
        for (name, item) in table.iter() {
            let at = place(table.get_key_value(name).map(|(key, _)| key));
            let known = NAMES.iter().find(|known| known.name == name);
            let (Some(known), Some(value)) = (known, item.as_value()) else {
                let problem = match item.as_table_like() {
                    Some(_) => format!(
                        "a sheet's name stands in quotes: [\"{sheet}.{name}\"], if that is its name"
                    ),
                    None => unknown(name),
                };
                return Err(self.wrong(bytes, at, problem));
            };
            (known.read)(&mut settings, value).map_err(
                |Wrong {
                     at: within,
                     problem,
                 }| {
                    let at = within.or(value.span()).map_or(at, |span| span.start);
                    self.wrong(bytes, at, problem.to_owned())
                },
            )?;
        }
        if let Some(found) = settings.contradiction() {
            let at = place(table.get_key_value(found.list).map(|(key, _)| key));
            return Err(self.wrong(bytes, at, found.to_string()));
        }
        Ok(settings)
    }

    fn wrong(&self, bytes: &[u8], at: usize, problem: String) -> Error {
        let (line, column) = grammar::position(bytes, at);
        Error::Settings {
            path: self.path.clone(),
            line,
            column,
            problem,
            excerpt: Excerpt::of(bytes, at),
        }
    }
}

/// Where a name stands.
fn place(key: Option<&Key>) -> usize {
    let span = key.and_then(Key::span);
    span.map_or(0, |span| span.start)
}

fn unknown(name: &str) -> String {
    let known = NAMES.iter().map(|Name { name, .. }| *name);
    let all = known.clone().collect::<Vec<_>>().join(", ");
    let meant = match close_to(name, known).first() {
        Some(close) => format!(": did you mean {close}?"),
        None => String::new(),
    };
    format!("no setting {name}, they are {all}{meant}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ProcessingStatus, Stage};
    use crate::sheet::Duplicates;

    fn parse(text: impl AsRef<[u8]>) -> Result<Settings> {
        let place = Place {
            path: "/d/tickoff.toml".into(),
            sheet: "orders.csv".into(),
            owner: None,
        };
        place.parse(text.as_ref())
    }

    #[track_caller]
    fn check_refused(text: impl AsRef<[u8]>, wanted: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert_eq!(error, format!("/d/tickoff.toml:{wanted}"));
    }

    #[test]
    fn a_sheet_s_table_is_found_however_toml_writes_it() {
        let wanted = Settings {
            key: Some("id".into()),
            ..Settings::default()
        };
        for text in [
            "[\"orders.csv\"]\nkey = \"id\"\n",
            "['a.csv']\nkey='x'\n\n[ 'orders.csv' ]\nkey = 'id' # which\n",
            "\"orders.csv\" = { key = \"id\" }\r\n",
            "\u{feff}\"orders.csv\".key = \"id\"",
        ] {
            assert_eq!(parse(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(parse("").unwrap(), Settings::default());
        assert_eq!(
            parse("['Orders.csv']\nkey='x'").unwrap(),
            Settings::default()
        );
    }

    #[test]
    fn every_setting_is_read() {
        let text = "['orders.csv']\nkey = 'id'\ndelimiter = 'tab'\nencoding = 'latin1'\nduplicates = 'all'\ndone = ['completed', 'NO_ATTACHMENTS', 'Shipped']\nfailed = ['error', 'lost']\ntodo = ['PENDING', ' on hold ']\nstages = ['fetch', 'MAIN']\n";
        let other = |word: &str| ProcessingStatus::Other(word.into());
        assert_eq!(
            parse(text).unwrap(),
            Settings {
                key: Some("id".into()),
                delimiter: Some(b'\t'),
                encoding: Some("windows-1252".parse().unwrap()),
                duplicates: Some(Duplicates::All),
                done: Some(vec![
                    ProcessingStatus::Completed,
                    ProcessingStatus::NoAttachments,
                    other("Shipped")
                ]),
                failed: Some(vec![ProcessingStatus::Error, other("lost")]),
                todo: Some(vec![ProcessingStatus::Pending, other("on hold")]),
                stages: Some(vec!["fetch".parse().unwrap(), Stage::default()]),
            }
        );
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        check_refused("[\"a.csv\"]\nkey = 1\nkey = 2\n", "3:1: duplicate key");
        check_refused("# ä\n[\"a.csv]\n", "2:9: unclosed table, expected `]`");
        check_refused(b"# \xff\n", "1:3: not UTF-8");
    }

    #[test]
    fn what_is_unknown_is_refused_with_its_place() {
        let all = "they are key, delimiter, encoding, duplicates, done, failed, todo, stages";
        check_refused(
            "['a.csv']\n\n  kye = 'id'\n",
            &format!("3:3: no setting kye, {all}"),
        );
        check_refused(
            "['a.csv']\nduplicate = 'all'\n",
            &format!("2:1: no setting duplicate, {all}: did you mean duplicates?"),
        );
        check_refused(
            "key = 'id'\n",
            "1:1: key stands in no sheet's table: begin one above it with the sheet's name, [\"orders.csv\"]",
        );
        check_refused(
            "[orders.csv]\nkey = 'id'\n",
            "1:9: a sheet's name stands in quotes: [\"orders.csv\"], if that is its name",
        );
        check_refused(
            "['a.csv']\n\"\\u001b[2J\" = 1\n",
            &format!("2:1: no setting \\u{{1b}}[2J, {all}"),
        );
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_with_its_place() {
        let check = |line: &str, wanted: &str| {
            check_refused(format!("['a.csv']\n{line}\n"), wanted);
        };
        let wanted =
            "key must be a column's name, or a list of names: \"id\", [\"order\", \"line\"]";
        check("key = 1", &format!("2:7: {wanted}"));
        check("key = ' '", &format!("2:7: {wanted}"));
        check("key = ['a', 1]", &format!("2:7: {wanted}"));
        check("key = []", "2:7: a key needs the name of a column");
        check("key = ['a', ' A']", "2:7: a column can be in the key once");
        let one = "delimiter must be one ASCII character, and no quote or line break; or \"tab\"";
        check("delimiter = ';;'", &format!("2:13: {one}"));
        check("delimiter = '\"'", &format!("2:13: {one}"));
        check(
            "duplicates = true",
            "2:14: duplicates must be \"refuse\" or \"all\"",
        );
        check(
            "done = 'COMPLETED'",
            "2:8: done must be a list of statuses: [\"COMPLETED\", \"NO_ATTACHMENTS\"]",
        );
        check(
            "done = ['COMPLETED',\n  'PENDING']",
            "3:3: an empty cell and PENDING are never done",
        );
        check(
            "failed = ['lost', 'completed']",
            "2:19: PENDING, COMPLETED and NO_ATTACHMENTS are no failures",
        );
        check(
            "todo = [' ']",
            "2:9: an empty cell is always to be processed; name a word",
        );
    }

    #[test]
    fn a_word_that_is_done_and_to_be_done_is_refused_with_its_place() {
        check_refused(
            "['a.csv']\ntodo = ['new', 'ÉTÉ']\ndone = ['été']\n",
            "2:1: ÉTÉ cannot be done and to be done at once",
        );
        check_refused(
            "['a.csv']\ntodo = ['completed']\n",
            "2:1: COMPLETED cannot be done and to be done at once",
        );
        check_refused(
            "['a.csv']\nfailed = ['lost']\ndone = ['Lost']\n",
            "2:1: lost cannot be done and a failure at once",
        );
    }
}
