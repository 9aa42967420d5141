//! tickoff from the outside: the library through its public API, and the program as a process, on
//! real files.

mod byte_exact;
mod fixture;
mod handler;
mod journal_damage;
mod outside;
mod queue;
mod several;

// The program: how the tests start it, what a sheet must become, and what it promises.
#[cfg(feature = "cli")]
mod answers;
#[cfg(feature = "cli")]
mod backup;
#[cfg(feature = "cli")]
mod campaign;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod cgroups;
#[cfg(feature = "cli")]
mod columns;
#[cfg(feature = "cli")]
mod comes_back;
#[cfg(feature = "cli")]
mod command_line;
#[cfg(feature = "cli")]
mod control;
#[cfg(feature = "cli")]
mod controls;
#[cfg(feature = "cli")]
mod decided;
#[cfg(feature = "cli")]
mod deeds;
#[cfg(feature = "cli")]
mod disk;
#[cfg(feature = "cli")]
mod duplicates;
#[cfg(feature = "cli")]
mod editors;
#[cfg(feature = "cli")]
mod edits;
#[cfg(feature = "cli")]
mod encoding;
#[cfg(feature = "cli")]
mod errors;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod escapes;
#[cfg(feature = "cli")]
mod events;
#[cfg(feature = "cli")]
mod examples;
#[cfg(feature = "cli")]
mod fitness;
#[cfg(feature = "cli")]
mod full_disk;
#[cfg(feature = "cli")]
mod generated;
#[cfg(feature = "cli")]
mod half_written;
#[cfg(feature = "cli")]
mod hostile;
#[cfg(feature = "cli")]
mod inherited;
#[cfg(feature = "cli")]
mod joblog;
#[cfg(feature = "cli")]
mod journal_formats;
#[cfg(feature = "cli")]
mod kept_backups;
#[cfg(feature = "cli")]
mod keys;
#[cfg(feature = "cli")]
mod kills;
#[cfg(feature = "cli")]
mod later_hand;
#[cfg(feature = "cli")]
mod links;
#[cfg(feature = "cli")]
mod listed_stages;
#[cfg(feature = "cli")]
mod mistakes;
#[cfg(feature = "cli")]
mod named_delimiter;
#[cfg(feature = "cli")]
mod namespaces;
#[cfg(feature = "cli")]
mod nothing_to_do;
#[cfg(feature = "cli")]
mod numbering;
#[cfg(feature = "cli")]
mod oracle;
#[cfg(feature = "cli")]
mod overtaken;
#[cfg(feature = "cli")]
mod pace;
#[cfg(feature = "cli")]
mod placeholders;
#[cfg(feature = "cli")]
mod poor;
#[cfg(feature = "cli")]
mod power;
#[cfg(feature = "cli")]
mod printed;
#[cfg(feature = "cli")]
mod processes;
#[cfg(feature = "cli")]
mod program;
#[cfg(feature = "cli")]
mod raced;
#[cfg(feature = "cli")]
mod renamed;
#[cfg(feature = "cli")]
mod report;
#[cfg(feature = "cli")]
mod results;
#[cfg(feature = "cli")]
mod resume;
#[cfg(feature = "cli")]
mod run;
#[cfg(feature = "cli")]
mod samples;
#[cfg(feature = "cli")]
mod settings;
#[cfg(feature = "cli")]
mod shared_backups;
#[cfg(feature = "cli")]
mod signals;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod soak;
#[cfg(feature = "cli")]
mod stages;
#[cfg(feature = "cli")]
mod standard_input;
#[cfg(feature = "cli")]
mod starting;
#[cfg(feature = "cli")]
mod summary;
#[cfg(feature = "cli")]
mod thin_disk;
#[cfg(feature = "cli")]
#[cfg(all(feature = "cli", target_os = "linux"))]
mod tty;
#[cfg(feature = "cli")]
mod unseen;
#[cfg(feature = "cli")]
mod watch;
#[cfg(feature = "cli")]
mod without_tmpfile;
mod words;
#[cfg(feature = "cli")]
mod workers;
#[cfg(feature = "cli")]
mod written_over;

// What takes the registers of a process to see, or to change, what it asks of the system.
#[cfg(all(feature = "cli", target_arch = "x86_64"))]
mod crash_states;
#[cfg(all(feature = "cli", target_arch = "x86_64"))]
mod faults;
#[cfg(all(feature = "cli", target_arch = "x86_64"))]
mod tracer;
#[cfg(not(target_arch = "x86_64"))]
#[test]
fn crash_states_and_faults() {
    eprintln!("SKIPPED: system calls can only be traced on x86-64");
}
