//! What a file lies on.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, fstatfs, major, minor, statx};

pub(crate) use crate::sys::unix::filesystem::Filesystem;

const FUSE: u64 = 0x6573_5546;

/// Magic numbers from statfs(2).
pub(crate) fn filesystem(file: &File) -> io::Result<Filesystem> {
    let kind = fstatfs(file)?.f_type as u64 & 0xffff_ffff;
    if kind == FUSE {
        return Ok(match mount_of(file) {
            Some((kind, source)) => behind_fuse(&kind, &source),
            None => Filesystem::Untold,
        });
    }
    Ok(by_magic(kind))
}

fn by_magic(kind: u64) -> Filesystem {
    let name = match kind {
        0x6969 => "NFS",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x517b => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0102_1997 => "9P",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0x786f_4256 => "vboxsf (a shared folder of VirtualBox)",
        0x7c7c_6673 => "prl_fs (a shared folder of Parallels)",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x1983_0326 => "BeeGFS",
        // Docker Desktop's, over its FUSE.
        0x6a65_6a63 => return Filesystem::Unseen("fakeowner".into()),
        _ => return Filesystem::Disk,
    };
    Filesystem::Network(name.into())
}

/// Whether whoever writes to a file is seen by this kernel, so that a lease tells of them.
pub(crate) fn sees_all_writers(file: &File) -> bool {
    matches!(filesystem(file), Ok(Filesystem::Disk))
}

/// The type and the source of the mount that a file lies on, as mountinfo tells; `None` if nothing does.
fn mount_of(file: &File) -> Option<(String, String)> {
    let device = file.metadata().ok()?.dev();
    let device = format!("{}:{}", major(device), minor(device));
    mount_in(
        &std::fs::read_to_string("/proc/self/mountinfo").ok()?,
        &device,
    )
}

/// See proc(5): behind a lone dash come the type and the source.
fn mount_in(mountinfo: &str, device: &str) -> Option<(String, String)> {
    let mut of_device = mountinfo
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(device));
    let (_, behind) = of_device.next()?.split_once(" - ")?;
    let mut behind = behind.split(' ').map(str::to_owned);
    Some((behind.next()?, behind.next().unwrap_or_default()))
}

/// What FUSE filesystems on other hosts have in their type or source.
const REMOTE: [&str; 34] = [
    "afpfs",
    "blobfuse",
    "ceph",
    "curlftpfs",
    "cvmfs",
    "davfs",
    "drive",
    "ftpfs",
    "gcsfuse",
    "geesefs",
    "gluster",
    "goofys",
    "gvfsd",
    "hadoop",
    "hdfs",
    "juicefs",
    "kio-fuse",
    "lizardfs",
    "mfs",
    "moosefs",
    "mountpoint-s3",
    "nfs",
    "onedrive",
    "prl_fs",
    "quobyte",
    "rclone",
    "s3",
    "saunafs",
    "seaweedfs",
    "smb",
    "sshfs",
    "tigrisfs",
    "vmhgfs",
    "webdav",
];

fn behind_fuse(kind: &str, source: &str) -> Filesystem {
    let named = kind.strip_prefix("fuse.").unwrap_or(kind);
    let is_remote = |name: &str| {
        let begins = |text: &str| text.to_ascii_lowercase().starts_with(name);
        begins(named) || (named == "fuse" && begins(source))
    };
    // `host:/path` and `https://…`; a local source is a path, or a word.
    let is_address = match source.split_once(':') {
        Some((host, path)) => !host.contains('/') && path.starts_with('/'),
        None => false,
    };
    match is_address || REMOTE.into_iter().any(is_remote) {
        true => Filesystem::Network(match named {
            "fuse" => format!("FUSE of {source}"),
            named => named.to_owned(),
        }),
        false => Filesystem::Unseen(kind.to_owned()),
    }
}

/// Whether the system tells of processes and locks.
pub(crate) fn tells_of_processes() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// The path that an open folder has by now; `None` if it has none.
pub(crate) fn of(folder: &File) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok()?;
    path.exists().then_some(path)
}

/// What forbids that a file is replaced, or that files are made and removed in a folder: an attribute that
/// chattr(1) sets.
pub(crate) fn forbidding_attribute(path: &Path) -> io::Result<Option<&'static str>> {
    let wanted = StatxFlags::BASIC_STATS;
    let has = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)?.stx_attributes;
    Ok(if has.contains(StatxAttributes::IMMUTABLE) {
        Some("immutable: take that away with chattr -i")
    } else if has.contains(StatxAttributes::APPEND) {
        Some("append-only: take that away with chattr -a")
    } else {
        None
    })
}

/// Whether a file is mounted by itself, so that nothing can take its place.
pub(crate) fn is_mounted_alone(path: &Path) -> io::Result<bool> {
    let wanted = StatxFlags::BASIC_STATS;
    let statx = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)?;
    Ok(statx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Filesystem) {
        let mountinfo = format!(
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n97 27 0:48 / /mnt/a\\040b rw,nosuid shared:3 {line} rw\n"
        );
        let (kind, source) = mount_in(&mountinfo, "0:48").unwrap();
        assert_eq!(behind_fuse(&kind, &source), expected, "{line}");
    }

    #[test]
    fn fuse_is_told_apart_by_what_mountinfo_says_of_it() {
        let unseen = |kind: &str| Filesystem::Unseen(kind.into());
        check("- fuse.grpcfuse grpcfuse", unseen("fuse.grpcfuse"));
        check("- virtiofs virtiofs0", unseen("virtiofs"));
        check("- fuse.osxfs osxfs", unseen("fuse.osxfs"));
        check("- fuseblk /dev/sda1", unseen("fuseblk"));
        check("- fuse.bindfs /home/a:b", unseen("fuse.bindfs"));
        check("- fuse.encfs encfs", unseen("fuse.encfs"));

        let network = |name: &str| Filesystem::Network(name.into());
        check("- fuse.sshfs me@host:/home/me", network("sshfs"));
        check("- fuse.sshfs host:", network("sshfs"));
        check("- fuse.rclone remote:bucket", network("rclone"));
        check("- fuse.s3fs s3fs", network("s3fs"));
        check("- fuse.glusterfs host:/volume", network("glusterfs"));
        check("- fuse mountpoint-s3", network("FUSE of mountpoint-s3"));
        check(
            "- fuse https://dav.example/x",
            network("FUSE of https://dav.example/x"),
        );
        check("- fuse.other host:/x", network("other"));
    }

    /// As linux/magic.h and the makers of the others have them.
    #[test]
    fn what_is_on_other_hosts_is_told_by_its_number() {
        for (kind, name) in [
            (0x6969, "NFS"),
            (0xff53_4d42, "CIFS"),
            (0xfe53_4d42, "SMB2"),
            (0x0102_1997, "9P"),
            (0x786f_4256, "vboxsf (a shared folder of VirtualBox)"),
            (0x7c7c_6673, "prl_fs (a shared folder of Parallels)"),
            (0x0bd0_0bd0, "Lustre"),
            (0x4750_4653, "GPFS"),
            (0x1983_0326, "BeeGFS"),
        ] {
            assert_eq!(by_magic(kind), Filesystem::Network(name.into()), "{kind:x}");
        }
        for (disk, kind) in [
            ("ext4", 0xef53),
            ("xfs", 0x5846_5342),
            ("tmpfs", 0x0102_1994),
        ] {
            assert_eq!(by_magic(kind), Filesystem::Disk, "{disk}");
        }
    }

    #[test]
    fn of_a_device_that_mountinfo_does_not_name_nothing_is_told() {
        assert_eq!(
            mount_in("22 27 0:21 / /proc rw - proc proc rw\n", "0:48"),
            None
        );
        assert_eq!(mount_in("torn 27 0:48", "0:48"), None);
    }
}
