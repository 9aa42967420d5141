//! `tickoff report`: what the page and the workbook say, and that neither runs, loads or replaces
//! anything it should not.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::{FULL_HEADER, TempSheet};
use calamine::{Data, Reader, Xlsx, open_workbook};

const SHEET: &str = "\
PO_NUMBER;STATUS;SUPPLIER;ATTACHMENTS_FOUND;LAST_PROCESSED;ERROR_MESSAGE;note
00123;COMPLETED;Acme;2;2026-01-05T10:00:00Z;;=1+1
P2;ERROR;Globex;;2026-01-05T10:00:30+00:00;timeout after 31 s;
P3;ERROR;Globex;many;2026-01-05T10:02:00Z;timeout after 29 s;+cmd
P4;NO_ATTACHMENTS;Acme;0;soon;;
P5;;Acme;;;;
;;;;;;
";

#[track_caller]
fn report(sheet: &TempSheet, arguments: &[&str]) -> Ended {
    end(sheet.tickoff("report").args(arguments))
}

/// The page over a sheet.
#[track_caller]
fn page(sheet: &TempSheet, arguments: &[&str]) -> String {
    let ended = report(sheet, &[&["--html", "r.html"], arguments].concat()).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    fs::read_to_string(sheet.folder().join("r.html")).unwrap()
}

/// The workbook over a sheet, and what was said of it.
#[track_caller]
fn workbook(sheet: &TempSheet) -> (Xlsx<std::io::BufReader<fs::File>>, String) {
    let ended = report(sheet, &["--xlsx", "r.xlsx"]).with(0);
    assert_eq!(ended.stdout, "");
    let workbook = open_workbook(sheet.folder().join("r.xlsx")).unwrap();
    (workbook, ended.stderr)
}

/// A file in the workbook.
#[track_caller]
fn part(sheet: &TempSheet, name: &str) -> String {
    let file = fs::File::open(sheet.folder().join("r.xlsx")).unwrap();
    let mut text = String::new();
    zip::ZipArchive::new(file)
        .unwrap()
        .by_name(name)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// The tags of a page, with their attributes, in its order, without its style and its script.
fn tags(page: &str) -> Vec<String> {
    const OWN: [&str; 2] = [
        include_str!("../../src/bin/tickoff/report/page.css"),
        include_str!("../../src/bin/tickoff/report/page.js"),
    ];
    let mut rest = page.to_owned();
    for own in OWN {
        assert!(rest.contains(own));
        rest = rest.replacen(own, "", 1);
    }
    rest.split('<')
        .skip(1)
        .map(|tag| {
            tag.split_once('>')
                .expect("every tag is closed")
                .0
                .to_owned()
        })
        .filter(|tag| !tag.starts_with("!-- seal"))
        .collect()
}

/// What a reader sees of a table's row, cells divided by `|`.
#[track_caller]
fn row(page: &str, has: &str) -> String {
    let row = page
        .lines()
        .find(|line| line.starts_with("<tr") && line.contains(has))
        .unwrap_or_else(|| panic!("no row with {has}"));
    let cells = row.replace("</td>", "|").replace("</th>", "|");
    let text: String = cells
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text))
        .collect();
    text.trim_end_matches('|').to_owned()
}

#[test]
fn the_page_says_how_the_batch_went() {
    let sheet = TempSheet::new(SHEET);
    let page = page(&sheet, &[]);
    assert!(page.contains("<h1>input.csv</h1>"));
    assert_eq!(row(&page, "COMPLETED</th>"), "COMPLETED|1|20.0 %");
    assert_eq!(row(&page, "PENDING</th>"), "PENDING|1|20.0 %");
    assert_eq!(
        row(&page, "timeout after ‹n› s"),
        "2|timeout after ‹n› s|P2"
    );
    assert_eq!(row(&page, ">Globex</th>"), "Globex|2|0|2");
    assert_eq!(
        row(&page, "2 minutes"),
        "2026-01-05 10:00:00|2026-01-05 10:02:00|2 minutes|3|1.0 a minute"
    );
    assert!(page.contains("which are not shown here: 1."), "P4");
    assert_eq!(
        row(&page, ">P3</th>"),
        "P3|ERROR|Globex|many|2026-01-05 10:02:00|timeout after 29 s"
    );
    assert!(page.contains("<code>tickoff run --joblog LOG</code>"));
}

#[test]
fn the_bar_of_shares_is_without_gap_or_overlap() {
    let page = page(&TempSheet::new(SHEET), &[]);
    let bars: Vec<_> = tags(&page)
        .into_iter()
        .filter(|tag| tag.starts_with("rect") && tag.contains("height=\"1\""))
        .collect();
    assert_eq!(
        bars,
        [
            "rect class=\"completed\" x=\"0.000\" y=\"0\" width=\"20.000\" height=\"1\"/",
            "rect class=\"no_attachments\" x=\"20.000\" y=\"0\" width=\"20.000\" height=\"1\"/",
            "rect class=\"error\" x=\"40.000\" y=\"0\" width=\"40.000\" height=\"1\"/",
            "rect class=\"pending\" x=\"80.000\" y=\"0\" width=\"20.000\" height=\"1\"/",
        ]
    );
}

const HOSTILE: [&str; 8] = [
    "</script><img src=x onerror=alert(1)>",
    "</title></style><script>alert(1)</script>",
    "\"' onmouseover='alert(1)",
    "<!-- <script> ]]>",
    "\u{202e}gnp.exe\u{2066}",
    "a\u{2028}b\u{2029}c\u{1b}[31m\u{9b}2J",
    "{{ 7*7 }} ${7*7} {% raw %}",
    "javascript:alert(1) &lt;img&gt; &#x202e;",
];

/// A sheet with these texts in every column that a report shows, and in its name.
fn sheet_with(texts: &[String]) -> TempSheet {
    let mut csv = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE\n".to_owned();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    for (i, text) in texts.iter().enumerate() {
        let text = quoted(text);
        csv += &format!(
            "{};ERROR;{text};{text};{text}\n",
            quoted(&format!("{i}{text}"))
        );
        csv += &format!("Q{i};{text};{text};2026-01-05T10:00:00Z;{text}\n");
    }
    TempSheet::new(csv)
}

#[test]
fn no_cell_becomes_a_part_of_the_page() {
    let hostile = page(&sheet_with(&HOSTILE.map(str::to_owned)), &[]);
    let texts: Vec<String> = (0..HOSTILE.len())
        .map(|i| format!("{}x", (b'a' + i as u8) as char))
        .collect();
    let harmless = page(&sheet_with(&texts), &[]);
    assert_eq!(tags(&hostile), tags(&harmless));
    let hidden = hostile.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert_eq!(hidden, None);
    assert!(hostile.contains("\\u{202e}gnp.exe\\u{2066}"));
    assert!(hostile.contains("a\\u{2028}b\\u{2029}c\\u{1b}[31m\\u{9b}2J"));
}

#[test]
fn the_page_loads_nothing() {
    let sheet = TempSheet::new(SHEET.replace("=1+1", "https://example.invalid/a.js"));
    let page = page(&sheet, &[]);
    let tags = tags(&page);
    let names: BTreeSet<&str> = tags
        .iter()
        .filter(|tag| !tag.starts_with('/'))
        .map(|tag| tag.split([' ', '\n', '/']).next().unwrap())
        .collect();
    for loads in [
        "link", "img", "iframe", "object", "embed", "base", "image", "use", "form", "a",
    ] {
        assert!(!names.contains(loads), "{loads}");
    }
    for tag in &tags {
        for attribute in [
            "src",
            "href",
            "srcset",
            "action",
            "background",
            "data",
            "onerror",
        ] {
            assert!(!tag.contains(&format!(" {attribute}=")), "{tag}");
        }
    }
    assert!(!page.contains("@import") && !page.contains("url("));
    assert!(
        tags.iter().any(
            |tag| tag.contains("Content-Security-Policy") && tag.contains("default-src 'none'")
        )
    );
}

#[test]
fn the_page_can_be_read_by_a_machine() {
    let page = page(&TempSheet::new(SHEET), &[]);
    let tags = tags(&page);
    assert!(tags.contains(&"html lang=\"en\"".to_owned()));
    for tag in &tags {
        assert!(!tag.starts_with("th ") || tag.contains("scope="), "{tag}");
        assert!(
            !tag.starts_with("svg") || tag.contains("role=\"img\" aria-labelledby="),
            "{tag}"
        );
    }
    // What labels something is there.
    let ids: Vec<&str> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
    for label in tags
        .iter()
        .filter_map(|tag| attribute(tag, "aria-labelledby"))
    {
        assert_eq!(ids.iter().filter(|id| **id == label).count(), 1, "{label}");
    }
    // Every element is closed, in the order in which they were opened.
    let mut open = Vec::new();
    for tag in &tags {
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap();
        match tag.as_str() {
            _ if ["!DOCTYPE", "meta", "input"].contains(&name) || tag.ends_with('/') => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

#[test]
fn a_file_that_is_no_report_is_not_replaced() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    let other = sheet.folder().join("other.csv");
    for option in ["--html", "--xlsx"] {
        fs::write(&other, "mine").unwrap();
        let refused = end(sheet.tickoff("report").args([option, "other.csv"])).with(2);
        assert!(
            refused.stderr.contains("is there already and is no report"),
            "{refused:?}"
        );
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        fs::write(&other, "").unwrap();
        for _ in 0..2 {
            end(sheet.tickoff("report").args([option, "other.csv"])).with(0);
        }
    }
}

/// A workbook that another program wrote, with these properties.
fn workbook_of_another_program(properties: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [
        ("xl/workbook.xml", "<workbook/>"),
        ("docProps/core.xml", properties),
    ] {
        archive.start_file(name, options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_page_or_workbook_of_the_user_s_own_is_not_replaced() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    let own = workbook_of_another_program(
        "<dc:creator>Anna</dc:creator><dcterms:created>1</dcterms:created><dcterms:modified>1</dcterms:modified>",
    );
    let cases: [(&str, &[u8]); 3] = [
        ("--xlsx", &own),
        ("--xlsx", b"PK\x03\x04 no archive"),
        ("--html", b"<!DOCTYPE html>\n<h1>Mine</h1>\n"),
    ];
    for (option, text) in cases {
        let path = sheet.folder().join("mine");
        fs::write(&path, text).unwrap();
        let refused = report(&sheet, &[option, "mine"]).with(2);
        assert!(
            (refused.stderr).contains("mine is there already and is no report: name another file"),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), text);
    }
    assert_eq!(sheet.leftovers(), ["mine"]);
}

#[test]
fn a_report_that_somebody_edited_since_is_not_replaced() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    report(&sheet, &["--html", "page", "--xlsx", "book"]).with(0);
    let path = |name: &str| sheet.folder().join(name);
    let noted = fs::read_to_string(path("page")).unwrap();
    fs::write(path("page"), noted.replace("<main>", "<main>call Anna")).unwrap();
    // As a spreadsheet saves it: the comment stays, the time is a later one.
    let file = fs::File::open(path("book")).unwrap();
    let mut properties = String::new();
    zip::ZipArchive::new(file)
        .unwrap()
        .by_name("docProps/core.xml")
        .unwrap()
        .read_to_string(&mut properties)
        .unwrap();
    let (before, after) = properties.split_once("</dcterms:modified>").unwrap();
    let later = format!(
        "{}9Z</dcterms:modified>{after}",
        before.trim_end_matches('Z')
    );
    fs::write(path("book"), workbook_of_another_program(&later)).unwrap();
    for (option, name) in [("--html", "page"), ("--xlsx", "book")] {
        let edited = fs::read(path(name)).unwrap();
        let refused = report(&sheet, &[option, name]).with(2);
        assert!(
            (refused.stderr).contains(&format!(
                "{name} was edited since tickoff wrote it: name another file"
            )),
            "{refused:?}"
        );
        assert_eq!(fs::read(path(name)).unwrap(), edited);
    }
}

/// A program that changes a workbook need not set when it was modified.
#[test]
fn a_workbook_in_which_anything_was_changed_is_not_replaced() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    let path = sheet.folder().join("book");
    for changed in ["text", "file", "seal", "nothing"] {
        let _ = fs::remove_file(&path);
        report(&sheet, &["--xlsx", "book"]).with(0);
        report(&sheet, &["--xlsx", "book"]).with(0);
        let mut old = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
        let mut new = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        if changed != "seal" {
            new.set_raw_comment(old.comment().to_owned().into_boxed_slice())
                .unwrap();
        }
        for index in 0..old.len() {
            let file = old.by_index(index).unwrap();
            let is_rows = file
                .name()
                .is_ok_and(|name| name == "xl/worksheets/sheet2.xml");
            match is_rows && changed == "text" {
                false => new.raw_copy_file(file).unwrap(),
                true => {
                    let text = std::io::read_to_string(file).unwrap();
                    assert!(text.contains(">P1<"));
                    let options = zip::write::SimpleFileOptions::default();
                    new.start_file("xl/worksheets/sheet2.xml", options).unwrap();
                    let text = text.replace(">P1<", ">P2<");
                    new.write_all(text.as_bytes()).unwrap();
                }
            }
        }
        if changed == "file" {
            let options = zip::write::SimpleFileOptions::default();
            new.start_file("xl/worksheets/sheet3.xml", options).unwrap();
        }
        let changed_bytes = new.finish().unwrap().into_inner();
        fs::write(&path, &changed_bytes).unwrap();
        if changed == "nothing" {
            report(&sheet, &["--xlsx", "book"]).with(0);
            continue;
        }
        let refused = report(&sheet, &["--xlsx", "book"]).with(2);
        let said = "book was edited since tickoff wrote it: name another file";
        assert!(refused.stderr.contains(said), "{changed}: {refused:?}");
        assert_eq!(fs::read(&path).unwrap(), changed_bytes);
    }
}

/// Reports of earlier versions have no seal.
#[test]
fn a_workbook_without_a_seal_is_replaced_if_it_was_not_saved_since() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    let of_time = |modified: &str| {
        workbook_of_another_program(&format!(
            "<dc:description>Made by tickoff 0.1.0</dc:description><dcterms:created>1</dcterms:created><dcterms:modified>{modified}</dcterms:modified>"
        ))
    };
    for (modified, code) in [("2", 2), ("1", 0)] {
        fs::write(sheet.folder().join("book"), of_time(modified)).unwrap();
        report(&sheet, &["--xlsx", "book"]).with(code);
    }
}

#[test]
fn a_sheet_without_rows_or_columns_has_a_report_too() {
    for text in [
        "PO_NUMBER\n",
        "PO_NUMBER\nP1\n",
        "PO_NUMBER;STATUS\nP1;ERROR\n",
    ] {
        let sheet = TempSheet::new(text);
        page(&sheet, &[]);
        let (mut workbook, _) = workbook(&sheet);
        let rows = workbook.worksheet_range("Rows").unwrap();
        assert_eq!(rows.height(), text.lines().count());
    }
}

#[test]
fn a_large_sheet_s_page_holds_the_rows_that_need_an_eye_and_says_so() {
    // 20,000 rows that are listed if there are no more; then one more, which is done.
    let mut text = format!("{FULL_HEADER}\n");
    for i in 0..20_000 {
        let status = if i % 10 == 9 { "ERROR" } else { "COMPLETED" };
        text += &format!("PO{i};{status};;;;;;;;;;;;\n");
    }
    let listed = |page: &str| {
        let (_, list) = page.split_once("id=\"list\"").unwrap();
        list.matches("<tr class=").count()
    };
    let sheet = TempSheet::new(&text);
    assert_eq!(listed(&page(&sheet, &[])), 20_000);

    text += "Last;;;;;;;;;;;;;\n";
    let sheet = TempSheet::new(&text);
    let page = page(&sheet, &[]);
    assert_eq!(listed(&page), 2_001);
    assert!(page.contains("The sheet has 20,001 rows. Above 20,000 only those that failed or have no result are listed. "));
    assert!(page.find(">PO9</th>") < page.find(">Last</th>"));
}

#[test]
fn of_more_rows_than_the_page_holds_the_failed_ones_come_first() {
    let mut text = "PO_NUMBER;STATUS\n".to_owned();
    for i in 0..20_001 {
        text += &format!("PO{i};PENDING\n");
    }
    text += "Failed;ERROR\n";
    let page = page(&TempSheet::new(text), &[]);
    assert!(page.contains("and of these 20,002 the first 20,000, failed ones before the others."));
    assert!(page.find(">Failed</th>").unwrap() < page.find(">PO0</th>").unwrap());
    assert!(page.contains(">PO19998</th>") && !page.contains(">PO19999</th>"));
}

#[test]
fn the_workbook_has_numbers_dates_and_text_and_runs_nothing() {
    let sheet = TempSheet::new(SHEET);
    let (mut workbook, said) = workbook(&sheet);
    assert_eq!(said, "");
    assert_eq!(workbook.sheet_names(), ["Summary", "Rows"]);
    let rows = workbook.worksheet_range("Rows").unwrap();
    let cell = |row, column| rows.get_value((row, column)).cloned().unwrap_or_default();
    let text = |text: &str| Data::String(text.into());
    assert_eq!(cell(1, 0), text("00123"));
    assert_eq!(cell(1, 3), Data::Float(2.0));
    let time = match cell(1, 4) {
        Data::DateTime(time) => time.as_datetime().unwrap().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(time, "2026-01-05 10:00:00");
    assert_eq!(cell(1, 6), text("=1+1"));
    assert_eq!(cell(3, 3), text("many"));
    assert_eq!(cell(3, 6), text("+cmd"));
    assert_eq!(cell(4, 4), text("soon"));
    assert_eq!(rows.height(), 6, "rows without a PO are none");
    for name in ["Summary", "Rows"] {
        assert!(workbook.worksheet_formula(name).unwrap().is_empty());
    }
    let rows = part(&sheet, "xl/worksheets/sheet2.xml");
    assert!(rows.contains(
        "<pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/>"
    ));
    assert!(rows.contains("<autoFilter ref=\"A1:G6\"/>"));
    assert!(rows.contains("<conditionalFormatting sqref=\"B2:B6\">"));
}

#[test]
fn the_workbook_has_a_summary() {
    let sheet = TempSheet::new(SHEET);
    let (mut workbook, _) = workbook(&sheet);
    let summary = workbook.worksheet_range("Summary").unwrap();
    let find = |label: &str| {
        let found = summary
            .rows()
            .find(|row| row[0] == Data::String(label.into()));
        found.unwrap_or_else(|| panic!("{label} in {summary:?}"))[1..].to_vec()
    };
    assert_eq!(find("ERROR"), [Data::Float(2.0), Data::Float(0.4)]);
    assert_eq!(find("Total")[0], Data::Float(5.0));
    assert_eq!(find("Results without a valid time")[0], Data::Float(1.0));
    assert_eq!(
        find("P2"),
        [Data::Float(2.0), Data::String("timeout after ‹n› s".into())]
    );
    assert!(matches!(find("First result (UTC)")[0], Data::DateTime(_)));
    assert!(matches!(&find("Made by")[0], Data::String(by) if by.starts_with("tickoff ")));
}

#[test]
fn a_hostile_cell_stays_a_text_that_every_reader_can_open() {
    let texts = HOSTILE.map(str::to_owned).into_iter().chain(
        [
            "=cmd|'/c calc'!A1",
            "@SUM(1)",
            "\u{ffff}\u{1}_x0041_",
            "https://example.invalid/",
        ]
        .map(str::to_owned),
    );
    let texts: Vec<String> = texts.collect();
    let sheet = sheet_with(&texts);
    let (mut workbook, _) = workbook(&sheet);
    assert!(workbook.worksheet_formula("Rows").unwrap().is_empty());
    let rows = workbook.worksheet_range("Rows").unwrap();
    for (i, text) in texts
        .iter()
        .enumerate()
        .filter(|(_, text)| !text.contains('\u{1}'))
    {
        let cell = rows.get_value((1 + 2 * i as u32, 2)).unwrap();
        assert_eq!(cell, &Data::String(text.clone()));
    }
    let xml = part(&sheet, "xl/worksheets/sheet2.xml");
    assert!(!xml.contains(['\u{1}', '\u{ffff}', '\u{1b}']));
    assert!(!xml.contains("<hyperlink"));
}

#[test]
fn numbers_and_times_that_a_spreadsheet_cannot_hold_stay_text() {
    let sheet = TempSheet::new(
        "PO_NUMBER;ATTACHMENTS_FOUND;LAST_PROCESSED\nP1;1234567890123456;1800-01-01T00:00:00Z\n",
    );
    let (mut workbook, _) = workbook(&sheet);
    let rows = workbook.worksheet_range("Rows").unwrap();
    assert_eq!(
        rows.get_value((1, 1)),
        Some(&Data::String("1234567890123456".into()))
    );
    assert_eq!(
        rows.get_value((1, 2)),
        Some(&Data::String("1800-01-01T00:00:00Z".into()))
    );
}

#[test]
fn a_cell_that_is_too_long_for_a_workbook_is_cut_and_that_is_said() {
    // Two UTF-16 units a character, and an odd limit.
    let sheet = TempSheet::new(format!("PO_NUMBER;note\nP1;{}\n", "😀".repeat(20_000)));
    let (mut workbook, said) = workbook(&sheet);
    assert_eq!(
        sheet.without_folder(&said),
        "tickoff: cells of DIR/r.xlsx that were cut to 32,767 characters, as many as a cell of a workbook holds: 1\n"
    );
    let rows = workbook.worksheet_range("Rows").unwrap();
    let want = "😀".repeat(16_383) + "…";
    assert_eq!(rows.get_value((1, 1)), Some(&Data::String(want)));
    let summary = workbook.worksheet_range("Summary").unwrap();
    let is_said = |row: &[Data]| row[0] == Data::String("Cells cut to 32,767 characters".into());
    assert!(summary.rows().any(is_said));
}

#[test]
fn suppliers_are_slow_by_the_joblog() {
    let sheet = TempSheet::new(SHEET);
    let mut log = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tPO\n"
        .to_owned();
    for (po, took) in [
        ("00123", "1.5"),
        ("P4", "2.5"),
        ("P5", "90"),
        ("P9", "1"),
        ("P2", "7"),
    ] {
        log += &format!("1\t:\t1767607200.000\t{took:>10}\t0\t0\t0\t0\t./fetch.sh\t{po}\n");
    }
    fs::write(sheet.folder().join("log"), log).unwrap();
    let page = page(&sheet, &["--joblog", "log"]);
    assert_eq!(
        row(&page, ">Acme</th><td class=\"num\">2.50 s"),
        "Acme|2.50 s|90 s|94 s|3"
    );
    assert!(page.contains("no row of the sheet, or are not whole: 1."));

    fs::write(sheet.folder().join("log"), "Seq\tCommand\n").unwrap();
    let ended = report(&sheet, &["--html", "r.html", "--joblog", "log"]).with(3);
    assert_eq!(
        ended.stderr,
        "tickoff: log is no joblog of tickoff run: its first line must name tab-separated columns, JobRuntime among them and Key as the last\n"
    );
}

#[test]
fn what_has_to_stay_is_never_replaced() {
    let sheet = TempSheet::new(SHEET);
    let folder = sheet.folder();
    let link = |to: &Path, name: &str| symlink(to, folder.join(name)).unwrap();
    link(sheet.path(), "link");
    fs::hard_link(sheet.path(), folder.join("hard")).unwrap();
    fs::write(folder.join("log"), "").unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    let files = || {
        let names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names.collect::<BTreeSet<_>>()
    };
    let before = files();
    for (arguments, says) in [
        (
            &["--html", "input.csv"][..],
            "input.csv is the sheet itself",
        ),
        (&["--xlsx", "link"], "input.csv is the sheet itself"),
        (&["--xlsx", "hard"], "hard is the sheet itself"),
        (
            &["--html", "log", "--joblog", "log"],
            "log is the joblog itself",
        ),
        (&["--html", "folder"], "folder is not a regular file"),
        (&["--html", "/dev/null"], "/dev/null is not a regular file"),
        (
            &["--html", ".input.csv.journal"],
            ".input.csv.journal is a name that tickoff keeps for itself",
        ),
        (
            &["--html", "same", "--xlsx", "./same"],
            "same cannot be both the page and the workbook",
        ),
        (&["--html", ".."], "is not a regular file"),
    ] {
        let ended = report(&sheet, arguments).with(2);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert!(
            ended
                .stderr
                .ends_with(": name another file for the report\n")
        );
        assert_eq!((sheet.text().as_str(), files()), (SHEET, before.clone()));
    }
    let ended = report(&sheet, &[]).with(2);
    assert!(ended.stderr.contains("--html <OUT>"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let sheet = TempSheet::new(SHEET);
    let ended = report(&sheet, &["--html", "none/r.html"]).with(3);
    assert_eq!(
        ended.stderr,
        "tickoff: cannot find the folder none: No such file or directory (os error 2)\ntickoff: make it: mkdir -p none\n"
    );
}

#[test]
fn a_report_takes_the_place_of_an_older_one_behind_its_link() {
    let sheet = TempSheet::new(SHEET);
    fs::set_permissions(sheet.path(), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(sheet.folder().join("www")).unwrap();
    page(&sheet, &[]);
    fs::rename(
        sheet.folder().join("r.html"),
        sheet.folder().join("www/old"),
    )
    .unwrap();
    fs::write(sheet.path(), SHEET.replace("P5;;", "P6;;")).unwrap();
    symlink("www/old", sheet.folder().join("r.html")).unwrap();
    assert!(page(&sheet, &[]).contains(">P6</th>"));
    assert_eq!(
        fs::read_link(sheet.folder().join("r.html")).unwrap(),
        Path::new("www/old")
    );
    let mode = fs::metadata(sheet.folder().join("www/old"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "never more readable than the sheet");
    assert_eq!(sheet.leftovers(), ["r.html", "www"]);
}

#[test]
fn a_report_for_which_there_is_no_room_leaves_the_older_one() {
    let rows: String = (0..2_000)
        .map(|i| format!("PO{i};ERROR;message {i}\n"))
        .collect();
    let text = format!("PO_NUMBER;STATUS;ERROR_MESSAGE\n{rows}");
    // Where there is room for the sheet, and then for some of what a workbook takes.
    for (size, option) in [
        ("100k", "--html"),
        ("100k", "--xlsx"),
        ("200k", "--xlsx"),
        ("360k", "--xlsx"),
    ] {
        let Some(sheet) = TempSheet::on_small_disk(size, &text) else {
            return;
        };
        let small = TempSheet::new("PO_NUMBER\nP1\n");
        report(&small, &[option, "r"]).with(0);
        let old = fs::read(small.folder().join("r")).unwrap();
        fs::write(sheet.folder().join("r"), &old).unwrap();
        let ended = report(&sheet, &[option, "r"]).with(3);
        assert_eq!(
            sheet.without_folder(&ended.stderr),
            "tickoff: cannot write DIR/r: No space left on device (os error 28)\n"
        );
        assert_eq!(fs::read(sheet.folder().join("r")).unwrap(), old);
        assert_eq!(sheet.leftovers(), ["r"]);
    }
}

#[test]
fn a_report_shows_what_is_durable_while_a_run_is_going() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    let mut run = sheet.run("-j 1", "[ $TICKOFF_PO = P1 ] && exit; touch second; hang");
    let running = Running::start(&mut run);
    wait_until("the second command runs", || {
        sheet.folder().join("second").exists()
    });
    assert!(page(&sheet, &[]).contains("Completed: <strong>1</strong> of 2 rows."));
    running.kill();
    assert!(page(&sheet, &[]).contains("Completed: <strong>1</strong> of 2 rows."));
}

#[test]
fn the_workbook_makes_room_for_the_lines_of_a_cell() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;\"a\nb\"\nP2;c\n");
    workbook(&sheet);
    let rows = part(&sheet, "xl/worksheets/sheet2.xml");
    assert!(rows.contains(" ht=\"30\" customHeight=\"1\">"), "{rows}");
    assert_eq!(rows.matches("customHeight").count(), 1);
}

#[test]
fn the_report_of_a_sheet_in_stages_tells_of_the_last_that_has_begun() {
    let sheet = TempSheet::new("PO_NUMBER;status\nP1;active\nP2;\n");
    end(sheet.tickoff("init").args(["--stages", "fetch,ocr,upload"])).with(0);
    let told = |options: &[&str]| {
        let page = page(&sheet, options);
        let (_, heading) = page.split_once("<h2 id=\"status\">").unwrap();
        let heading = heading.split('<').next().unwrap().to_owned();
        (
            heading,
            row(&page, "<th scope=\"row\" class=\"po\">P1</th>"),
        )
    };
    let of = |stage: &str, row: &str| (format!("Status in the stage {stage}"), row.to_owned());
    assert_eq!(told(&[]), of("fetch", "P1|PENDING"));
    end(&mut sheet.run("--stage fetch", "true")).with(0);
    assert!(told(&[]).1.starts_with("P1|COMPLETED|2"), "{:?}", told(&[]));
    end(&mut sheet.run("--stage ocr --only P1", "echo blank >&2; exit 3")).with(1);
    let (heading, row) = told(&[]);
    assert_eq!(heading, "Status in the stage ocr");
    assert!(
        row.starts_with("P1|ERROR|2") && row.ends_with("|exit 3: blank"),
        "{row}"
    );
    let (heading, row) = told(&["--stage", "fetch"]);
    assert_eq!(heading, "Status in the stage fetch");
    assert!(row.starts_with("P1|COMPLETED|2"), "{row}");
    let (mut workbook, _) = workbook(&sheet);
    let summary = workbook.worksheet_range("Summary").unwrap();
    let mut cells = summary.rows().map(|row| format!("{} {}", row[0], row[1]));
    assert!(cells.any(|cell| cell == "Status in the stage ocr Rows"));
    assert!(cells.any(|cell| cell == "ERROR 1"));
    // What tickoff did in the plain columns comes first.
    end(&mut sheet.run("--stage main --todo active", "true")).with(0);
    assert_eq!(told(&[]).0, "Status in the stage main");
}

#[test]
fn what_the_settings_say_of_key_words_and_stages_holds_for_a_report() {
    let sheet =
        TempSheet::new("id|status|a_STATUS\n7|lost|COMPLETED\n8|COMPLETED|ERROR\n9||COMPLETED\n");
    let settings =
        "['input.csv']\nkey = 'id'\ndelimiter = '|'\nfailed = ['lost']\nstages = ['a']\n";
    fs::write(sheet.folder().join("tickoff.toml"), settings).unwrap();
    let page = page(&sheet, &[]);
    assert_eq!(row(&page, "<th scope=\"row\">a</th>"), "a|2|0|1|0|0");
    assert!(
        row(&page, "</span>ERROR</th>").starts_with("ERROR|1|"),
        "{page}"
    );
    assert!(
        page.contains("<tr class=\"error\"><th scope=\"row\" class=\"po\">7</th>"),
        "{page}"
    );
    assert!(!page.contains("No row is in ERROR."));
    let (mut workbook, _) = workbook(&sheet);
    let summary = workbook.worksheet_range("Summary").unwrap();
    let cells: Vec<_> = summary
        .rows()
        .map(|row| format!("{} {}", row[0], row[1]))
        .collect();
    let from = cells
        .iter()
        .position(|cell| cell == "Stage a Rows")
        .unwrap();
    assert_eq!(
        cells[from + 1..][..4],
        ["COMPLETED 2", "NO_ATTACHMENTS 0", "ERROR 1", "PENDING 0"]
    );
}
