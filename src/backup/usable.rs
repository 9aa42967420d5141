//! Whether backups can be made, as far as that can be seen without making one.

use std::io;

use super::manager::BackupManager;
use crate::error::{Error, Result};
use crate::sys::{open, rights};

impl BackupManager {
    /// Refuses a folder in which no backup can be made. One that is not there yet is made when it is
    /// needed.
    pub(crate) fn refuse_unusable(&self) -> Result<()> {
        self.refuse_own_name()?;
        let failed = || Error::io("write in", self.folder());
        match open::folder(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened
                .and_then(|folder| rights::may_write_in(&folder))
                .map_err(failed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;

    #[test]
    fn a_file_that_has_the_name_of_the_folder_is_refused() {
        let place = Place::new();
        let backups = place.backups();
        backups.refuse_unusable().expect("it can be made");
        place.write("backup", "");
        let error = backups.refuse_unusable().unwrap_err();
        assert_eq!(
            error.chain(),
            format!(
                "cannot write in {}: Not a directory (os error 20)",
                place.path("backup").display()
            )
        );
    }
}
