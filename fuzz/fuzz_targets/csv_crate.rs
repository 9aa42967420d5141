//! The csv crate, as the model of what a reader sees.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Cursor, SeekFrom};

use csv::{ByteRecord, Position, Reader, ReaderBuilder};

thread_local! {
    /// One for each delimiter: most of the time of an execution would go into building it.
    static READERS: RefCell<BTreeMap<u8, Reader<Cursor<Vec<u8>>>>> = RefCell::default();
}

/// Every record of some bytes, the header among them.
pub fn records(bytes: &[u8], delimiter: u8) -> Vec<ByteRecord> {
    READERS.with_borrow_mut(|readers| {
        let reader = readers.entry(delimiter).or_insert_with(|| {
            ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(delimiter)
                .from_reader(Cursor::default())
        });
        let source = reader.get_mut().get_mut();
        source.clear();
        source.extend_from_slice(bytes);
        reader
            .seek_raw(SeekFrom::Start(0), Position::new())
            .expect("memory can be read");
        let records = reader.byte_records();
        records
            .collect::<Result<_, _>>()
            .expect("memory can be read")
    })
}
