//! A session seen from outside: whether one is going on, who holds it, and what it tells of itself.
//!
//! A session writes what it tells behind the first line of the session lock's file, and readers do not try
//! that lock where the holder's process id tells whether it is held: in the holder's own PID namespace, if the system
//! tells there who holds a lock. Elsewhere they do, for a moment, under the write lock. What is written is neither
//! synced nor replaced atomically, so a reader may meet half of it, and asks again. It is a help for people,
//! no promise hangs on it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::disk::{MAX_TOLD, Target, is_held, parse_holder};
use crate::domain::Holder;
use crate::error::Result;
use crate::sys::lock_holder;

/// With what a session tells others of itself.
#[derive(Debug)]
pub struct Teller {
    file: File,
    /// Where the holder's line ends.
    from: u64,
}

impl Teller {
    pub(crate) fn of(target: &Target) -> Result<Option<Teller>> {
        // A descriptor of its own: one of the lock's would keep the lock when the session is over.
        let mut file = target.open_sibling("session")?;
        let text = read(&mut file);
        Ok(text.find('\n').map(|end| Teller {
            file,
            from: end as u64 + 1,
        }))
    }

    /// Replaces what was told before. Where it cannot be written nobody is told.
    pub fn tell(&self, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        // Who is killed before the file ends here leaves blanks behind it, and no end of a longer text.
        let told = self.file.metadata().map_or(0, |there| there.len());
        let longer = told.saturating_sub(self.from).min(MAX_TOLD) as usize;
        bytes.resize(longer.max(bytes.len()), b' ');
        if self.file.write_all_at(&bytes, self.from).is_ok() {
            let _ = self.file.set_len(self.from + text.len() as u64);
        }
    }
}

/// A session that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSession {
    /// Who holds it.
    pub holder: Holder,
    /// What it last told of itself with a [`Teller`]; perhaps only half of it.
    pub told: String,
}

impl RunningSession {
    /// The session on a sheet, if one is going on.
    ///
    /// # Errors
    /// As [`Sheet::read`](crate::Sheet::read) for a sheet that is missing or no file.
    pub fn on(path: impl AsRef<Path>) -> Result<Option<RunningSession>> {
        let target = Target::open(path.as_ref())?;
        let Some(mut file) = target.open_sibling_to_read("session")? else {
            return Ok(None);
        };
        let text = read(&mut file);
        let (holder, told) = text.split_once('\n').unwrap_or_default();
        let Some(holder) = parse_holder(holder) else {
            return Ok(None);
        };
        // A process that was killed leaves its line in the file, but no lock.
        let known = match holder.is_here {
            true => lock_holder::is(&file, holder.pid),
            false => None,
        };
        let is_going_on = match known {
            Some(is_going_on) => is_going_on,
            None => is_held(&target, &file)?,
        };
        Ok(is_going_on.then(|| RunningSession {
            holder,
            told: told.to_owned(),
        }))
    }
}

fn read(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not there.
    let _ = file.take(MAX_TOLD).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
