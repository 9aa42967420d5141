//! The end of a terminal on which some lines change: what is said is written above them.
//!
//! The cursor rests where the first of these lines begins. So they are taken away without knowing how many rows
//! they fill by now: a terminal that was made narrower has broken them into more, or cut them off, and which of the
//! two nobody tells. (indicatif rests at their end, and goes up as many rows as it has written.)

use std::io::{self, Write};

use console::truncate_str;

/// From the cursor on nothing is left.
const TAKEN_AWAY: &str = "\r\u{1b}[J";

/// A line that is too long is cut off and never broken, so that each has one row when it is written, even if the
/// window was made narrower this moment.
const UNBROKEN: &str = "\u{1b}[?7l";
const BROKEN: &str = "\u{1b}[?7h";

/// Where lines are written, and perhaps some below them that change.
pub(super) struct Screen {
    sink: Box<dyn Write + Send>,
    /// How many columns there are now.
    columns: fn() -> usize,
    /// The lines that change.
    below: Vec<String>,
}

impl Screen {
    pub(super) fn new(sink: Box<dyn Write + Send>, columns: fn() -> usize) -> Screen {
        Screen {
            sink,
            columns,
            below: Vec::new(),
        }
    }

    /// Shows these lines in place of those that are below.
    pub(super) fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        if self.below.is_empty() && lines.is_empty() {
            return Ok(());
        }
        let taken_away = self.taken_away();
        self.below = lines;
        let below = self.below();
        self.sink
            .write_all([taken_away, &below].concat().as_bytes())
    }

    /// Writes whole lines above those that change.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let below = self.below();
        let all = [self.taken_away().as_bytes(), lines, below.as_bytes()];
        self.sink.write_all(&all.concat())
    }

    /// Lets whole lines be written to the same terminal in another way.
    pub(super) fn above<T>(&mut self, write: impl FnOnce() -> T) -> T {
        self.sink.write_all(self.taken_away().as_bytes()).ok();
        let written = write();
        let below = self.below();
        self.sink.write_all(below.as_bytes()).ok();
        written
    }

    /// What puts the lines that change on the screen.
    fn below(&self) -> String {
        let room = (self.columns)().saturating_sub(1);
        let lines: Vec<_> = self
            .below
            .iter()
            .map(|line| truncate_str(line, room, "…"))
            .collect();
        match lines.len() {
            0 => String::new(),
            1 => format!("{UNBROKEN}{}{BROKEN}\r", lines[0]),
            rows => format!(
                "{UNBROKEN}{}{BROKEN}\r\u{1b}[{}A",
                lines.join("\r\n"),
                rows - 1
            ),
        }
    }

    fn taken_away(&self) -> &'static str {
        match self.below.is_empty() {
            true => "",
            false => TAKEN_AWAY,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;
    use std::sync::{Arc, Mutex};

    use super::super::display::lock;
    use super::*;

    /// A terminal with 6 rows and 20 columns.
    #[derive(Clone)]
    struct Terminal(Arc<Mutex<vt100::Parser>>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // As the system has it, a line feed returns the carriage.
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                let text = line.strip_suffix(b"\n");
                let mut terminal = lock(&self.0);
                terminal.process(text.unwrap_or(line));
                terminal.process(text.map_or("", |_| "\r\n").as_bytes());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_said_stands_above_the_lines_that_change_and_the_cursor_where_they_begin() {
        let [rows, columns] = [6, 20].map(|size| NonZero::new(size).unwrap());
        let terminal = Terminal(Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0))));
        let mut screen = Screen::new(Box::new(terminal.clone()), || 20);
        let check = |lines: &str, row: u16| {
            let terminal = lock(&terminal.0);
            let screen = terminal.screen();
            assert_eq!(screen.contents().trim_end(), lines);
            assert_eq!(screen.cursor_position(), (row, 0));
        };
        let three = ["one", "two", "three"].map(str::to_owned);
        screen.show(three.to_vec()).unwrap();
        check("one\ntwo\nthree", 0);
        screen.write(b"a\nb\n").unwrap();
        check("a\nb\none\ntwo\nthree", 2);
        let mut beside = terminal.clone();
        screen.above(|| beside.write_all(b"c\nd\n")).unwrap();
        check("b\nc\nd\none\ntwo\nthree", 3);
        screen.show(three[..1].to_vec()).unwrap();
        check("b\nc\nd\none", 3);
        screen.show(vec![]).unwrap();
        check("b\nc\nd", 3);
        screen.write(b"e\n").unwrap();
        check("b\nc\nd\ne", 4);
    }
}
