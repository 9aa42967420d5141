//! What the line is that was read as the header, where it lacks the key.

/// What may be wrong with a header that has no key column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderLine {
    /// It looks like a header.
    Header,
    /// The line `sep=;` above it names the delimiter with which it was read.
    Named,
    /// The line so many further down has all key columns.
    Below(u16),
    /// It has one text, and the rows below it have more: a title or a comment.
    Title,
    /// It looks like the row below it.
    Row,
}
