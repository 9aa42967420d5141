//! The rows that an input has and its copy lacks.

use crate::csv::{RecordIndex, decode, encode};
use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::sheet::table::{Sheet, text};

/// The rows of the input whose PO is not in the copy, as rows of the copy, terminators included.
pub(crate) fn new_rows(input: &Sheet, copy: &Sheet) -> (usize, Vec<u8>) {
    let (from, to) = (input.schema(), copy.schema());
    let same_form = from.columns().len() <= to.columns().len()
        && from
            .columns()
            .iter()
            .zip(to.columns())
            .all(|(a, b)| same_column(a, b))
        && input.dialect().delimiter == copy.dialect().delimiter;
    let mut rows = Vec::new();
    let mut count = 0;
    for row in input.all_rows() {
        let po = input.po(row);
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
            match input.dialect().delimiter == delimiter {
                true => rows.extend_from_slice(&input.bytes()[field.clone()]),
                false => encode(
                    &text(decode(&input.bytes()[field.clone()])),
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

/// What a copy does not follow its input in.
pub(crate) struct NotFollowed {
    /// Columns that it lacks.
    pub(crate) columns: Vec<String>,
    /// How many of its rows are gone there.
    pub(crate) gone: usize,
    /// How many of its rows have another text there, outside of what tells of their state.
    pub(crate) changed: usize,
}

impl NotFollowed {
    pub(crate) fn of(input: &Sheet, copy: &Sheet) -> NotFollowed {
        let (from, to) = (input.schema(), copy.schema());
        let mut columns = input.columns();
        columns.retain(|column| to.position(column).is_none());
        let is_state = |name: &str| {
            let mut state = [STATUS, LAST_PROCESSED, ERROR_MESSAGE].into_iter();
            state.any(|own| same_column(own, name))
        };
        let shared: Vec<(usize, usize)> = from
            .columns()
            .iter()
            .enumerate()
            .filter(|(_, name)| !is_state(name))
            .filter_map(|(column, name)| Some((column, to.position(name)?)))
            .collect();
        let (mut gone, mut changed) = (0, 0);
        for row in copy.all_rows() {
            let po = copy.po(row);
            if po.is_empty() {
                continue;
            }
            let Some(there) = input.rows(&po).next() else {
                gone += 1;
                continue;
            };
            // What is empty there may be a result here.
            let differs = |&(from, to): &(usize, usize)| {
                let theirs = input.base_cell(there, from);
                !theirs.is_empty() && theirs != copy.base_cell(row, to)
            };
            changed += usize::from(shared.iter().any(differs));
        }
        NotFollowed {
            columns,
            gone,
            changed,
        }
    }
}

fn encode_row(input: &Sheet, row: RecordIndex, copy: &Sheet, out: &mut Vec<u8>) {
    let fields = input.base_fields(row);
    let (from, dialect) = (input.schema(), copy.dialect());
    for (column, name) in copy.schema().columns().iter().enumerate() {
        if column > 0 {
            out.push(dialect.delimiter);
        }
        let field = from.position(name).and_then(|column| fields.get(column));
        let value = field.map(|field| text(decode(&input.bytes()[field.clone()])));
        encode(
            value.as_deref().unwrap_or(""),
            dialect.delimiter,
            dialect.quote_all,
            out,
        );
    }
}
