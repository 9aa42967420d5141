//! What a person sees on a terminal while jobs print: whole lines, and one display below them.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use unicode_width::UnicodeWidthChar;

use super::sheet;
use crate::command_line::wait_until;

const ROWS: u16 = 24;

/// A program on a terminal of its own, whose screen is interpreted; killed if the test fails meanwhile.
pub struct Terminal {
    child: Child,
    master: File,
    screen: Arc<Mutex<Screen>>,
    reader: Option<JoinHandle<()>>,
}

struct Screen {
    parser: vt100::Parser,
    /// What has come of a character or a control sequence that is not whole yet.
    rest: Vec<u8>,
    /// Whether a line that is too long is cut off and not broken (DECAWM is reset, which vt100 does not know).
    is_unbroken: bool,
    /// Whether there was a colour.
    is_coloured: bool,
    /// What was on it each time that something came.
    frames: Vec<Vec<String>>,
}

impl Terminal {
    /// Starts a shell that does this with a program, which is `"$0" "$@"`, on a terminal with 80 columns.
    pub fn of_shell(script: &str, program: &Command) -> Terminal {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap());
        Terminal::start(&shell, 80)
    }

    /// Starts a program as a shell on a terminal with so many columns does: Ctrl-C reaches it, and is echoed.
    pub fn start(program: &Command, columns: u16) -> Terminal {
        let size = Winsize {
            ws_row: ROWS,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(Some(&size), None).unwrap();
        let mut session = Command::new("setsid");
        session
            .args(["--ctty", "--wait"])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(program.get_current_dir().unwrap())
            .env("TERM", "xterm")
            .stdin(terminal.slave.try_clone().unwrap())
            .stdout(terminal.slave.try_clone().unwrap())
            .stderr(Stdio::from(terminal.slave));
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let child = session.spawn().unwrap();
        drop(session);
        let master = File::from(terminal.master);
        let screen = Arc::new(Mutex::new(Screen {
            parser: vt100::Parser::new(nonzero(ROWS), nonzero(columns), 10_000),
            rest: Vec::new(),
            is_unbroken: false,
            is_coloured: false,
            frames: Vec::new(),
        }));
        let reader = thread::spawn({
            let (mut master, screen) = (master.try_clone().unwrap(), Arc::clone(&screen));
            move || read(&mut master, &screen)
        });
        Terminal {
            child,
            master,
            screen,
            reader: Some(reader),
        }
    }

    /// What the screen shows, without blanks at the ends of lines and empty lines at its end.
    pub fn rows(&self) -> Vec<String> {
        rows(&self.screen.lock().unwrap().parser)
    }

    pub fn is_coloured(&self) -> bool {
        self.screen.lock().unwrap().is_coloured
    }

    pub fn echoes(&self) -> bool {
        let attributes = tcgetattr(&self.master).unwrap();
        attributes.local_flags.contains(LocalFlags::ECHO)
    }

    pub fn resize(&mut self, columns: u16) {
        let mut screen = self.screen.lock().unwrap();
        let size = rustix::termios::Winsize {
            ws_row: ROWS,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
        let screen = screen.parser.screen_mut();
        screen.set_size(nonzero(ROWS), nonzero(columns));
    }

    pub fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    /// All lines that were shown, those that have left the screen at its top included, and every frame.
    #[track_caller]
    pub fn end(mut self, code: i32) -> (Vec<String>, Vec<Vec<String>>) {
        wait_until("the program ends", || {
            self.child.try_wait().unwrap().is_some()
        });
        assert!(self.echoes(), "the terminal is as it was");
        self.reader.take().unwrap().join().unwrap();
        let mut screen = self.screen.lock().unwrap();
        let frames = std::mem::take(&mut screen.frames);
        let parser = &mut screen.parser;
        assert_eq!(
            self.child.wait().unwrap().code(),
            Some(code),
            "{:#?}",
            rows(parser)
        );
        let mut lines = Vec::new();
        parser.screen_mut().set_scrollback(usize::MAX);
        for back in (1..=parser.screen().scrollback()).rev() {
            parser.screen_mut().set_scrollback(back);
            lines.extend(rows(parser).into_iter().next());
        }
        parser.screen_mut().set_scrollback(0);
        lines.extend(rows(parser));
        (lines, frames)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(master: &mut File, screen: &Mutex<Screen>) {
    let mut chunk = [0; 4096];
    loop {
        match master.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                let mut screen = screen.lock().unwrap();
                screen.take(&chunk[..length]);
                let frame = rows(&screen.parser);
                screen.frames.push(frame);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Nobody has the terminal open any more.
            Err(_) => return,
        }
    }
}

impl Screen {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(length) = length_of_first(&self.rest) {
            let part: Vec<u8> = self.rest.drain(..length).collect();
            match &*part {
                b"\x1b[?7l" => self.is_unbroken = true,
                b"\x1b[?7h" => self.is_unbroken = false,
                [b'\x1b', b'[', b'3', .., b'm'] => self.is_coloured = true,
                _ => {}
            }
            if let Some(char) = str::from_utf8(&part).unwrap().chars().next()
                && let Some(width) = char.width()
            {
                let screen = self.parser.screen();
                let (columns, (_, column)) = (screen.size().1.get(), screen.cursor_position());
                let last = columns - width as u16;
                if self.is_unbroken && column > last {
                    self.parser
                        .process(format!("\x1b[{}G", last + 1).as_bytes());
                }
            }
            self.parser.process(&part);
        }
    }
}

/// How many bytes the first character or control sequence has; `None` if it is not whole yet.
fn length_of_first(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [] | [b'\x1b'] => None,
        [b'\x1b', b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| byte.is_ascii_alphabetic());
            end.map(|end| end + 3)
        }
        _ => {
            let whole = match bytes[0] {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0.. => 4,
            };
            (bytes.len() >= whole).then_some(whole)
        }
    }
}

fn nonzero(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn rows(parser: &vt100::Parser) -> Vec<String> {
    let screen = parser.screen();
    let (_, columns) = screen.size();
    let mut rows: Vec<String> = screen
        .rows(0, columns.get())
        .map(|row| row.trim_end().to_owned())
        .collect();
    let last = rows.iter().rposition(|row| !row.is_empty());
    rows.truncate(last.map_or(0, |last| last + 1));
    rows
}

const PRINTS: &str = "n=1; while [ $n -le 60 ]; do [ $((n % 2)) = 0 ] && exec 3>&1 || exec 3>&2; \
     printf \"$n begins, \" >&3; sleep 0.02; echo ends >&3; n=$((n + 1)); done";

fn is_of_the_display(line: &str) -> bool {
    line.contains(['█', '░'])
}

#[test]
fn lines_and_display_never_tear_each_other() {
    for columns in [120, 40] {
        let sheet = sheet(4);
        let run = Terminal::start(&sheet.run("-j 4", PRINTS), columns);
        let (lines, frames) = run.end(0);
        for key in ["P1", "P2", "P3", "P4"] {
            for n in 1..=60 {
                let line = format!("{key} | {n} begins, ends");
                let count = lines.iter().filter(|shown| **shown == line).count();
                assert_eq!(count, 1, "{line}: {lines:#?}");
            }
        }
        let left = lines.iter().find(|line| is_of_the_display(line));
        assert_eq!(left, None, "{lines:#?}");
        assert!(frames.iter().flatten().any(|line| is_of_the_display(line)));
        for frame in frames {
            let bars: Vec<_> = frame
                .iter()
                .filter(|line| is_of_the_display(line))
                .collect();
            let is_torn = bars.iter().any(|bar| bar.contains(" | "));
            assert!(bars.len() <= 1 && !is_torn, "{columns}: {frame:#?}");
        }
    }
}

/// The end of a frame that no longer belongs to the display.
fn bars(lines: &[String]) -> usize {
    lines.iter().filter(|line| is_of_the_display(line)).count()
}

#[test]
fn what_is_typed_leaves_no_stale_display() {
    for columns in [120, 40] {
        let sheet = sheet(2);
        let mut run = Terminal::start(&sheet.run("-j 2", "await go"), columns);
        for keys in ["\n", "\n\n", "typed\n", "\x03"] {
            wait_until("there is a display", || bars(&run.rows()) > 0);
            run.press(keys.as_bytes());
            thread::sleep(Duration::from_millis(400));
            assert_eq!(bars(&run.rows()), 1, "{keys:?}: {:#?}", run.rows());
        }
        std::fs::write(sheet.folder().join("go"), "").unwrap();
        let (lines, _) = run.end(130);
        assert_eq!(bars(&lines), 0, "{lines:#?}");
    }
}

#[test]
fn a_window_that_is_made_narrower_and_wider_again_has_one_display() {
    let sheet = sheet(4);
    let prints = "until [ -e go ]; do echo line; sleep 0.02; done";
    let mut run = Terminal::start(&sheet.run("-j 4", prints), 120);
    for columns in [80, 50, 100, 40] {
        wait_until("there is a display", || bars(&run.rows()) > 0);
        run.resize(columns);
        thread::sleep(Duration::from_millis(300));
        assert!(bars(&run.rows()) <= 1, "{columns}: {:#?}", run.rows());
    }
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    let (lines, _) = run.end(0);
    assert_eq!(bars(&lines), 0, "{lines:#?}");
}

#[test]
fn what_a_job_prints_says_nothing_to_the_terminal() {
    let sheet = sheet(1);
    let script = "printf '\\033]0;owned\\007\\033[2J\\302\\233\\342\\200\\256\\n'; printf '\\033[1A\\rforged\\n' >&2";
    for options in ["--log-format human", "-q --show grouped --force"] {
        let run = Terminal::start(&sheet.run(options, script), 120);
        let (lines, _) = run.end(0);
        for shown in [
            "P1 | \\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}\\u{202e}",
            "P1 | \\u{1b}[1A\\rforged",
        ] {
            assert!(lines.contains(&shown.to_owned()), "{options}: {lines:#?}");
        }
    }
}
