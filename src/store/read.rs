//! Reading a sheet with nothing locked and nothing changed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{ContentHash, Snapshot, Stamp, Target, hash_bytes};
use crate::domain::KeyColumns;
use crate::error::{Error, Result};
use crate::journal::{Frame, Journal, frame};
use crate::sheet::render::{self, Next};
use crate::sheet::{History, Options, Sheet, bring, merge, new_rows};
use crate::store::left_behind;
use crate::store::output::{refuse_another, refuse_same_file};
use crate::store::patience::patiently;
use crate::store::renamed_key::key_before;
use crate::store::standing::{Standing, standing};
use crate::store::whole;

impl Sheet {
    /// Reads a sheet and what its journal adds to it. Nothing is locked and nothing is changed.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotAFile`], [`Error::Delimiter`], and what makes a file unfit as a sheet:
    /// [`Error::Empty`], [`Error::NoKeyColumn`], [`Error::Malformed`], [`Error::DuplicatePo`]. A journal that cannot
    /// be used is [`Error::Journal`].
    pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Sheet> {
        let (sheet, asked) = read_and_ask(path.as_ref(), options)?;
        sheet.warn_of_utf8();
        if let Some(asked) = asked {
            tracing::warn!("{asked}");
        }
        Ok(sheet)
    }

    /// The same for who is about to do what a run does, and is refused like one.
    ///
    /// # Errors
    /// As [`Sheet::read`]; [`Error::Undecided`] where a person has to decide about its journal.
    pub fn read_for_a_run(path: impl AsRef<Path>, options: &Options) -> Result<Sheet> {
        let (sheet, asked) = read_and_ask(path.as_ref(), options)?;
        sheet.warn_of_utf8();
        asked.map_or(Ok(sheet), Err)
    }

    /// The copy that a run with `--output` goes on with: the sheet at `path`, and behind its rows those
    /// of `input` whose POs are not in it.
    ///
    /// # Errors
    /// As [`Sheet::read_for_a_run`]; [`Error::SameFile`] if both are one file; [`Error::Unsuitable`] if the sheet is
    /// no copy of the input.
    pub fn read_with_new_rows(
        path: impl AsRef<Path>,
        options: &Options,
        input: &Sheet,
    ) -> Result<Sheet> {
        let path = path.as_ref();
        if let Some(file) = input.file() {
            refuse_same_file(file, path)?;
        }
        let Settled {
            mut bytes,
            log,
            name_before,
            target,
            options,
        } = read_settled(path, options)?;
        let options = &options;
        let hash = hash_bytes(&bytes);
        let copy = Sheet::build(Snapshot::Owned(bytes.clone()), target.path(), options)?;
        let history = frame::history(log.as_deref().unwrap_or_default());
        refuse_another(input, &copy, &history)?;
        let (count, rows) = new_rows(input, &copy);
        let sheet = if count == 0 {
            copy
        } else {
            if !bytes.ends_with(b"\n") {
                bytes.extend_from_slice(copy.dialect().terminator);
            }
            bytes.extend_from_slice(&rows);
            Sheet::build(Snapshot::Owned(bytes), target.path(), options)?
        };
        name_before.inspect(|name| sheet.is_known_as(name));
        show(&sheet, hash, log, &target, options)?.map_or(Ok(sheet), Err)
    }

    /// The same for a sheet whose journal is nobody's business.
    ///
    /// # Errors
    /// As [`Sheet::read`], without [`Error::Journal`].
    pub fn read_without_journal(path: impl AsRef<Path>, options: &Options) -> Result<Sheet> {
        let target = Target::open(path.as_ref())?;
        let bytes = read_as_it_is(&target)?;
        Sheet::build(Snapshot::Owned(bytes), target.path(), options)
    }

    /// Reads the input of a copy, which stays untouched, once it is whole: a program that is still writing
    /// it is waited for, 10 s at most. Results that only its journal has are in what is read.
    ///
    /// # Errors
    /// As [`Sheet::read`]; [`Error::Busy`] if it does not rest; [`Error::Undecided`] where a person has to decide
    /// about its journal.
    pub fn read_input(path: impl AsRef<Path>, options: &Options) -> Result<Sheet> {
        let target = Target::open(path.as_ref())?;
        let path = target.path();
        let input = whole::read(path, options, |file| {
            read_all(file, path).map(Snapshot::Owned)
        })?;
        if Journal::find(&target)?.is_none() {
            // A copy is no way round what is asked about a sheet that left its journal behind.
            let hash = hash_bytes(input.bytes());
            return show(&input, hash, None, &target, options)?.map_or(Ok(input), Err);
        }
        let (shown, asked) = read_and_ask(path, options)?;
        let shown = Arc::new(shown);
        // What has changed since then may be half written.
        let has_changed = shown.bytes() != input.bytes();
        let input = match asked.filter(|_| !has_changed) {
            Some(asked) => return Err(asked),
            None if has_changed || !render::differs(&shown) => input,
            None => {
                let mut bytes = Vec::new();
                let rendered = Next::of(&shown).render(&mut bytes);
                rendered.map_err(Error::io("read", path))?;
                Sheet::build(Snapshot::Owned(bytes), path, options)?
            }
        };
        (shown.shows_results_of()).inspect(|name| input.is_known_as(name));
        Ok(input)
    }
}

/// Reads a file, whatever it is and whatever its journal adds to it.
pub(crate) fn read_as_it_is(target: &Target) -> Result<Vec<u8>> {
    patiently(target.path(), || {
        let (file, _) = target.open_sheet()?;
        read_all(&file, target.path()).map(Some)
    })
}

/// Reads a sheet and what its journal adds to it, and what a person has to decide before anything is written.
pub(crate) fn read_and_ask(path: &Path, options: &Options) -> Result<(Sheet, Option<Error>)> {
    let Settled {
        bytes,
        log,
        name_before,
        target,
        options,
    } = read_settled(path, options)?;
    let hash = hash_bytes(&bytes);
    let sheet = Sheet::build(Snapshot::Owned(bytes), target.path(), &options)?;
    name_before.inspect(|name| sheet.is_known_as(name));
    let asked = show(&sheet, hash, log, &target, &options)?;
    Ok((sheet, asked))
}

/// The frames of a sheet's log, or of one that went on with it under another name.
fn later(own: Vec<Frame>, target: &Target, options: &Options, sheet: &Sheet) -> Result<Vec<Frame>> {
    if Journal::names_of_others(target)?.is_empty() {
        return Ok(own);
    }
    let Some((head, _)) = Journal::peek(target)? else {
        return Ok(own);
    };
    let log = (head.id.as_str(), own.len());
    Ok(left_behind::gone_on_with(target, options, sheet, log)?.unwrap_or(own))
}

fn standing_of(frames: &[Frame], sheet: &Sheet, hash: ContentHash) -> (History, Standing) {
    let history = frame::history(frames);
    let is_of_session = frames.iter().any(|frame| frame.session.is_some());
    let standing = standing(frames, &history, sheet, hash, is_of_session);
    (history, standing)
}

/// Shows what the journal adds to a sheet. Where a person has to decide about it, the sheet is shown as it is.
fn show(
    sheet: &Sheet,
    hash: ContentHash,
    log: Option<Vec<Frame>>,
    target: &Target,
    options: &Options,
) -> Result<Option<Error>> {
    if let Some(refused) = left_behind::took_links_place(target, options, sheet, hash)? {
        return Ok(Some(refused));
    }
    let own = match log {
        Some(own) => {
            let own = later(own, target, options, sheet)?;
            let (history, standing) = standing_of(&own, sheet, hash);
            Some((own, history, standing))
        }
        None => None,
    };
    let (frames, history, standing) = match own {
        Some(own) if !own.2.is_of_another() => own,
        own => {
            let found = left_behind::look_for(target, options, sheet, hash)?;
            if let Some(name) = &found.results_of {
                sheet.is_known_as(name);
            }
            match (own, found.left) {
                (None, Some(left)) => return Ok(Some(left.question(sheet.path()))),
                (Some(_), Some(left)) => return left.beside(target).map(Some),
                (Some(own @ (_, _, Standing::Asked(_))), None) => own,
                _ if found.known_from.is_none() => return Ok(None),
                _ => {
                    let (history, standing) = standing_of(&found.known, sheet, hash);
                    (found.known, history, standing)
                }
            }
        }
    };
    let is_of_session = frames.iter().any(|frame| frame.session.is_some());
    if !matches!(standing, Standing::Anew)
        && let Some(doubled) = sheet.doubled(&history)
    {
        return Ok(Some(doubled));
    }
    if !is_of_session && matches!(standing, Standing::Current(_) | Standing::Saved(_)) {
        let refused = left_behind::beside_another(target, options, sheet, &history, hash)?;
        if refused.is_some() {
            return Ok(refused);
        }
    }
    if !matches!(standing, Standing::Anew | Standing::Asked(_)) {
        frame::add_waiting_columns(sheet, &frames);
    }
    match standing {
        Standing::Current(from) => {
            sheet.know(&history);
            drop(merge::replay(sheet, frame::updates(&frames[from..])));
        }
        Standing::Saved(reading) => {
            sheet.know(&history);
            drop(bring(&history, reading, sheet, None));
        }
        Standing::Anew => {}
        Standing::Asked(question) => {
            sheet.know(&history);
            return Ok(Some(Error::Undecided {
                path: sheet.path().to_owned(),
                found: question.found.to_owned(),
                rows: question.rows,
            }));
        }
    }
    Ok(None)
}

/// A sheet's bytes, and what its journal adds to them.
struct Settled {
    bytes: Vec<u8>,
    /// `None` if it has no journal.
    log: Option<Vec<Frame>>,
    /// The last other name of the sheet of which the journal tells.
    name_before: Option<String>,
    target: Target,
    /// With keys as they are written in the journal.
    options: Options,
}

fn read_settled(path: &Path, options: &Options) -> Result<Settled> {
    const ATTEMPTS: usize = 100;
    let target = left_behind::open(path)?;
    let options = Options {
        key: Journal::key_as_in_log(&target, &options.key)?,
        ..options.clone()
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (log, file, metadata) = patiently(target.path(), || {
            let log = Journal::find(&target)?;
            let (file, metadata) = target.open_sheet()?;
            Ok(Some((log, file, metadata)))
        })?;
        let bytes = read_all(&file, target.path())?;
        let read = |key: &KeyColumns| {
            Journal::read(&target, log.as_ref(), (key, options.encoding), &bytes)
        };
        let (frames, name_before) = read(&options.key).or_else(|error| {
            let bytes = Snapshot::Owned(bytes.clone());
            let sheet = Sheet::build(bytes, target.path(), &options).map_err(|_| error.clone())?;
            match key_before(&target, &sheet)? {
                Some(key) => read(&key),
                None => Err(error),
            }
        })?;
        // The log that was there before and after knows this version as the latest, if nobody replaced
        // either meanwhile.
        let settled =
            Journal::is_still(&target, log.as_ref())? && is_still(&target, &Stamp::of(&metadata))?;
        if settled || attempt == ATTEMPTS {
            return Ok(Settled {
                bytes,
                log: log.is_some().then_some(frames),
                name_before,
                target,
                options,
            });
        }
    }
}

fn is_still(target: &Target, stamp: &Stamp) -> Result<bool> {
    let now = target.metadata()?;
    Ok(now.is_some_and(|metadata| Stamp::of(&metadata) == *stamp))
}

fn read_all(mut file: &File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    Ok(bytes)
}
