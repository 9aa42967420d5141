//! Files of other kinds, told by their first bytes: what is no CSV is called by its name, and not taken for a CSV
//! that is damaged.

use crate::domain::FileKind;

/// First bytes that no text begins with.
const MAGIC: [(&[u8], FileKind); 6] = [
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind::OldWorkbook),
    (b"\x1f\x8b", FileKind::Compressed("gunzip -k")),
    (b"\xfd7zXZ\0", FileKind::Compressed("unxz -k")),
    (b"\x28\xb5\x2f\xfd", FileKind::Compressed("unzstd")),
    (b"SQLite format 3\0", FileKind::Database),
    (b"%PDF-", FileKind::Pdf),
];
/// What a ZIP archive begins with, and its first file's name and contents.
const ZIP: &[u8] = b"PK\x03\x04";
const NAME_IN_ZIP: usize = 30;
/// How much of a file is looked at.
const LOOKED_AT: usize = 4096;

/// The kind of a file that is no text.
pub(super) fn kind(bytes: &[u8]) -> Option<FileKind> {
    if bytes.starts_with(ZIP) {
        return Some(kind_of_zip(&bytes[..bytes.len().min(LOOKED_AT)]));
    }
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    known.map(|&(_, kind)| kind)
}

fn kind_of_zip(bytes: &[u8]) -> FileKind {
    let has = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
    let first = bytes.get(NAME_IN_ZIP..).unwrap_or_default();
    if first.starts_with(b"mimetypeapplication/vnd.oasis.opendocument") {
        FileKind::OpenDocument
    } else if has(b"[Content_Types].xml") || has(b"xl/") {
        FileKind::Workbook
    } else {
        FileKind::Compressed("unzip")
    }
}

/// The kind of a text that has no header with the key, if it is no table at all.
pub(super) fn kind_of_text(bytes: &[u8]) -> Option<FileKind> {
    let text = bytes[..bytes.len().min(LOOKED_AT)].trim_ascii_start();
    let begins = |with: &str| {
        let first = text.get(..with.len());
        first.is_some_and(|first| first.eq_ignore_ascii_case(with.as_bytes()))
    };
    if begins("<!doctype") || begins("<html") || begins("<?xml") {
        return Some(FileKind::Markup);
    }
    let (first, rest) = text.split_first()?;
    let follows = rest.trim_ascii_start().first();
    let is_json = match first {
        b'{' => follows == Some(&b'"'),
        b'[' => matches!(follows, Some(b'{' | b'[' | b'"')),
        _ => false,
    };
    is_json.then_some(FileKind::Json)
}

/// Whether it is UTF-16: by its byte order mark, or, of two bytes each, one that is nearly always NUL and one that
/// never is.
pub(super) fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let start = &bytes[..bytes.len().min(LOOKED_AT)];
    let units = start.len() / 2;
    let nuls = |which: usize| {
        start
            .chunks_exact(2)
            .filter(|unit| unit[which] == 0)
            .count()
    };
    let is_letters = |nuls: usize, others: usize| others == 0 && nuls * 4 > units * 3;
    units > 1 && (is_letters(nuls(0), nuls(1)) || is_letters(nuls(1), nuls(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf_16_is_known_without_its_mark() {
        let sheet = "PO_NUMBER;Straße\r\nP1;日本\r\n";
        assert!(is_utf16(&utf16(sheet, u16::to_le_bytes)));
        assert!(is_utf16(&utf16(sheet, u16::to_be_bytes)));
        assert!(is_utf16(b"\xff\xfe") && is_utf16(b"\xfe\xff"));
        for other in [
            &b"PO_NUMBER;x\nP\0;y\n"[..],
            b"",
            b"\0",
            b"\0\0\0\0",
            b"K\0",
        ] {
            assert!(!is_utf16(other), "{other:?}");
        }
    }

    #[test]
    fn a_kind_is_told_by_the_first_bytes() {
        let zip = |first: &str| [ZIP, &[0; NAME_IN_ZIP - 4], first.as_bytes()].concat();
        let open = "mimetypeapplication/vnd.oasis.opendocument.spreadsheet";
        assert_eq!(kind(&zip("[Content_Types].xml")), Some(FileKind::Workbook));
        assert_eq!(kind(&zip("xl/workbook.xml")), Some(FileKind::Workbook));
        assert_eq!(kind(&zip(open)), Some(FileKind::OpenDocument));
        assert_eq!(kind(&zip("a.csv")), Some(FileKind::Compressed("unzip")));
        assert_eq!(kind(b"%PDF-1.7\n"), Some(FileKind::Pdf));
        assert_eq!(
            kind(b"\x1f\x8b\x08"),
            Some(FileKind::Compressed("gunzip -k"))
        );
        for sheet in [&b"PO_NUMBER\n"[..], b"", b"PK;K\n", b"\xef\xbb\xbfK\n"] {
            assert_eq!(kind(sheet), None);
        }
    }

    #[test]
    fn a_text_of_another_kind_is_told_by_how_it_begins() {
        assert_eq!(kind_of_text(b"\n <!DOCTYPE html>"), Some(FileKind::Markup));
        assert_eq!(kind_of_text(b"[{\"a\":1}]"), Some(FileKind::Json));
        assert_eq!(kind_of_text(b"{\n  \"a\": 1}"), Some(FileKind::Json));
        for sheet in [&b"id;url\n"[..], b"", b"{id};x\n", b"[id];x\n", b"<id>;x\n"] {
            assert_eq!(kind_of_text(sheet), None, "{sheet:?}");
        }
    }
}
