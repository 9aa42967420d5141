//! The workbook: a summary, and every row, typed.
//!
//! Counts are numbers and `LAST_PROCESSED` is a date; every other cell is text as the sheet has it, so
//! that no spreadsheet runs one as a formula and a key `00123` keeps its zeros. Rows go to the disk as
//! they are written, so memory does not grow with them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use chrono::Datelike;
use rust_xlsxwriter::utility::cell_autofit_width;
use rust_xlsxwriter::{
    Color, ConditionalFormatCell, ConditionalFormatCellRule, DocProperties, ExcelDateTime, Format,
    FormatAlign, Workbook, Worksheet, XlsxError,
};
use tickoff::{CsvRecord, Sheet, Stage, escape};
use xxhash_rust::xxh3::Xxh3Default;
use zip::ZipArchive;

use super::facts::{Facts, position};
use super::output::{Found, Output};
use super::panics;
use crate::exit::{Exit, Failure};

/// How the comment in a workbook's properties begins.
const MADE_BY: &str = "Made by tickoff ";

/// How it goes on in a workbook that has a seal.
const SEALED: &str = ", sealed";

/// Where a workbook has its properties, and how much of them is read.
const PROPERTIES: &str = "docProps/core.xml";
const MOST_OF_PROPERTIES: u64 = 1 << 16;

/// Rows that a worksheet holds below its header.
const MOST_ROWS: usize = 1_048_575;

/// UTF-16 units that a cell holds.
const MOST_UNITS: usize = 32_767;

/// A number with more digits than these loses some in a spreadsheet, and so stays text.
const LARGEST_COUNT: u64 = 999_999_999_999_999;

/// A column is made as wide as the widest of so many cells, but not wider than so many pixels.
const MEASURED_ROWS: u32 = 2_000;
const WIDEST: u32 = 420;

/// The height of a line in points, and how many a row shows at most.
const LINE: f64 = 15.0;
const MOST_LINES: usize = 10;

/// The button of the filter, beside a column's name.
const BUTTON: u32 = 18;

const TIME: &str = "yyyy-mm-dd hh:mm:ss";

/// Statuses with the colours of their text and their cell.
const COLOURS: [(&str, u32, u32); 4] = [
    ("COMPLETED", 0x1B5E3F, 0xD9F0E3),
    ("NO_ATTACHMENTS", 0x1F4E79, 0xDCE9F7),
    ("ERROR", 0x9C1C12, 0xFBDDD9),
    ("PENDING", 0x5A5F66, 0xECEEF0),
];

/// Refuses a sheet that no workbook holds.
pub fn must_hold(path: &Path, rows: usize) -> Result<(), Failure> {
    match rows {
        0..=MOST_ROWS => Ok(()),
        rows => {
            let path = escape(&path.to_string_lossy());
            Err(Failure::Other(
                Exit::Usage,
                format!("{path} has {rows} rows, and a workbook holds 1,048,575: use --html alone"),
            ))
        }
    }
}

/// Tells a workbook of ours by the comment in its properties, and one that was changed since by its seal. One from before
/// there was a seal tells it by when it was modified: that is when it was created, and every spreadsheet sets it
/// anew.
pub fn look(file: &mut File) -> io::Result<Found> {
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else {
        return Ok(Found::NoReport);
    };
    let mut text = String::new();
    let read = archive
        .by_name(PROPERTIES)
        .map_err(io::Error::from)
        .and_then(|part| part.take(MOST_OF_PROPERTIES).read_to_string(&mut text));
    Ok(match read.map(|_| found(&text)) {
        Ok(Found::AsWritten) if text.contains(SEALED) && !has_its_seal(&mut archive) => {
            Found::Edited
        }
        Ok(found) => found,
        Err(_) => Found::NoReport,
    })
}

fn found(properties: &str) -> Found {
    let property = |name: &str| {
        let (_, rest) = properties.split_once(&format!("<{name}"))?;
        let (value, _) = rest.split_once("</")?;
        Some(value.split_once('>')?.1)
    };
    let is_ours = property("dc:description").is_some_and(|text| text.starts_with(MADE_BY));
    let created = property("dcterms:created");
    match is_ours {
        true if created.is_some() && created == property("dcterms:modified") => Found::AsWritten,
        true => Found::Edited,
        false => Found::NoReport,
    }
}

fn has_its_seal<R: Read + Seek>(archive: &mut ZipArchive<R>) -> bool {
    seal(archive).is_ok_and(|seal| seal.as_bytes() == archive.comment())
}

/// A checksum of all files in a workbook, which is the archive's comment. As that of a page it is no proof.
fn seal<R: Read + Seek>(archive: &mut ZipArchive<R>) -> io::Result<String> {
    let mut files = Xxh3Default::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index)?;
        files.update(file.name_raw());
        files.update(&[0]);
        files.update(&file.size().to_le_bytes());
        files.update(&file.crc32().to_le_bytes());
    }
    Ok(format!("seal {:016x}", files.digest()))
}

/// Adds the seal to a workbook that is written: the archive ends with the length of its comment, which is none.
fn add_seal(mut file: &File) -> io::Result<()> {
    let seal = seal(&mut ZipArchive::new(BufReader::new(file))?)?;
    file.seek(SeekFrom::End(-2))?;
    file.write_all(&(seal.len() as u16).to_le_bytes())?;
    file.write_all(seal.as_bytes())
}

/// Writes the workbook, and says how many cells were too long for it and are cut.
pub fn write(output: &Output, sheet: &Sheet, facts: &Facts<'_>) -> io::Result<usize> {
    panics::caught(|| write_all(output, sheet, facts))
}

fn write_all(output: &Output, sheet: &Sheet, facts: &Facts<'_>) -> io::Result<usize> {
    let built = || -> Result<(Workbook, usize), XlsxError> {
        let mut workbook = Workbook::new();
        // There has to be room for the report, and there may be none elsewhere.
        workbook.set_tempdir(output.folder())?;
        workbook.set_properties(&properties(facts)?);
        workbook.add_worksheet().set_name("Summary")?;
        let cut = Rows::write(
            workbook
                .add_worksheet_with_constant_memory()?
                .set_name("Rows")?,
            sheet,
            &facts.stage,
        )?;
        summary(workbook.worksheet_from_index(0)?, facts, cut)?;
        Ok((workbook, cut))
    };
    let (mut workbook, cut) = built().map_err(system)?;
    let mut out = output.writer();
    workbook.save_to_writer(&mut out).map_err(system)?;
    out.flush()?;
    drop(out);
    add_seal(output.file())?;
    Ok(cut)
}

fn properties(facts: &Facts<'_>) -> Result<DocProperties, XlsxError> {
    let made = ExcelDateTime::from_timestamp(facts.made.timestamp())?;
    Ok(DocProperties::new()
        .set_title(escape(&facts.name))
        .set_comment(format!("{MADE_BY}{}{SEALED}", env!("CARGO_PKG_VERSION")))
        .set_creation_datetime(&made))
}

/// The system's reason, if there is one.
fn system(error: XlsxError) -> io::Error {
    match error {
        XlsxError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

/// The worksheet with a row for each of the sheet's, while it is written from the top.
struct Rows<'a> {
    worksheet: &'a mut Worksheet,
    /// In pixels, by column.
    widths: Vec<u32>,
    time: Format,
    /// For text of several lines, which would run over its neighbours.
    lines: Format,
    /// The columns that hold counts.
    counts: [Option<usize>; 2],
    /// The column that holds times.
    last_processed: Option<usize>,
    /// Cells that were too long.
    cut: usize,
}

impl Rows<'_> {
    fn write(worksheet: &mut Worksheet, sheet: &Sheet, stage: &Stage) -> Result<usize, XlsxError> {
        let columns = sheet.columns();
        let find = |name| position(&columns, name);
        let [status, last_processed, _] = stage.columns().map(find);
        let mut rows = Rows {
            worksheet,
            widths: vec![0; columns.len()],
            time: Format::new().set_num_format(TIME),
            lines: Format::new().set_text_wrap().set_align(FormatAlign::Top),
            counts: [find("ATTACHMENTS_FOUND"), find("ATTACHMENTS_DOWNLOADED")],
            last_processed,
            cut: 0,
        };
        let header = Format::new().set_bold();
        for (column, name) in columns.iter().enumerate() {
            let name = rows.whole(name).into_owned();
            let at = column as u16;
            rows.worksheet
                .write_string_with_format(0, at, &name, &header)?;
            rows.widths[column] = cell_autofit_width(&name) + BUTTON;
        }
        let mut last = 0;
        for record in sheet.records() {
            last += 1;
            rows.row(last, &record)?;
        }
        rows.finish(last, columns.len(), status)
    }

    fn row(&mut self, row: u32, record: &CsvRecord) -> Result<(), XlsxError> {
        // Not every spreadsheet makes room for the lines of a cell by itself.
        let lines = record.cells().map(|(_, value)| value.lines().count()).max();
        if let Some(lines @ 2..) = lines {
            let height = lines.min(MOST_LINES) as f64 * LINE;
            self.worksheet.set_row_height(row, height)?;
        }
        for (column, (_, value)) in record.cells().enumerate() {
            let at = column as u16;
            let mut width = None;
            if let Some(count) = self.count(column, value) {
                self.worksheet.write_number(row, at, count as f64)?;
            } else if let Some(time) = self.time_of(column, record) {
                self.worksheet
                    .write_datetime_with_format(row, at, time, &self.time)?;
                width = Some(cell_autofit_width(TIME));
            } else {
                let value = self.whole(value);
                match value.contains('\n') {
                    true => {
                        (self.worksheet).write_string_with_format(row, at, value, &self.lines)?
                    }
                    false => self.worksheet.write_string(row, at, value)?,
                };
            }
            if row <= MEASURED_ROWS {
                let width = width.unwrap_or_else(|| cell_autofit_width(value));
                self.widths[column] = self.widths[column].max(width);
            }
        }
        Ok(())
    }

    fn count(&self, column: usize, value: &str) -> Option<u64> {
        let is_count = self.counts.contains(&Some(column));
        let count = value.trim().parse().ok().filter(|_| is_count);
        count.filter(|&count| count <= LARGEST_COUNT)
    }

    fn time_of(&self, column: usize, record: &CsvRecord) -> Option<chrono::NaiveDateTime> {
        let time = record.last_processed?.naive_utc();
        let is_time = self.last_processed == Some(column);
        (is_time && (1900..=9999).contains(&time.year())).then_some(time)
    }

    /// As much of a text as a cell holds.
    fn whole<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        if text.len() <= MOST_UNITS || text.encode_utf16().count() <= MOST_UNITS {
            return text.into();
        }
        self.cut += 1;
        let mut units = 1;
        let start = text.chars().take_while(|c| {
            units += c.len_utf16();
            units <= MOST_UNITS
        });
        start.chain(['…']).collect::<String>().into()
    }

    /// What is said of the whole worksheet comes last: by now it is known.
    fn finish(self, last: u32, columns: usize, status: Option<usize>) -> Result<usize, XlsxError> {
        let worksheet = self.worksheet;
        worksheet.set_freeze_panes(1, 0)?;
        worksheet.autofilter(0, 0, last, columns as u16 - 1)?;
        for (column, width) in self.widths.into_iter().enumerate() {
            worksheet.set_column_width_pixels(column as u16, width.clamp(40, WIDEST))?;
        }
        if let Some(status) = status
            && last > 0
        {
            colour(worksheet, (1, last), status as u16)?;
        }
        Ok(self.cut)
    }
}

/// Colours by status, which follow when somebody edits the cell.
fn colour(
    worksheet: &mut Worksheet,
    (first, last): (u32, u32),
    column: u16,
) -> Result<(), XlsxError> {
    for (status, text, cell) in COLOURS {
        let format = Format::new()
            .set_font_color(Color::RGB(text))
            .set_background_color(Color::RGB(cell));
        let rule = ConditionalFormatCell::new()
            .set_rule(ConditionalFormatCellRule::EqualTo(status))
            .set_format(format);
        worksheet.add_conditional_format(first, column, last, column, &rule)?;
    }
    Ok(())
}

fn summary(worksheet: &mut Worksheet, facts: &Facts<'_>, cut: usize) -> Result<(), XlsxError> {
    let title = Format::new().set_bold().set_font_size(16);
    let bold = Format::new()
        .set_bold()
        .set_border_bottom(rust_xlsxwriter::FormatBorder::Thin);
    let number = Format::new().set_num_format("#,##0");
    let share = Format::new().set_num_format("0.0%");
    let time = Format::new()
        .set_num_format(TIME)
        .set_align(FormatAlign::Left);
    let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
    worksheet.set_column_width(0, 30)?;
    worksheet.set_column_width(1, 20)?;
    worksheet.set_column_width(2, 70)?;

    worksheet.write_string_with_format(0, 0, &facts.name, &title)?;
    let span = facts.timeline.span();
    let times = [
        ("Made (UTC)", Some(facts.made)),
        ("First result (UTC)", span.map(|(first, _)| first)),
        ("Last result (UTC)", span.map(|(_, last)| last)),
    ];
    let mut row = 2;
    for (label, at) in times {
        worksheet.write_string(row, 0, label)?;
        match at.map(|at| at.naive_utc()) {
            None => worksheet.write_string(row, 1, "none")?,
            Some(at) if (1900..=9999).contains(&at.year()) => {
                worksheet.write_datetime_with_format(row, 1, at, &time)?
            }
            Some(at) => worksheet.write_string(row, 1, at.to_string())?,
        };
        row += 1;
    }
    worksheet.write_string(row, 0, "Made by")?;
    worksheet.write_string(row, 1, concat!("tickoff ", env!("CARGO_PKG_VERSION")))?;
    row += 1;
    let counts = [
        ("Results without a valid time", facts.timeline.undated),
        ("Cells cut to 32,767 characters", cut),
    ];
    for (label, count) in counts.into_iter().filter(|&(_, count)| count > 0) {
        worksheet.write_string(row, 0, label)?;
        worksheet.write_number_with_format(row, 1, count as f64, &number)?;
        row += 1;
    }

    row += 1;
    header(worksheet, row, [&facts.heading(), "Rows", "Share"], &bold)?;
    let first = row + 1;
    let shares = facts.shares();
    for share_of in &shares {
        row += 1;
        worksheet.write_string(row, 0, share_of.word)?;
        worksheet.write_number_with_format(row, 1, share_of.rows as f64, &number)?;
        let left = share.clone().set_align(FormatAlign::Left);
        worksheet.write_number_with_format(row, 2, share_of.percent.fraction, &left)?;
    }
    colour(worksheet, (first, row), 0)?;
    row += 1;
    worksheet.write_string(row, 0, "Total")?;
    worksheet.write_number_with_format(row, 1, facts.progress.total as f64, &number)?;

    for stage in &facts.stages {
        row += 2;
        let name = format!("Stage {}", stage.name);
        header(worksheet, row, [&name, "Rows", ""], &bold)?;
        let progress = &stage.progress;
        for (word, rows) in [
            ("COMPLETED", progress.completed),
            ("NO_ATTACHMENTS", progress.no_attachments),
            ("ERROR", progress.error),
            ("PENDING", progress.pending),
            ("other", progress.other),
        ] {
            row += 1;
            worksheet.write_string(row, 0, word)?;
            worksheet.write_number_with_format(row, 1, rows as f64, &number)?;
        }
    }

    row += 2;
    header(
        worksheet,
        row,
        ["Commonest errors: example", "Rows", "Message"],
        &bold,
    )?;
    for group in facts.errors.commonest(10) {
        row += 1;
        worksheet.write_string(row, 0, group.example())?;
        worksheet.write_number_with_format(row, 1, group.rows as f64, &number)?;
        worksheet.write_string_with_format(row, 2, &group.message, &wrapped)?;
    }
    if facts.errors.len() == 0 {
        worksheet.write_string(row + 1, 0, "none")?;
    }
    Ok(())
}

fn header(
    worksheet: &mut Worksheet,
    row: u32,
    names: [&str; 3],
    format: &Format,
) -> Result<(), XlsxError> {
    let above_numbers = format.clone().set_align(FormatAlign::Right);
    let formats = [format, &above_numbers, format];
    for (column, (name, format)) in names.into_iter().zip(formats).enumerate() {
        worksheet.write_string_with_format(row, column as u16, name, format)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_that_no_workbook_holds_is_refused() {
        let path = Path::new("in\nput.csv");
        assert!(must_hold(path, 1_048_575).is_ok());
        let failure = must_hold(path, 1_048_576).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.to_string(),
            "in\\nput.csv has 1048576 rows, and a workbook holds 1,048,575: use --html alone"
        );
    }
}
