//! The rooms of the house: a folder of `src` uses only folders above it. So it is in the program, too.
//!
//! The order below is that of ARCHITECTURE.md. Every path that begins with `crate::` or leaves a folder by
//! `super::` is read from every file, tests and docs left out, and one that points down or sideways fails.
//! There are no exceptions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Folders of one row never use each other.
const ROWS: &[&[&str]] = &[
    &["text"],
    &["domain"],
    &["error"],
    &["sys"],
    &["csv"],
    &["disk"],
    &["sheet"],
    &["journal", "backup"],
    &["store"],
    &["settings"],
    &["queue"],
    &["run"],
    &["process"],
    &["session"],
    // Re-exports all of it; what the fuzz targets reach.
    &["lib", "fuzzing"],
];

/// The same of the program, `src/bin/tickoff`, which knows the library as anybody else does.
const PROGRAM: &[&[&str]] = &[
    &["sys", "errors", "percent"],
    &["stderr"],
    &["exit"],
    &["stdout"],
    &["report"],
    &["cli"],
    &["main"],
];

fn row(rows: &[&[&str]], room: &str) -> usize {
    rows.iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("{room} is in no row of tests/layers.rs"))
}

/// The room of a file of `src`: its folder, or its name at the top.
fn room(file: &Path) -> String {
    let first = file.components().next().unwrap();
    let name = Path::new(first.as_os_str()).file_stem().unwrap();
    name.to_string_lossy().into_owned()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a text uses: whatever follows `crate::`, in braces too, and `super::super::`, which
/// leaves the folder of a file that lies directly in a room. Comments do not count, and tests may look
/// anywhere.
fn used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_name) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => {
                rooms.insert(rest.chars().take_while(|&c| is_name(c)).collect());
            }
            Some(list) => {
                let mut depth = 0;
                let mut name = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' | ',' if depth == 0 => {
                            let first = name.split("::").next().unwrap_or_default().trim();
                            if !first.is_empty() {
                                rooms.insert(first.to_owned());
                            }
                            name.clear();
                            if c == '}' {
                                break;
                            }
                        }
                        '}' => depth -= 1,
                        c => name.push(c),
                    }
                }
            }
        }
    }
    rooms
}

/// What is wrong with a file that lies in one of these rooms.
fn faults(rows: &[&[&str]], file: &Path, text: &str) -> Vec<String> {
    let own = room(file);
    let mut faults: Vec<String> = used(text)
        .into_iter()
        // An item that lib.rs re-exports would hide where it lies.
        .filter(|used| *used != own)
        .filter(|used| {
            let known = rows.iter().any(|rooms| rooms.contains(&used.as_str()));
            !known || row(rows, used) >= row(rows, &own)
        })
        .map(|used| format!("{}: {own} uses {used}", file.display()))
        .collect();
    // `super::super::` in a file right in a room is the crate.
    let depth = file.components().count();
    let up = "super::".repeat(depth);
    if depth > 0
        && text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap()
            .contains(&up)
    {
        faults.push(format!("{}: leaves its room by {up}", file.display()));
    }
    faults
}

/// Checks all files of a folder but those in `apart`.
fn check_house(folder: &str, rows: &[&[&str]], apart: Option<&str>) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    files(&src, &mut found);
    let mut all = Vec::new();
    let mut rooms = BTreeSet::new();
    for path in found {
        let file = path.strip_prefix(&src).unwrap();
        if apart.is_some_and(|apart| file.starts_with(apart)) {
            continue;
        }
        rooms.insert(room(file));
        all.extend(faults(rows, file, &fs::read_to_string(&path).unwrap()));
    }
    let listed: BTreeSet<String> = rows.concat().iter().map(|room| room.to_string()).collect();
    assert_eq!(rooms, listed, "every room has its row");
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_room_uses_only_rooms_above_it() {
    check_house("src", ROWS, Some("bin"));
}

#[test]
fn a_room_of_the_program_uses_only_rooms_above_it() {
    check_house("src/bin/tickoff", PROGRAM, None);
}

/// Neither by a path nor by taking in its files.
#[test]
fn the_library_knows_nothing_of_the_program() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    for path in found {
        let file = path.strip_prefix(&src).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            file.starts_with("bin") || !text.contains("bin/tickoff"),
            "{}",
            file.display()
        );
    }
}

/// Whether a file lies where the system may be called: the room `sys`, or the program's file of that name.
fn is_sys(file: &Path) -> bool {
    file.starts_with("sys") || file == Path::new("bin/tickoff/sys.rs")
}

/// What calls the system, or depends on which one it is.
fn calls(file: &Path, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let words = [
        "rustix::",
        "libc::",
        "nix::",
        "fs2::",
        "xattr::",
        "memmap2::",
        "target_os",
        // `Metadata::created`, which std has for some systems alone: `sys::birth`.
        "created()",
        "allow(unsafe_code)",
        "\"/proc/",
    ];
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter(|line| words.iter().any(|word| is_in(line, word)))
        .map(|line| format!("{}: {}", file.display(), line.trim()))
        .collect()
}

/// Whether a line has a word that is not the end of a longer one, as `unix::` is.
fn is_in(line: &str, word: &str) -> bool {
    let is_begun = |at| line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| !is_begun(at))
}

/// Every call of the system in a part of the house, but for those in `sys`.
fn calls_outside_sys(folder: &str) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src.join(folder), &mut found);
    let mut all = Vec::new();
    for path in found {
        let file = path.strip_prefix(&src).unwrap();
        if !is_sys(file) {
            all.extend(calls(file, &fs::read_to_string(&path).unwrap()));
        }
    }
    all.join("\n")
}

/// Nothing but `sys` calls the system by itself.
#[test]
fn the_system_is_called_in_one_room_only() {
    assert_eq!(calls_outside_sys(""), "");
}

#[test]
fn the_program_calls_the_system_in_one_file_only() {
    assert_eq!(calls_outside_sys("bin"), "");
}

/// Files that appear whole come from `disk/staged.rs`; a sheet's locks and its first journal, which are
/// made empty under their own names, from `disk/target.rs`, and those that grow with what commands say from
/// `disk/rights.rs`. The program makes none but by the library.
#[test]
fn new_files_are_made_in_one_place() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let mut makers = BTreeSet::new();
    for path in found {
        let file = path.strip_prefix(&src).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let makes = [
            "private_file::",
            "open::create(",
            "NamedTempFile",
            "tempfile_in",
        ];
        if !is_sys(file) && makes.iter().any(|word| code.contains(word)) {
            makers.insert(file.display().to_string());
        }
    }
    assert_eq!(
        makers,
        ["disk/rights.rs", "disk/staged.rs", "disk/target.rs"]
            .map(String::from)
            .into()
    );
}

#[test]
fn a_call_of_the_system_is_found() {
    let calls = |text| calls(Path::new("bin/tickoff/main.rs"), text).len();
    assert_eq!(calls("use rustix::fs::OFlags;"), 1);
    assert_eq!(calls("let term = libc::SIGTERM;"), 1);
    assert_eq!(calls("nix::unistd::fork()"), 1);
    assert_eq!(calls("#[cfg(target_os = \"linux\")]"), 1);
    assert_eq!(calls("use std::os::unix::fs::MetadataExt;"), 0);
    assert_eq!(calls("// as rustix::fs does"), 0);
    assert!(is_sys(Path::new("sys/lease.rs")) && is_sys(Path::new("bin/tickoff/sys.rs")));
    assert!(!is_sys(Path::new("bin/tickoff/cli/sys.rs")));
}

#[track_caller]
fn check(file: &str, text: &str, expected: &[&str]) {
    assert_eq!(faults(ROWS, Path::new(file), text), expected);
}

#[test]
fn what_points_down_or_sideways_is_found() {
    check("sheet/merge.rs", "use crate::csv::encode;", &[]);
    check("sheet/merge.rs", "use crate::sheet::Sheet;", &[]);
    check("sheet/merge.rs", "// as crate::store does", &[]);
    check(
        "sheet/merge.rs",
        "use crate::journal::Frame;",
        &["sheet/merge.rs: sheet uses journal"],
    );
    check(
        "journal/log.rs",
        "let a = crate::backup::list();",
        &["journal/log.rs: journal uses backup"],
    );
    check(
        "disk/lock.rs",
        "use crate::{error::{Error, Result}, queue};",
        &["disk/lock.rs: disk uses queue"],
    );
    check(
        "disk/lock.rs",
        "use crate::Sheet;",
        &["disk/lock.rs: disk uses Sheet"],
    );
    check(
        "csv/scan.rs",
        "use super::super::store;",
        &["csv/scan.rs: leaves its room by super::super::"],
    );
    check(
        "csv/scan.rs",
        "#[cfg(test)]\nmod tests {\n    use crate::store;\n}",
        &[],
    );
    assert_eq!(
        faults(
            PROGRAM,
            Path::new("report/html.rs"),
            "use crate::cli::args::SheetArgs;"
        ),
        ["report/html.rs: report uses cli"]
    );
}

/// Whoever moves a function that ARCHITECTURE.md names, or a file, moves the name along.
#[test]
fn what_the_pages_for_contributors_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for (at, _) in text.match_indices("](") {
            // [`file.rs`](src/file.rs) `Type::function`
            let (target, behind) = text[at + 2..].split_once(')').unwrap();
            let path = root.join(target);
            assert!(path.exists(), "{page}: there is no {target}");
            let code = behind.trim_start().strip_prefix('`');
            let name = code.and_then(|code| code.split_once('`'));
            if let Some((name, _)) = name.filter(|_| path.is_file()) {
                let function = name.rsplit("::").next().unwrap();
                let is_there = fs::read_to_string(&path)
                    .unwrap()
                    .lines()
                    .any(|line| line.contains(&format!("fn {function}")));
                assert!(is_there, "{page}: {target} has no {name}");
            }
        }
    }
}
