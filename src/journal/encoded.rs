//! A log is UTF-8, whatever encoding its sheet is in; what the sheet's versions show of a text depends on it.
//!
//! A frame with more than ASCII in it names the encoding that the sheet was written in, if that is not UTF-8.
//! Whoever reads the sheet in another one sees other letters in the same bytes, and the frame is read like the
//! sheet: otherwise every such cell would look as if somebody had changed it. Where that gives no text, the sheet
//! is in the encoding of the log, and whoever named another one is told; but a sheet whose bytes are UTF-8 was
//! converted since, and every text is the same one in it.

use std::borrow::Cow;

use compact_str::CompactString;

use super::frame::Frame;
use crate::domain::Encoding;

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

/// A frame of a log as whoever reads its sheet in an encoding sees it, or else the name of the one that it was
/// written in.
fn seen(mut frame: Frame, encoding: Encoding) -> Result<Frame, CompactString> {
    let name = frame.encoding.take();
    let written_in = match &name {
        None => Encoding::UTF_8,
        Some(name) => name.parse().map_err(|_| name.clone())?,
    };
    if written_in == encoding {
        return Ok(frame);
    }
    for (text, is_written) in texts(&mut frame).filter(|(text, _)| !text.is_ascii()) {
        let (seen, is_text) = encoding.seen(text, written_in);
        // What stood there before is compared with what stands there, and never written.
        if is_written && !is_text {
            return Err(written_in.name().into());
        }
        *text = seen.into();
    }
    Ok(frame)
}

/// The same where it is not refused: a text that cannot be seen in the other encoding is meant as it stands. So is
/// that of somebody who works on the sheet in another encoding meanwhile.
pub(crate) fn seen_or_meant(frame: Frame, encoding: Encoding) -> Frame {
    if frame.encoding.is_none() && encoding.is_utf8() {
        return frame;
    }
    let meant = Frame {
        encoding: None,
        ..frame.clone()
    };
    seen(frame, encoding).unwrap_or(meant)
}

/// The frames of a log as whoever reads its sheet, which holds these bytes, in an encoding sees them, or else the
/// name of the one that the sheet is in.
pub(super) fn all_seen(
    frames: Vec<Frame>,
    encoding: Encoding,
    sheet: &[u8],
) -> Result<Vec<Frame>, CompactString> {
    let is_of_another = |frame: &Frame| frame.encoding.is_some();
    let was_converted = encoding.is_utf8()
        && frames.iter().any(is_of_another)
        && !sheet.is_ascii()
        && encoding.can_read(sheet);
    let seen = frames.into_iter().map(|frame| match was_converted {
        true => Ok(Frame {
            encoding: None,
            ..frame
        }),
        false => seen(frame, encoding),
    });
    seen.collect()
}

/// Everything in a frame that stands in the sheet or stood there before, and whether it is to stand there.
fn texts(frame: &mut Frame) -> impl Iterator<Item = (&mut CompactString, bool)> {
    fn written(text: &mut CompactString) -> (&mut CompactString, bool) {
        (text, true)
    }
    let rows = frame.rows.iter_mut().flat_map(|row| {
        let cells = row.cells.iter_mut().flat_map(|cell| {
            let before = cell.before.iter_mut().map(|text| (text, false));
            before.chain([&mut cell.column, &mut cell.value].map(written))
        });
        cells.chain([written(&mut row.po)])
    });
    let columns = frame.columns.iter_mut().chain(&mut frame.public_columns);
    rows.chain(columns.map(written))
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
        assert_eq!(po(seen(written.clone(), windows).unwrap()), "Ñ");
        assert_eq!(po(seen(written.clone(), central).unwrap()), "Ń");
        assert_eq!(seen(written, Encoding::UTF_8).unwrap_err(), "windows-1252");
        let of_utf8 = named(&with_po("é"), Encoding::UTF_8).into_owned();
        assert_eq!(of_utf8.encoding, None);
        assert_eq!(po(seen(of_utf8, windows).unwrap()), "Ã©");
    }

    #[test]
    fn a_frame_of_ascii_names_no_encoding() {
        let windows: Encoding = "windows-1252".parse().unwrap();
        assert!(matches!(named(&with_po("P1"), windows), Cow::Borrowed(_)));
    }
}
