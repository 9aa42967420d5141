//! What this process does with signals that concern its children, and what people call those that end
//! them.

use std::sync::Arc;

use signal_hook::consts::SIGCHLD;

use crate::error::{Error, Result};
use crate::sys::{disposition, signals, suspend};

/// Whether whoever started this process wants it to ignore a signal, as `nohup` does. False too
/// where the system does not say.
pub fn is_ignored(signal: i32) -> bool {
    disposition::is_ignored(signal)
}

/// Stops this process as SIGTSTP does where nobody handles it, and returns when it goes on. At once where the
/// system stops nobody, since nobody is there who could let the process go on.
pub fn suspend() {
    suspend::as_by_default();
}

/// If this process inherited an ignored SIGCHLD, gives it an empty handler: the system would
/// otherwise throw away the exit codes of its children.
pub(super) fn heed_children() -> Result<()> {
    if is_ignored(SIGCHLD) {
        signal_hook::flag::register(SIGCHLD, Arc::default()).map_err(Error::io(
            "handle SIGCHLD, ignored according to",
            disposition::SOURCE,
        ))?;
    }
    Ok(())
}

/// Says that a signal ended a process.
pub(super) fn killed_by(signal: i32) -> String {
    format!("killed by signal {signal} ({})", signals::name(signal))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::sample::check_error;

    #[test]
    fn exit_codes_are_seen_by_a_process_that_inherited_an_ignored_sigchld() {
        if std::env::var_os("TICKOFF_TEST_SIGCHLD").is_some() {
            assert!(is_ignored(SIGCHLD));
            return check_error("exit 3", "exit 3");
        }
        let (_crate, module) = module_path!().split_once("::").unwrap();
        let this = "exit_codes_are_seen_by_a_process_that_inherited_an_ignored_sigchld";
        let ran = Command::new("env")
            .arg("--ignore-signal=CHLD")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg(format!("{module}::{this}"))
            .env("TICKOFF_TEST_SIGCHLD", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    }
}
