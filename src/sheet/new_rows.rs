//! The rows that an input has and its copy lacks.

use crate::csv::RecordIndex;
use crate::domain::Encoding;
use crate::domain::columns::same_column;
use crate::sheet::history::History;
use crate::sheet::judge::is_same;
use crate::sheet::shown::text;
use crate::sheet::table::Sheet;

/// The rows of the input whose PO is not in the copy, as rows of the copy, terminators included.
pub(crate) fn new_rows(input: &Sheet, copy: &Sheet) -> (usize, Vec<u8>) {
    let (from, to) = (input.schema(), copy.schema());
    let same_form = from.columns().len() <= to.columns().len()
        && from
            .columns()
            .iter()
            .zip(to.columns())
            .all(|(a, b)| same_column(a, b))
        && form(input) == form(copy);
    let mut rows = Vec::new();
    let mut count = 0;
    for row in input.all_rows() {
        let po = input.key_for(row, copy);
        if po.is_empty() || copy.rows(&po).next().is_some() {
            continue;
        }
        count += 1;
        let fields = input.base_fields(row);
        let (width, delimiter) = (from.columns().len(), copy.dialect().delimiter);
        if same_form {
            let table = fields[..fields.len().min(width)].iter();
            let end = table.clone().next_back().map_or(0, |field| field.end);
            let start = fields.first().map_or(0, |field| field.start);
            rows.extend_from_slice(&input.bytes()[start..end]);
            let missing = to.columns().len() - table.len();
            rows.extend(std::iter::repeat_n(delimiter, missing));
        } else {
            encode_row(input, row, copy, &mut rows);
        }
        // What stands beside the table comes along, beside the copy's.
        for field in fields.iter().skip(width) {
            rows.push(delimiter);
            match form(input) == form(copy) {
                true => rows.extend_from_slice(&input.bytes()[field.clone()]),
                false => copy.encoding().write(
                    &text(input.encoding().read(&input.bytes()[field.clone()])),
                    delimiter,
                    copy.dialect().quote_all,
                    &mut rows,
                ),
            }
        }
        rows.extend_from_slice(copy.dialect().terminator);
    }
    (count, rows)
}

/// How a field is written; the same bytes mean the same in sheets of one form.
fn form(sheet: &Sheet) -> (u8, Encoding) {
    (sheet.dialect().delimiter, sheet.encoding())
}

/// What a copy does not follow its input in.
pub(crate) struct NotFollowed {
    /// Columns that it lacks.
    pub(crate) columns: Vec<String>,
    /// How many of its rows are gone there.
    pub(crate) gone: usize,
    /// Cells that are others there, and not because of a result.
    pub(crate) changed: Changed,
}

/// Cells of rows that both have, as the copy names them.
#[derive(Default)]
pub(crate) struct Changed {
    pub(crate) cells: usize,
    pub(crate) keys: Vec<String>,
    pub(crate) columns: Vec<String>,
}

impl NotFollowed {
    /// `history` is the copy's.
    pub(crate) fn of(input: &Sheet, copy: &Sheet, history: &History) -> NotFollowed {
        let schema = copy.schema();
        let mut columns = input.columns();
        columns.retain(|column| schema.position(column).is_none());
        let is_gone = |row: &RecordIndex| {
            let po = copy.key_for(*row, input);
            !po.is_empty() && input.rows(&po).next().is_none()
        };
        NotFollowed {
            columns,
            gone: copy.all_rows().filter(is_gone).count(),
            changed: changed(input, copy, history),
        }
    }
}

fn changed(input: &Sheet, copy: &Sheet, history: &History) -> Changed {
    let (from, to) = (input.schema(), copy.schema());
    // Where the copy has a result, the input's state is an older one.
    let is_status = |name: &str| same_column(name, copy.options().stage.status());
    let shared: Vec<(usize, usize, &String)> = from
        .columns()
        .iter()
        .enumerate()
        .filter(|(_, name)| !to.is_state(name) || is_status(name))
        .filter_map(|(column, name)| Some((column, to.position(name)?, name)))
        .collect();
    let time = to.position(copy.options().stage.last_processed());
    let has_result = |row| time.is_some_and(|time| !copy.cell(row, time).trim().is_empty());
    let mut changed = Changed::default();
    let mut is_changed = vec![false; shared.len()];
    for row in copy.all_rows() {
        let Some(theirs) = input.rows(&copy.key_for(row, input)).next() else {
            continue;
        };
        let po = copy.po(row);
        let mut cells = 0;
        for (nth, &(from, to, name)) in shared.iter().enumerate() {
            let there = input.cell(theirs, from);
            if is_same(name, &there, &copy.cell(row, to)) {
                continue;
            }
            let is_result = match history.cell(&po, name) {
                Some(_) if is_status(name) => true,
                Some(past) => (past.before.iter()).any(|before| is_same(name, before, &there)),
                // Of a row without a history nobody can say which of its cells a result wrote.
                None => has_result(row) && !history.has_row(&po),
            };
            if !is_result {
                cells += 1;
                is_changed[nth] = true;
            }
        }
        if cells > 0 {
            changed.cells += cells;
            changed.keys.push(po);
        }
    }
    let names = shared.iter().zip(is_changed).filter(|(_, is)| *is);
    changed.columns = names.map(|((.., name), _)| (*name).clone()).collect();
    changed
}

fn encode_row(input: &Sheet, row: RecordIndex, copy: &Sheet, out: &mut Vec<u8>) {
    let fields = input.base_fields(row);
    let (from, dialect) = (input.schema(), copy.dialect());
    for (column, name) in copy.schema().columns().iter().enumerate() {
        if column > 0 {
            out.push(dialect.delimiter);
        }
        let field = from.position(name).and_then(|column| fields.get(column));
        let value = field.map(|field| text(input.encoding().read(&input.bytes()[field.clone()])));
        dialect.encoding.write(
            value.as_deref().unwrap_or(""),
            dialect.delimiter,
            dialect.quote_all,
            out,
        );
    }
}
