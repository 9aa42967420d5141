//! What the operating system gives; the only place that knows which one it is, and the only unsafe code.
//!
//! Plain functions over `std`'s files, paths and errors. As in std, `unix` holds what all systems share,
//! and one of `linux` and `apple` is chosen here for the rest: both have the same modules. Where a system
//! lacks something, its functions say so as a filesystem without it does; so callers have one way out for
//! both.
//!
//! A name is that of a file directly in a folder which the caller holds open: the folder's path may come
//! to mean another one meanwhile.
//!
//! This room never knows what a file is for: no sheet, no journal, no name of ours.

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(target_os = "linux")]
mod linux;
mod poor;
mod unix;

#[cfg(target_vendor = "apple")]
use apple as system;
#[cfg(target_os = "linux")]
use linux as system;

pub(crate) use system::{
    access_time, acl, birth, blocks, inode, lease, lock_holder, place, private_file, process_space,
    room,
};
#[cfg(feature = "cli")]
pub(crate) use system::{cgroup, disposition, exit, processes};
pub(crate) use unix::{
    attributes, flock, holes, interrupted, map, names, open, peer, refused, regular, rights,
};
#[cfg(feature = "cli")]
pub(crate) use unix::{foreground, group, poll, program, signals, spawn, suspend};
