//! A log is UTF-8, whatever encoding its sheet is in; what the sheet's versions show of a text depends on it.
//!
//! A frame with more than ASCII in it names the encoding that the sheet was written in, if that is not UTF-8.
//! Whoever reads the sheet in another one reads the frame as the sheet tells: a text whose old bytes stand there is
//! other letters now, as the cell is, which otherwise would look as if somebody had changed it; in a sheet that was
//! converted since, every text is the same one. Where bytes give no text, the sheet is in the encoding of the log,
//! and whoever named another one is told.

use std::borrow::Cow;
use std::collections::HashSet;

use compact_str::CompactString;
use xxhash_rust::xxh3::xxh3_64;

use super::frame::Frame;
use crate::domain::Encoding;
use crate::sheet::Lossy;

/// A frame as it stands in the log of a sheet.
pub(super) fn named(frame: &Frame, encoding: Encoding) -> Cow<'_, Frame> {
    if encoding.is_utf8() || texts(&mut frame.clone()).all(|(text, _)| text.is_ascii()) {
        return Cow::Borrowed(frame);
    }
    Cow::Owned(Frame {
        encoding: Some(encoding.name().into()),
        ..frame.clone()
    })
}

/// How a log is read beside its sheet.
pub(crate) struct Reading {
    encoding: Encoding,
    /// If texts of another encoding were found, and the sheet is known.
    sheet: Option<Letters>,
}

/// What a sheet tells of the encoding that it was written in.
struct Letters {
    /// Hashes of its words that are not ASCII.
    words: HashSet<u64>,
    is_utf8: bool,
    /// More texts stand there in the encoding of now alone than in that of the log alone.
    was_converted: bool,
}

impl Reading {
    /// Of a sheet of which nothing is known.
    pub(super) fn unseen(encoding: Encoding) -> Reading {
        Reading {
            encoding,
            sheet: None,
        }
    }

    /// Of these frames beside a sheet that holds these bytes.
    pub(crate) fn beside(sheet: &[u8], frames: &[Frame], encoding: Encoding) -> Reading {
        let mut reading = Reading::unseen(encoding);
        let is_other = |frame: &&Frame| {
            written_in(frame) != Ok(encoding)
                && texts(&mut Frame::clone(frame)).any(|(text, _)| !text.is_ascii())
        };
        let others: Vec<&Frame> = frames.iter().filter(is_other).collect();
        if others.is_empty() {
            return reading;
        }
        let sheet = sheet.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sheet);
        let mut letters = Letters {
            words: words(sheet).collect(),
            is_utf8: !sheet.is_ascii() && std::str::from_utf8(sheet).is_ok(),
            was_converted: false,
        };
        let (mut as_texts, mut as_bytes) = (0, 0);
        for frame in others {
            let Ok(written_in) = written_in(frame) else {
                continue;
            };
            for (text, _) in texts(&mut frame.clone()).filter(|(text, _)| !text.is_ascii()) {
                let stand = |encoding| letters.stand(text, encoding);
                match (stand(encoding), stand(written_in)) {
                    (true, false) => as_texts += 1,
                    (false, true) => as_bytes += 1,
                    _ => {}
                }
            }
        }
        letters.was_converted = as_texts > as_bytes;
        reading.sheet = Some(letters);
        reading
    }

    /// Whether a text is the same one in the sheet, though it was written in another encoding.
    fn is_meant(&self, text: &str, written_in: Encoding) -> bool {
        let Some(sheet) = &self.sheet else {
            return false;
        };
        let stand = |encoding| sheet.stand(text, encoding);
        match (stand(self.encoding), stand(written_in)) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => sheet.was_converted,
            // Not in the sheet yet.
            (false, false) if self.encoding.is_utf8() => sheet.is_utf8,
            (false, false) if written_in.is_utf8() => !sheet.is_utf8,
            (false, false) => sheet.was_converted,
        }
    }

    /// A frame of a log as whoever reads its sheet sees it, or else the name of the encoding that it was written in.
    fn seen(&self, mut frame: Frame) -> Result<Frame, CompactString> {
        let written_in = written_in(&frame)?;
        frame.encoding = None;
        let encoding = self.encoding;
        if written_in == encoding {
            return Ok(frame);
        }
        for (text, is) in texts(&mut frame).filter(|(text, _)| !text.is_ascii()) {
            // It tells of bytes that were no text, and is never written.
            if text.contains(char::REPLACEMENT_CHARACTER) {
                continue;
            }
            if self.is_meant(text, written_in) {
                // A row or column whose name cannot be written is not in the sheet.
                if is != Text::Name || encoding.has_no(text).is_none() {
                    *text = encoding.writable(text).into();
                }
                continue;
            }
            let (seen, is_text) = encoding.seen(text, written_in);
            // What stood there before is compared with what stands there, and never written.
            if is != Text::Before && !is_text {
                return Err(written_in.name().into());
            }
            *text = seen.into();
        }
        Ok(frame)
    }

    /// The same where it is not refused: a text that cannot be seen in the other encoding is meant as it stands. So
    /// is that of somebody who works on the sheet in another encoding meanwhile.
    pub(crate) fn seen_or_meant(&self, frame: Frame) -> Frame {
        if frame.encoding.is_none() && self.encoding.is_utf8() {
            return frame;
        }
        let meant = Frame {
            encoding: None,
            ..frame.clone()
        };
        self.seen(frame).unwrap_or(meant)
    }

    /// All frames of a log, or else the name of the encoding that the sheet is in.
    pub(super) fn all_seen(&self, frames: Vec<Frame>) -> Result<Vec<Frame>, CompactString> {
        frames.into_iter().map(|frame| self.seen(frame)).collect()
    }

    /// The values of a log that lose letters as they are read here, each cell's once.
    pub(super) fn lost(&self, frames: &[Frame]) -> Vec<Lossy> {
        let mut cells = HashSet::new();
        let mut lost = Vec::new();
        for frame in frames {
            let Some(written_in) = written_in(frame).ok().filter(|&is| is != self.encoding) else {
                continue;
            };
            let rows = frame.rows.iter();
            for (po, cell) in rows.flat_map(|row| row.cells.iter().map(|cell| (&row.po, cell))) {
                if let Some(letter) = self.encoding.has_no(&cell.value)
                    && letter != char::REPLACEMENT_CHARACTER
                    && self.is_meant(&cell.value, written_in)
                    && cells.insert((po, &cell.column))
                {
                    lost.push(Lossy {
                        po: po.to_string(),
                        column: cell.column.trim().to_owned(),
                        letter,
                    });
                }
            }
        }
        lost
    }
}

impl Letters {
    /// Whether each word of a text is somewhere in the sheet, as an encoding writes it.
    fn stand(&self, text: &str, encoding: Encoding) -> bool {
        words(&encoding.bytes(text)).all(|word| self.words.contains(&word))
    }
}

/// The encoding that a frame was written in, or its name, if that is unknown.
fn written_in(frame: &Frame) -> Result<Encoding, CompactString> {
    match &frame.encoding {
        None => Ok(Encoding::UTF_8),
        Some(name) => name.parse().map_err(|_| name.clone()),
    }
}

/// The hashes of the words that are not ASCII. No delimiter, quote or line end is in one.
fn words(text: &[u8]) -> impl Iterator<Item = u64> {
    let words = text.split(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
    words.filter(|word| !word.is_ascii()).map(xxh3_64)
}

/// What a text in a frame is.
#[derive(Clone, Copy, PartialEq)]
enum Text {
    Before,
    Value,
    /// Of a row or column.
    Name,
}

/// Everything in a frame that stands in the sheet or stood there before.
fn texts(frame: &mut Frame) -> impl Iterator<Item = (&mut CompactString, Text)> {
    let rows = frame.rows.iter_mut().flat_map(|row| {
        let cells = row.cells.iter_mut().flat_map(|cell| {
            let before = cell.before.iter_mut().map(|text| (text, Text::Before));
            let column = (&mut cell.column, Text::Name);
            before.chain([column, (&mut cell.value, Text::Value)])
        });
        cells.chain([(&mut row.po, Text::Name)])
    });
    let columns = frame.columns.iter_mut().chain(&mut frame.public_columns);
    rows.chain(columns.map(|column| (column, Text::Name)))
}

#[cfg(test)]
mod tests {
    use super::super::frame::completed;
    use super::*;

    fn with_po(po: &str) -> Frame {
        completed(po)
    }

    #[test]
    fn a_frame_is_read_as_its_sheet_is() {
        let windows: Encoding = "windows-1252".parse().unwrap();
        let central: Encoding = "iso-8859-2".parse().unwrap();
        let po = |frame: Frame| frame.rows[0].po.to_string();
        let written = named(&with_po("Ñ"), windows).into_owned();
        assert_eq!(written.encoding.as_deref(), Some("windows-1252"));
        let seen = |frame: &Frame, encoding| Reading::unseen(encoding).seen(frame.clone());
        assert_eq!(po(seen(&written, windows).unwrap()), "Ñ");
        assert_eq!(po(seen(&written, central).unwrap()), "Ń");
        assert_eq!(seen(&written, Encoding::UTF_8).unwrap_err(), "windows-1252");
        let of_utf8 = named(&with_po("é"), Encoding::UTF_8).into_owned();
        assert_eq!(of_utf8.encoding, None);
        assert_eq!(po(seen(&of_utf8, windows).unwrap()), "Ã©");
    }

    #[test]
    fn a_frame_of_ascii_names_no_encoding() {
        let windows: Encoding = "windows-1252".parse().unwrap();
        assert!(matches!(named(&with_po("P1"), windows), Cow::Borrowed(_)));
    }
}
