//! A journal that was left where its sheet does not lie any more.
//!
//! A journal lies beside a name, so who renames or moves a sheet takes it away from its results. Both ends
//! are told: a name whose sheet is gone names its journal, and a sheet without one is looked for in those of
//! its folder, by its contents. It is one of the versions that the journal made public, or shows times that the journal
//! gave it, or has its keys where nothing has the old name; what has the old name shows nothing of the journal, has other
//! keys, or is a copy made since: a copy is not taken for the sheet that it was made of. Whether it is the same
//! sheet only a person knows, so the person is asked, and only while the journal holds results that no public
//! version showed, or that an older version lacks: all others went along. An older version shows a time of a result
//! that this journal gave it. One that shows none may be what a copy was made of, that was worked on and is gone: it
//! has to have been saved under the name of the journal's sheet, as far as its times tell.
//!
//! A journal of which all is shown stays where it is, though a sheet under another name be the very version that it
//! made public: that one's own log begins with all of it, so that what somebody took out of the sheet before it was
//! renamed is judged as under its old name, and is taken over by that name's log if the sheet has it again
//! ([`gone_on_with`]). Nothing is to be saved there, and the old name may come back: what is put in its place, a backup say,
//! lacks the results, and only the journal beside it tells so. The price is a question about a later file that has the
//! old name and the same keys; its answer loses nothing.
//!
//! A name beside which a journal lies already, that of an earlier sheet or of the same one when it had this name before,
//! keeps a sheet from its own: that is said with what to do, where the sheet shows that it is of the other journal. What is
//! to be moved aside gets a name of which a sheet may have been called, so that its own finds it.
//!
//! Of several journals that tell of a sheet, one with which a later one began knows nothing of what came since, and that of
//! a copy nothing of what the sheet itself got; the very version that a journal knows counts for more than traces ([`Weight`]).
//!
//! A link has no journal beside it. Where a file took its place, and lacks results of the sheet to which it led,
//! that is said, and nothing is done with the file (`disk/link.rs`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::disk::link::{self, Leads, Link};
use crate::disk::{
    ContentHash, Rights, Snapshot, Target, WriteGuard, WriteLock, hash_bytes, is_held,
};
use crate::domain::columns::LAST_PROCESSED;
use crate::domain::stage_prefix;
use crate::error::{Error, Named, Result};
use crate::journal::{Frame, Head, Journal, Reading, frame};
use crate::sheet::{Duplicates, History, Options, Past, Sheet, Verdict, is_same, text};
use crate::store::free_name::{free_name, numbered};
use crate::store::inherited::inherited;
use crate::store::renamed_key::is_renamed;
use crate::store::standing::{Standing, cell, standing};
use crate::sys::birth;
use crate::text::shell::command_line;
use crate::text::{Escaped, escape};

/// A journal that lies beside another name, and holds results of a sheet.
pub(crate) struct LeftBehind {
    place: Arc<Target>,
    /// How many rows have results that no public version showed.
    rows: usize,
}

/// The place of a sheet that has to be there.
///
/// # Errors
/// As [`Target::open`]; where the sheet is gone and its journal still holds results, that is said.
pub(crate) fn open(path: &Path) -> Result<Target> {
    let target = Target::open(path).map_err(|error| match &error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            gone(path).unwrap_or(error)
        }
        _ => error,
    })?;
    refuse_link_over_results(path, &target)?;
    Ok(target)
}

/// A sheet that was moved, and a link put in its place, is worked on where the link leads to: what its journal
/// holds beside the link would be forgotten.
fn refuse_link_over_results(path: &Path, target: &Target) -> Result<()> {
    let Some(link) = Target::of_link(path) else {
        return Ok(());
    };
    let Ok(Some((_, frames))) = Journal::peek(&link) else {
        return Ok(());
    };
    let rows = waiting(&frame::history(&frames), None);
    if rows == 0 {
        return Ok(());
    }
    let (from, to) = (Journal::path_beside(&link), Journal::path_beside(target));
    Err(Error::Unsuitable {
        problem: format!(
            "is a link, and beside it {} holds results for {rows} rows of the sheet that had this name: if that is the one that the link leads to, mv -n {} {} and run tickoff recover {} --apply",
            escape(&from.display().to_string()),
            command_line([&from].into_iter()),
            command_line([&to].into_iter()),
            command_line([path].into_iter()),
        ),
        path: path.to_owned(),
    })
}

/// A name that led to a sheet and does not any more.
pub(crate) fn refuse_led_away(link: &Link) -> Result<()> {
    let results = "all results are in the sheet";
    let go_on = "a run on its own path goes on with it";
    let now = match link.look() {
        Leads::There => return Ok(()),
        Leads::ToFile(file) => format!(
            "since a file took the link's place: {results}, and those since then are not in that file; {}",
            how_to_put_back(&file, link.sheet())
        ),
        Leads::Elsewhere(path) => {
            format!("but to {}: {results}, and {go_on}", Escaped::path(&path))
        }
        Leads::Nowhere => format!("and is gone: {results}, and {go_on}"),
    };
    Err(Error::LedAway {
        path: link.name().to_owned(),
        sheet: link.sheet().to_owned(),
        now,
    })
}

/// What others did to the sheet itself since is in the version that is kept.
fn how_to_put_back(name: &Path, sheet: &Path) -> String {
    let kept = free_name(sheet, ".before");
    format!(
        "to bring both together, ln {} && mv {} && ln -s {} and run the command again",
        command_line([sheet, &kept].into_iter()),
        command_line([name, sheet].into_iter()),
        command_line([sheet, name].into_iter()),
    )
}

/// Whether a file lacks results of the sheet to which a link led that had the file's name before. A sheet of
/// its own that lacks nothing, or has nothing in common with that one, is none.
pub(crate) fn took_links_place(
    target: &Target,
    options: &Options,
    sheet: &Sheet,
    hash: ContentHash,
) -> Result<Option<Error>> {
    let Some(led_to) = link::link_before(target) else {
        return Ok(None);
    };
    let like = target.rights_now()?;
    let led_to = target.folder_path().join(led_to);
    let Ok(place) = Target::open_or_missing(&led_to, like.as_ref()) else {
        return Ok(None);
    };
    let Ok(Some((head, frames))) = Journal::peek(&place) else {
        return Ok(None);
    };
    if place.path() == target.path() || !head.key().is_same(&options.key) {
        return Ok(None);
    }
    let history = frame::history(&frames);
    let rows = standing(&frames, &history, sheet, hash, is_of_session(&frames))
        .lacking(&frames, &history, sheet);
    let remembered = link::remembered_at(target);
    Ok((rows > 0).then(|| Error::Unsuitable {
        problem: format!(
            "was a link to {} and is a file now, without the results of {} that are there: {}; to have it taken for a sheet of its own, rm {}",
            Escaped::path(place.path()),
            rows_text(rows),
            how_to_put_back(target.path(), place.path()),
            command_line([&remembered].into_iter()),
        ),
        path: target.path().to_owned(),
    }))
}

fn rows_text(rows: usize) -> String {
    let plural = if rows == 1 { "" } else { "s" };
    format!("{rows} row{plural}")
}

/// What is to be said of a sheet that is gone, if anything.
pub(crate) fn gone(path: &Path) -> Option<Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let like = Rights::of_place(folder.unwrap_or(Path::new("."))).ok()?;
    let place = Target::open_or_missing(path, Some(&like)).ok()?;
    let history = frame::history(&Journal::peek(&place).ok()??.1);
    let journal = escape(&Journal::path_beside(&place).display().to_string());
    let problem = match (waiting(&history, None), history.results().count()) {
        _ if is_used(&place).is_ok_and(|is_used| is_used) => {
            "is not there, and a run works on it, which writes it again with all results: wait for it"
                .to_owned()
        }
        (0, 0) => return None,
        (0, rows) => format!(
            "is not there, and its journal {journal} has the results of {}, all of which it showed. If you renamed or moved it, they went along. If it was deleted, or an older version, or one without some of its rows, had taken its place: tickoff backup restore FILE latest, then tickoff recover FILE --apply. To begin anew, use another name",
            rows_text(rows)
        ),
        (rows, _) => format!(
            "is not there, and its journal {journal} holds results for {} that it may not have shown. If you have it, put it back. If you renamed it in this folder: tickoff recover NEW_NAME --apply. If it is lost: tickoff backup restore FILE latest, then tickoff recover FILE --apply",
            rows_text(rows)
        ),
    };
    Some(Error::Unsuitable {
        problem,
        path: path.to_owned(),
    })
}

/// How many keys have results in the journal that lies beside a place.
pub(crate) fn results_beside(place: &Target) -> usize {
    let log = Journal::peek(place).ok().flatten();
    log.map_or(0, |(_, frames)| frame::history(&frames).results().count())
}

/// The journal of another name in a sheet's folder.
struct Other {
    place: Target,
    id: String,
    goes_on_from: Option<(String, usize)>,
    copy_of: Option<String>,
    frames: Vec<Frame>,
    history: History,
}

impl Other {
    fn new(
        place: Target,
        (head, frames): (Head, Vec<Frame>),
        options: &Options,
        sheet: &Sheet,
    ) -> Other {
        let reading = Reading::beside(sheet.bytes(), &frames, options.encoding);
        let frames = frames.into_iter();
        let frames: Vec<Frame> = frames.map(|frame| reading.seen_or_meant(frame)).collect();
        let history = frame::history(&frames);
        Other {
            place,
            id: head.id,
            goes_on_from: head.goes_on_from,
            copy_of: head.copy_of,
            frames,
            history,
        }
    }

    /// With what a later log says that it began, if that is this one.
    fn all_of(&self) -> (String, usize) {
        (self.id.clone(), self.frames.len())
    }

    /// Whether this is of a copy that was made by `--output`, of a sheet that has another name now.
    fn is_of_copy_of_renamed(&self) -> Result<bool> {
        let Some(of) = &self.copy_of else {
            return Ok(false);
        };
        let of = self.place.folder_path().join(of);
        Ok(!is_gone(&self.place)? && !of.try_exists().map_err(Error::io("look for", &of))?)
    }

    /// With what the log of a sheet begins that had this name.
    fn all(&self) -> Vec<Frame> {
        let frames = self.frames.iter().cloned();
        let no_session = |frame| Frame {
            session: None,
            ..frame
        };
        frames.map(no_session).collect()
    }

    /// With what the log of a sheet begins that shows results of this one.
    fn shown_by(&self, sheet: &Sheet, hash: ContentHash) -> Vec<Frame> {
        let added = frame::added(&self.frames).cloned();
        inherited(&self.history, sheet, hash, added)
    }
}

/// The journals of other names in a sheet's folder, if their key is the sheet's: those that are wanted by their place.
fn others<'s>(
    target: &'s Target,
    is_wanted: impl Fn(&Target) -> bool + 's,
    like: &'s Rights,
    options: &'s Options,
    sheet: &'s Sheet,
) -> Result<impl Iterator<Item = Other> + 's> {
    let names = Journal::names_of_others(target)?.into_iter();
    Ok(names.filter_map(move |name| {
        let path = target.folder_path().join(name);
        // One that has a link's name was left there by what had that name before.
        let place = match Target::of_link(&path) {
            Some(link) => link.with_rights(like.clone()),
            None => Target::open_or_missing(&path, Some(like)).ok()?,
        };
        if !is_wanted(&place) {
            return None;
        }
        // What cannot be read has something to say to whoever opens that sheet.
        let (head, frames) = Journal::peek(&place).ok()??;
        if head.copy_of.as_deref() == Some(target.name()) {
            return None;
        }
        if !head.key().is_same(&options.key) && !is_renamed(&head, &frames, sheet) {
            return None;
        }
        Some(Other::new(place, (head, frames), options, sheet))
    }))
}

/// Refuses a sheet that shows results of another name's journal, which knows its rows by another key: jobs would get other
/// keys than before, without a word.
fn refuse_another_key(
    target: &Target,
    like: &Rights,
    options: &Options,
    sheet: &Sheet,
) -> Result<()> {
    for name in Journal::names_of_others(target)? {
        let path = target.folder_path().join(name);
        let Ok(place) = Target::open_or_missing(&path, Some(like)) else {
            continue;
        };
        let Ok(Some((head, frames))) = Journal::peek(&place) else {
            continue;
        };
        let (key, schema) = (head.key(), sheet.schema());
        let has_key = (key.names().iter()).all(|name| schema.position(name).is_some());
        if !head.is_known() || key.is_same(&options.key) || !has_key {
            continue;
        }
        let options = Options {
            key,
            duplicates: Duplicates::All,
            ..options.clone()
        };
        let bytes = Snapshot::Owned(sheet.bytes().to_vec());
        let Ok(by_it) = Sheet::build(bytes, sheet.path(), &options) else {
            continue;
        };
        let other = Other::new(place, (head, frames), &options, &by_it);
        if traces(&other.history, &by_it).any(is_time) {
            let names = options.key.names();
            let each = command_line(names.iter().flat_map(|name| ["--key", name]));
            return Err(Error::Journal {
                path: Journal::path_beside(&other.place),
                problem: format!(
                    "holds results that this sheet shows, by the key {}: use {each} (tickoff init FILE {each} remembers it)",
                    Named(names)
                ),
            });
        }
    }
    Ok(())
}

/// What the journals of other names tell of a sheet that has none.
#[derive(Default)]
pub(crate) struct Found {
    /// It is of this one, and lacks results that are there.
    pub(crate) left: Option<LeftBehind>,
    /// Else it may show results of one of them. With these frames its own begins.
    pub(crate) known: Vec<Frame>,
    /// The log that these are all of, and how many they are, if the sheet was renamed.
    pub(crate) known_from: Option<(String, usize)>,
    /// The name of the sheet whose results these are.
    pub(crate) results_of: Option<String>,
    /// A sheet that has that name still, and how many rows of this one lack results that it has.
    pub(crate) older_than: Option<(String, usize)>,
}

/// By what the logs of other names are compared, where one holds results that a sheet lacks, and another none.
struct Weight {
    log: (String, usize),
    is_gone: bool,
    /// This very version lay there, and it is not the one of which a copy may have been made.
    has_version: bool,
    at: Option<DateTime<Utc>>,
}

impl Weight {
    fn of(other: &Other, hash: ContentHash) -> Result<Weight> {
        Ok(Weight {
            log: other.all_of(),
            is_gone: is_gone(&other.place)?,
            has_version: is_later_version(&other.history, hash),
            at: other.frames.last().map(|frame| frame.at),
        })
    }

    /// Whether nothing is lacking, by the log of this one, that the other says is lacking. What still has its name may be a
    /// copy, of which the sheet got nothing since.
    fn outweighs(&self, other: &Weight) -> bool {
        (self.is_gone || !other.is_gone) && (self.has_version || !other.has_version)
    }
}

/// Looks for the journal of a sheet that has none, or one of another sheet.
pub(crate) fn look_for(
    target: &Target,
    options: &Options,
    sheet: &Sheet,
    hash: ContentHash,
) -> Result<Found> {
    let Some(like) = target.rights_now()? else {
        return Ok(Found::default());
    };
    refuse_another_key(target, &like, options, sheet)?;
    // Of the names that a sheet had one after the other, the journal of the last tells what became of it, and the one
    // of which it shows most what is known.
    let (mut older, mut whole) = (Vec::new(), Vec::new());
    let mut gone_on: Vec<(String, usize)> = Vec::new();
    let (mut known, mut known_from, mut results_of) = (Vec::new(), None, None);
    let (mut best, mut older_than) = (None, None);
    let mut learn = |other: &Other| {
        let shown = other.shown_by(sheet, hash);
        let rows: usize = shown.iter().map(|frame| frame.rows.len()).sum();
        let is_gone = is_gone(&other.place)?;
        // Of two names that the sheet had, the later log knows more.
        let rank = Some((
            !other.is_of_copy_of_renamed()?,
            rows,
            is_gone,
            other.frames.last().map(|frame| frame.at),
        ));
        if rows == 0 || rank <= best {
            return Ok(());
        }
        best = rank;
        results_of = Some(other.place.name().to_owned());
        // What a renamed sheet does not show any more somebody took out of it, unless a log is gone that came in between.
        (known, known_from) = match is_gone && !has_row_done_again(&other.history, sheet) {
            true => (other.all(), Some(other.all_of())),
            false => (shown, None),
        };
        Ok::<(), Error>(())
    };
    for other in others(target, |_| true, &like, options, sheet)? {
        gone_on.extend(other.goes_on_from.clone());
        let waiting = waiting(&other.history, Some((sheet, &[hash])));
        let rows = match waiting {
            0 => match standing_elsewhere(&other, sheet, hash) {
                Elsewhere::Traceless(rows) if was_saved_there(&other, target)? => rows,
                Elsewhere::Traceless(_) | Elsewhere::Unknown => continue,
                Elsewhere::Whole => {
                    whole.push(Weight::of(&other, hash)?);
                    learn(&other)?;
                    continue;
                }
                Elsewhere::Older(rows) => rows,
            },
            rows => rows,
        };
        if !is_of(&other, sheet, hash, options)? || is_used(&other.place)? {
            // It may be a copy.
            if traces(&other.history, sheet).any(is_time) {
                learn(&other)?;
                older_than = Some((other.place.name().to_owned(), rows));
            }
            continue;
        }
        let weight = Weight::of(&other, hash)?;
        let place = Arc::new(other.place);
        let left = LeftBehind { place, rows };
        if waiting > 0 {
            return Ok(Found {
                left: Some(left),
                ..Found::default()
            });
        }
        older.push((weight, left));
    }
    // One with which a later log began knows nothing of what came since.
    let is_last = |it: &Weight| !gone_on.contains(&it.log);
    whole.retain(is_last);
    older.retain(|(it, _)| !whole.iter().any(|whole| whole.outweighs(it)));
    let last = older.into_iter().max_by_key(|(it, _)| (is_last(it), it.at));
    let left = last.map(|(_, left)| left);
    if left.is_some() {
        (known, known_from) = (Vec::new(), None);
    }
    Ok(Found {
        left,
        known,
        known_from,
        results_of,
        older_than,
    })
}

/// What the journal of a sheet tells of a copy that was made of it, as [`Found::known`].
pub(crate) fn known_of_copy(
    of: &Path,
    options: &Options,
    copy: &Sheet,
    hash: ContentHash,
) -> Vec<Frame> {
    let Ok(place) = Target::open(of) else {
        return Vec::new();
    };
    match Journal::peek(&place) {
        Ok(Some((head, frames))) if head.key().is_same(&options.key) => {
            Other::new(place, (head, frames), options, copy).shown_by(copy, hash)
        }
        _ => Vec::new(),
    }
}

/// The frames of a later log of a sheet that had another name in between: it began with the sheet's own log, which has
/// this id and so many frames still. `None` if there is none, or a crash ended it.
pub(crate) fn gone_on_with(
    target: &Target,
    options: &Options,
    sheet: &Sheet,
    (id, count): (&str, usize),
) -> Result<Option<Vec<Frame>>> {
    let Some(like) = target.rights_now()? else {
        return Ok(None);
    };
    let own = Some((id.to_owned(), count));
    for other in others(target, used_since(target), &like, options, sheet)? {
        let is_later = other.goes_on_from == own && !is_of_session(&other.frames);
        if is_later && has_left(&other, options) && !is_used(&other.place)? {
            return Ok(Some(other.frames));
        }
    }
    Ok(None)
}

/// What is to be said of a sheet that left its journal behind, and got a name again beside which its own one lies of a
/// time when it had this name.
pub(crate) fn beside_another(
    target: &Target,
    options: &Options,
    sheet: &Sheet,
    history: &History,
    hash: ContentHash,
) -> Result<Option<Error>> {
    let Some(like) = target.rights_now()? else {
        return Ok(None);
    };
    let mut public: Vec<ContentHash> = vec![hash];
    public.extend(history.versions().iter().map(|version| version.hash));
    for other in others(target, used_since(target), &like, options, sheet)? {
        let rows = waiting(&other.history, Some((sheet, &public)));
        // What shows no time of its results may be what a copy was made of that was worked on and is gone.
        let is_its = traces(&other.history, sheet).any(is_time);
        if rows == 0 || !is_its || !is_of(&other, sheet, hash, options)? || is_used(&other.place)? {
            continue;
        }
        let place = Arc::new(other.place);
        return LeftBehind { place, rows }.beside(target).map(Some);
    }
    Ok(None)
}

/// Whether the sheet of a log has its name no more: nothing has it, or another sheet.
fn has_left(other: &Other, options: &Options) -> bool {
    let options = Options {
        duplicates: Duplicates::All,
        ..options.clone()
    };
    is_gone(&other.place).unwrap_or(false)
        || Sheet::read_without_journal(other.place.path(), &options).map_or(true, |beside| {
            let sample = frame::sample(&other.frames);
            sample.is_some_and(|sample| !sample.is_kin_of(&beside))
        })
}

/// Whether nothing has the name any more.
fn is_gone(place: &Target) -> Result<bool> {
    Ok(place.metadata()?.is_none())
}

/// The names that a sheet with a journal of its own may have had since that was written: nothing has them any more, or
/// another sheet, as next month's list has, and no session that goes on.
fn used_since(target: &Target) -> impl Fn(&Target) -> bool + use<> {
    let modified = |place: &Target| {
        let journal = Journal::path_beside(place).metadata().ok()?;
        journal.modified().ok()
    };
    let own = modified(target);
    move |place| {
        is_gone(place).unwrap_or(false) || modified(place) > own && !is_used(place).unwrap_or(true)
    }
}

/// Where a journal may be moved that lies beside another sheet: as that of a name which nothing has, it is found by its own.
fn free_journal(target: &Target, like: &Rights) -> PathBuf {
    let mut free = numbered(target.path(), ".before").filter_map(|name| {
        let place = Target::open_or_missing(&name, Some(like)).ok()?;
        let journal = Journal::path_beside(&place);
        (is_gone(&place).ok()? && journal.symlink_metadata().is_err()).then_some(journal)
    });
    free.next().expect("there is no end of names")
}

impl LeftBehind {
    /// What the person is asked.
    pub(crate) fn question(&self, path: &Path) -> Error {
        let journal = Journal::path_beside(&self.place);
        Error::Undecided {
            path: path.to_owned(),
            found: format!(
                "was called {} when it was worked on, and {} was left there",
                Escaped::text(self.place.name()),
                escape(&journal.display().to_string())
            ),
            rows: self.rows,
        }
    }

    /// What is to be said where a journal of another sheet, or an earlier one of this, lies beside the name.
    pub(crate) fn beside(&self, target: &Target) -> Result<Error> {
        let from = Journal::path_beside(&self.place);
        let beside = Journal::path_beside(target);
        let aside = match target.rights_now()? {
            Some(like) => free_journal(target, &like),
            None => free_name(&beside, ".other"),
        };
        Ok(Error::Unsuitable {
            problem: format!(
                "was called {} when it was worked on, and {} was left there with results for {} that it does not show; the journal beside it knows nothing of them: mv -n {} and run tickoff recover {} --apply, which writes them, or --discard, which gives them up and keeps them in a copy",
                Escaped::text(self.place.name()),
                escape(&from.display().to_string()),
                rows_text(self.rows),
                command_line([&beside, &aside].into_iter()),
                command_line([target.path()].into_iter()),
            ),
            path: target.path().to_owned(),
        })
    }

    /// Gives the journal to the sheet, which has none.
    pub(crate) fn take_over(&self, target: &Target, _held: &WriteGuard) -> Result<()> {
        let lock = WriteLock::open(&self.place)?;
        let _held = lock.acquire()?;
        Journal::move_to(&self.place, target)
    }
}

/// How many keys have a value that no public version showed, and that the sheet does not show. The hashes are of
/// contents that are known to have been public.
/// A row that shows what it never held before has been shown and gone on with, whatever became of it since.
fn waiting(history: &History, sheet: Option<(&Sheet, &[ContentHash])>) -> usize {
    let shown = |po: &str, column: &str| {
        let (sheet, _) = sheet?;
        let row = sheet.rows(po).next()?;
        let column_at = sheet.schema().position(column)?;
        Some(text(sheet.base_cell(row, column_at)))
    };
    // One that was only announced may never have taken the name, unless the sheet is it or a later one.
    let public = sheet.map_or(&[][..], |(_, public)| public);
    let was_public = |version: usize| {
        let mut since = history.versions()[version..].iter();
        since.any(|it| !it.has_failed && (it.is_confirmed || public.contains(&it.hash)))
    };
    let rows = history.rows().filter(|(po, row)| {
        let has_gone_on = |past: &Past| {
            let is_new = |shown: &str| {
                let mut earlier = past.earlier();
                !shown.trim().is_empty() && !earlier.any(|it| is_same(&past.column, it, shown))
            };
            past.public_since().is_some()
                && shown(po, &past.column).is_some_and(|shown| is_new(&shown))
        };
        let is_missing = |past: &Past| {
            let shown = shown(po, &past.column);
            !shown.is_some_and(|shown| is_same(&past.column, &shown, &past.last))
        };
        let results = || row.iter().filter(|past| !past.is_outside);
        let unseen = || results().filter(|past| !past.public_since().is_some_and(was_public));
        let missing = || unseen().filter(|past| is_missing(past));
        missing().any(|past| past.public_since().is_none())
            || missing().next().is_some() && !unseen().any(has_gone_on)
    });
    rows.count()
}

/// How a sheet stands to the journal of another name, of which all was public.
enum Elsewhere {
    /// It has nothing to do with this journal, as far as can be told.
    Unknown,
    /// Nothing in it is of this journal, whose results it lacks in so many rows: it may be what a copy was made of that
    /// was worked on and is gone.
    Traceless(usize),
    /// It shows what this journal gave it, and lacks nothing.
    Whole,
    /// It shows a time that this journal gave it, and whoever saved it cannot have known the results of so many rows.
    Older(usize),
}

fn is_time(past: &Past) -> bool {
    stage_prefix(&past.column, LAST_PROCESSED).is_some()
}

/// The cells of a sheet that show what they did not before a journal's results, and did since.
fn traces<'s>(history: &'s History, sheet: &'s Sheet) -> impl Iterator<Item = &'s Past> {
    let cells = history.cells().filter(|(po, past)| {
        let is = |value: &str, shown: &str| is_same(&past.column, value, shown);
        cell(sheet, history, po, &past.column).is_some_and(|shown| {
            let mut written = past.earlier().chain([past.last.as_str()]);
            !shown.trim().is_empty()
                && written.any(|value| is(value, &shown))
                && !past.before.iter().any(|before| is(before, &shown))
        })
    });
    cells.map(|(_, past)| past)
}

/// Whether these contents had the name of a log's sheet after the first version, of which a copy may have been made.
fn is_later_version(history: &History, hash: ContentHash) -> bool {
    let mut first = history.versions().iter().take(1);
    history.knows(hash) && !first.any(|it| it.hash == hash)
}

fn standing_elsewhere(other: &Other, sheet: &Sheet, hash: ContentHash) -> Elsewhere {
    let (frames, history) = (&other.frames, &other.history);
    let mut traces = traces(history, sheet).peekable();
    let is_traceless = traces.peek().is_none();
    let has_time = traces.any(is_time);
    let held = |past: &Past, shown: &str| {
        let mut earlier = past.earlier();
        earlier.any(|it| is_same(&past.column, it, shown))
    };
    let is_last = |past: &Past, shown: &str| is_same(&past.column, &past.last, shown);
    let shown = |po: &str, past: &Past| cell(sheet, history, po, &past.column);
    let standing = standing(frames, history, sheet, hash, is_of_session(frames));
    if is_traceless {
        return match standing.lacking(frames, history, sheet) {
            0 => Elsewhere::Unknown,
            rows if is_later_version(history, hash) => Elsewhere::Older(rows),
            rows => Elsewhere::Traceless(rows),
        };
    }
    let reading = match standing {
        Standing::Current(_) => return Elsewhere::Whole,
        Standing::Anew => return Elsewhere::Unknown,
        Standing::Asked(question) if question.is_another => return Elsewhere::Unknown,
        Standing::Asked(question) => question.reading,
        Standing::Saved(reading) => reading,
    };
    let lacks = |po: &str, past: &Past| {
        !past.is_outside
            && shown(po, past).is_some_and(|shown| {
                let verdict = reading.verdict(past, &shown);
                matches!(verdict, Verdict::Ours | Verdict::Unclear)
                    && held(past, &shown)
                    && !is_last(past, &shown)
            })
    };
    let rows = history.rows().filter(|(po, row)| {
        row.iter().any(|past| lacks(po, past)) && !is_done_again(history, sheet, po, row)
    });
    match rows.count() {
        0 => Elsewhere::Whole,
        rows if has_time => Elsewhere::Older(rows),
        _ => Elsewhere::Unknown,
    }
}

fn has_row_done_again(history: &History, sheet: &Sheet) -> bool {
    let mut rows = history.rows();
    rows.any(|(po, row)| is_done_again(history, sheet, po, row))
}

/// Whether a row was done again under a later name: it has a time of which this journal does not know.
fn is_done_again(history: &History, sheet: &Sheet, po: &str, row: &[Past]) -> bool {
    row.iter().filter(|past| is_time(past)).any(|past| {
        cell(sheet, history, po, &past.column).is_some_and(|shown| {
            let mut written = past.earlier().chain([past.last.as_str()]);
            !shown.trim().is_empty() && !written.any(|it| is_same(&past.column, it, &shown))
        })
    })
}

/// Whether a file that shows nothing of a journal was saved under the name of the journal's sheet all the same, and is
/// not what a copy was made of: after a crash whatever was saved since, else what was saved into the file that a run
/// had put there.
fn was_saved_there(other: &Other, target: &Target) -> Result<bool> {
    let metadata = |path: &Path| path.metadata().map_err(Error::io("read", path));
    let Some(sheet) = target.metadata()? else {
        return Ok(false);
    };
    let journal = metadata(&Journal::path_beside(&other.place))?
        .modified()
        .ok();
    if sheet.modified().ok() <= journal {
        return Ok(false);
    }
    if is_of_session(&other.frames) {
        return Ok(true);
    }
    // Made when the first run of that name began, and never replaced.
    let lock = other.place.sibling("lock");
    // Not every filesystem knows it.
    let (Ok(begun), Ok(created)) = (birth::of(&lock), birth::of(target.path())) else {
        return Ok(false);
    };
    Ok(begun < created && Some(created) <= journal)
}

fn is_of_session(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| frame.session.is_some())
}

/// Whether a sheet has the contents that a journal knows, and what lies beside that journal has not.
fn is_of(other: &Other, sheet: &Sheet, hash: ContentHash, options: &Options) -> Result<bool> {
    let Other {
        place,
        frames,
        history,
        ..
    } = other;
    let is_known = history
        .versions()
        .iter()
        .any(|version| version.hash == hash && !version.has_failed);
    let sample = frame::sample(frames);
    if place.path().is_symlink() || place.metadata()?.is_none() {
        return Ok(is_known || sample.is_some_and(|sample| sample.is_kin_of(sheet)));
    }
    let has_time = || traces(history, sheet).any(is_time);
    if !is_known && !has_time() {
        return Ok(false);
    }
    let options = Options {
        duplicates: Duplicates::All,
        ..options.clone()
    };
    let Ok(beside) = Sheet::read_without_journal(place.path(), &options) else {
        return Ok(true);
    };
    if !sample.is_none_or(|sample| sample.is_kin_of(&beside)) {
        return Ok(true);
    }
    // A new file with the same keys, as next month's list has them, or a copy that was made since.
    let is_anew = match hash_bytes(beside.bytes()) == hash {
        true => !was_there(other, beside.path())? && is_last_public(other, sheet, hash)?,
        false => {
            traces(history, &beside).next().is_none()
                && (has_time() || is_last_public(other, sheet, hash)?)
        }
    };
    Ok(is_anew && waiting(history, Some((sheet, &[hash]))) > 0)
}

/// Whether a sheet is the version that a journal made public last, and no copy that was made of it since.
fn is_last_public(other: &Other, sheet: &Sheet, hash: ContentHash) -> Result<bool> {
    // One that was only announced may never have taken the name.
    let mut latest = other.history.versions().iter().rev();
    let last = latest.find(|version| version.hash == hash || version.is_confirmed);
    let is_last = last.is_some_and(|version| version.hash == hash && !version.has_failed);
    Ok(is_last && was_there(other, sheet.path())?)
}

/// Whether a file was made before the last entry of a journal.
fn was_there(other: &Other, path: &Path) -> Result<bool> {
    let metadata = |path: &Path| path.metadata().map_err(Error::io("read", path));
    let file = metadata(path)?;
    // Not every filesystem knows when.
    let made = birth::of(path).or(file.modified()).ok();
    let journal = metadata(&Journal::path_beside(&other.place))?;
    Ok(made <= journal.modified().ok())
}

/// Whether a session goes on there, which keeps what is its own.
fn is_used(place: &Target) -> Result<bool> {
    let session: Option<File> = place.open_sibling_to_read("session")?;
    session.map_or(Ok(false), |session| is_held(place, &session))
}
