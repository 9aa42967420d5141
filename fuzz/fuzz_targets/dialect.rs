//! A sheet that is accepted is rewritten to itself, and keeps its dialect when a cell changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickoff::fuzzing::{delimiter, rewrite};

fuzz_target!(|input: (&[u8], &str)| {
    let (sheet, value) = input;
    let found = delimiter(sheet);
    let Some(same) = rewrite(sheet, &[]) else {
        return;
    };
    assert_eq!(same, sheet);
    let update = (
        "P1".to_owned(),
        "STATUS".to_owned(),
        value.replace('\0', ""),
    );
    let next = rewrite(sheet, &[update]).expect("it was accepted");
    assert_eq!(delimiter(&next), found);
    rewrite(&next, &[]).expect("the next version is a sheet");
});
