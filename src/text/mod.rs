//! Nothing from a sheet reaches a terminal unescaped.
//!
//! What came from a file, a command or another program passes through here before a person sees it, and
//! what a person typed wrong is compared here with what was probably meant. The work is bounded, however
//! long a text is.
//!
//! This room knows texts and bytes. It never knows what a sheet is, and reads no file.

mod composed;
mod escape;
mod excerpt;
mod look;
mod message;
mod near;
pub(crate) mod shell;
mod shorten;

pub use escape::{escape, escape_name};
pub use excerpt::Excerpt;
pub use message::MAX_ERROR_CHARS;
pub use near::close_to;

pub(crate) use composed::composed;
pub(crate) use escape::{Escaped, escape_list};
pub(crate) use excerpt::BOM;
pub(crate) use look::{
    Difference, Invisible, Meant, MeantKey, Missing, alike, is_plain, look, looks_like,
};
pub(crate) use message::{error_message, one_line, panic_message};
pub(crate) use near::DidYouMean;
pub(crate) use shorten::shortened;
