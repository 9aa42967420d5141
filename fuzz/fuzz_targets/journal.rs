//! However a log is damaged, the frames that are read are the first ones that were written; and any
//! bytes are refused or read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickoff::fuzzing::{log, read_log};

fuzz_target!(
    |input: (Vec<String>, Vec<(u16, u8)>, Option<u16>, Vec<u8>)| {
        let (pos, flips, cut, garbage) = input;
        read_log(&garbage);
        let mut bytes = log(&pos);
        assert_eq!(read_log(&bytes).as_ref(), Some(&pos));
        if let Some(cut) = cut {
            bytes.truncate(cut as usize);
            bytes.extend_from_slice(&garbage);
        }
        for (at, bits) in flips {
            if let Some(byte) = bytes.get_mut(at as usize) {
                *byte ^= bits;
            }
        }
        if let Some(read) = read_log(&bytes) {
            assert!(pos.starts_with(&read), "{read:?} was never written so");
        }
    }
);
