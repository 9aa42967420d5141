//! Settings are written so that nothing else in their file changes.
//!
//! The new version is written beside the old one, verified, and takes its place in one step, under a lock, as a sheet's
//! does. An edit that is saved in the same moment is in the file that was displaced: then the settings are
//! written into that edit.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::comments::Comments;
use super::file::{BY_OTHERS, Place, Taken};
use super::table::{NAMES, Settings, line};
use crate::disk::replace::leftovers;
use crate::disk::{
    Displaced, Publication, Replacement, Rights, Staged, Target, Version, WriteLock,
};
use crate::error::{Error, Result};
use crate::store::patience::patiently;
use crate::sys::rights;
use crate::text::{BOM, Escaped};

/// A file that we make is not writable by everybody, even if its sheet is.
const MODE: u32 = 0o664;

impl Settings {
    /// Writes these settings into `tickoff.toml` beside a sheet; those that are left open stay there as they are, and
    /// so do comments and what is said of other sheets. Returns what was written, a line each. The file is not touched
    /// if it says all of it already.
    ///
    /// # Errors
    /// As [`Settings::of`]; [`Error::LockTimeout`] if other processes do not let go of the file; [`Error::Io`] if it
    /// cannot be written. The file is as it was, then.
    pub fn remember(&self, sheet: &Path) -> Result<Vec<String>> {
        self.written(sheet, Kept::IsReplaced)
    }

    /// The same, but what is said there of the sheet already stays, whatever these say.
    ///
    /// # Errors
    /// As [`Settings::remember`].
    pub fn remember_unsaid(&self, sheet: &Path) -> Result<Vec<String>> {
        self.written(sheet, Kept::Stays)
    }

    /// What these say and those leave open, as the lines that `tickoff.toml` has of it.
    pub fn lines_beyond(&self, others: &Settings) -> Vec<String> {
        lines(&self.new_beside(others, Kept::Stays))
    }

    fn written(&self, sheet: &Path, kept: Kept) -> Result<Vec<String>> {
        let not_a_file = || Error::NotAFile {
            path: sheet.to_owned(),
        };
        let place = Place::of(sheet).ok_or_else(not_a_file)?;
        if self.new_beside(&place.read()?, kept).is_empty() {
            return Ok(Vec::new());
        }
        let like = Rights::of_place(sheet)?;
        // The lock is there for all who may have the sheet, whoever has the file of settings.
        let target = Target::open_or_missing(&place.path, None)?.with_rights(like);
        let target = Arc::new(target);
        if target.path() != place.path {
            return Err(place.unsuitable("was replaced by a link: remove it".into()));
        }
        let _held = WriteLock::open(&target)?.acquire()?;
        if !leftovers(&target)?.is_empty() {
            tracing::warn!(
                "a hidden file beside {} has an edit of it that was saved as a tickoff was killed",
                Escaped::path(&place.path)
            );
        }
        let mut edit = None;
        patiently(&place.path, || match edit.is_some() {
            false => self.write_into(&place, &target, kept, &mut edit),
            true => self.write_into_edit(&place, &target, kept, &mut edit),
        })
    }

    /// What these say that those do not.
    fn new_beside(&self, there: &Settings, kept: Kept) -> Vec<(&'static str, Value)> {
        let new = NAMES.iter().filter_map(|name| {
            let value = (name.write)(self)?;
            let is_new = match ((name.write)(there), kept) {
                (None, _) => true,
                (Some(_), Kept::Stays) => false,
                (Some(old), Kept::IsReplaced) => old.to_string() != value.to_string(),
            };
            is_new.then_some((name.name, value))
        });
        new.collect()
    }

    fn write_into(
        &self,
        place: &Place,
        target: &Target,
        kept: Kept,
        edit: &mut Option<Edit>,
    ) -> Result<Option<Vec<String>>> {
        let Some(taken) = place.take()? else {
            return Ok(None);
        };
        let Some(Taken {
            bytes,
            mut version,
            file,
        }) = taken
        else {
            let new = self.new_beside(&Settings::default(), kept);
            let created = create(target, &changed(b"", &place.sheet, &new))?;
            return Ok(created.then(|| lines(&new)));
        };
        let new = self.new_beside(&place.parse(&bytes)?, kept);
        if new.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let text = changed(&bytes, &place.sheet, &new);
        match write(target, &file, &text)?.publish(&mut version)? {
            Publication::Done(..) => Ok(Some(lines(&new))),
            Publication::Busy | Publication::Edited => Ok(None),
            Publication::Displaced(version, displaced) => {
                *edit = Some(Edit { version, displaced });
                Ok(None)
            }
        }
    }

    /// The same, for an edit that ours displaced.
    fn write_into_edit(
        &self,
        place: &Place,
        target: &Target,
        kept: Kept,
        edit: &mut Option<Edit>,
    ) -> Result<Option<Vec<String>>> {
        let Some(Edit {
            mut version,
            displaced,
        }) = edit.take()
        else {
            return Ok(None);
        };
        let Some((bytes, _)) = place.take_whole(&displaced.file)? else {
            *edit = Some(Edit { version, displaced });
            return Ok(None);
        };
        // One that is no TOML is put back as it is.
        let new = place
            .parse(&bytes)
            .map(|there| self.new_beside(&there, kept));
        let text = match &new {
            Ok(new) => changed(&bytes, &place.sheet, new),
            Err(_) => bytes.to_vec(),
        };
        match write(target, &displaced.file, &text)?.publish(&mut version)? {
            Publication::Done(..) => {
                displaced.remove(target)?;
                new.map(|new| Some(lines(&new)))
            }
            Publication::Busy => {
                *edit = Some(Edit { version, displaced });
                Ok(None)
            }
            // Whoever saved once more, over our version, has the last word.
            Publication::Edited => displaced.remove(target).map(|()| None),
            Publication::Displaced(version, newer) => {
                displaced.remove(target)?;
                *edit = Some(Edit {
                    version,
                    displaced: newer,
                });
                Ok(None)
            }
        }
    }
}

/// What becomes of what is said already.
#[derive(Clone, Copy)]
enum Kept {
    IsReplaced,
    Stays,
}

/// Somebody's edit, in whose place our version is now.
struct Edit {
    version: Version,
    displaced: Displaced,
}

fn write<'t>(target: &'t Target, old: &File, text: &[u8]) -> Result<Replacement<'t>> {
    Replacement::write(
        target,
        old,
        text.len() as u64,
        |out| out.write_all(text),
        |written| match written == text {
            true => Ok(()),
            false => Err("it reads back otherwise than it was written".into()),
        },
    )
}

/// Makes the file with its sheet's rights; `false` if somebody else was quicker.
fn create(target: &Target, text: &[u8]) -> Result<bool> {
    let failed = || Error::io("create", target.path());
    let staged = Staged::begin(target.folder(), &target.sibling_name(""), 0o600);
    let mut staged = staged.map_err(failed())?;
    let mut file = staged.file();
    let written = file
        .write_all(text)
        .and_then(|()| target.share(file))
        .and_then(|()| rights::set_mode(file, file.metadata()?.mode() & MODE))
        .and_then(|()| file.sync_all());
    written.map_err(failed())?;
    if file.metadata().map_err(failed())?.mode() & BY_OTHERS != 0 {
        return Err(Error::Unsuitable {
            path: target.path().to_owned(),
            problem: "is not made, since everybody may write every file on this filesystem, and such settings are not followed: give the options with each command".into(),
        });
    }
    let published = staged.publish(target.name()).map_err(failed())?;
    target.sync_folder()?;
    Ok(published)
}

fn lines(new: &[(&'static str, Value)]) -> Vec<String> {
    new.iter().map(|(name, value)| line(name, value)).collect()
}

/// The text with these values in a sheet's table. It was parsed before.
fn changed(text: &[u8], sheet: &str, new: &[(&'static str, Value)]) -> Vec<u8> {
    let (bom, text) = match text.strip_prefix(BOM) {
        Some(text) => (BOM, text),
        None => (&b""[..], text),
    };
    let text = std::str::from_utf8(text).expect("it was parsed");
    let mut document: DocumentMut = text.parse().expect("it was parsed");
    if !document.contains_key(sheet) {
        let table = table_behind(&document);
        document.insert(sheet, Item::Table(table));
        document.set_trailing("");
    }
    let table = document[sheet].as_table_like_mut();
    let table = table.expect("what stands at the top are tables");
    for (name, value) in new {
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(old) => {
                let around = old.decor().clone();
                *old = match old.as_array().map(Comments::of) {
                    Some(comments) if !comments.is_empty() => comments.put_into(value).into(),
                    _ => value.clone(),
                };
                *old.decor_mut() = around;
            }
            None => {
                table.insert(name, Item::Value(value.clone()));
            }
        }
    }
    let mut text_now = document.to_string();
    // The library writes every line end as a line feed.
    if text.contains("\r\n") {
        text_now = text_now.replace('\n', "\r\n");
    }
    [bom, text_now.as_bytes()].concat()
}

/// A table that is to be the last one, below the comments that end the file.
fn table_behind(document: &DocumentMut) -> Table {
    let mut above = document.trailing().as_str().unwrap_or_default().to_owned();
    if !above.is_empty() && !above.ends_with('\n') {
        above.push('\n');
    }
    if !(document.is_empty() && above.is_empty()) {
        above.push('\n');
    }
    let mut table = Table::new();
    table.decor_mut().set_prefix(above);
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &str) {
        let new = [("key", Value::from("id")), ("delimiter", Value::from(","))];
        let changed = changed(text.as_bytes(), "a.csv", &new);
        assert_eq!(String::from_utf8(changed).unwrap(), wanted);
    }

    #[test]
    fn comments_and_other_tables_are_kept() {
        check("", "[\"a.csv\"]\nkey = \"id\"\ndelimiter = \",\"\n");
        check(
            "# mine",
            "# mine\n\n[\"a.csv\"]\nkey = \"id\"\ndelimiter = \",\"\n",
        );
        check(
            "# head\n['b.csv']\nkey='x' # why\n# end\n",
            "# head\n['b.csv']\nkey='x' # why\n# end\n\n[\"a.csv\"]\nkey = \"id\"\ndelimiter = \",\"\n",
        );
        check(
            "['a.csv']\n# which\nkey   =  'x'   # why\n\ndone=['COMPLETED', # and\n]\n\n['b.csv']\nkey='x'\n",
            "['a.csv']\n# which\nkey   =  \"id\"   # why\n\ndone=['COMPLETED', # and\n]\ndelimiter = \",\"\n\n['b.csv']\nkey='x'\n",
        );
        check(
            "'a.csv' = {key = 'x'} # short\n",
            "'a.csv' = {key = \"id\", delimiter = \",\" } # short\n",
        );
    }

    #[track_caller]
    fn check_list(list: &str, new: &[&str], wanted: &str) {
        let text = format!("['a.csv']\ndone = {list} # behind\nkey = 'x'\n");
        let new = [("done", Value::from_iter(new.iter().copied()))];
        let now = String::from_utf8(changed(text.as_bytes(), "a.csv", &new)).unwrap();
        assert_eq!(
            now,
            format!("['a.csv']\ndone = {wanted} # behind\nkey = 'x'\n")
        );
        let again = changed(now.as_bytes(), "a.csv", &new);
        assert_eq!(String::from_utf8(again).unwrap(), now);
        parse(&now, "a.csv").unwrap();
    }

    #[test]
    fn comments_in_a_list_stay_with_their_items() {
        check_list(
            "[\n  \"COMPLETED\", # ours\n  # means: invoice sent\n  'SOLD' # ask Anna\n]",
            &["COMPLETED", "GONE", "SOLD"],
            "[\n  \"COMPLETED\", # ours\n  \"GONE\",\n  # means: invoice sent\n  \"SOLD\", # ask Anna\n]",
        );
        check_list(
            "[ # all\n'sold' # a\n , # b\n'OLD', 'COMPLETED', # c\n# end\n]",
            &["COMPLETED", "SOLD"],
            "[\n  \"COMPLETED\", # c\n  # all\n  \"SOLD\", # a\n  # b\n  # end\n]",
        );
        check_list("['A', 'B']", &["C", "A"], "[\"C\", \"A\"]");
        check_list("[\n# none\n]", &["A"], "[\n  \"A\",\n  # none\n]");
    }

    #[test]
    fn comments_in_a_list_that_becomes_one_word_stay() {
        let text = "['a.csv']\nkey = ['order', # theirs\n'line']\n";
        let now = changed(text.as_bytes(), "a.csv", &[("key", Value::from("id"))]);
        let now = String::from_utf8(now).unwrap();
        assert_eq!(now, "['a.csv']\nkey = [\n  \"id\",\n  # theirs\n]\n");
        let said = parse(&now, "a.csv").unwrap();
        assert_eq!(said.key, Some("id".into()));
    }

    #[test]
    fn the_form_of_the_file_is_kept() {
        check(
            "\u{feff}# head\r\n['a.csv']\r\nkey = 'x'\r\n",
            "\u{feff}# head\r\n['a.csv']\r\nkey = \"id\"\r\ndelimiter = \",\"\r\n",
        );
    }

    fn parse(text: &str, sheet: &str) -> Result<Settings> {
        let place = Place::of(&std::env::temp_dir().join(sheet)).unwrap();
        place.parse(text.as_bytes())
    }

    /// A sheet's table as somebody may have written it.
    fn table(sheet: &'static str) -> impl Strategy<Value = String> {
        let lines = [
            "key = 'x'",
            "key=\"y\" # which",
            "# alone",
            "",
            "  duplicates = 'all'",
            "done = [ 'ERROR', # and\n ]",
        ];
        let lines = prop::sample::subsequence(lines.to_vec(), 0..=6).prop_shuffle();
        let one_key =
            |lines: &Vec<&str>| lines.iter().filter(|line| line.starts_with("key")).count() < 2;
        let header = prop_oneof![
            Just(format!("[\"{sheet}\"]")),
            Just(format!("['{sheet}'] # its own"))
        ];
        (
            header,
            lines.prop_filter("a name stands there once", one_key),
        )
            .prop_map(|(header, lines)| format!("{header}\n{}\n", lines.join("\n")))
    }

    proptest! {
        #[test]
        fn whatever_is_there_already_stays(
            tables in prop::sample::subsequence(vec![0, 1, 2], 0..=3).prop_shuffle(),
            (a, b, c) in (table("a.csv"), table("b.csv"), table("c.csv")),
            (head, end) in ("(# [a-z]{1,5}\n)?", "(# [a-z]{1,5}\n?)?"),
            is_crlf: bool,
        ) {
            let tables: String = tables.iter().map(|&at| [&a, &b, &c][at].as_str()).collect();
            let mut text = format!("{head}{tables}{end}");
            if is_crlf {
                text = text.replace('\n', "\r\n");
            }
            let typed = Settings {
                key: Some("id".into()),
                delimiter: Some(b','),
                ..Settings::default()
            };
            let there = parse(&text, "a.csv").unwrap();
            let now = changed(text.as_bytes(), "a.csv", &typed.new_beside(&there, Kept::IsReplaced));
            let now = String::from_utf8(now).unwrap();
            prop_assert_eq!(parse(&now, "a.csv").unwrap(), typed.or(there));
            for other in ["b.csv", "c.csv"] {
                prop_assert_eq!(parse(&now, other).unwrap(), parse(&text, other).unwrap());
            }
            let kept = text.lines().filter(|line| !line.starts_with("key"));
            for line in kept.filter(|line| !line.trim().is_empty()) {
                prop_assert!(now.lines().any(|now| now == line), "{line:?} is not in {now:?}");
            }
            prop_assert_eq!(now.contains("\r\n"), text.contains("\r\n"));
        }
    }
}
