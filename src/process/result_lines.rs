//! A result as lines, which a shell writes without quoting.
//!
//! `NAME=value`, or `NAME<<MARK` and the lines of the value up to the line `MARK`. A line is split at the first
//! `=` or `<<`. Blank lines count for nothing, nor do carriage returns before a line's end. Of a name that is
//! there several times the last value counts.

use crate::domain::{MAX_RESULT_CELLS, too_many_cells};
use crate::sheet::Updates;

/// The cells that the lines give, and what is wrong with the first line that gives none.
pub(super) fn read(text: &str) -> (Updates, Option<String>) {
    let mut lines = text.split('\n').map(without_return).enumerate();
    let mut cells: Vec<(&str, String)> = Vec::new();
    let mut problem = None;
    while let Some((at, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let cell = match Line::of(line) {
            Some(Line::Value(name, value)) => Ok((name, value.to_owned())),
            Some(Line::Mark(name, mark)) => match until(mark, &mut lines) {
                Some(value) => Ok((name, value)),
                None => Err(format!(
                    "line {} has a mark that is not there again",
                    at + 1
                )),
            },
            None => Err(format!("line {} is no NAME=value or NAME<<MARK", at + 1)),
        };
        match cell {
            Ok(_) if cells.len() == MAX_RESULT_CELLS => {
                problem = Some(too_many_cells());
                break;
            }
            Ok(cell) => cells.push(cell),
            Err(wrong) => _ = problem.get_or_insert(wrong),
        }
    }
    let mut updates: Updates = cells.into_iter().collect();
    // Who appends a line means it.
    drop(updates.keep_last());
    (updates, problem)
}

enum Line<'t> {
    Value(&'t str, &'t str),
    Mark(&'t str, &'t str),
}

impl<'t> Line<'t> {
    fn of(line: &'t str) -> Option<Line<'t>> {
        let value = line.find('=').map(|at| (at, 1));
        let mark = line.find("<<").map(|at| (at, 2));
        let (at, length) = value.into_iter().chain(mark).min()?;
        let (name, rest) = (line[..at].trim(), &line[at + length..]);
        match length {
            _ if name.is_empty() => None,
            1 => Some(Line::Value(name, rest)),
            _ if rest.trim().is_empty() => None,
            _ => Some(Line::Mark(name, rest.trim())),
        }
    }
}

/// The lines before one that is this mark.
fn until<'t>(mark: &str, lines: &mut impl Iterator<Item = (usize, &'t str)>) -> Option<String> {
    let mut value: Vec<&str> = Vec::new();
    for (_, line) in lines {
        if line == mark {
            return Some(value.join("\n"));
        }
        value.push(line);
    }
    None
}

fn without_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &[(&str, &str)], problem: Option<&str>) {
        let (updates, found) = read(text);
        assert_eq!(updates.iter().collect::<Vec<_>>(), want);
        assert_eq!(found.as_deref(), problem);
    }

    #[test]
    fn each_line_is_a_cell() {
        check("", &[], None);
        check("\n \r\n", &[], None);
        check(
            "A=1\r\n\n Title = a=b \nC=",
            &[("A", "1"), ("Title", " a=b "), ("C", "")],
            None,
        );
    }

    #[test]
    fn a_value_of_several_lines_ends_with_its_mark() {
        check(
            "A<<EOF\nx=1\r\n\n  EOF\nEOF\r\nB<< =\n=\n",
            &[("A", "x=1\n\n  EOF"), ("B", "")],
            None,
        );
        check("A<<B=C\nx\nB=C", &[("A", "x")], None);
        check("A=x<<y", &[("A", "x<<y")], None);
    }

    #[test]
    fn of_a_name_that_is_there_several_times_the_last_value_counts() {
        check("A=1\nB=2\n a =3\n", &[("A", "3"), ("B", "2")], None);
    }

    #[test]
    fn what_is_neither_is_named_and_the_good_lines_count() {
        check(
            "A=1\nnonsense\nB=2\n=x",
            &[("A", "1"), ("B", "2")],
            Some("line 2 is no NAME=value or NAME<<MARK"),
        );
        check(
            "A=1\nB<<EOF\nC=3\n",
            &[("A", "1")],
            Some("line 2 has a mark that is not there again"),
        );
        check("A<<\n", &[], Some("line 1 is no NAME=value or NAME<<MARK"));
        check("[1]", &[], Some("line 1 is no NAME=value or NAME<<MARK"));
    }
}
