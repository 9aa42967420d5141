//! What to do next, where an error alone does not say.
//!
//! A line for each error after which a person has a next step. Commands in it can be pasted; what
//! came from a sheet is escaped and quoted in them.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use tickoff::{
    COLUMNS, Encoding, Error, FileKind, HeaderLine, Holder, InvalidValue, KeyCandidates, Problem,
    Stage, close_to, completing_columns, escape, key_candidates, same_column,
};

const FINISHES: &str = "once the cause is gone, the next tickoff run, apply, init or set on this file finishes the write, or says what has to be done before";

/// The next step after an error; `None` where its message says it, or there is none.
pub fn advice(error: &Error) -> Option<Cow<'static, str>> {
    let text = match error {
        Error::Io {
            source,
            path,
            action,
        } if source.kind() == ErrorKind::NotFound => return on_missing_path(action, path),
        Error::Io { source, action, .. }
            if *action == "write the request" && is_full(source.kind()) =>
        {
            "make room there, and run the same command again; on the run's terminal the keys p, + and - do the same, and need none"
        }
        Error::Io { source, .. } => return on_refusal_by_the_system(source.kind()),
        Error::NotAFile { path } if path.is_dir() => "that is a folder: name the CSV in it",
        Error::NotAFile { .. } => {
            "name the CSV itself; what comes through a pipe has to be saved to a file first"
        }
        Error::NoKeyColumn {
            path,
            columns,
            key,
            missing,
            delimiter,
            encoding,
            close,
            header,
            line,
            excerpt,
            ..
        } => {
            let shown = excerpt.to_string();
            if let ([name], [key]) = (&columns[..], &key[..])
                && is_in_quotes(shown.lines().next().unwrap_or_default())
                && delimiter_that_gives(key, name).is_some()
            {
                return Some(
                    "the header is in quotes as a whole, and so are the rows, perhaps: each is one cell; save it anew without quotes around the lines".into(),
                );
            }
            if let Some(text) = on_header_line(*header, *line, key, (columns, *delimiter)) {
                return Some(text.into());
            }
            let meant = meant(key, missing, columns, close);
            let said = on_missing_key(path, (*delimiter, *encoding), key, columns, &meant);
            return Some(match error.look_alike() {
                Some(_) => {
                    format!("type that name anew in the sheet's header; or leave it: {said}").into()
                }
                None => said.into(),
            });
        }
        Error::UnknownColumn { .. } if error.look_alike().is_some() => {
            "type that name anew in the sheet's header, or copy it from there"
        }
        Error::Malformed {
            problem: Problem::NoCsv(kind),
            ..
        } => return on_other_kind(*kind),
        Error::Malformed { problem, .. } => return on_malformed(problem).map(Cow::Borrowed),
        Error::ForeignColumn { is_status, .. } => {
            return Some(on_foreign_column(*is_status).into());
        }
        Error::DuplicatePo {
            path,
            key,
            delimiter,
            encoding,
            ..
        } => return Some(on_duplicates(path, (*delimiter, *encoding), key).into()),
        Error::UnknownColumn { column, close, .. } if close.is_empty() => {
            return Some(on_missing_column(column).into());
        }
        Error::UnknownPo { po, close, .. } if is_list_of(po, close) => {
            let each = close
                .iter()
                .map(|key| format!(" --only {}", for_a_shell(key)));
            let each = each.collect::<String>();
            return Some(format!("name each key by itself, as in run{each}").into());
        }
        Error::InvalidValue {
            reason: InvalidValue::Letter { .. },
            ..
        } => {
            "write it with other letters; or save the sheet as CSV UTF-8 and leave --encoding away, and encoding in tickoff.toml"
        }
        Error::StageNotBegun { .. } => "tickoff init FILE adds it",
        Error::Transition { .. } => {
            "if that is meant, use tickoff set for this row, or --force for all"
        }
        Error::SessionHeld { path, holder } => return Some(on_held(path, holder).into()),
        Error::LockTimeout { path, .. } => {
            return Some(
                format!(
                    "{} tells which process has it, perhaps a tickoff that is stopped (Ctrl-Z) or waits for a disk; once it goes on, run the same command again",
                    fuser(path)
                )
                .into(),
            );
        }
        Error::Busy { path } => {
            return Some(
                format!(
                    "save and close it there, then run the same command again; {} tells which program has it open",
                    fuser(path)
                )
                .into(),
            );
        }
        Error::NotVisible { .. } => return Some(format!("nothing is lost: {FINISHES}").into()),
        Error::Rescued { kept, source, .. } if is_out_of_reach(source) => {
            return Some(
                format!(
                    "{FINISHES}; a result that the sheet lacks then is in {}",
                    escape(&kept.to_string_lossy())
                )
                .into(),
            );
        }
        Error::Rescued { path, kept, .. } => {
            return Some(
                format!(
                    "put it where the sheet was, unless something else is there by now, and run the same command again: mkdir -p {} && cp -i {} {}",
                    for_a_shell(&path.parent().unwrap_or(path).to_string_lossy()),
                    for_a_shell(&kept.to_string_lossy()),
                    for_a_shell(&path.to_string_lossy())
                )
                .into(),
            );
        }
        Error::NotDurable { .. } => {
            "this result is not kept: once the cause is gone, run the job again"
        }
        Error::Verification { .. } => {
            "the sheet is as it was before: run the same command again; if that does not help, copy the sheet to another disk, since this one does not keep what it is given"
        }
        Error::WriterDied { .. } => {
            "this is a bug in tickoff; what was acknowledged is kept: run the same command again"
        }
        _ => return None,
    };
    Some(text.into())
}

/// The same where results of the run have no place at all.
pub fn advice_beside_lost_results(error: &Error) -> Option<Cow<'static, str>> {
    match error {
        Error::NotVisible { .. } => Some(format!("the other results are kept: {FINISHES}").into()),
        error => advice(error),
    }
}

/// Whether a path leads to a place that may not be looked at, so that what is there stays.
fn is_out_of_reach(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

fn on_foreign_column(is_status: bool) -> String {
    const RENAME: &str = "rename the column in the sheet, and tickoff adds one of its own";
    if !is_status {
        return RENAME.to_owned();
    }
    format!(
        "if the column is yours, --stage NAME leaves it alone and keeps what becomes of a row in columns of its own; or {RENAME}. If its words are to be replaced by results, say what each of them means: --done WORDS if such rows are done, --failed WORDS if they have failed, --todo WORDS if they are to be processed"
    )
}

/// Whether several keys were named in one.
fn is_list_of(typed: &str, keys: &[String]) -> bool {
    let is_a_part = |key: &String| typed.len() > key.len() && typed.contains(&**key);
    keys.len() > 1 && keys.iter().all(is_a_part)
}

/// How many names of a folder are compared with one that is not there.
const MAX_NAMES: usize = 10_000;

/// What may have been meant by a name that nothing has.
fn on_missing_path(action: &str, path: &Path) -> Option<Cow<'static, str>> {
    let typed = path.to_string_lossy();
    let shown = |path: &Path| for_a_shell(&path.to_string_lossy());
    if action == "find the folder" {
        return Some(format!("make it: mkdir -p {}", shown(path)).into());
    }
    if typed == "-" {
        return Some(
            "- is the standard input, from which only run reads jobs: name the CSV".into(),
        );
    }
    if typed.starts_with("~/") {
        return Some(
            "a shell replaces ~ by your folder outside of quotes alone: leave them away".into(),
        );
    }
    if let Ok(leads_to) = path.read_link() {
        let leads_to = shown(&leads_to);
        return Some(format!("that is a link to {leads_to}, which is not there").into());
    }
    if typed.contains('\\') && !typed.contains('/') {
        return Some("folders are separated by / here; in WSL, C:\\ is /mnt/c/".into());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let names = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names = names.flatten().take(MAX_NAMES);
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter(|name| !name.starts_with('.'));
    let close = close_to(path.file_name()?.to_str()?, names);
    let close: Vec<String> = close.iter().map(|name| for_a_shell(name)).collect();
    (!close.is_empty()).then(|| format!("did you mean {}?", close.join(" or ")).into())
}

fn is_full(reason: ErrorKind) -> bool {
    matches!(reason, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn on_refusal_by_the_system(reason: ErrorKind) -> Option<Cow<'static, str>> {
    let text = match reason {
        reason if is_full(reason) => {
            "make room there, or keep fewer backups (--keep), and run the same command again: a run may need 8 times the sheet's size"
        }
        ErrorKind::FileTooLarge => {
            "raise the limit on the size of files (ulimit -f), and run the same command again"
        }
        ErrorKind::PermissionDenied => {
            "whoever runs tickoff must be allowed to read the sheet, and to write in its folder unless the command only reads; run --output COPY writes in COPY's folder instead"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "tickoff writes in the sheet's folder: work on a copy elsewhere, as run --output COPY does"
        }
        _ => return None,
    };
    Some(text.into())
}

/// What can be done about a line that is not the header.
fn on_header_line(
    header: HeaderLine,
    line: u64,
    key: &[String],
    (columns, delimiter): (&[String], u8),
) -> Option<String> {
    const FIRST: &str = "only blank lines and sep=; may stand above the header";
    Some(match header {
        HeaderLine::Below(below) => {
            let has = match key.len() {
                1 => "that column",
                _ => "those columns",
            };
            format!(
                "line {} has {has}: remove what stands above it; {FIRST}",
                line + u64::from(below)
            )
        }
        HeaderLine::Title => format!(
            "line {line} has one text and the rows below it have more: if it is a title or a comment, remove what stands above the header; {FIRST}. If it is the header, name the key: --key COLUMN"
        ),
        HeaderLine::Row => {
            let others = (2..=columns.len().min(3)).map(|number| format!("COLUMN{number}"));
            let more = (columns.len() > 3).then(|| "…".to_owned());
            let first = key.first().map(|name| escape(name));
            let names: Vec<String> = first.into_iter().chain(others).chain(more).collect();
            let names = names.join(&char::from(delimiter).to_string());
            let list = match columns {
                [_] => {
                    "; or read the list as it is: tickoff run - --output NEW.csv --key COLUMN -- CMD {} <FILE"
                }
                _ => "",
            };
            format!(
                "line {line} looks like a row: if there is no header, write one above it, as {names}{list}"
            )
        }
        HeaderLine::Named => {
            let [header] = columns else { return None };
            let [key] = key else { return None };
            let delimiter = delimiter_that_gives(key, header)?;
            format!(
                "with the delimiter {delimiter} the header has that column: write sep={delimiter} above it, or remove that line; or pass --delimiter {}",
                for_a_shell(&delimiter.to_string())
            )
        }
        _ => return None,
    })
}

/// Which columns could be the key, and the command that remembers one of them.
fn on_missing_key(
    path: &Path,
    (delimiter, encoding): (u8, Encoding),
    key: &[String],
    columns: &[String],
    meant: &[String],
) -> String {
    if let ([header], [key]) = (columns, key)
        && let Some(delimiter) = delimiter_that_gives(key, header)
    {
        return format!(
            "with the delimiter {delimiter} the header has that column: pass --delimiter {}",
            for_a_shell(&delimiter.to_string())
        );
    }
    // What cannot be read a second time is no news after the error.
    let could_be = key_candidates(path, delimiter, encoding).unwrap_or_default();
    let mut said = said_of(&could_be);
    let likeliest: &[String] = match (could_be.columns.first(), could_be.pairs.first()) {
        _ if !meant.is_empty() => meant,
        (Some(column), _) => std::slice::from_ref(column),
        (None, Some(pair)) => pair,
        (None, None) => &[],
    };
    let file = from_here(path);
    let mut form_too = match delimiter {
        b';' | b',' | b'\t' => String::new(),
        other => format!(
            " --delimiter {}",
            for_a_shell(&char::from(other).to_string())
        ),
    };
    if !encoding.is_utf8() {
        form_too += &format!(" --encoding {}", encoding.name());
    }
    match likeliest {
        [] => said += "name the column that is the key: ",
        [name] => said += &format!("if {} is the key: ", escape(name)),
        _ => said += &format!("if {} are the key: ", joined(likeliest, " and ")),
    }
    said += &format!("tickoff init {file}");
    for name in likeliest {
        said += &format!(" --key {}", for_a_shell(name));
    }
    if likeliest.is_empty() {
        said += " --key COLUMN";
    }
    said += &form_too;
    if meant.is_empty() && could_be.columns.is_empty() && could_be.rows > 0 {
        said += &format!("; or number the rows: tickoff init {file} --add-key ID{form_too}");
    }
    if let [header] = columns
        && header.contains(|c: char| c.is_ascii_punctuation() && !"_-.\"".contains(c))
    {
        said += "; and if it has more columns, --delimiter CHAR names what separates them";
    }
    said
}

/// What can be done about a key in several rows: other rows, a longer key, or all of them at once.
fn on_duplicates(path: &Path, (delimiter, encoding): (u8, Encoding), key: &[String]) -> String {
    const SHOWN: usize = 3;
    // What cannot be read a second time is no news after the error.
    let could_be = completing_columns(path, delimiter, encoding, key).unwrap_or_default();
    let columns = &could_be.columns[..could_be.columns.len().min(SHOWN)];
    let options = |last: &str| {
        let names = key.iter().map(|name| for_a_shell(name));
        let names = names.chain([last.to_owned()]);
        names
            .map(|name| format!(" --key {name}"))
            .collect::<String>()
    };
    let longer_key = match columns {
        [] => format!("make the key of several columns:{}", options("COLUMN")),
        [first, ..] => format!(
            "make the key of several columns:{} (with {} it is different in {})",
            options(&for_a_shell(first)),
            joined(columns, " or "),
            rows(&could_be)
        ),
    };
    format!(
        "remove all of these rows but one; or {longer_key}; or pass --duplicates all to run the job once and write its result to each of them"
    )
}

/// The key that was meant, if one column of it is not there and another one has a name like it, or if it is the names
/// of several in one.
fn meant(key: &[String], missing: &[String], columns: &[String], close: &[String]) -> Vec<String> {
    if let [typed] = key
        && let Some(several) = several_in(typed, columns)
    {
        return several;
    }
    let ([missing], [close, ..]) = (missing, close) else {
        return Vec::new();
    };
    let names = key.iter();
    let names = names.map(|name| if name == missing { close } else { name });
    names.cloned().collect()
}

/// The columns that were named together: `order,line`.
fn several_in(typed: &str, columns: &[String]) -> Option<Vec<String>> {
    const BETWEEN: &str = ",;+|&/\t";
    let column = |name: &str| {
        columns
            .iter()
            .find(|column| same_column(column, name))
            .cloned()
    };
    let all = |names: Vec<&str>| {
        let is_several = names.len() > 1;
        let names = names
            .into_iter()
            .map(column)
            .collect::<Option<Vec<String>>>();
        names.filter(|_| is_several)
    };
    all(typed.split(|c| BETWEEN.contains(c)).collect())
        .or_else(|| all(typed.split_whitespace().collect()))
}

fn joined(names: &[String], between: &str) -> String {
    let names: Vec<_> = names.iter().map(|name| escape(name)).collect();
    names.join(between)
}

/// Which rows were looked at.
fn rows(could_be: &KeyCandidates) -> String {
    match could_be.is_all {
        true => "every row".to_owned(),
        false => format!("each of the first {} rows", could_be.rows),
    }
}

fn said_of(could_be: &KeyCandidates) -> String {
    const SHOWN: usize = 8;
    if could_be.rows == 0 {
        return String::new();
    }
    let rows = rows(could_be);
    let several = could_be.pairs.iter().map(|pair| joined(pair, " with "));
    let one = could_be.columns.iter().map(|name| escape(name));
    let all: Vec<String> = one.chain(several).collect();
    let mut names = all[..all.len().min(SHOWN)].join(", ");
    if let more @ 1.. = all.len().saturating_sub(SHOWN) {
        names += &format!(" and {more} more");
    }
    match (&could_be.columns[..], &could_be.pairs[..]) {
        ([], []) => "no column is filled in every row and different in each; ".to_owned(),
        ([], _) => format!(
            "no column is filled in {rows} and different in each, but two together are: {names}; "
        ),
        _ => format!("filled in {rows} and different in each: {names}; "),
    }
}

/// A path as a word for a shell, by the name alone if it is in the working directory.
fn from_here(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let below = here.ok().and_then(|here| path.strip_prefix(here).ok());
    let shown = below.map(Path::to_string_lossy);
    let shown = shown.filter(|name| !name.starts_with('-'));
    for_a_shell(&shown.unwrap_or(path.to_string_lossy()))
}

fn is_in_quotes(line: &str) -> bool {
    let line = line.trim();
    line.len() > 1 && line.starts_with('"') && line.ends_with('"')
}

/// The character by which a header has to be split so that one of its names is the key.
fn delimiter_that_gives(key: &str, header: &str) -> Option<char> {
    let is_key = |name: &str| {
        let name = name.trim().trim_matches('"').trim();
        name.eq_ignore_ascii_case(key.trim())
    };
    let is_mark = |c: &char| c.is_ascii_punctuation() && *c != '"' || *c == '\t';
    let mut candidates = header.chars().filter(is_mark);
    candidates.find(|&mark| header.split(mark).any(is_key))
}

fn on_missing_column(column: &str) -> &'static str {
    if Stage::default().has_column(column) {
        "tickoff init FILE adds it"
    } else if COLUMNS.iter().any(|name| same_column(name, column)) {
        "add it to the sheet's header first; only a result of run or apply adds it by itself"
    } else {
        "add it to the sheet's header first"
    }
}

fn on_malformed(problem: &Problem) -> Option<&'static str> {
    Some(match problem {
        Problem::UnterminatedQuote => {
            "close the quote; one that belongs to the text is written twice, in a quoted field: \"5\"\" pipe\""
        }
        Problem::LoneCarriageReturn => {
            "put the field in quotes if it belongs to the text; if every line ends so, convert the file: tr '\\r' '\\n' < FILE > NEW"
        }
        Problem::Utf16 => {
            "in Excel: Save As, CSV UTF-8; or iconv -f UTF-16 -t UTF-8 FILE > NEW.csv (UTF-16LE if it has no byte order mark)"
        }
        Problem::Nul => {
            "save it as CSV UTF-8 anew, or go back to a good version: tickoff backup list FILE"
        }
        Problem::InvalidUtf8 => {
            "pass its encoding, --encoding windows-1252 for a CSV of Excel's in Western Europe, or save it as CSV UTF-8"
        }
        Problem::NoLetter(_) => {
            "pass --encoding with the one that the sheet is in, or save it as CSV UTF-8"
        }
        Problem::MarkedUtf8(_) => {
            "use --encoding utf-8 (tickoff init FILE --encoding utf-8 remembers it)"
        }
        Problem::SavedAsUtf8(_) => {
            "use --encoding utf-8 (tickoff init FILE --encoding utf-8 remembers it), with which keys and results stay; if it is in the encoding that is remembered all the same, pass that one with --encoding"
        }
        Problem::TooManyFields | Problem::RecordTooLong => {
            "if the row was meant to be shorter, a quote in it is closed too late, or --delimiter is not the sheet's"
        }
        Problem::NoRoomFor(_) => "remove columns that nobody needs, or split the sheet",
        Problem::NoRoomForResult => "keep what is so long in a file, and its path in the sheet",
        Problem::TooManyRecords => "split the sheet into several",
        Problem::DuplicateColumn(_) => "rename or remove one of the two columns",
        Problem::LookAlike { .. } => {
            "type that name anew in the sheet's header if it is the status column; if it is another one, rename it, or leave it alone with --stage NAME, which keeps what becomes of a row in columns of its own"
        }
        Problem::JobNotUtf8 => {
            "save the list as UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8 LIST | tickoff run - …"
        }
        Problem::JobNotWritable(_) => {
            "leave --encoding away, or take encoding out of tickoff.toml: COPY is UTF-8 then"
        }
        Problem::NulInJob => {
            "pass -0 if NUL bytes end the jobs, as find -print0 writes them; save a UTF-16 list as UTF-8"
        }
        Problem::JobTooLong => "keep what is long in a file, and give the file's name as the job",
        _ => return None,
    })
}

fn on_other_kind(kind: FileKind) -> Option<Cow<'static, str>> {
    let text = match kind {
        FileKind::Workbook | FileKind::OldWorkbook => {
            "save the table as CSV: in Excel Save As, CSV UTF-8; or soffice --headless --convert-to csv FILE"
        }
        FileKind::OpenDocument => {
            "save the table as CSV: in LibreOffice Save As, Text CSV; or soffice --headless --convert-to csv FILE"
        }
        FileKind::Compressed(unpack) => {
            return Some(format!("unpack it first: {unpack} FILE").into());
        }
        FileKind::Database => {
            "export the table as CSV: sqlite3 -csv -header FILE 'SELECT * FROM TABLE' > NEW.csv"
        }
        FileKind::Pdf => {
            "ask for the table as CSV, or copy it into a spreadsheet and save it as CSV"
        }
        FileKind::Markup => {
            "look at what it says: a page in the place of a download often tells of an error, or of a login"
        }
        FileKind::Json => "convert it: jq -r '.[] | [.id, .url] | @csv' FILE, with a header above",
        _ => return None,
    };
    Some(text.into())
}

fn on_held(sheet: &Path, holder: &Holder) -> String {
    const MEANWHILE: &str = "status, pending, get, check and set work meanwhile";
    if holder.pid == 0 {
        let mut lock = std::ffi::OsString::from(".");
        lock.push(sheet.file_name().unwrap_or_default());
        lock.push(".session");
        let lock = sheet.with_file_name(lock);
        return format!(
            "wait until it has ended; {} tells which process it is; {MEANWHILE}",
            fuser(&lock)
        );
    }
    if !holder.is_here {
        return format!(
            "wait until it has ended, or end it there, in the other container or on the host {}, with the process id that it has there; {MEANWHILE}",
            escape(&holder.host)
        );
    }
    format!(
        "wait until it has ended, or end it with kill {}, at which it writes what it has; {MEANWHILE}",
        holder.pid
    )
}

fn fuser(path: &Path) -> String {
    format!("fuser {}", for_a_shell(&path.to_string_lossy()))
}

/// A text from a file as a word for a shell, if it can be shown at all; otherwise escaped, so that a
/// terminal is safe from it.
pub fn for_a_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", escape(text).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use chrono::DateTime;
    use tickoff::{Options, Sheet};

    use super::*;

    #[track_caller]
    fn check(error: &Error, wanted: &str) {
        assert_eq!(advice(error).as_deref(), Some(wanted), "{error}");
    }

    /// What is said about a sheet with these contents.
    #[track_caller]
    fn check_sheet(contents: impl AsRef<[u8]>, wanted: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.csv");
        std::fs::write(&path, contents).unwrap();
        let error = Sheet::read(&path, &Options::default()).err().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let advice = advice(&error).map(|text| text.replace(folder.to_str().unwrap(), "DIR"));
        assert_eq!(advice.as_deref(), Some(wanted), "{error}");
    }

    #[track_caller]
    fn check_system(kind: ErrorKind, wanted: &str) {
        let error = Error::Io {
            action: "write",
            path: "in.csv".into(),
            source: Arc::new(kind.into()),
        };
        check(&error, wanted);
    }

    #[test]
    fn who_asks_something_of_a_run_and_lacks_room_is_told_of_the_keys() {
        let error = Error::Io {
            action: "write the request",
            path: ".in.csv.control".into(),
            source: Arc::new(ErrorKind::StorageFull.into()),
        };
        check(
            &error,
            "make room there, and run the same command again; on the run's terminal the keys p, + and - do the same, and need none",
        );
    }

    #[test]
    fn who_lacks_room_or_rights_is_told_how_much_and_where() {
        let room = "make room there, or keep fewer backups (--keep), and run the same command again: a run may need 8 times the sheet's size";
        check_system(ErrorKind::StorageFull, room);
        check_system(ErrorKind::QuotaExceeded, room);
        check_system(
            ErrorKind::FileTooLarge,
            "raise the limit on the size of files (ulimit -f), and run the same command again",
        );
        check_system(
            ErrorKind::PermissionDenied,
            "whoever runs tickoff must be allowed to read the sheet, and to write in its folder unless the command only reads; run --output COPY writes in COPY's folder instead",
        );
        check_system(
            ErrorKind::ReadOnlyFilesystem,
            "tickoff writes in the sheet's folder: work on a copy elsewhere, as run --output COPY does",
        );
    }

    #[test]
    fn a_key_column_that_is_called_otherwise_is_named_for_the_shell() {
        check_sheet(
            "STATUS;Po Number\n",
            "if Po Number is the key: tickoff init DIR/in.csv --key 'Po Number'",
        );
        check_sheet(
            "po-number\u{1b}'\n",
            "if po-number\\u{1b}' is the key: tickoff init DIR/in.csv --key 'po-number\\u{1b}'\\'''; and if it has more columns, --delimiter CHAR names what separates them",
        );
        check_sheet(
            "STATUS;order\n",
            "name the column that is the key: tickoff init DIR/in.csv --key COLUMN",
        );
    }

    #[test]
    fn the_columns_that_could_be_the_key_are_named() {
        check_sheet(
            "name,id,e-mail\nAda,7,a@x\nAda,8,b@x\n,,\n",
            "filled in every row and different in each: id, e-mail; if id is the key: tickoff init DIR/in.csv --key id",
        );
        check_sheet(
            "name;STATUS\nAda;1\nAda;2\n",
            "no column is filled in every row and different in each; name the column that is the key: tickoff init DIR/in.csv --key COLUMN; or number the rows: tickoff init DIR/in.csv --add-key ID",
        );
        check_sheet(
            "order;line;qty\nA;1;5\nA;2;5\nB;1;5\n",
            "no column is filled in every row and different in each, but two together are: order with line; if order and line are the key: tickoff init DIR/in.csv --key order --key line; or number the rows: tickoff init DIR/in.csv --add-key ID",
        );
        check_sheet(
            "a|b\n1|x\n2|x\n",
            "filled in every row and different in each: a|b; if a|b is the key: tickoff init DIR/in.csv --key 'a|b'; and if it has more columns, --delimiter CHAR names what separates them",
        );
        let many = |name: &str| {
            let cells = (0..10).map(|at| format!("{name}{at}"));
            cells.collect::<Vec<_>>().join(";")
        };
        check_sheet(
            format!("{}\n{}\n", many("c"), many("")),
            "filled in every row and different in each: c0, c1, c2, c3, c4, c5, c6, c7 and 2 more; if c0 is the key: tickoff init DIR/in.csv --key c0",
        );
        let some = KeyCandidates {
            columns: vec!["id".into()],
            pairs: vec![],
            rows: 7,
            is_all: false,
        };
        assert_eq!(
            said_of(&some),
            "filled in each of the first 7 rows and different in each: id; "
        );
    }

    #[test]
    fn a_delimiter_that_is_not_tried_is_found_in_the_header() {
        check_sheet(
            "STATUS|\"po_number\"\nx|1\n",
            "with the delimiter | the header has that column: pass --delimiter '|'",
        );
        check_sheet(
            "SUPPLIER:STATUS:PO_NUMBER\n",
            "with the delimiter : the header has that column: pass --delimiter :",
        );
    }

    #[test]
    fn a_header_that_is_in_quotes_as_a_whole_is_told_so() {
        for delimiter in [";", ",", "\t"] {
            check_sheet(
                format!("\"PO_NUMBER{delimiter}STATUS\"\r\n\"P1{delimiter}\"\r\n"),
                "the header is in quotes as a whole, and so are the rows, perhaps: each is one cell; save it anew without quotes around the lines",
            );
        }
    }

    #[test]
    fn what_is_malformed_can_be_mended() {
        check_sheet(
            "PO_NUMBER\n\"P1\nP2\n",
            "close the quote; one that belongs to the text is written twice, in a quoted field: \"5\"\" pipe\"",
        );
        check_sheet(
            "PO_NUMBER\rP1\r",
            "put the field in quotes if it belongs to the text; if every line ends so, convert the file: tr '\\r' '\\n' < FILE > NEW",
        );
        check_sheet(
            "PO_NUMBER\nP\0\n",
            "save it as CSV UTF-8 anew, or go back to a good version: tickoff backup list FILE",
        );
        check_sheet(
            b"PO_NUMBER\nP\xe9\n",
            "pass its encoding, --encoding windows-1252 for a CSV of Excel's in Western Europe, or save it as CSV UTF-8",
        );
        check_sheet(
            ["PO_NUMBER\nP1", &";".repeat(20_000), "\n"].concat(),
            "if the row was meant to be shorter, a quote in it is closed too late, or --delimiter is not the sheet's",
        );
        check_sheet(
            "PO_NUMBER;STATUS;status\n",
            "rename or remove one of the two columns",
        );
        check_sheet(
            "PO_NUMBER\nP1\nP1\n",
            "remove all of these rows but one; or make the key of several columns: --key PO_NUMBER --key COLUMN; or pass --duplicates all to run the job once and write its result to each of them",
        );
    }

    #[track_caller]
    fn check_column(column: &str, wanted: &str) {
        let error = Error::UnknownColumn {
            column: column.into(),
            columns: vec!["PO_NUMBER".into()],
            close: vec![],
        };
        check(&error, wanted);
    }

    #[test]
    fn a_column_that_is_missing_can_be_added() {
        check_column("Status", "tickoff init FILE adds it");
        check_column(
            "SUPPLIER",
            "add it to the sheet's header first; only a result of run or apply adds it by itself",
        );
        check_column("Colour", "add it to the sheet's header first");
        let mistyped = Error::UnknownColumn {
            column: "STAUTS".into(),
            columns: vec!["STATUS".into()],
            close: vec!["STATUS".into()],
        };
        assert_eq!(advice(&mistyped), None, "its message asks");
    }

    #[test]
    fn who_is_in_the_way_can_be_found_and_ended() {
        let held = |pid, is_here| Error::SessionHeld {
            path: "/a b/in.csv".into(),
            holder: Holder {
                pid,
                host: "h".into(),
                session: "s".into(),
                started: DateTime::UNIX_EPOCH,
                pid_namespace: None,
                is_here,
            },
        };
        check(
            &held(1, false),
            "wait until it has ended, or end it there, in the other container or on the host h, with the process id that it has there; status, pending, get, check and set work meanwhile",
        );
        check(
            &held(77, true),
            "wait until it has ended, or end it with kill 77, at which it writes what it has; status, pending, get, check and set work meanwhile",
        );
        check(
            &held(0, false),
            "wait until it has ended; fuser '/a b/.in.csv.session' tells which process it is; status, pending, get, check and set work meanwhile",
        );
        let path = || PathBuf::from("/d/in.csv");
        check(
            &Error::Busy { path: path() },
            "save and close it there, then run the same command again; fuser /d/in.csv tells which program has it open",
        );
        check(
            &Error::LockTimeout {
                path: path(),
                waited: std::time::Duration::from_secs(30),
            },
            "fuser /d/in.csv tells which process has it, perhaps a tickoff that is stopped (Ctrl-Z) or waits for a disk; once it goes on, run the same command again",
        );
    }

    #[test]
    fn what_is_kept_and_what_is_not_is_said() {
        let source = || {
            Box::new(Error::Busy {
                path: "in.csv".into(),
            })
        };
        check(
            &Error::NotVisible {
                path: "in.csv".into(),
                source: source(),
            },
            "nothing is lost: once the cause is gone, the next tickoff run, apply, init or set on this file finishes the write, or says what has to be done before",
        );
        let rescued = |kind: ErrorKind| Error::Rescued {
            path: "/d/in.csv".into(),
            kept: "/tmp/kept.csv".into(),
            source: Box::new(Error::Io {
                action: "read",
                path: "/d/.in.csv.lock".into(),
                source: std::sync::Arc::new(kind.into()),
            }),
        };
        check(
            &rescued(ErrorKind::PermissionDenied),
            "once the cause is gone, the next tickoff run, apply, init or set on this file finishes the write, or says what has to be done before; a result that the sheet lacks then is in /tmp/kept.csv",
        );
        check(
            &rescued(ErrorKind::NotFound),
            "put it where the sheet was, unless something else is there by now, and run the same command again: mkdir -p /d && cp -i /tmp/kept.csv /d/in.csv",
        );
        check(
            &Error::NotDurable {
                po: "P1".into(),
                source: source(),
            },
            "this result is not kept: once the cause is gone, run the job again",
        );
        check(
            &Error::WriterDied {
                message: "x".into(),
            },
            "this is a bug in tickoff; what was acknowledged is kept: run the same command again",
        );
        check(
            &Error::Verification {
                path: "in.csv".into(),
                problem: "x".into(),
            },
            "the sheet is as it was before: run the same command again; if that does not help, copy the sheet to another disk, since this one does not keep what it is given",
        );
    }
}
