//! Only the updated cells change, whatever the dialect (S2, S3).

use std::collections::BTreeMap;

use proptest::prelude::*;
use tickoff::{CsvHandler, Options};

use crate::fixture::TempSheet;

/// A cell as it may stand in a sheet: the raw bytes, and what a reader sees.
fn cell() -> impl Strategy<Value = (String, String)> {
    let plain = "[a-zé \"]{0,5}".prop_filter("a leading quote would open a quoted field", |raw| {
        !raw.starts_with('"')
    });
    prop_oneof![
        3 => plain.prop_map(|raw| (raw.clone(), raw)),
        2 => "[a-z;,\\n\\r\"\\t ]{0,6}".prop_map(|value| (format!("\"{}\"", value.replace('"', "\"\"")), value)),
        1 => "[a-z]{0,3}".prop_map(|value| (format!("\"{value}\" x"), format!("{value} x"))),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    delimiter: char,
    bom: bool,
    header: Vec<String>,
    rows: Vec<Vec<(String, String)>>,
    terminators: Vec<&'static str>,
    updates: Vec<(usize, usize, String)>,
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::sample::select(vec![';', ',', '\t']),
        any::<bool>(),
        1usize..5,
        1usize..6,
    )
        .prop_flat_map(|(delimiter, bom, columns, rows)| {
            let row = prop::collection::vec(cell(), 0..=columns + 1);
            let terminators = prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r\n\n"]);
            let updates = (0..rows, 0..columns, "[a-z;,\"\\n\\r\\t é]{0,6}");
            (
                Just(delimiter),
                Just(bom),
                prop::collection::vec(prop::sample::select(vec!["c#", "\"c#\"", " c# "]), columns),
                prop::collection::vec(row, rows),
                prop::collection::vec(terminators, rows + 1),
                prop::collection::vec(updates, 0..5),
            )
        })
        .prop_map(|(delimiter, bom, names, rows, terminators, updates)| Case {
            delimiter,
            bom,
            header: names
                .iter()
                .enumerate()
                .map(|(i, name)| name.replace('#', &i.to_string()))
                .collect(),
            rows,
            terminators,
            updates,
        })
}

impl Case {
    /// The sheet with each row's raw cells, keys `K0`, `K1`, … in the first column.
    fn render(&self, raw: impl Fn(usize, usize) -> Option<String>) -> String {
        let delimiter = self.delimiter.to_string();
        let mut text = if self.bom {
            "\u{feff}".to_owned()
        } else {
            String::new()
        };
        text.push_str(
            &["PO_NUMBER".to_owned()]
                .iter()
                .chain(&self.header)
                .cloned()
                .collect::<Vec<_>>()
                .join(&delimiter),
        );
        for (i, _) in self.rows.iter().enumerate() {
            text.push_str(self.terminators[i]);
            let mut cells = vec![format!("K{i}")];
            cells.extend((0..).map_while(|column| raw(i, column)));
            text.push_str(&cells.join(&delimiter));
        }
        if self.terminators.last() != Some(&"\n\n") {
            text.push_str(self.terminators.last().unwrap());
        }
        text
    }

    fn encoded(&self, value: &str, was_quoted: bool) -> String {
        let quoted = was_quoted || value.contains([self.delimiter, '"', '\n', '\r']);
        if quoted {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.to_owned()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_update_changes_its_cells_and_not_one_byte_more(case in case()) {
        let sheet = TempSheet::new(case.render(|i, column| case.rows[i].get(column).map(|cell| cell.0.clone())));
        let mut wanted: BTreeMap<(usize, usize), String> = BTreeMap::new();
        {
            let handler = CsvHandler::open_with(sheet.path(), &Options::default()).unwrap();
            for (row, column, value) in &case.updates {
                handler.update_record(&format!("K{row}"), [(format!("c{column}"), value.clone())]).unwrap();
                wanted.insert((*row, *column), value.clone());
            }
        }
        let expected = case.render(|i, column| {
            let old = case.rows[i].get(column);
            let last_needed = wanted.iter().filter(|((row, _), value)| *row == i && !value.is_empty()).map(|((_, c), _)| c + 1).max().unwrap_or(0);
            match (old, wanted.get(&(i, column))) {
                (Some((raw, value)), Some(new)) if value != new => {
                    // A value that was written in between may have been quoted; then it stays so.
                    Some(case.encoded(new, raw.starts_with('"')))
                }
                (Some((raw, _)), _) => Some(raw.clone()),
                (None, Some(new)) if column < last_needed => Some(case.encoded(new, false)),
                (None, None) if column < last_needed => Some(String::new()),
                _ => None,
            }
        });
        prop_assert_eq!(sheet.text(), expected);
    }
}
