//! The last line of a page: a checksum of all before it, by which an edit is seen.
//!
//! It is no proof against somebody who means to deceive; it keeps notes that a person made in a report from being
//! replaced in silence.

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::Xxh3Default;

/// `<!-- seal 0123456789abcdef -->`, with its line feed.
const LENGTH: usize = 5 + 5 + 16 + 4 + 1;

/// Writes, and knows what was written.
pub struct Sealed<W> {
    out: W,
    written: Xxh3Default,
}

impl<W: Write> Sealed<W> {
    /// Begins with nothing written.
    pub fn new(out: W) -> Self {
        let written = Xxh3Default::new();
        Sealed { out, written }
    }

    /// Adds the seal.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(line(&self.written).as_bytes())?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.written.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a text ends with its own seal.
pub fn is_whole(text: &mut impl Read) -> io::Result<bool> {
    let mut read = Xxh3Default::new();
    let mut held = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match text.read(&mut piece) {
            Ok(0) => return Ok(held == line(&read).as_bytes()),
            Ok(count) => held.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let before = held.len().saturating_sub(LENGTH);
        read.update(&held[..before]);
        held.drain(..before);
    }
}

fn line(text: &Xxh3Default) -> String {
    format!("<!-- seal {:016x} -->\n", text.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_breaks_the_seal() {
        for length in [0, 1, 30, 31, 32, 65_535, 65_536, 200_000] {
            let mut sealed = Sealed::new(Vec::new());
            sealed.write_all(&vec![b'x'; length]).unwrap();
            let text = sealed.finish().unwrap();
            assert_eq!(text.len(), length + LENGTH);
            assert!(is_whole(&mut &text[..]).unwrap(), "{length}");
            for at in [0, length / 2, length + LENGTH - 1] {
                let mut changed = text.clone();
                changed[at] ^= 1;
                assert!(!is_whole(&mut &changed[..]).unwrap(), "{length} {at}");
            }
            assert!(!is_whole(&mut &text[1..]).unwrap());
            assert!(!is_whole(&mut &[&text[..], b"\n"].concat()[..]).unwrap());
        }
    }
}
