//! Cgroups (cgroups(7), version 2): what is started in one stays in it, and all of it can be ended at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::getpid;

use crate::sys::unix::attributes;

/// A folder of the mount of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// The one that this process is in, if it was handed over to whoever runs in it: systemd marks one so
    /// (`Delegate=`). Others may be somebody's who does not expect anything in them.
    pub(crate) fn delegated() -> Option<Cgroup> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let pid = getpid().as_raw_nonzero().get();
        let own = Cgroup(folder(&mountinfo, &path_of(pid)?)?);
        // Nothing else is mounted over it.
        let is_own = own.has(pid);
        (is_own && own.is_marked() && own.0.join("cgroup.kill").exists()).then_some(own)
    }

    fn is_marked(&self) -> bool {
        let marks = ["user.delegate", "trusted.delegate"];
        let mut marks = marks.map(|name| attributes::get(&self.0, name)).into_iter();
        marks.any(|mark| mark.ok().flatten().as_deref() == Some(b"1"))
    }

    /// Whether a process is in it, and not below.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.direct().contains(&pid)
    }

    fn direct(&self) -> Vec<i32> {
        let pids = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// The processes that are in it or below.
    pub(crate) fn members(&self) -> Vec<i32> {
        let mut members = self.direct();
        members.extend(self.below().iter().flat_map(Cgroup::members));
        members
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.0.file_name()?.to_str()
    }

    pub(crate) fn below(&self) -> Vec<Cgroup> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| Cgroup(entry.path())).collect()
    }

    /// A new one below it.
    pub(crate) fn make(&self, name: &str) -> io::Result<Cgroup> {
        let path = self.0.join(name);
        fs::create_dir(&path)?;
        Ok(Cgroup(path))
    }

    /// Moves a process into it; what that starts from then on is born there.
    pub(crate) fn take_in(&self, pid: i32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }

    /// Keeps all that is in it or below from doing anything but being ended.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.freeze"), "1")
    }

    /// Ends all that is in it or below (SIGKILL), also what is being started meanwhile.
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.kill"), "1")
    }

    /// Removes it and what is below, if no process is there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if !self.members().is_empty() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        for below in self.below() {
            below.remove()?;
        }
        fs::remove_dir(&self.0)
    }
}

/// The names of the cgroups that a process is in, from the outermost on, as a path.
pub(crate) fn path_of(pid: i32) -> Option<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.to_owned())
}

/// Where the cgroup of this path is mounted (proc(5), cgroups(7)); `None` if the mount shows another part of the tree,
/// or has a name in which something is escaped.
fn folder(mountinfo: &str, path: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let fields: Vec<_> = mount.split(' ').collect();
        let (root, point) = (fields.get(3)?, fields.get(4)?);
        let within = Path::new(path).strip_prefix(root).ok()?;
        (kind.starts_with("cgroup2 ") && !line.contains('\\'))
            .then(|| Path::new(point).join(within))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mount: &str, cgroup: &str, expected: Option<&str>) {
        let mountinfo = format!(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n{mount}\n"
        );
        assert_eq!(
            folder(&mountinfo, cgroup).as_deref(),
            expected.map(Path::new)
        );
    }

    #[test]
    fn our_cgroup_is_found_below_the_mount_that_shows_it() {
        let hybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw";
        let cgroup = "/a.slice/b.scope";
        let found = "/sys/fs/cgroup/unified/a.slice/b.scope";
        check(hybrid, cgroup, Some(found));
        let of_a_part = "41 31 0:38 /a.slice /cg rw - cgroup2 none rw";
        check(of_a_part, cgroup, Some("/cg/b.scope"));
        check(of_a_part, "/c.slice", None);
        check("41 31 0:38 /../.. /cg rw - cgroup2 none rw", cgroup, None);
        check("41 31 0:38 / /c\\040g rw - cgroup2 none rw", cgroup, None);
        check("", cgroup, None);
        check("41 31 torn - cgroup2", cgroup, None);
    }
}
