//! The promises in a poorer system, as FUSE, FAT and macOS are: without files that have no name, without
//! an exchange of names, leases, reserved space or shared blocks, each by itself and all together.
//!
//! `TICKOFF_POOR_SYSTEM` takes these away (see `src/sys/poor.rs`), from the program and from the library
//! in these tests. A process keeps the world that it began in; so this test binary runs itself: what it
//! does about crash states, faults, kills, editors and races, in short, in each of these worlds.
//! `tests/campaign.sh poor` does so at full scale. Where less is promised there, the tests say what.

use std::process::Command;

/// Whether something is taken away from this process and its children.
pub fn lacks(gift: &str) -> bool {
    let taken = std::env::var("TICKOFF_POOR_SYSTEM").unwrap_or_default();
    taken.split(',').any(|word| word == gift || word == "all")
}

/// Runs the campaigns, in short, in a world.
#[track_caller]
fn check(world: &str) {
    let campaigns = [
        "crash_states::",
        "faults::",
        "kills::",
        "editors::",
        "raced::",
    ];
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(campaigns)
        .env("TICKOFF_POOR_SYSTEM", world)
        .envs([
            ("TICKOFF_CRASH_STATES", "30"),
            ("TICKOFF_FAULTS", "12"),
            ("TICKOFF_KILLS", "2"),
            ("TICKOFF_EDITS", "20"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success(),
        "in the world without {world}:\n{said}\n{complained}"
    );
    // None of them was renamed away.
    for campaign in campaigns {
        let is_there =
            cfg!(target_arch = "x86_64") || !["crash_states::", "faults::"].contains(&campaign);
        assert!(
            !is_there || said.contains(&format!("test {campaign}")),
            "{campaign} did not run:\n{said}"
        );
    }
}

#[test]
fn without_files_that_have_no_name() {
    check("tmpfile");
}

#[test]
fn without_an_exchange_of_names() {
    check("exchange");
}

#[test]
fn without_leases() {
    check("lease");
}

#[test]
fn without_reserved_space() {
    check("fallocate");
}

#[test]
fn without_shared_blocks() {
    check("clone");
}

#[test]
fn without_any_of_them() {
    check("all");
}
