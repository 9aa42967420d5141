//! What a file can lie on.

/// What a file lies on, as far as that decides what is promised.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    target_vendor = "apple",
    allow(dead_code, reason = "it has no /proc and no FUSE that it tells of")
)]
pub(crate) enum Filesystem {
    /// A disk of this system, which sees everybody who writes to it.
    Disk,
    /// FUSE, with what it calls itself: what is behind it may change without the kernel's seeing who does.
    Unseen(String),
    /// On other hosts, by its name.
    Network(String),
    /// FUSE, of which nobody tells what is behind it, since there is no /proc.
    Untold,
}
