//! What has to be true of a sheet after what was done to it: who wrote each cell last, and what that hand
//! had seen.
//!
//! The model knows which version each author had open, which the program is not told. From that follows
//! whose a cell is:
//!
//! - A result stays until a later result, or a hand that had seen it, changes it. Where it has no row or
//!   column any more it is in the journal, and then in a copy.
//! - An edit stays in the sheet until a later hand changes it. Where a result stands in its cell that its
//!   author had not seen it is in a copy.
//!
//! What nobody can tell from a file is allowed, and no more than that (H9):
//!
//! - Who changed a cell that showed a result may find the result there again if the two traces that a save
//!   leaves do not both show that they had seen it: the newest LAST_PROCESSED in it that is new to its cell, and
//!   the public versions from which it differs in the fewest of the cells that tickoff wrote ([`Evidence`]). It
//!   may be asked then, and where a whole row was put back with its time. A result is not lost for this.
//! - Where no time of a result stands and the versions differ from a save in equally many cells, which takes a
//!   `set` of single cells, the save's value may stay in the place of a result that its author cannot have seen.
//! - A save from before the journal that there is: what it shows instead of the journal's first version may be
//!   taken for a change.
//! - A sheet that was taken back to an older version and renamed, or followed by another one, before tickoff has
//!   seen it: of what was public once it is thought that it went along, if no time of a result of that journal
//!   stands in it.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Table, is_same};

/// A key and the name of a column, in capitals.
pub type Cell = (String, String);

/// Whose a cell is.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// A result that nobody has changed who had seen it. `roams`: its row or column was gone at some time.
    /// `since`: no version before this one can show it.
    Result {
        value: String,
        roams: bool,
        since: usize,
    },
    /// Somebody's own. `strict`: it is in the sheet and nowhere else.
    Edit { value: String, strict: bool },
    /// Somebody changed a result, and the save does not tell that they had seen it. There are several `edits` if
    /// others saved the sheet before tickoff is known to have looked. `since` is the result's.
    Either {
        result: String,
        edits: Vec<String>,
        since: usize,
    },
}

/// A version that stood in the sheet's place.
pub struct Version {
    pub text: String,
    pub table: Table,
    /// tickoff made it, or has taken it in as that of somebody who had seen the one before it.
    pub is_known: bool,
    /// tickoff has seen it for certain. Another save may have been quicker.
    pub is_taken_in: bool,
    /// Whoever reads it has seen what was public as this version.
    pub knows: usize,
    /// Nobody saw whether it was public: the sheet after one of several results that came in together.
    pub is_possible: bool,
}

#[derive(Default)]
pub struct Model {
    pub versions: Vec<Version>,
    /// What journal there is knows nothing of the versions before this one.
    pub cut: usize,
    /// Those before this one are of another sheet.
    pub sheet_since: usize,
    pub wants: BTreeMap<Cell, Want>,
    /// Edits of cells in which a result stands that their author had not seen. Forgotten once they are in a
    /// copy.
    pub aside: Vec<(Cell, String)>,
    /// What saves had that nobody is known to have taken in when the sheet was deleted. A session that has their file
    /// open takes it in.
    pub gone: BTreeSet<(Cell, String)>,
    /// Cells of which the journal tells, with every value that they had.
    pub written: BTreeMap<Cell, BTreeSet<String>>,
    /// Times among them that no journal of the sheet tells any more.
    given_up: BTreeSet<(Cell, String)>,
    /// What stood in each of them when tickoff first wrote to it, and how many versions there were: of what they showed
    /// there the journal tells nothing else.
    before: BTreeMap<Cell, (String, usize)>,
    /// Why it may be asked what is to become of the results.
    pub may_ask: Vec<&'static str>,
    /// An old save wrote over what stood in a result's cell, an edit perhaps, and no writer has judged it yet: whether
    /// it is that or a later hand nothing tells.
    pub has_taken_edit_back: bool,
}

/// What a version shows in a cell, `None` where it has no such row; a column that it lacks shows nothing.
fn shown_in<'t>(table: &'t Table, (po, column): &Cell) -> Option<&'t str> {
    table.row(po)?;
    Some(table.get(po, column).unwrap_or(""))
}

pub fn cell(po: &str, column: &str) -> Cell {
    (po.trim().into(), column.trim().to_ascii_uppercase())
}

/// Which version a save looks as if its author had it open.
struct Evidence {
    /// The latest of which a LAST_PROCESSED stands that its cell showed in no version before.
    seen: Option<usize>,
    /// Those from which it differs in the fewest of the cells that tickoff wrote.
    near: Vec<usize>,
}

impl Model {
    /// Whether a public version showed this.
    pub fn was_public(&self, cell: &Cell, value: &str) -> bool {
        let mut versions = self.versions.iter().filter(|version| !version.is_possible);
        versions.any(|version| {
            let shown = version.table.get(&cell.0, &cell.1);
            shown.is_some_and(|shown| is_same(&cell.1, shown, value))
        })
    }

    pub fn latest(&self) -> &Version {
        &self.versions[self.latest_number()]
    }

    /// tickoff has taken in what others did.
    pub fn taken_in(&mut self) {
        let at = self.latest_number();
        self.versions[at].is_taken_in = true;
    }

    /// The cells of which it is open whether the result stands or an edit of it.
    pub fn undecided(&self) -> Vec<(Cell, Want)> {
        let wants = self.wants.iter();
        let open = wants.filter(|(_, want)| matches!(want, Want::Either { .. }));
        open.map(|(cell, want)| (cell.clone(), want.clone()))
            .collect()
    }

    /// Another command showed the results of these cells, but a session is going that may have looked at a save
    /// with one of the edits before a later save took its name. It judges that one yet, and before the later one.
    pub fn is_still_undecided(&mut self, cells: Vec<(Cell, Want)>) {
        for (cell, want) in cells {
            if let Some(shown @ Want::Result { .. }) = self.wants.get_mut(&cell) {
                *shown = want;
            }
        }
    }

    /// The number of what stands in the sheet's place.
    pub fn latest_number(&self) -> usize {
        let mut versions = self.versions.iter();
        let at = versions.rposition(|version| !version.is_possible);
        at.expect("there is a first version")
    }

    /// One that is public now.
    pub fn observed(&mut self, text: String, table: Table) {
        self.versions.push(Version {
            text,
            table,
            is_known: true,
            is_taken_in: true,
            knows: self.versions.len(),
            is_possible: false,
        });
    }

    /// The results so far may be public before those that follow.
    pub fn may_be_public(&mut self) {
        let mut table = self.versions.last().expect("there is one").table.clone();
        for ((po, column), want) in &self.wants {
            if let Want::Result { value, .. } = want {
                table.set(po, column, value);
            }
        }
        self.observed(String::new(), table);
        self.versions.last_mut().expect("it was added").is_possible = true;
    }

    /// A result was acknowledged.
    pub fn result(&mut self, po: &str, column: &str, value: &str) {
        let cell = cell(po, column);
        self.write(&cell, value);
        let want = Want::Result {
            value: value.into(),
            roams: false,
            since: self.versions.len(),
        };
        self.wants.insert(cell, want);
    }

    fn write(&mut self, cell: &Cell, value: &str) {
        let now = self.latest().table.get(&cell.0, &cell.1);
        let now = now.unwrap_or("").to_owned();
        let before = (now.clone(), self.versions.len());
        self.before.entry(cell.clone()).or_insert(before);
        let values = self.written.entry(cell.clone()).or_default();
        values.extend([now, value.to_owned()]);
    }

    fn evidence(&self, saved: &Table) -> Evidence {
        let (mut seen, mut near) = (None, Vec::new());
        let shows = |at: usize, cell: &Cell| match self.before.get(cell) {
            Some((before, since)) if at < *since => before.as_str(),
            _ => self.versions[at].table.get(&cell.0, &cell.1).unwrap_or(""),
        };
        let known: Vec<usize> = (self.cut..self.versions.len())
            .filter(|&at| at == self.cut || self.versions[at].is_known)
            .collect();
        for &at in &known {
            for cell in self
                .written
                .keys()
                .filter(|cell| cell.1 == "LAST_PROCESSED")
            {
                let is_shown = |at: usize, value| is_same(&cell.1, shows(at, cell), value);
                let is_new = |value| {
                    let mut before = known.iter().take_while(|&&before| before < at);
                    is_shown(at, value) && !before.any(|&before| is_shown(before, value))
                };
                if at > self.cut && shown_in(saved, cell).is_some_and(is_new) {
                    seen = Some(at);
                }
            }
        }
        let count = |at: usize| {
            let differs = |cell: &&Cell| {
                let value = shown_in(saved, cell);
                saved.column(&cell.1).is_some()
                    && value.is_some_and(|value| !is_same(&cell.1, shows(at, cell), value))
            };
            self.written.keys().filter(differs).count()
        };
        // Each of those that may have been public, and of the saves that may have been taken in, was, or was not.
        let is_certain =
            |at: usize| !self.versions[at].is_possible && self.versions[at].is_taken_in;
        let certain = known.iter().filter(|&&at| is_certain(at));
        let fewest = certain.map(|&at| count(at)).min().unwrap_or(usize::MAX);
        let near_ones = known.iter().copied().filter(|&at| count(at) <= fewest);
        near.extend(near_ones);
        // If it was not public, the next one is that of which the time was seen.
        let since = seen.into_iter().flat_map(|seen| seen..self.versions.len());
        near.extend(since.into_iter().find(|&at| !self.versions[at].is_possible));
        Evidence { seen, near }
    }

    /// Somebody who had this version open saved the sheet. `now` is what a reader saw just before.
    pub fn saved(&mut self, opened_at: usize, saved: &Table, now: &Table) {
        let open = &self.versions[opened_at].table.clone();
        let evidence = self.evidence(saved);
        // The one before did not last if nobody had taken it in.
        self.aside.clear();
        let mut cells: BTreeSet<Cell> = self.wants.keys().cloned().collect();
        for (po, column, _) in open.cells().chain(saved.cells()) {
            cells.insert(cell(&po, &column));
        }
        let knows = self.versions[opened_at].knows;
        let is_latest = open.text() == self.latest().text;
        let mut is_fresh = true;
        for cell in cells {
            let (po, column) = &cell;
            let (opened, theirs) = (open.get(po, column), saved.get(po, column));
            let same = |a: Option<&str>, b: &str| a.is_some_and(|a| is_same(column, a, b));
            let edit = |strict| {
                let value = theirs.unwrap_or_default().to_owned();
                Want::Edit { value, strict }
            };
            let want = self.wants.remove(&cell);
            let want = match (want, theirs) {
                (Some(Want::Result { value, since, .. }), None) => match opened {
                    // Who took it away had seen it.
                    Some(_) if same(opened, &value) => None,
                    _ => Some(Want::Result {
                        value,
                        roams: true,
                        since,
                    }),
                },
                (
                    Some(Want::Result {
                        value,
                        roams,
                        since,
                    }),
                    Some(theirs),
                ) => {
                    let stays = Want::Result {
                        value: value.clone(),
                        roams,
                        since,
                    };
                    let has_seen = knows >= since && same(opened, &value);
                    let is_unknown = knows < self.cut && {
                        let first = &self.versions[self.cut].table;
                        !same(first.get(po, column), theirs)
                    };
                    if same(Some(theirs), &value) {
                        Some(stays)
                    } else if is_unknown {
                        // The journal does not know the version that its author had open.
                        is_fresh = false;
                        if let Some(values) = self.written.get_mut(&cell) {
                            values.insert(theirs.to_owned());
                        }
                        None
                    } else if knows >= since && !has_seen && self.shows(knows, &cell, &value) {
                        // It goes back to a save that changed it on purpose, which was not taken over.
                        is_fresh = false;
                        Some(Want::Either {
                            result: value,
                            edits: vec![theirs.to_owned()],
                            since,
                        })
                    } else if has_seen {
                        match self.is_told_by(&evidence, &cell, &value, since) {
                            true => Some(edit(true)),
                            false => {
                                is_fresh = false;
                                Some(Want::Either {
                                    result: value,
                                    edits: vec![theirs.to_owned()],
                                    since,
                                })
                            }
                        }
                    } else {
                        is_fresh = false;
                        let is_near = evidence
                            .near
                            .iter()
                            .any(|at| self.shows(*at, &cell, &value));
                        if evidence.seen.is_none() && is_near {
                            // Nothing but this cell tells the versions apart.
                            if let Some(values) = self.written.get_mut(&cell) {
                                values.insert(theirs.to_owned());
                            }
                            let either = Want::Either {
                                result: value,
                                edits: vec![theirs.to_owned()],
                                since,
                            };
                            self.wants.insert(cell, either);
                            continue;
                        }
                        // What the cell showed once is an older version's, as far as anybody can tell.
                        let is_older =
                            (0..self.versions.len()).any(|at| self.shows(at, &cell, theirs));
                        if !is_older && !opened.is_some_and(|opened| same(Some(theirs), opened)) {
                            self.aside.push((cell.clone(), theirs.to_owned()));
                        }
                        Some(stays)
                    }
                }
                // Whoever removed its place saw one of the two.
                (Some(Want::Either { .. }), None) => None,
                (
                    Some(Want::Either {
                        result,
                        mut edits,
                        since,
                    }),
                    Some(theirs),
                ) => {
                    is_fresh = false;
                    // If one was taken over, who had not seen it does not take it back; who writes something else
                    // does, where the traces agree.
                    let is_untouched = opened.is_some_and(|opened| same(Some(theirs), opened));
                    let may_stay = is_untouched || !self.agree(&evidence, &cell);
                    let is_told = |edit: &str| self.is_told_by(&evidence, &cell, edit, 0);
                    edits.retain(|edit| may_stay && !is_told(edit));
                    let known = std::iter::once(&result).chain(&edits);
                    if !known.into_iter().any(|known| same(Some(theirs), known)) {
                        edits.push(theirs.to_owned());
                    }
                    Some(Want::Either {
                        result,
                        edits,
                        since,
                    })
                }
                (_, None) => None,
                (Some(Want::Edit { value, strict }), Some(theirs))
                    if same(Some(theirs), &value) =>
                {
                    // An older version may show it by chance.
                    let stays = is_latest || !self.written.contains_key(&cell);
                    let strict = strict
                        && (!self.written.contains_key(&cell) || self.agree(&evidence, &cell));
                    stays.then_some(Want::Edit { value, strict })
                }
                // What was there is overwritten in the file, by whoever saved it.
                (_, Some(theirs)) => match opened.is_some_and(|opened| opened == theirs) {
                    true => {
                        self.has_taken_edit_back |= self.written.contains_key(&cell)
                            && now.get(po, column).is_some_and(|now| now != theirs);
                        None
                    }
                    false if !self.written.contains_key(&cell) => Some(edit(true)),
                    false => {
                        let current = now.get(po, column).unwrap_or("").to_owned();
                        let since = &self.versions[knows..];
                        let told = same(opened, &current)
                            && since
                                .iter()
                                .all(|it| same(it.table.get(po, column), &current))
                            && self.is_told_by(&evidence, &cell, &current, 0);
                        is_fresh &= told;
                        Some(edit(told))
                    }
                },
            };
            if theirs.is_none()
                && let Some(values) = self.written.get_mut(&cell)
            {
                // A column that was removed comes back empty, whatever an older version shows there.
                values.insert(String::new());
            }
            let edits = match &want {
                Some(Want::Edit { value, .. }) => std::slice::from_ref(value),
                Some(Want::Either { edits, .. }) => edits,
                _ => &[],
            };
            if let Some(values) = self.written.get_mut(&cell) {
                // If one is taken over, a save that lacks it gets it back.
                values.extend(edits.iter().cloned());
            }
            if let Some(want) = want {
                self.wants.insert(cell, want);
            }
        }
        self.ask_for_evidence(&evidence, saved, now);
        if !is_fresh {
            // Asking loses nothing; how much a stale save has to show for it not to be asked is not modelled.
            self.may_ask.push("the save is stale");
        }
        let times = self
            .written
            .keys()
            .filter(|cell| cell.1 == "LAST_PROCESSED");
        let is_put_back = |cell: &Cell| {
            let theirs = saved.get(&cell.0, &cell.1);
            let has_changed = theirs != open.get(&cell.0, &cell.1);
            let mut older = 0..opened_at;
            has_changed && theirs.is_some_and(|theirs| older.any(|at| self.shows(at, cell, theirs)))
        };
        if times.into_iter().any(is_put_back) {
            self.may_ask.push("a row was put back with its time");
        }
        if knows < self.cut && !self.written.is_empty() {
            self.may_ask.push("the version is from before the journal");
        }
        let text = saved.text();
        let before = &self.versions[..self.latest_number()];
        if before.iter().any(|version| version.text == text) {
            self.may_ask.push("an older version took its place");
        }
        self.versions.push(Version {
            text,
            table: saved.clone(),
            is_known: is_fresh,
            is_taken_in: false,
            knows,
            is_possible: false,
        });
    }

    /// Whether both traces tell that the save's author saw this in a cell, and not only an older result, or what somebody
    /// wrote who did not know it, that is the same.
    fn is_told_by(&self, evidence: &Evidence, cell: &Cell, value: &str, since: usize) -> bool {
        let knows = |at: usize| at >= since && self.versions[at].knows >= since;
        let shows = |at: &usize| knows(*at) && self.shows(*at, cell, value);
        evidence.seen.iter().any(shows) && evidence.near.iter().all(shows)
    }

    /// Whether the traces name versions that show the same in a cell.
    fn agree(&self, evidence: &Evidence, cell: &Cell) -> bool {
        evidence.seen.is_some_and(|seen| {
            let shown = self.versions[seen].table.get(&cell.0, &cell.1);
            shown.is_some_and(|shown| evidence.near.iter().all(|at| self.shows(*at, cell, shown)))
        })
    }

    fn shows(&self, at: usize, cell: &Cell, value: &str) -> bool {
        let shown = self.versions[at].table.get(&cell.0, &cell.1);
        shown.is_some_and(|shown| is_same(&cell.1, shown, value))
    }

    /// Notes whether the traces of a save tell different things.
    fn ask_for_evidence(&mut self, evidence: &Evidence, saved: &Table, now: &Table) {
        let Some(seen) = evidence.seen else {
            if !self.written.is_empty() {
                self.may_ask.push("no time of a result stands");
            }
            return;
        };
        let verdict = |at: usize, (po, column): &Cell| {
            let theirs = shown_in(saved, &(po.clone(), column.clone()))?;
            let shown = self.versions[at].table.get(po, column).unwrap_or("");
            let (current, since) = match self.wants.get(&(po.clone(), column.clone())) {
                Some(Want::Result { value, since, .. }) => (&**value, *since),
                Some(Want::Either { result, since, .. }) => (&**result, *since),
                _ => (now.get(po, column).unwrap_or(""), 0),
            };
            Some(match () {
                () if is_same(column, theirs, current) => 0,
                () if is_same(column, theirs, shown) => 1,
                () if is_same(column, current, shown) && at >= since => 2,
                () => 3,
            })
        };
        let mut cells = self.written.keys();
        let differs = |cell: &Cell| {
            let near = evidence.near.iter();
            near.clone()
                .any(|&near| verdict(near, cell) != verdict(seen, cell))
        };
        let removed = |cell: &Cell| {
            saved.row(&cell.0).is_some()
                && saved.column(&cell.1).is_none()
                && evidence.near.iter().any(|&near| {
                    let shown = self.versions[near].table.get(&cell.0, &cell.1);
                    !self.shows(seen, cell, shown.unwrap_or(""))
                })
        };
        if cells.any(|cell| differs(cell) || removed(cell)) {
            self.may_ask.push("the traces of a save differ");
        }
    }

    /// A journal begins that knows of results what the sheet shows, and of the versions before it their contents alone.
    pub fn begin_journal(&mut self) {
        let shown = self.latest().table.clone();
        let shows = |cell: &Cell, value: &str| {
            let shown = shown.get(&cell.0, &cell.1);
            shown.is_some_and(|shown| is_same(&cell.1, shown, value))
        };
        self.wants.retain(|cell, want| match want {
            Want::Edit { .. } => true,
            Want::Result { value, .. } | Want::Either { result: value, .. } => shows(cell, value),
        });
        self.written
            .retain(|cell, values| values.iter().any(|value| shows(cell, value)));
        let times = self.written.iter().flat_map(|(cell, values)| {
            let values = values.iter().filter(|value| !shows(cell, value));
            values.map(|value| (cell.clone(), value.clone()))
        });
        self.given_up = times
            .filter(|(cell, _)| cell.1 == "LAST_PROCESSED")
            .collect();
        let written = &self.written;
        self.before.retain(|cell, _| written.contains_key(cell));
        self.aside.clear();
        self.may_ask.clear();
        self.has_taken_edit_back = false;
        self.cut = self.versions.len() - 1;
    }

    /// Whether the sheet shows of which journal it is: under another name it has all of that.
    pub fn shows_a_time(&self) -> bool {
        let shown = &self.latest().table;
        self.written.iter().any(|(cell, values)| {
            let (po, column) = cell;
            let shown = shown.get(po, column).unwrap_or("");
            let is_shown = |value: &String| is_same(column, value, shown);
            let before = self.before.get(cell).map(|(before, _)| before);
            column == "LAST_PROCESSED"
                && !shown.is_empty()
                && values.iter().any(is_shown)
                && !self
                    .given_up
                    .iter()
                    .any(|(of, value)| of == cell && is_shown(value))
                && !before.is_some_and(is_shown)
        })
    }

    /// What journal there was is gone, and nobody can have noticed: what the sheet shows is all that is known, and what
    /// the journal of its name before tells, if there is one.
    pub fn forget(&mut self, has_other: bool) {
        let shown = self.latest().table.clone();
        self.wants = std::mem::take(&mut self.wants)
            .into_iter()
            .filter_map(|(cell, want)| {
                let value = shown.get(&cell.0, &cell.1)?.to_owned();
                let is_shown = match &want {
                    Want::Edit { .. } => return Some((cell, want)),
                    Want::Result { value: own, .. } => is_same(&cell.1, own, &value),
                    Want::Either { .. } => true,
                };
                is_shown.then_some((
                    cell,
                    Want::Edit {
                        value,
                        strict: true,
                    },
                ))
            })
            .collect();
        if !has_other {
            self.written.clear();
            self.before.clear();
        }
        for (cell, values) in &mut self.written {
            values.extend(shown.get(&cell.0, &cell.1).map(str::to_owned));
        }
        self.aside.clear();
        self.may_ask.clear();
        self.has_taken_edit_back = false;
        self.cut = self.versions.len() - 1;
    }
}
