//! The rows that an input has and its copy lacks.

use crate::csv::{RecordIndex, decode, encode};
use crate::domain::columns::same_column;
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
        if same_form && fields.len() <= from.columns().len() {
            rows.extend_from_slice(&input.bytes()[input.base_span(row)]);
            let width = to.columns().len();
            rows.extend(std::iter::repeat_n(
                copy.dialect().delimiter,
                width - fields.len(),
            ));
        } else {
            encode_row(input, row, copy, &mut rows);
        }
        rows.extend_from_slice(copy.dialect().terminator);
    }
    (count, rows)
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
