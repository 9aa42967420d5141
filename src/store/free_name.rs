//! Where a person may move something aside.

use std::path::{Path, PathBuf};

/// A name beside a file that nothing has yet.
pub(crate) fn free_name(file: &Path, suffix: &str) -> PathBuf {
    let mut names = numbered(file, suffix);
    let free = names.find(|name| name.symlink_metadata().is_err());
    free.expect("there is no end of names")
}

/// The names that there are for it, without an end.
pub(crate) fn numbered(file: &Path, suffix: &str) -> impl Iterator<Item = PathBuf> {
    (1..).map(move |number: usize| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        if number > 1 {
            name.push(number.to_string());
        }
        PathBuf::from(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        for name in ["a.csv.other", "a.csv.other2", "a.csv.other3"] {
            let free = free_name(&file, ".other");
            assert_eq!(free, folder.path().join(name));
            std::fs::write(free, "").unwrap();
        }
    }
}
