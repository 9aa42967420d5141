//! Other processes. macOS has no subreaper, and does not tell another process's environment: what left its group
//! is not found.

/// Nothing comes to this process.
pub(crate) fn adopt_orphans() -> std::io::Result<()> {
    Ok(())
}

/// There is none.
#[derive(Debug)]
pub(crate) struct Process {
    never: std::convert::Infallible,
    pub(crate) name: String,
    pub(crate) group: i32,
    pub(crate) session: i32,
}

impl Process {
    pub(crate) fn open(_: i32) -> Option<Process> {
        None
    }

    pub(crate) fn pid(&self) -> i32 {
        match self.never {}
    }

    pub(crate) fn identity(&self) -> (i32, u64) {
        match self.never {}
    }

    pub(crate) fn has_ended(&self) -> bool {
        match self.never {}
    }

    pub(crate) fn is_stopped(&self) -> bool {
        match self.never {}
    }

    pub(crate) fn variable(&self, _: &str) -> Option<String> {
        match self.never {}
    }

    pub(crate) fn children(&self) -> Vec<Process> {
        match self.never {}
    }

    pub(crate) fn terminate(&self) {
        match self.never {}
    }

    pub(crate) fn stop(&self) {
        match self.never {}
    }

    pub(crate) fn kill(&self) {
        match self.never {}
    }

    pub(crate) fn reap(&self) {
        match self.never {}
    }
}

pub(crate) fn adopted(_is_known: impl Fn(i32) -> bool) -> Vec<Process> {
    Vec::new()
}

pub(crate) fn handles(_pid: i32, _signals: &[i32]) -> bool {
    false
}

pub(crate) fn is_first() -> bool {
    false
}
