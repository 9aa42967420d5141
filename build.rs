//! Tells the program its version with the commit that it was built from, as `tickoff --version` says.
//!
//! The commit is git's if this folder is a checkout of its own, else that which `cargo package` noted;
//! where there is neither (an unpacked archive, a vendored copy in somebody else's checkout, no git
//! installed), the version stands alone. Nothing here fails a build. It runs again only when the
//! commit changes.

use std::path::Path;
use std::process::Command;

/// Enough of a hash to find the commit.
const DIGITS: usize = 9;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&folder);
    let commit = if folder.join(".git").exists() {
        commit_of_checkout(folder)
    } else {
        commit_of_package(folder)
    };
    let mut version = std::env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    if let Some(hash) = commit.as_ref().and_then(|hash| hash.get(..DIGITS)) {
        version += &format!(" ({hash})");
    }
    println!("cargo::rustc-env=TICKOFF_VERSION={version}");
}

fn commit_of_checkout(folder: &Path) -> Option<String> {
    // Where HEAD points is in one file, which commit that is in another, or among the packed ones.
    // The log of HEAD tells of every move. A file that is not there would make this run each time.
    let head = git(folder, &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"]
        .into_iter()
        .chain(head.as_deref())
    {
        if let Some(path) = git(folder, &["rev-parse", "--git-path", name])
            && folder.join(&path).is_file()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"]).filter(|hash| is_hash(hash))
}

/// What git answers in one line, whatever repository the caller's environment means.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let answer = Command::new("git")
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    (answer.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Cargo's note has one hash: `{"git":{"sha1":"…"}}`.
fn commit_of_package(folder: &Path) -> Option<String> {
    let note = folder.join(".cargo_vcs_info.json");
    let text = std::fs::read_to_string(&note).ok()?;
    println!("cargo::rerun-if-changed={}", note.display());
    let (_, behind) = text.split_once("\"sha1\"")?;
    let hash = behind.split('"').nth(1)?;
    is_hash(hash).then(|| hash.to_owned())
}

fn is_hash(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
