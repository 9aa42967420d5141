//! Answers on stdout: a reader that has seen enough is not an error, and no cell speaks to a
//! terminal, not even from within JSON.

use std::io::{self, BufWriter, Write};

use console::Term;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use tickoff::escape;

use crate::exit::Failure;

/// Writes an answer to stdout, all of it or as much as its reader wants.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    print_to(io::stdout().lock(), write)
}

fn print_to(
    out: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let written = write(&mut out).and_then(|()| out.flush());
    // What could not be written is not tried again when the buffer is dropped.
    let _ = out.into_parts();
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::Output),
    }
}

/// How many columns stdout has, if it is a terminal.
pub fn columns() -> Option<usize> {
    let terminal = Term::stdout();
    let size = terminal.is_term().then(|| terminal.size());
    size.map(|(_, columns)| columns.into())
}

/// Writes a value as JSON on a line of its own.
pub fn json_line(out: &mut (impl Write + ?Sized), value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut *out,
        Harmless(CompactFormatter),
    ))?;
    out.write_all(b"\n")
}

/// A value in JSON, in which the key has its general name besides.
#[derive(Serialize)]
pub struct Keyed<'a, T, K> {
    #[serde(flatten)]
    value: &'a T,
    key: K,
}

impl<'a, T, K> Keyed<'a, T, K> {
    /// For a value with this key.
    pub fn of(value: &'a T, key: K) -> Keyed<'a, T, K> {
        Keyed { value, key }
    }
}

/// Compact JSON in which also those characters are escaped that JSON allows and a terminal may obey.
struct Harmless(CompactFormatter);

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if escape(text) == text {
            return self.0.write_string_fragment(out, text);
        }
        for c in text.chars() {
            let mut utf8 = [0; 4];
            let c_text = &*c.encode_utf8(&mut utf8);
            if escape(c_text) == c_text {
                out.write_all(c_text.as_bytes())?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_anything_else_is() {
        let much = |out: &mut dyn Write| (0..100_000).try_for_each(|_| writeln!(out, "P1"));
        assert!(print_to(Fails(io::ErrorKind::BrokenPipe), much).is_ok());
        assert!(print_to(Fails(io::ErrorKind::BrokenPipe), |out| writeln!(out, "P1")).is_ok());
        let failure = print_to(Fails(io::ErrorKind::StorageFull), much).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot write to the standard output: no storage space"
        );
    }

    #[test]
    fn json_holds_the_same_text_without_speaking_to_the_terminal() {
        let text = "São \u{1b}[31m \u{9b}2J \u{7f} \u{202e}evil \"quoted\" \\ \u{e0001} 😀\n";
        let mut line = Vec::new();
        json_line(&mut line, &text).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        assert_eq!(escape(line.trim_end()), line.trim_end());
        assert!(line.contains("São") && line.contains("\\u009b"), "{line}");
    }
}
