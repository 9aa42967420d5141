//! How much of everything there may be, and what is taken unless something else is asked for.

use std::time::Duration;

/// The most fields in a row: as many columns as a spreadsheet has.
pub(crate) const MAX_FIELDS: usize = 16_384;
/// The most bytes in a row.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;
/// How long a row may be that is to get a result.
pub(crate) const MAX_RESULT_ROW_BYTES: usize = MAX_RECORD_BYTES / 2;
/// The most rows in a sheet, its header included.
pub(crate) const MAX_RECORDS: usize = u32::MAX as usize - 1;

/// The longest value that an update may write, in characters: what a spreadsheet's cell holds.
pub const MAX_VALUE_CHARS: usize = 32_767;

/// How many columns beside the original system's, and those of stages, results may add to one sheet.
pub const MAX_ADDED_COLUMNS: usize = 64;
/// The longest name of a column that a result adds, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 255;

/// The most bytes that are read of a result: of what a command writes to its `TICKOFF_RESULT`.
pub const MAX_RESULT_BYTES: u64 = 64 << 20;
/// The most cells of a result: each takes many times its own bytes until it is durable.
pub const MAX_RESULT_CELLS: usize = 100_000;
/// The most bytes that are read of a line: of what a worker answers, or `apply` is given.
pub const MAX_LINE_BYTES: usize = MAX_RESULT_BYTES as usize;
/// The most jobs at a time: each takes a thread, and a process with its descriptors.
pub const MAX_JOBS: usize = 10_000;
/// The longest wait that a command or worker may ask for with `retry_after`.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// What is wrong with a result that has more than [`MAX_RESULT_CELLS`].
pub(crate) fn too_many_cells() -> String {
    format!("it has more than {MAX_RESULT_CELLS} cells: as many are written")
}
