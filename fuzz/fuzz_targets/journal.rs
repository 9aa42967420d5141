//! However a log is damaged, exactly the frames before the damage are read in order; a log in which a frame
//! survives behind that, wherever it stands by now, is told from one with a torn tail; what is appended after a torn tail is read. Any other
//! bytes are refused or read without a panic.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tickoff::fuzzing::{Update, append, log, put_frame, read_log};

#[derive(Arbitrary, Debug)]
struct Input {
    frames: Vec<Vec<Update>>,
    changes: Vec<Change>,
    appended: Vec<Update>,
    /// Tail of the log, or a log by itself.
    garbage: Vec<u8>,
    json: String,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Flip {
        at: u16,
        bits: u8,
    },
    Cut {
        at: u16,
    },
    CutAndZeros {
        at: u16,
        zeros: u8,
    },
    Remove {
        at: u16,
        length: u8,
    },
    Insert {
        at: u16,
        bytes: Vec<u8>,
    },
    /// A stretch of the log stands somewhere else as well.
    Copy {
        from: u16,
        length: u16,
        to: u16,
    },
    Garbage,
}

fuzz_target!(|input: Input| {
    let (written, ends) = log(&input.frames);
    let whole = read_log(&written).expect("it is a log");
    assert_eq!(whole.frames, input.frames);
    assert_eq!((whole.end, whole.damaged), (written.len(), false));

    let mut bytes = written.clone();
    for change in &input.changes {
        change.make(&mut bytes, &input.garbage);
    }
    let same = bytes.iter().zip(&written).take_while(|(is, was)| is == was);
    let intact = same.count();
    let read = read_log(&bytes).expect("a frame that is valid was written");
    let heads = usize::from(ends[0] <= intact);
    let count = ends.iter().filter(|&&end| end <= intact).count() - heads;
    assert_eq!(read.frames, input.frames[..count]);
    let end = (heads + count).checked_sub(1).map_or(0, |last| ends[last]);
    assert_eq!(read.end, end);
    let mut frames = [0].iter().chain(&ends).zip(&ends);
    let survives = frames.any(|(&begin, &behind)| {
        let frame = &written[begin..behind];
        let rest = bytes.get(end..).unwrap_or_default();
        rest.windows(frame.len()).any(|there| there == frame)
    });
    let is_begun = heads == 1 || bytes.iter().all(|&byte| byte == 0) || bytes.starts_with(b"gone");
    // A frame that is whole but for its checksum is damage as well.
    assert!(read.damaged || !survives && is_begun);
    if written.starts_with(&bytes) {
        assert_eq!(read.damaged, !is_begun);
    }

    if heads == 1 && !read.damaged {
        append(&mut bytes, read.end, &input.appended);
        let more = read_log(&bytes).expect("it is a log");
        assert_eq!(more.frames[..count], read.frames);
        assert_eq!(more.frames[count..], [input.appended]);
        assert!(!more.damaged);
    }

    // Frames of a stranger or of a later version: refused, if they are not what ours are.
    read_log(&input.garbage).ok();
    if let Ok(json) = serde_json::from_str(&input.json) {
        let mut strange = written;
        put_frame(&mut strange, whole.end, &json);
        if let Ok(log) = read_log(&strange) {
            assert_eq!(log.frames[..input.frames.len()], input.frames);
        }
        let mut head = Vec::new();
        put_frame(&mut head, 0, &json);
        read_log(&head).ok();
    }
});

impl Change {
    fn make(&self, bytes: &mut Vec<u8>, garbage: &[u8]) {
        let place = |at: u16| at as usize % (bytes.len() + 1);
        match *self {
            Change::Flip { at, bits } => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Change::Cut { at } => bytes.truncate(place(at)),
            Change::CutAndZeros { at, zeros } => {
                let at = place(at);
                bytes.truncate(at);
                bytes.resize(at + zeros as usize, 0);
            }
            Change::Remove { at, length } => {
                let at = place(at);
                bytes.drain(at..(at + length as usize).min(bytes.len()));
            }
            Change::Insert { at, bytes: ref new } => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Change::Copy { from, length, to } => {
                let (from, to) = (place(from), place(to));
                let end = (from + length as usize).min(bytes.len());
                let stretch = bytes[from..end].to_vec();
                bytes.splice(to..to, stretch);
            }
            Change::Garbage => bytes.extend_from_slice(garbage),
        }
    }
}
