//! What this process does with signals that concern its children, and what people call those that end
//! them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::error::{Error, Result};
use crate::run::{Ending, Stop};
use crate::sys::{disposition, foreground, signals, suspend};

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

/// How long a job that was ended by a signal of a stop waits for the program to hear it too.
const HEARING: Duration = Duration::from_millis(250);
/// The same for one that failed and does not say of what: each such failure costs as much.
const HEARING_IF_IT_HANDLES: Duration = Duration::from_millis(50);
/// The signals that who ends a service sends to all of it.
pub(super) const OF_A_SERVICE: [i32; 2] = [SIGTERM, SIGHUP];

/// Whether a job was ended by what ends the run: a service manager sends its signal to every process of a service,
/// and the jobs may have heard it first. One that handles such a signal may have ended for it with any code.
pub(super) fn is_of_the_stop(ending: Ending, handles_signals: bool, stop: &Stop) -> bool {
    const HEARD: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];
    let says_so = match ending {
        Ending::Signal(signal) => HEARD.contains(&signal),
        // As shells say it of a command that they waited for.
        Ending::Exit(code) if code != 0 => HEARD.contains(&(code - 128)),
        _ => return false,
    };
    let hearing = match (says_so, handles_signals) {
        (true, _) => HEARING,
        (false, true) => HEARING_IF_IT_HANDLES,
        (false, false) => Duration::ZERO,
    };
    stop.sleep_until(Instant::now() + hearing);
    let is_killed = ending == Ending::Signal(SIGKILL);
    stop.are_jobs_asked_too() || stop.is_requested() && (says_so || is_killed)
}

/// Whether Ctrl-C has ended a command, or that for which a shell waited.
pub(super) fn is_interrupted(ending: Ending) -> bool {
    matches!(ending, Ending::Signal(SIGINT)) || ending == Ending::Exit(128 + SIGINT)
}

/// Passes on the Ctrl-C that a command on our terminal has got.
pub(super) fn interrupt_us(stop: &Stop) {
    foreground::interrupt();
    stop.sleep_until(Instant::now() + HEARING);
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
