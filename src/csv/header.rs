//! What a line is that was read as the header and lacks the key: a title, a comment or a row, as far as can be told.

use crate::csv::dialect::Dialect;
use crate::csv::grammar::{Records, count_lines};
use crate::domain::HeaderLine;

/// How many of the first records are looked at.
const LOOKED_AT: usize = 20;

/// Looks at a header that was read with one of these delimiters, and at the rows below it; `has_key` tells whether
/// some names have the key.
pub(super) fn look(
    bytes: &[u8],
    dialect: &Dialect,
    delimiters: &[u8],
    has_key: impl Fn(&[String]) -> bool,
) -> HeaderLine {
    let records = |&delimiter: &u8| {
        let records = Rows {
            records: Records::new(bytes, delimiter, dialect.header_start),
            bytes,
            dialect,
        };
        records.take(LOOKED_AT).collect::<Vec<_>>()
    };
    let readings: Vec<Vec<(usize, Vec<String>)>> = delimiters.iter().map(records).collect();
    let below = readings.iter().flat_map(|records| records.iter().skip(1));
    if let Some(&(start, _)) = below.into_iter().find(|(_, row)| has_key(row)) {
        let lines = count_lines(&bytes[dialect.header_end..start]);
        return HeaderLine::Below(u16::try_from(lines).unwrap_or(u16::MAX));
    }
    let texts = |row: &[String]| row.iter().filter(|text| !text.is_empty()).count();
    let has_title = |records: &Vec<(usize, Vec<String>)>| match &records[..] {
        [(_, title), (_, first), rows @ ..] => {
            let wide = texts(first);
            texts(title) == 1 && wide > 1 && rows.iter().all(|(_, row)| texts(row) == wide)
        }
        _ => false,
    };
    if readings.iter().any(has_title) {
        return HeaderLine::Title;
    }
    let own = delimiters
        .iter()
        .position(|&delimiter| delimiter == dialect.delimiter);
    match own.map(|own| &readings[own][..]) {
        Some([(_, names), (_, row), ..]) if is_like(names, row) => HeaderLine::Row,
        _ => HeaderLine::Header,
    }
}

/// Whether the first name has digits and is built like the cell below it, or any is an address.
fn is_like(names: &[String], row: &[String]) -> bool {
    let is_built_alike = |name: &str, cell: &str| {
        name.contains(|c: char| c.is_ascii_digit()) && shape(name) == shape(cell)
    };
    let mut firsts = names.iter().zip(row).take(1);
    names.iter().any(|name| name.contains("://"))
        || firsts.any(|(name, cell)| name != cell && is_built_alike(name, cell))
}

/// A text with one sign for the letters and digits that follow each other.
fn shape(text: &str) -> Vec<char> {
    let mut shape: Vec<char> = text
        .chars()
        .map(|c| match c {
            c if c.is_numeric() => '0',
            c if c.is_alphabetic() => 'a',
            c => c,
        })
        .collect();
    shape.dedup();
    shape
}

/// The header and the rows below it, each with its first byte and its cells.
struct Rows<'b> {
    records: Records<'b>,
    bytes: &'b [u8],
    dialect: &'b Dialect,
}

impl Iterator for Rows<'_> {
    type Item = (usize, Vec<String>);

    fn next(&mut self) -> Option<(usize, Vec<String>)> {
        let span = self.records.next_record().ok()??;
        let cells = self.records.fields().iter().map(|field| {
            let text = self.dialect.encoding.read(&self.bytes[field.clone()]);
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        Some((span.start, cells.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::csv::dialect::detect;
    use crate::domain::{Encoding, HeaderLine};
    use crate::error::Error;

    #[track_caller]
    fn check(sheet: &str, wanted: HeaderLine) {
        let key = "PO_NUMBER".into();
        let path = Path::new("in.csv");
        match detect(sheet.as_bytes(), &key, None, Encoding::UTF_8, path) {
            Err(Error::NoKeyColumn { header, .. }) => assert_eq!(header, wanted, "{sheet}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_below_may_be_the_header() {
        check("Orders\nPO_NUMBER;A\n1;x\n", HeaderLine::Below(1));
        check(
            "Orders;;\r\n;;\r\n\r\nA;PO_NUMBER;B\r\n",
            HeaderLine::Below(3),
        );
        check(
            "# from the ERP, by night\npo_number,A\n1,x\n",
            HeaderLine::Below(1),
        );
    }

    #[test]
    fn one_text_above_wider_rows_is_a_title() {
        check("My URLs\nid,url\n1,http://a\n", HeaderLine::Title);
        check("My URLs;\nid;url\n1;http://a\n", HeaderLine::Title);
        check("url\nhttp://a,b\nhttp://c,d,e\n", HeaderLine::Header);
        check("id;url\n1;a\n", HeaderLine::Header);
        check("url\nhttp://a,b\nhttp://c\n", HeaderLine::Header);
    }

    #[test]
    fn what_is_built_like_the_row_below_is_a_row() {
        check("A1;Acme\nA2;Bolt\n", HeaderLine::Row);
        check("https://a/x\nhttps://b/\n", HeaderLine::Row);
        check("7;2026-11-01;\n12;2026-11-02;\n", HeaderLine::Row);
        check("order;line 1;line 2\nA1;x;y\n", HeaderLine::Header);
        check("order;Q1;Q2\nA1;10;20\n", HeaderLine::Header);
        check("order;2025;2026\nA1;10;20\n", HeaderLine::Header);
        check("order\n", HeaderLine::Header);
    }

    #[test]
    fn a_line_that_names_another_delimiter_is_said() {
        check("sep=,\nPO_NUMBER;A\n", HeaderLine::Named);
    }
}
