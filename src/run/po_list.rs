//! The POs of a run, which need not all be in memory as texts.

use std::borrow::Cow;

/// The POs of a run.
pub(crate) trait PoList: Sync {
    fn len(&self) -> usize;
    fn po(&self, index: usize) -> Cow<'_, str>;
}

impl<S: AsRef<str> + Sync> PoList for [S] {
    fn len(&self) -> usize {
        <[S]>::len(self)
    }

    fn po(&self, index: usize) -> Cow<'_, str> {
        Cow::Borrowed(self[index].as_ref())
    }
}
