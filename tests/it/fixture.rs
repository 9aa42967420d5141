//! A sheet in a folder of its own that goes away with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tickoff::CsvHandler;

pub struct TempSheet {
    /// Whether a filesystem of its own is mounted on the folder.
    is_mounted: bool,
    folder: tempfile::TempDir,
    path: PathBuf,
}

/// The header of the original system.
pub const FULL_HEADER: &str = "PO_NUMBER;STATUS;SUPPLIER;ATTACHMENTS_FOUND;ATTACHMENTS_DOWNLOADED;AttachmentName;LAST_PROCESSED;ERROR_MESSAGE;DOWNLOAD_FOLDER;COUPA_URL;Priority;Supplier Segment;Spend Type;L1 UU Supplier Name";

impl TempSheet {
    pub fn new(contents: impl AsRef<[u8]>) -> TempSheet {
        TempSheet::in_folder(tempfile::tempdir().unwrap(), false, contents)
    }

    /// A sheet on a filesystem of its own of that size, which takes root; without it the test is
    /// skipped, and says so.
    #[cfg(feature = "cli")]
    pub fn on_small_disk(size: &str, contents: impl AsRef<[u8]>) -> Option<TempSheet> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={size}");
        if mount(&["-t", "tmpfs", "-o", &size, "none"], folder.path()) {
            return Some(TempSheet::in_folder(folder, true, contents));
        }
        eprintln!("SKIPPED: a filesystem cannot be mounted here, which takes root");
        None
    }

    /// Changes how the sheet's filesystem is mounted.
    #[cfg(feature = "cli")]
    #[track_caller]
    pub fn remount(&self, options: &str) {
        assert!(self.is_mounted);
        assert!(mount(&["-o", &format!("remount,{options}")], self.folder()));
    }

    /// Its filesystem was unmounted.
    #[cfg(feature = "cli")]
    pub fn was_taken_away(&mut self) {
        self.is_mounted = false;
    }

    fn in_folder(
        folder: tempfile::TempDir,
        is_mounted: bool,
        contents: impl AsRef<[u8]>,
    ) -> TempSheet {
        let path = folder.path().join("input.csv");
        std::fs::write(&path, contents).unwrap();
        rested(&path);
        TempSheet {
            is_mounted,
            folder,
            path,
        }
    }

    /// A copy of a sheet in `tests/data`.
    pub fn sample(name: &str) -> TempSheet {
        TempSheet::new(sample(name))
    }

    /// The same on a disk that is mounted there.
    #[cfg(feature = "cli")]
    pub fn sample_on(disk: &Path, name: &str) -> TempSheet {
        TempSheet::on(disk, sample(name))
    }

    /// A sheet on a disk that is mounted there.
    #[cfg(feature = "cli")]
    pub fn on(disk: &Path, contents: impl AsRef<[u8]>) -> TempSheet {
        TempSheet::in_folder(tempfile::tempdir_in(disk).unwrap(), false, contents)
    }

    /// `rows` pending rows `PO0`, `PO1`, … under the full header.
    pub fn pending(rows: usize) -> TempSheet {
        let rows: String = (0..rows)
            .map(|i| format!("PO{i};PENDING;Acme;;;;;;;;;;;\n"))
            .collect();
        TempSheet::new(format!("{FULL_HEADER}\n{rows}"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn backups(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    pub fn open(&self) -> CsvHandler {
        CsvHandler::open(&self.path, self.backups()).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(std::fs::read(&self.path).unwrap()).unwrap()
    }

    /// The table as the csv crate reads it: PO → column → value.
    pub fn table(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(b';')
            .flexible(true)
            .from_path(&self.path)
            .unwrap();
        let header = reader.headers().unwrap().clone();
        reader
            .records()
            .map(|record| {
                let record = record.unwrap();
                let cells = header
                    .iter()
                    .zip(record.iter())
                    .map(|(c, v)| (c.to_owned(), v.to_owned()));
                (record[0].to_owned(), cells.collect())
            })
            .collect()
    }

    #[track_caller]
    pub fn cell(&self, po: &str, column: &str) -> String {
        self.table()[po][column].clone()
    }

    /// The names of the files beside the sheet, without the permanent locks and journal.
    pub fn leftovers(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                ![
                    "input.csv",
                    ".input.csv.lock",
                    ".input.csv.session",
                    ".input.csv.journal",
                    "backup",
                ]
                .contains(&name.as_str())
            })
            .collect();
        names.sort();
        names
    }

    /// Whether there is a journal that a session began and nobody has closed.
    pub fn has_open_journal(&self) -> bool {
        let Ok(journal) = std::fs::read(self.folder.path().join(".input.csv.journal")) else {
            return false;
        };
        let mut at = 0;
        // Length, checksum, payload; a length of zero is the end.
        while let Some(length) = journal.get(at..at + 4) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            let Some(payload) = journal.get(at + 12..at + 12 + length) else {
                return false;
            };
            if length == 0 {
                return false;
            }
            let frame: serde_json::Value = serde_json::from_slice(payload).unwrap();
            if frame["session"].is_string() {
                return true;
            }
            at += 12 + length;
        }
        false
    }

    /// Whether the journal has results that the sheet does not show.
    pub fn has_waiting_results(&self) -> bool {
        let shown = self.table();
        let read = tickoff::Sheet::read(&self.path, &tickoff::Options::default()).unwrap();
        read.records().any(|record| {
            let shown = &shown[&record.po_number];
            let mut cells = record.cells();
            cells.any(|(column, value)| shown.get(column).map_or("", String::as_str) != value)
        })
    }

    /// What the one copy of results without a place holds.
    #[track_caller]
    pub fn unplaced(&self) -> String {
        let mut names = self.backup_names();
        names.retain(|name| name.ends_with(".unplaced.csv"));
        assert_eq!(names.len(), 1, "{names:?}");
        std::fs::read_to_string(self.backups().join(&names[0])).unwrap()
    }

    /// The copies of large answers.
    pub fn answers(&self) -> Vec<PathBuf> {
        let mut names = self.backup_names();
        names.retain(|name| name.contains(".answer"));
        names.iter().map(|name| self.backups().join(name)).collect()
    }

    /// The names of the files in the backup folder, without the originals.
    pub fn backup_names(&self) -> Vec<String> {
        let (_, others) = self.originals_and_others();
        others
    }

    /// The names of the originals among them: what the sheet was before anything was written to it.
    pub fn original_names(&self) -> Vec<String> {
        let (originals, _) = self.originals_and_others();
        originals
    }

    fn originals_and_others(&self) -> (Vec<String>, Vec<String>) {
        let Ok(entries) = std::fs::read_dir(self.backups()) else {
            return Default::default();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
            .into_iter()
            .partition(|name| name.ends_with(".original.csv"))
    }
}

/// Makes a file one that was written an hour ago: tickoff waits for one that somebody may still be writing.
pub fn rested(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let hour = std::time::Duration::from_secs(3_600);
    file.set_modified(std::time::SystemTime::now() - hour)
        .unwrap();
}

pub fn sample(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read(data.join(name)).unwrap()
}

impl Drop for TempSheet {
    fn drop(&mut self) {
        if self.is_mounted {
            let unmounted = Command::new("umount").arg("-l").arg(self.folder()).status();
            assert!(unmounted.is_ok_and(|status| status.success()));
        }
    }
}

#[cfg(feature = "cli")]
fn mount(arguments: &[&str], folder: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg(folder).output();
    mounted.is_ok_and(|output| output.status.success())
}
