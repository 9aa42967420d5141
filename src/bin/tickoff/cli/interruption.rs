//! The signals that end a run, or an `apply`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGXCPU,
};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};
use tickoff::{Stop, StopLevel, is_ignored, kill_all, suspend};

use crate::exit::{Exit, Failure};
use crate::stderr::Display;

/// Until it is dropped, a signal ends the program at once: nothing has begun. The handler itself does it, so that
/// nothing can begin meanwhile, and it works for process 1 of a container, which the system would spare.
pub struct EndAtOnce {
    /// Written when this is dropped, read by the handler. `SeqCst`: the simplest that is right.
    is_meant: Arc<AtomicBool>,
}

impl EndAtOnce {
    /// Begins. A signal that whoever started us wants ignored stays so.
    pub fn at_signals() -> Result<EndAtOnce, Failure> {
        let is_meant = Arc::new(AtomicBool::new(true));
        for signal in heeded() {
            let exit = exit_of(signal).code().into();
            flag::register_conditional_shutdown(signal, exit, Arc::clone(&is_meant))
                .map_err(failed)?;
        }
        Ok(EndAtOnce { is_meant })
    }
}

impl Drop for EndAtOnce {
    fn drop(&mut self) {
        self.is_meant.store(false, Ordering::SeqCst);
    }
}

/// From now on a signal takes the display away and ends the program, or stops it (Ctrl-Z), and the terminal is as it
/// was. A signal that whoever started us wants ignored stays so.
pub fn end_at_signals(display: &Display) -> Result<(), Failure> {
    let display = display.clone();
    let mut signals = watched().map_err(failed)?;
    let heed = move || {
        for signal in signals.forever() {
            match signal {
                SIGTSTP => display.lend_terminal(suspend),
                signal if ENDED_BY.contains(&signal) => end_at_once(signal, &display),
                signal => end_by(signal, &display),
            }
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(heed)
        .map_err(failed)?;
    Ok(())
}

/// What is said of the first signal, and of the second.
pub type Words = [&'static str; 2];

/// Of a run.
pub const RUN: Words = [
    "stopping: running commands may finish; once more kills them",
    "killing the running commands; once more ends tickoff at once",
];
/// Of what takes results from another program.
pub const APPLY: Words = [
    "stopping: no more is read, and results may still be written; once more gives up those that wait",
    "results that wait are given up; once more ends tickoff at once",
];

/// When nothing is left but what others are to read.
const ENDING: Words = [
    "ending: what nobody reads is not waited for",
    "once more ends tickoff at once",
];

/// Watches for signals: the first lets running commands finish, the second kills them, the third ends the program at
/// once. One that stops the program, Ctrl-Z, or of which it dies, Ctrl-\, finds the terminal as it was.
pub struct Interruption {
    /// What the pool looks at.
    pub stop: Stop,
    told: Arc<Told>,
    display: Display,
}

/// What the signal thread and the others tell each other. `SeqCst`: whoever writes one of the two reads the other one
/// then, so that not both miss what the other did.
#[derive(Default)]
struct Told {
    /// The first signal; 0 for none. Written by the signal thread.
    signal: AtomicI32,
    /// Whether the work is over. Written by whoever did it.
    is_over: AtomicBool,
}

impl Interruption {
    /// Begins to watch. A signal that whoever started us wants ignored stays so.
    pub fn watch(display: &Display, words: Words) -> Result<Interruption, Failure> {
        let mut signals = watched().map_err(failed)?;
        let interruption = Interruption {
            stop: Stop::new(),
            told: Arc::default(),
            display: display.clone(),
        };
        let (stop, display) = (interruption.stop.clone(), display.clone());
        let told = Arc::clone(&interruption.told);
        let mut is_killing = false;
        let heed = move || {
            for signal in signals.forever() {
                if signal == SIGTSTP {
                    display.lend_terminal(suspend);
                    continue;
                } else if !ENDED_BY.contains(&signal) {
                    // What is killed from here on keeps its row's state.
                    stop.now();
                    end_by(signal, &display);
                }
                // Ctrl-C is not for the jobs, which have no terminal.
                if signal != SIGINT {
                    stop.jobs_are_asked_too();
                }
                let before =
                    told.signal
                        .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
                let is_over = told.is_over.load(Ordering::SeqCst);
                let words = if is_over { ENDING } else { words };
                match before {
                    Ok(_) => {
                        stop.soon();
                        if is_over {
                            display.hurry();
                        }
                        tracing::warn!("{}", words[0]);
                    }
                    Err(_) if !is_killing => {
                        is_killing = true;
                        stop.now();
                        display.hurry();
                        tracing::warn!("{}", words[1]);
                    }
                    Err(first) => end_at_once(first, &display),
                }
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(heed)
            .map_err(failed)?;
        Ok(interruption)
    }

    /// Whether there was a signal.
    pub fn came(&self) -> bool {
        self.told.signal.load(Ordering::SeqCst) != 0
    }

    /// From now on one signal is enough, be it one that has come: nothing is left but what others are to read.
    pub fn work_is_over(&self) {
        self.told.is_over.store(true, Ordering::SeqCst);
        if self.came() {
            self.display.hurry();
        }
    }

    /// How a run ends that was or was not interrupted.
    pub fn exit(&self) -> Exit {
        match self.told.signal.load(Ordering::SeqCst) {
            0 => Exit::Done,
            _ if self.stop.level() == StopLevel::Continue => Exit::Done,
            signal => exit_of(signal),
        }
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        self.work_is_over();
    }
}

/// Ends the program as it is: what is durable is in the journal, and the next run shows it. Nothing of the display
/// is waited for, whose reader may have stopped reading.
fn end_at_once(signal: i32, display: &Display) -> ! {
    kill_all();
    display.abandon();
    low_level::exit(exit_of(signal).code().into())
}

/// The same by a signal that asks for no such end, Ctrl-\ say: the program dies of it as it would have.
fn end_by(signal: i32, display: &Display) -> ! {
    kill_all();
    display.abandon();
    low_level::emulate_default_handler(signal).ok();
    low_level::abort()
}

/// What asks for the end.
const ENDED_BY: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// What the program dies of.
const DEADLY: [i32; 8] = [
    SIGQUIT, SIGABRT, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF,
];

fn heeded() -> impl Iterator<Item = i32> {
    ENDED_BY.into_iter().filter(|&signal| !is_ignored(signal))
}

/// All that ends the program or stops it, but what whoever started us wants ignored.
fn watched() -> io::Result<Signals> {
    let others = [SIGTSTP].into_iter().chain(DEADLY);
    Signals::new(heeded().chain(others.filter(|&signal| !is_ignored(signal))))
}

fn exit_of(signal: i32) -> Exit {
    match signal {
        SIGINT => Exit::Interrupted,
        _ => Exit::Terminated,
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::Other(Exit::NotWritten, format!("cannot handle signals: {error}"))
}
