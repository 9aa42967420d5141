//! What Linux gives beyond what all unix systems share.

pub(crate) mod access_time;
pub(crate) mod acl;
pub(crate) mod birth;
pub(crate) mod blocks;
#[cfg(feature = "cli")]
pub(crate) mod cgroup;
#[cfg(feature = "cli")]
pub(crate) mod disposition;
#[cfg(feature = "cli")]
pub(crate) mod exit;
pub(crate) mod inode;
pub(crate) mod lease;
pub(crate) mod lock_holder;
#[cfg(feature = "cli")]
pub(crate) mod new_session;
pub(crate) mod place;
pub(crate) mod private_file;
pub(crate) mod process_space;
#[cfg(feature = "cli")]
pub(crate) mod processes;
pub(crate) mod room;
