//! Folders for results that killed processes left behind.
//!
//! A folder for results goes with its run, but a kill leaves it. Whoever uses one holds a lock on it (flock),
//! which goes with the process. One that nobody holds is emptied of what has the name of a result file, and
//! goes only if nothing else is in it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::sys::{flock, rights};

/// What their names begin with.
pub(super) const PREFIX: &str = "tickoff-results-";
/// One that is younger may not be held yet by its maker.
const YOUNG: Duration = Duration::from_secs(60);

/// Says that the folder is in use for as long as it is open.
pub(super) fn hold(folder: &File) {
    // Where there are no locks, the folder is taken away no earlier than `YOUNG` after its last result.
    let _ = flock::try_shared(folder);
}

/// Removes those of this user in a folder. What cannot be removed is private and harmless.
pub(super) fn remove_abandoned(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            remove(&entry.path());
        }
    }
}

fn remove(path: &Path) -> Option<()> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let age = metadata.modified().ok()?.elapsed().ok()?;
    if !metadata.is_dir() || metadata.uid() != rights::user() || age < YOUNG {
        return None;
    }
    let folder = File::open(path).ok()?;
    if !flock::try_exclusive(&folder).unwrap_or(false) {
        return None;
    }
    for entry in fs::read_dir(path).ok()?.flatten() {
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.parse::<u64>().is_ok())
        {
            fs::remove_file(entry.path()).ok()?;
        }
    }
    fs::remove_dir(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_nobody_holds_and_that_has_only_results_goes() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str, file: &str, seconds: u64| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join(file), "x").unwrap();
            let folder = File::open(&path).unwrap();
            let then = std::time::SystemTime::now() - Duration::from_secs(seconds);
            folder.set_modified(then).unwrap();
            folder
        };
        make("tickoff-results-left", "7", 90);
        make("tickoff-results-young", "7", 9);
        make("tickoff-results-mine", "notes", 90);
        make("tickoff-other", "7", 90);
        let held = make("tickoff-results-held", "7", 90);
        hold(&held);
        remove_abandoned(place.path());
        let there = |name: &&str| place.path().join(format!("tickoff-{name}")).exists();
        let names = [
            "results-left",
            "results-young",
            "results-mine",
            "other",
            "results-held",
        ];
        let left: Vec<&str> = names.into_iter().filter(there).collect();
        assert_eq!(
            left,
            ["results-young", "results-mine", "other", "results-held"]
        );
    }
}
