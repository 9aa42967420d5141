//! A sheet as people see it: rows of cells without quotes, which the sheets of this campaign do not need.

/// One version of a sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub delimiter: char,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

pub const KEY: &str = "PO_NUMBER";

impl Table {
    /// `None` if it is no sheet, or not a whole one.
    pub fn parse(text: &str) -> Option<Table> {
        let (first, _) = text.split_once('\n')?;
        let is_key = |name: &str| name.trim().eq_ignore_ascii_case(KEY);
        let mut delimiters = [';', ',', '\t'].into_iter();
        let delimiter = delimiters.find(|&it| first.split(it).any(is_key))?;
        let split = |line: &str| line.split(delimiter).map(str::to_owned).collect();
        let mut lines = text.strip_suffix('\n')?.split('\n');
        Some(Table {
            delimiter,
            header: split(lines.next()?),
            rows: lines.map(split).collect(),
        })
    }

    pub fn text(&self) -> String {
        let delimiter = self.delimiter.to_string();
        let lines = std::iter::once(&self.header).chain(&self.rows);
        lines.map(|line| line.join(&delimiter) + "\n").collect()
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        let mut names = self.header.iter();
        names.position(|known| known.trim().eq_ignore_ascii_case(name))
    }

    pub fn key_column(&self) -> usize {
        self.column(KEY).expect("a sheet has its key column")
    }

    pub fn row(&self, po: &str) -> Option<usize> {
        let key = self.key_column();
        self.rows.iter().position(|row| row[key].trim() == po)
    }

    pub fn keys(&self) -> Vec<String> {
        let key = self.key_column();
        let keys = self.rows.iter().map(|row| row[key].trim().to_owned());
        keys.collect()
    }

    /// `None` where there is no such row or column.
    pub fn get(&self, po: &str, column: &str) -> Option<&str> {
        let column = self.column(column)?;
        let row = &self.rows[self.row(po)?];
        Some(row.get(column).map_or("", String::as_str))
    }

    pub fn set(&mut self, po: &str, column: &str, value: &str) {
        let (Some(row), Some(column)) = (self.row(po), self.column(column)) else {
            return;
        };
        let row = &mut self.rows[row];
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        value.clone_into(&mut row[column]);
    }

    /// Every cell but the keys: key, column, value.
    pub fn cells(&self) -> impl Iterator<Item = (String, String, String)> {
        let key = self.key_column();
        self.rows.iter().flat_map(move |row| {
            let columns = self.header.iter().enumerate();
            columns
                .filter(move |(at, _)| *at != key)
                .map(move |(at, name)| {
                    let value = row.get(at).cloned().unwrap_or_default();
                    (row[key].trim().to_owned(), name.trim().to_owned(), value)
                })
        })
    }

    /// Whether a row would be processed.
    pub fn is_pending(&self, po: &str) -> bool {
        self.get(po, "STATUS")
            .is_none_or(|status| meaning("STATUS", status) != "COMPLETED")
    }
}

/// What a value means: programs write numbers and times in their own way.
pub fn meaning(column: &str, value: &str) -> String {
    let value = value.trim();
    match column.to_ascii_uppercase().as_str() {
        "STATUS" if value.is_empty() => "PENDING".into(),
        "STATUS" => value.to_ascii_uppercase(),
        "LAST_PROCESSED" => value.replace(' ', "T").trim_end_matches('Z').into(),
        _ if is_text(value) => value.into(),
        _ => match value.parse::<f64>() {
            Ok(number) => number.to_string(),
            Err(_) => value.into(),
        },
    }
}

/// A number with a zero before its digits, or a plus sign, is none: a postal code.
fn is_text(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let zeros = digits.strip_prefix('0').unwrap_or("");
    digits.starts_with('+') || zeros.starts_with(|c: char| c.is_ascii_digit())
}

pub fn is_same(column: &str, a: &str, b: &str) -> bool {
    a == b || meaning(column, a) == meaning(column, b)
}
