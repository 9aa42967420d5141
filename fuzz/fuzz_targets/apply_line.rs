//! A line of `apply` never panics, and updates that are understood say the same when written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickoff::{ProcessingStatus, Updates};

fuzz_target!(|line: &[u8]| {
    let Ok(updates) = serde_json::from_slice::<Updates>(line) else {
        return;
    };
    let again = serde_json::to_string(&updates).expect("texts can be written");
    let read: Updates = serde_json::from_str(&again).expect("what was written can be read");
    for (column, value) in updates.iter() {
        assert!(read.iter().any(|pair| pair == (column, value)));
    }
    if let Some(status) = updates.new_status() {
        let word = updates.get("STATUS").expect("it set one");
        assert_eq!(status, ProcessingStatus::parse(word));
    }
});
