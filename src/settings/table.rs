//! What may stand in a sheet's table, how it is read, and how it is written.
//!
//! [`NAMES`] is the one place that knows the names: one more is a field of [`Settings`] and a line there.

use std::fmt;
use std::ops::Range;

use toml_edit::{Array, Item, Value};

use crate::csv::dialect;
use crate::domain::{Encoding, KeyColumns, ProcessingStatus, Stage};
use crate::sheet::{Duplicates, Options};

/// What is said of a sheet in `tickoff.toml` beside it, or on a command line; `None` is left open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The key columns, as in [`Options::key`].
    pub key: Option<KeyColumns>,
    /// The delimiter, as in [`Options::delimiter`].
    pub delimiter: Option<u8>,
    /// The encoding, as in [`Options::encoding`].
    pub encoding: Option<Encoding>,
    /// Whether a PO may stand in several rows, as in [`Options::duplicates`].
    pub duplicates: Option<Duplicates>,
    /// The statuses that count as done; COMPLETED always does.
    pub done: Option<Vec<ProcessingStatus>>,
    /// The statuses that count as failures, as in [`Options::failed`].
    pub failed: Option<Vec<ProcessingStatus>>,
    /// The statuses that are still to be processed, as in [`Options::todo`].
    pub todo: Option<Vec<ProcessingStatus>>,
    /// The stages that the sheet's work has, as in [`Options::stages`].
    pub stages: Option<Vec<Stage>>,
}

/// A word that is in the list of those that are done, and in this one as well.
#[derive(Debug, Clone, Copy)]
pub struct Contradiction<'a> {
    word: &'a ProcessingStatus,
    /// The other list's name in the settings.
    pub list: &'static str,
}

impl fmt::Display for Contradiction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let also = match self.list {
            "todo" => "to be done",
            _ => "a failure",
        };
        write!(f, "{} cannot be done and {also} at once", self.word)
    }
}

impl Settings {
    /// These, and what they leave open as `other` says it.
    pub fn or(self, other: Settings) -> Settings {
        Settings {
            key: self.key.or(other.key),
            delimiter: self.delimiter.or(other.delimiter),
            encoding: self.encoding.or(other.encoding),
            duplicates: self.duplicates.or(other.duplicates),
            done: self.done.or(other.done),
            failed: self.failed.or(other.failed),
            todo: self.todo.or(other.todo),
            stages: self.stages.or(other.stages),
        }
    }

    /// The options with what is said here.
    pub fn put_into(self, options: Options) -> Options {
        let done = self.done.map(|mut done| {
            if !done.contains(&ProcessingStatus::Completed) {
                done.push(ProcessingStatus::Completed);
            }
            done
        });
        Options {
            key: self.key.unwrap_or(options.key),
            delimiter: self.delimiter.or(options.delimiter),
            encoding: self.encoding.unwrap_or(options.encoding),
            duplicates: self.duplicates.unwrap_or(options.duplicates),
            done: done.unwrap_or(options.done),
            failed: self.failed.unwrap_or(options.failed),
            todo: self.todo.unwrap_or(options.todo),
            stages: self.stages.unwrap_or(options.stages),
            ..options
        }
    }

    /// A word that is said to be done, and to be processed or a failure as well.
    pub fn contradiction(&self) -> Option<Contradiction<'_>> {
        let done = || {
            self.done
                .iter()
                .flatten()
                .chain([&ProcessingStatus::Completed])
        };
        let is_done = |word: &&ProcessingStatus| {
            done().any(|done: &ProcessingStatus| done.is_same_word(word))
        };
        let todo = self.todo.iter().flatten().find(is_done);
        let failed = || self.failed.iter().flatten().find(is_done);
        todo.map(|word| Contradiction { word, list: "todo" })
            .or_else(|| {
                failed().map(|word| Contradiction {
                    word,
                    list: "failed",
                })
            })
    }

    /// A word of STATUS that can count as done.
    ///
    /// # Errors
    /// What else it is.
    pub fn done_word(text: &str) -> Result<ProcessingStatus, &'static str> {
        match ProcessingStatus::parse(text) {
            ProcessingStatus::Pending => Err("an empty cell and PENDING are never done"),
            status => Ok(status),
        }
    }

    /// A word of STATUS that can be a failure.
    ///
    /// # Errors
    /// What else it is.
    pub fn failed_word(text: &str) -> Result<ProcessingStatus, &'static str> {
        match ProcessingStatus::parse(text) {
            status if status.is_failure() => Ok(status),
            status @ ProcessingStatus::Other(_) => Ok(status),
            _ => Err("PENDING, COMPLETED and NO_ATTACHMENTS are no failures"),
        }
    }

    /// A word of STATUS that can be still to be processed.
    ///
    /// # Errors
    /// That there is none.
    pub fn todo_word(text: &str) -> Result<ProcessingStatus, &'static str> {
        match text.trim() {
            "" => Err("an empty cell is always to be processed; name a word"),
            word => Ok(ProcessingStatus::parse(word)),
        }
    }
}

/// A name that may stand in a sheet's table.
pub(super) struct Name {
    pub(super) name: &'static str,
    /// Takes its value in, or says what is wrong with it.
    pub(super) read: fn(&mut Settings, &Value) -> Result<(), Wrong>,
    /// Its value, as it is written; `None` if it is left open.
    pub(super) write: fn(&Settings) -> Option<Value>,
}

pub(super) const NAMES: &[Name] = &[
    Name {
        name: "key",
        read: |settings, value| {
            settings.key = Some(key(value)?);
            Ok(())
        },
        write: |settings| match settings.key.as_ref()?.names() {
            [name] => Some(Value::from(name.as_str())),
            names => Some(Value::from(names.iter().collect::<Array>())),
        },
    },
    Name {
        name: "delimiter",
        read: |settings, value| {
            let delimiter = text(value).and_then(dialect::parse_delimiter);
            settings.delimiter = Some(delimiter.ok_or(
                "delimiter must be one ASCII character, and no quote or line break; or \"tab\"",
            )?);
            Ok(())
        },
        write: |settings| match settings.delimiter? {
            b'\t' => Some(Value::from("tab")),
            delimiter => Some(Value::from(char::from(delimiter).to_string())),
        },
    },
    Name {
        name: "encoding",
        read: |settings, value| {
            let label = text(value).ok_or("encoding must be a name: \"windows-1252\"")?;
            settings.encoding = Some(label.parse()?);
            Ok(())
        },
        write: |settings| Some(Value::from(settings.encoding?.name())),
    },
    Name {
        name: "duplicates",
        read: |settings, value| {
            settings.duplicates = Some(match text(value) {
                Some("refuse") => Duplicates::Refuse,
                Some("all") => Duplicates::All,
                _ => return Err("duplicates must be \"refuse\" or \"all\"".into()),
            });
            Ok(())
        },
        write: |settings| {
            Some(Value::from(match settings.duplicates? {
                Duplicates::Refuse => "refuse",
                Duplicates::All => "all",
            }))
        },
    },
    Name {
        name: "done",
        read: |settings, value| {
            let wanted = "done must be a list of statuses: [\"COMPLETED\", \"NO_ATTACHMENTS\"]";
            settings.done = Some(each(value, wanted, Settings::done_word)?);
            Ok(())
        },
        write: |settings| settings.done.as_deref().map(list),
    },
    Name {
        name: "failed",
        read: |settings, value| {
            let wanted = "failed must be a list of statuses: [\"lost\", \"broken\"]";
            settings.failed = Some(each(value, wanted, Settings::failed_word)?);
            Ok(())
        },
        write: |settings| settings.failed.as_deref().map(list),
    },
    Name {
        name: "todo",
        read: |settings, value| {
            let wanted = "todo must be a list of statuses: [\"new\", \"open\"]";
            settings.todo = Some(each(value, wanted, Settings::todo_word)?);
            Ok(())
        },
        write: |settings| settings.todo.as_deref().map(list),
    },
    Name {
        name: "stages",
        read: |settings, value| {
            let wanted = "stages must be a list of names: [\"fetch\", \"ocr\"]";
            let of_letters = "a stage's name is made of the letters A to Z, digits, - and _";
            let stage = |name: &str| name.parse::<Stage>().map_err(|_| of_letters);
            let stages = each(value, wanted, stage)?;
            if Stage::repeated(&stages).is_some() {
                return Err("stages has a name twice; case does not count".into());
            }
            settings.stages = Some(stages);
            Ok(())
        },
        write: |settings| {
            let names = settings.stages.as_deref()?.iter().map(Stage::name);
            Some(Value::from(names.collect::<Array>()))
        },
    },
];

/// What is wrong with a value, and where if not with all of it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) at: Option<Range<usize>>,
    pub(super) problem: &'static str,
}

impl From<&'static str> for Wrong {
    fn from(problem: &'static str) -> Wrong {
        Wrong { at: None, problem }
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// A column's name, or a list of such names.
fn key(value: &Value) -> Result<KeyColumns, Wrong> {
    const WANTED: &str =
        "key must be a column's name, or a list of names: \"id\", [\"order\", \"line\"]";
    let Some(list) = value.as_array() else {
        let name = text(value).ok_or(WANTED)?;
        return KeyColumns::new([name]).map_err(|_| WANTED.into());
    };
    let names: Option<Vec<&str>> = list.iter().map(text).collect();
    let names = names.ok_or(WANTED)?;
    Ok(KeyColumns::new(names)?)
}

/// A list of texts, each of which passes.
fn each<T>(
    value: &Value,
    wanted: &'static str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Wrong> {
    let list = value.as_array().ok_or(wanted)?;
    let read = |value: &Value| {
        let wrong = |problem| Wrong {
            at: value.span(),
            problem,
        };
        let word = text(value).ok_or_else(|| wrong(wanted))?;
        parse(word).map_err(wrong)
    };
    list.iter().map(read).collect()
}

fn list(words: &[ProcessingStatus]) -> Value {
    Value::from(
        words
            .iter()
            .map(ProcessingStatus::as_str)
            .collect::<Array>(),
    )
}

/// A value as it stands behind its name.
pub(super) fn line(name: &str, value: &Value) -> String {
    format!("{name} = {}", Item::Value(value.clone()).to_string().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_is_filled_and_a_list_is_replaced() {
        let typed = Settings {
            done: Some(vec![ProcessingStatus::NoAttachments]),
            ..Settings::default()
        };
        let kept = Settings {
            key: Some("id".into()),
            done: Some(vec![ProcessingStatus::Error]),
            ..Settings::default()
        };
        let options = typed.or(kept).put_into(Options::default());
        assert_eq!(options.key, "id".into());
        assert_eq!(
            options.done,
            [ProcessingStatus::NoAttachments, ProcessingStatus::Completed]
        );
        assert_eq!((options.delimiter, options.keep), (None, 5));
    }

    #[test]
    fn every_name_is_written_as_it_is_read() {
        check_written(Settings {
            key: Some(KeyColumns::new(["order", "line, \"or\" so"]).unwrap()),
            ..all()
        });
        check_written(all());
    }

    fn all() -> Settings {
        Settings {
            key: Some("Order \"No\"".into()),
            delimiter: Some(b'\t'),
            encoding: Some("koi8-r".parse().unwrap()),
            duplicates: Some(Duplicates::All),
            done: Some(vec![ProcessingStatus::Completed, ProcessingStatus::Error]),
            failed: Some(vec![ProcessingStatus::Other("lost, \"broken\"".into())]),
            todo: Some(vec![
                ProcessingStatus::Pending,
                ProcessingStatus::Other("é".into()),
            ]),
            stages: Some(vec![Stage::default(), "ocr-2".parse().unwrap()]),
        }
    }

    #[track_caller]
    fn check_written(all: Settings) {
        let mut read = Settings::default();
        for name in NAMES {
            let value = (name.write)(&all).expect(name.name);
            let line = line(name.name, &value);
            let document = toml_edit::Document::parse(line.as_str()).unwrap();
            (name.read)(&mut read, document[name.name].as_value().unwrap()).unwrap();
        }
        assert_eq!(read, all);
    }
}
