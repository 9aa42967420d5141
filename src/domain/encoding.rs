//! Which letter a byte of the sheet stands for: the name of an encoding.

use std::fmt;
use std::str::FromStr;

/// The encoding of a sheet's cells: UTF-8, or one with one byte for each letter.
///
/// ```
/// use tickoff::Encoding;
///
/// let encoding: Encoding = "latin1".parse()?;
/// assert_eq!(encoding.name(), "windows-1252");
/// assert!("utf-16".parse::<Encoding>().is_err());
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Encoding(pub(crate) Option<&'static encoding_rs::Encoding>);

impl Encoding {
    /// What a sheet is in of which nothing else is said.
    pub const UTF_8: Encoding = Encoding(None);

    /// Its name in the WHATWG's standard.
    pub fn name(self) -> &'static str {
        self.0.unwrap_or(encoding_rs::UTF_8).name()
    }

    /// Whether it is UTF-8.
    pub fn is_utf8(self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A label of the WHATWG's standard, whatever its case and the blanks around it.
impl FromStr for Encoding {
    type Err = &'static str;

    fn from_str(label: &str) -> Result<Encoding, &'static str> {
        match encoding_rs::Encoding::for_label(label.as_bytes()) {
            Some(utf_8) if utf_8 == encoding_rs::UTF_8 => Ok(Encoding::UTF_8),
            Some(encoding) if encoding.is_single_byte() => Ok(Encoding(Some(encoding))),
            Some(_) => Err(
                "it has more than one byte for a letter: save the sheet as \"CSV UTF-8\" and leave the encoding away",
            ),
            None => Err(
                "no encoding has that name; a CSV of Excel's is most often windows-1252, in Western Europe",
            ),
        }
    }
}
