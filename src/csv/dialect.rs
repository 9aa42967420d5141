//! How the sheet is written: byte order mark, the line `sep=;`, delimiter, encoding, terminator, quoting.
//!
//! Read once from the header, never changed: what this file finds, and the encoding that it is told, is what
//! everything new is written with.

use crate::csv::grammar::{self, Records};
use crate::csv::opening::Opening;
use crate::csv::{foreign, header};
use crate::domain::Encoding;
use crate::domain::columns::same_column;
use crate::domain::{HeaderLine, KeyColumns, Problem};
use crate::error::{Error, Result};
use crate::text::{BOM, close_to};
use std::path::Path;

/// The form of one version of the sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) encoding: Encoding,
    /// Where the header begins: behind the byte order mark, the line `sep=;` and blank lines.
    pub(crate) header_start: usize,
    /// Where the header ends, without its terminator.
    pub(crate) header_end: usize,
    /// What a new row ends with: the header's terminator.
    pub(crate) terminator: &'static [u8],
    /// Whether every name of the header is quoted, so that a new cell has to be as well.
    pub(crate) quote_all: bool,
}

/// The delimiters that are tried, in this order.
pub(crate) const DELIMITERS: [u8; 3] = [b';', b',', b'\t'];

/// A delimiter as people write it: one character, `tab` or `\\t`. `None`: it cannot be one.
pub fn parse_delimiter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Some(b'\t'),
        &[delimiter] if is_delimiter(delimiter) => Some(delimiter),
        _ => None,
    }
}

pub(super) fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii() && !matches!(byte, 0 | b'"' | b'\r' | b'\n')
}

/// Finds the dialect with which the header has all key columns, and the header's names, as written.
///
/// A delimiter that was given counts, or else the one that a line `sep=;` names.
///
/// Where several delimiters would do, it is the one with which the header ends first: a quote that
/// another delimiter would open in the header reaches into the rows, so that what a row holds
/// would decide how the sheet is read, and no longer after the next result.
///
/// Bytes that no sheet may hold are looked for in the header alone, unless it is refused: a file of
/// another kind is told that it is one.
pub(crate) fn detect(
    bytes: &[u8],
    key: &KeyColumns,
    given: Option<u8>,
    encoding: Encoding,
    path: &Path,
) -> Result<(Dialect, Vec<String>)> {
    let malformed = |malformed: grammar::Malformed| malformed.at(path, bytes);
    if let Some(delimiter) = given
        && !is_delimiter(delimiter)
    {
        return Err(Error::Delimiter { delimiter });
    }
    let foreign = |upto| grammar::refuse_foreign_bytes(&bytes[..upto]).map_err(malformed);
    let told = given.or(Opening::of(bytes).delimiter);
    let candidates = match &told {
        Some(delimiter) => std::slice::from_ref(delimiter),
        None => &DELIMITERS,
    };
    let mut found: Option<(Dialect, Vec<String>)> = None;
    let mut first_problem = None;
    let mut refused: Vec<(Dialect, Vec<String>)> = Vec::new();
    for &delimiter in candidates {
        match read_header(bytes, delimiter, encoding) {
            Ok(None) => {
                foreign(bytes.len())?;
                return Err(Error::Empty {
                    path: path.to_owned(),
                    key: key.names().into(),
                });
            }
            Ok(Some((dialect, names))) if missing(key, &names).next().is_none() => {
                if found
                    .as_ref()
                    .is_none_or(|(first, _)| dialect.header_end < first.header_end)
                {
                    found = Some((dialect, names));
                }
            }
            Ok(Some(header)) => refused.push(header),
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    foreign(
        found
            .as_ref()
            .map_or(bytes.len(), |(dialect, _)| dialect.header_end),
    )?;
    match (found, first_problem) {
        (Some(found), _) => Ok(found),
        (None, problem) => {
            if let Some(kind) = foreign::kind_of_text(bytes) {
                return Err(malformed(grammar::Malformed {
                    offset: 0,
                    problem: Problem::NoCsv(kind),
                }));
            }
            if let Some(problem) = problem {
                return Err(malformed(problem));
            }
            let (dialect, names) = likeliest(bytes, refused);
            let start = dialect.header_start;
            let columns: Box<[String]> = names.iter().map(|name| name.trim().to_owned()).collect();
            let missing: Box<[String]> = missing(key, &columns).cloned().collect();
            let header = match given {
                None if told.is_some() => HeaderLine::Named,
                _ => header::look(bytes, &dialect, candidates, |names| {
                    self::missing(key, names).next().is_none()
                }),
            };
            Err(Error::NoKeyColumn {
                path: path.into(),
                line: grammar::position(bytes, start).0,
                key: key.names().into(),
                delimiter: dialect.delimiter,
                encoding,
                close: close_to(&missing[0], &columns).into(),
                missing,
                columns,
                header,
                excerpt: encoding.excerpt(bytes, start),
            })
        }
    }
}

/// The key columns that a header lacks.
fn missing<'k>(key: &'k KeyColumns, header: &[String]) -> impl Iterator<Item = &'k String> {
    let has = |name: &str| header.iter().any(|column| same_column(column, name));
    key.names().iter().filter(move |name| !has(name))
}

/// Finds the dialect of a sheet without a key column.
pub(crate) fn detect_without_key(
    bytes: &[u8],
    given: Option<u8>,
    encoding: Encoding,
    path: &Path,
) -> Result<(Dialect, Vec<String>)> {
    let malformed = |malformed: grammar::Malformed| malformed.at(path, bytes);
    let told = given.or(Opening::of(bytes).delimiter);
    let candidates = match &told {
        Some(delimiter) => std::slice::from_ref(delimiter),
        None => &DELIMITERS,
    };
    // A quote may be open with one and not with the other.
    let header = |&delimiter: &u8| read_header(bytes, delimiter, encoding).ok().flatten();
    let headers: Vec<_> = candidates.iter().filter_map(header).collect();
    if !headers.is_empty() {
        return Ok(likeliest(bytes, headers));
    }
    let first = read_header(bytes, candidates[0], encoding).map_err(malformed)?;
    first.ok_or_else(|| Error::Empty {
        path: path.to_owned(),
        key: Box::default(),
    })
}

/// Of headers that were read with different delimiters, the one with which most of the first rows have as many
/// fields. One that has several names, and a row that is as long or longer, comes before all others; of
/// equals it is the longest, then the first.
fn likeliest(bytes: &[u8], headers: Vec<(Dialect, Vec<String>)>) -> (Dialect, Vec<String>) {
    const ROWS: usize = 1_000;
    let as_long = |(dialect, names): &(Dialect, Vec<String>)| {
        let mut records = Records::new(bytes, dialect.delimiter, dialect.header_end);
        let (mut as_long, mut wide) = (0, 0);
        for _ in 0..ROWS {
            let Ok(Some(_)) = records.next_record() else {
                break;
            };
            let fields = records.fields().len();
            as_long += usize::from(fields == names.len());
            wide += usize::from(fields >= names.len());
        }
        (names.len() > 1 && wide > 0, as_long, names.len())
    };
    let likeliest = headers.into_iter().rev().max_by_key(as_long);
    likeliest.expect("each delimiter gave a header, or a problem")
}

/// The first record, read with a delimiter; `None` if there is none.
fn read_header(
    bytes: &[u8],
    delimiter: u8,
    encoding: Encoding,
) -> std::result::Result<Option<(Dialect, Vec<String>)>, grammar::Malformed> {
    if bytes.starts_with(BOM) && !encoding.is_utf8() {
        return Err(grammar::Malformed {
            offset: 0,
            problem: Problem::MarkedUtf8(encoding.name()),
        });
    }
    let mut records = Records::new(bytes, delimiter, Opening::of(bytes).end);
    let Some(header) = records.next_record()? else {
        return Ok(None);
    };
    let mut names = Vec::with_capacity(records.fields().len());
    for field in records.fields() {
        let name = encoding.read(&bytes[field.clone()]);
        match std::str::from_utf8(&name) {
            Ok(text) if encoding.is_text(&name) => names.push(text.to_owned()),
            _ => {
                return Err(grammar::Malformed {
                    offset: field.start,
                    problem: encoding.not_text(),
                });
            }
        }
    }
    let dialect = Dialect {
        delimiter,
        encoding,
        header_start: header.start,
        header_end: header.end,
        terminator: if bytes.get(header.end) == Some(&b'\r') {
            b"\r\n"
        } else {
            b"\n"
        },
        quote_all: records
            .fields()
            .iter()
            .all(|field| bytes[field.start..field.end].starts_with(b"\"")),
    };
    Ok(Some((dialect, names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_key_column_the_delimiter_is_that_of_most_rows() {
        let columns = |sheet: &str, given| match detect(
            sheet.as_bytes(),
            &"PO_NUMBER".into(),
            given,
            Encoding::UTF_8,
            Path::new("in.csv"),
        ) {
            Err(Error::NoKeyColumn {
                columns, delimiter, ..
            }) => (columns.into_vec(), delimiter),
            other => panic!("{other:?}"),
        };
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            columns("id;a,b,c\n1;x\n2;y,z\n", None),
            (names(&["id", "a,b,c"]), b';')
        );
        assert_eq!(
            columns("id,a;b\n1,x;y\n2,z\n", None),
            (names(&["id", "a;b"]), b',')
        );
        assert_eq!(
            columns("id;a,b,c\n", None),
            (names(&["id;a", "b", "c"]), b',')
        );
        assert_eq!(columns("id\n1\n", None), (names(&["id"]), b';'));
        assert_eq!(
            columns("id|b\n1|2\n", Some(b'|')),
            (names(&["id", "b"]), b'|')
        );
    }

    #[track_caller]
    fn check(sheet: &str, delimiter: u8, names: &[&str]) -> Dialect {
        let (dialect, found) = detect(
            sheet.as_bytes(),
            &"PO_NUMBER".into(),
            None,
            Encoding::UTF_8,
            Path::new("in.csv"),
        )
        .unwrap();
        assert_eq!(dialect.delimiter, delimiter);
        assert_eq!(found, names);
        dialect
    }

    #[test]
    fn the_delimiter_is_the_one_with_which_the_header_has_the_key_column() {
        check("PO_NUMBER;A,B\n", b';', &["PO_NUMBER", "A,B"]);
        check("A;B,PO_NUMBER\n", b',', &["A;B", "PO_NUMBER"]);
        check("A\tpo_number \n", b'\t', &["A", "po_number "]);
        check("PO_NUMBER", b';', &["PO_NUMBER"]);
    }

    #[test]
    fn of_several_key_columns_the_header_has_to_have_all() {
        let detect = |sheet: &str| {
            let key = KeyColumns::new(["order", "line"]).unwrap();
            let path = Path::new("in.csv");
            detect(sheet.as_bytes(), &key, None, Encoding::UTF_8, path)
        };
        let found = |sheet: &str| detect(sheet).unwrap().0.delimiter;
        assert_eq!(found("order,x;y,line\n"), b',');
        assert_eq!(found("Line;ORDER;x,y\n"), b';');
        let refused = |sheet: &str| detect(sheet).unwrap_err().to_string();
        assert_eq!(
            refused("order;lines;x\n"),
            "in.csv:1: no column line in the header, which has order, lines, x: did you mean lines?"
        );
        assert_eq!(
            refused("a;b\n1;2\n"),
            "in.csv:1: no columns order, line in the header, which has a, b"
        );
    }

    #[track_caller]
    fn check_without_key(sheet: &str, delimiter: u8, names: &[&str]) {
        let path = Path::new("in.csv");
        let (dialect, found) =
            detect_without_key(sheet.as_bytes(), None, Encoding::UTF_8, path).unwrap();
        assert_eq!(dialect.delimiter, delimiter);
        assert_eq!(found, names);
    }

    #[test]
    fn without_a_key_the_delimiter_is_the_one_that_most_rows_fit() {
        check_without_key("a;b\n1;2\n", b';', &["a", "b"]);
        check_without_key("a,b\n1,2\n", b',', &["a", "b"]);
        check_without_key("a\tb\n1\t2\n", b'\t', &["a", "b"]);
        check_without_key("a,b;c\n1,x\n2,y\n3;z\n", b',', &["a", "b;c"]);
        check_without_key("name\nA, B\n", b';', &["name"]);
        check_without_key("name, first\nAnn\n", b';', &["name, first"]);
        check_without_key("a;b\n1;2;note\n", b';', &["a", "b"]);
        check_without_key("a,\"b;\"\n1,2\n", b',', &["a", "b;"]);
    }

    #[test]
    fn what_the_rows_hold_does_not_decide_the_delimiter() {
        let names = ["PO_NUMBER", "a;\"b"];
        check("PO_NUMBER,a;\"b\nA,x\"\n", b',', &names);
        check("PO_NUMBER,a;\"b\nA,y\n", b',', &names);
        check("PO_NUMBER,a;\"b\nA,\"\"\";PO_NUMBER;\"\n", b',', &names);
        check(
            "a;PO_NUMBER;\"b,PO_NUMBER,c\n1,2,3\"\n",
            b',',
            &["a;PO_NUMBER;\"b", "PO_NUMBER", "c"],
        );
    }

    #[test]
    fn mark_terminator_and_quoting_are_read_from_the_header() {
        let dialect = check("\u{feff}\"PO_NUMBER\";\"A\"\r\n", b';', &["PO_NUMBER", "A"]);
        assert_eq!((dialect.header_start, dialect.header_end), (3, 18));
        assert_eq!(dialect.terminator, b"\r\n");
        assert!(dialect.quote_all);
        assert!(!check("PO_NUMBER;\"A\"\n", b';', &["PO_NUMBER", "A"]).quote_all);
    }

    #[test]
    fn a_quote_that_only_another_delimiter_opens_does_not_decide() {
        check("PO_NUMBER,\"a;\"b\n1;\"x\n", b',', &["PO_NUMBER", "a;b"]);
        check("a;\"b,PO_NUMBER\n", b',', &["a;\"b", "PO_NUMBER"]);
    }

    #[track_caller]
    fn check_refused(sheet: &[u8], message: &str) {
        let error = detect(
            sheet,
            &"PO_NUMBER".into(),
            None,
            Encoding::UTF_8,
            Path::new("in.csv"),
        )
        .unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn a_header_without_the_key_says_which_columns_are_there() {
        check_refused(
            b"PO;STATUS\n1;x\n",
            "in.csv:1: no column PO_NUMBER in the header, which has PO, STATUS",
        );
        check_refused(
            b"",
            "in.csv is empty: a header with the column PO_NUMBER is needed",
        );
        check_refused(
            b"\xef\xbb\xbf\n\r\n",
            "in.csv is empty: a header with the column PO_NUMBER is needed",
        );
        check_refused(
            b"\xff\xfeP\0O\0",
            "in.csv:1:1: the file is UTF-16: save it as CSV UTF-8",
        );
        check_refused(
            b"PO_NUMBER;\"a\n1;x\n",
            "in.csv:1:11: a quote opens here and is never closed",
        );
        check_refused(
            b"PO_NUMBER;\xff\n",
            "in.csv:1:11: the header and the key column must be UTF-8",
        );
    }

    #[test]
    fn what_cannot_separate_fields_is_no_delimiter() {
        for given in [0, b'"', b'\r', b'\n', 0xc3] {
            let sheet = [b"K", &[given][..], b"PO_NUMBER"].concat();
            let error = detect(
                &sheet,
                &"PO_NUMBER".into(),
                Some(given),
                Encoding::UTF_8,
                Path::new("in.csv"),
            )
            .unwrap_err();
            assert!(matches!(error, Error::Delimiter { delimiter } if delimiter == given));
        }
        let error = Error::Delimiter { delimiter: 0 }.to_string();
        assert_eq!(
            error,
            "a delimiter must be an ASCII character, and no quote, line break or NUL, not \\u{0}"
        );
    }
}
