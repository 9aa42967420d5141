//! Whether backups can be made, as far as that can be seen without making one.

use super::manager::BackupManager;
use crate::error::{Error, Result};
use crate::sys::{open, rights};

impl BackupManager {
    /// Refuses a folder in which no backup can be made, or that nobody should trust. One that is not there yet is made
    /// when it is needed, in the nearest folder around it that is there.
    pub(crate) fn refuse_unusable(&self) -> Result<()> {
        let mut around = self.folder.ancestors().skip(1);
        let (folder, path) = match self.find_folder()? {
            Some(folder) => (folder, self.folder()),
            None => match around.find_map(|path| Some((open::folder(path).ok()?, path))) {
                Some(nearest) => nearest,
                None => return Ok(()),
            },
        };
        rights::may_write_in(&folder).map_err(Error::io("write in", path))
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
                "{} is there already and is no folder: name another folder with --backup-dir",
                place.path("backup").display()
            )
        );
    }
}
