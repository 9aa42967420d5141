//! What a sheet must look like after some cells got new values, found without the crate: a sheet is
//! taken apart into the raw text of its fields and put together again.

/// A sheet as its raw fields, quotes included, and the terminator of each row.
pub struct RawSheet {
    /// The byte order mark, if there is one.
    mark: &'static str,
    delimiter: char,
    /// The header first. A blank line is a row of one empty field.
    rows: Vec<(Vec<String>, String)>,
}

impl RawSheet {
    #[track_caller]
    pub fn parse(text: &str, delimiter: char) -> RawSheet {
        let (mark, unmarked) = match text.strip_prefix('\u{feff}') {
            Some(unmarked) => ("\u{feff}", unmarked),
            None => ("", text),
        };
        let mut rows = Vec::new();
        let mut row = Vec::new();
        let mut field = String::new();
        let mut is_in_quotes = false;
        let mut rest = unmarked.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '"' if is_in_quotes => is_in_quotes = false,
                // A doubled quote closes and opens again.
                '"' if field.is_empty() || (field.starts_with('"') && field.ends_with('"')) => {
                    is_in_quotes = true;
                }
                _ if is_in_quotes => {}
                c if c == delimiter => {
                    row.push(std::mem::take(&mut field));
                    continue;
                }
                '\r' if rest.peek() == Some(&'\n') => {
                    rest.next();
                    row.push(std::mem::take(&mut field));
                    rows.push((std::mem::take(&mut row), "\r\n".to_owned()));
                    continue;
                }
                '\n' => {
                    row.push(std::mem::take(&mut field));
                    rows.push((std::mem::take(&mut row), "\n".to_owned()));
                    continue;
                }
                _ => {}
            }
            field.push(c);
        }
        if !field.is_empty() || !row.is_empty() {
            row.push(field);
            rows.push((row, String::new()));
        }
        let sheet = RawSheet {
            mark,
            delimiter,
            rows,
        };
        assert_eq!(sheet.text(), text, "the oracle misreads the sheet");
        sheet
    }

    pub fn text(&self) -> String {
        let delimiter = self.delimiter.to_string();
        let rows = self.rows.iter();
        let rows = rows.map(|(fields, terminator)| fields.join(&delimiter) + terminator);
        self.mark.to_owned() + &rows.collect::<String>()
    }

    /// The column of a name, which is matched as people do.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.rows[0]
            .0
            .iter()
            .position(|field| value(field).trim().eq_ignore_ascii_case(name))
    }

    /// Adds a column behind the header and pads every row that is not blank.
    pub fn add_column(&mut self, name: &str) {
        self.rows[0].0.push(name.to_owned());
        let width = self.rows[0].0.len();
        for (fields, _) in &mut self.rows[1..] {
            if fields.as_slice() != [""] {
                fields.resize(width.max(fields.len()), String::new());
            }
        }
    }

    /// Empties the cells of a column.
    #[track_caller]
    pub fn blank(&mut self, name: &str) {
        let column = self.column(name).unwrap();
        for (fields, _) in &mut self.rows[1..] {
            if let Some(field) = fields.get_mut(column) {
                field.clear();
            }
        }
    }

    /// The POs in the order of the sheet, each with its cell of a column.
    #[track_caller]
    pub fn cells(&self, name: &str) -> Vec<(String, String)> {
        let key = self.column("PO_NUMBER").unwrap();
        let column = self.column(name);
        self.rows[1..]
            .iter()
            .filter_map(|(fields, _)| {
                let po = value(fields.get(key)?).trim().to_owned();
                let cell = column.and_then(|column| fields.get(column));
                (!po.is_empty()).then(|| (po, cell.map_or_else(String::new, |raw| value(raw))))
            })
            .collect()
    }

    /// Gives a cell a new value: quoted if it was, or where it must be.
    #[track_caller]
    pub fn set(&mut self, po: &str, name: &str, new: &str) {
        let key = self.column("PO_NUMBER").unwrap();
        let column = self.column(name).unwrap();
        let (fields, _) = self.rows[1..]
            .iter_mut()
            .find(|(fields, _)| fields.get(key).is_some_and(|raw| value(raw).trim() == po))
            .unwrap();
        let old = fields.get(column).cloned().unwrap_or_default();
        if value(&old) == new {
            return;
        }
        if column >= fields.len() {
            fields.resize(column + 1, String::new());
        }
        let needs_quotes = new.contains([self.delimiter, '"', '\r', '\n']);
        fields[column] = if old.starts_with('"') || needs_quotes {
            format!("\"{}\"", new.replace('"', "\"\""))
        } else {
            new.to_owned()
        };
    }
}

/// What a reader sees of a raw field. Text behind a closing quote belongs to the value.
fn value(raw: &str) -> String {
    let Some(inside) = raw.strip_prefix('"') else {
        return raw.to_owned();
    };
    let mut seen = String::new();
    let mut rest = inside.chars().peekable();
    let mut is_in_quotes = true;
    while let Some(c) = rest.next() {
        match c {
            '"' if is_in_quotes && rest.peek() == Some(&'"') => {
                rest.next();
                seen.push('"');
            }
            '"' if is_in_quotes => is_in_quotes = false,
            c => seen.push(c),
        }
    }
    seen
}
