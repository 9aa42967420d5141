//! A disk of a test's own: a filesystem in a sparse image, on a loop device, mounted on a folder that
//! goes away with it. Its power can be cut.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command_line::wait_until;

/// What the disk is formatted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Ext4,
    Xfs,
}

pub struct Disk {
    /// Holds the image and the mount point.
    folder: tempfile::TempDir,
    device: String,
    options: &'static str,
    /// The image lies on a filesystem of its own, which is smaller than the image says it is.
    is_thin: bool,
    is_mounted: bool,
}

impl Disk {
    /// A disk with a filesystem that is mounted with these options. That takes root and the
    /// filesystem's tools; without them the test is skipped, and says so.
    pub fn new(format: Format, options: &'static str) -> Option<Disk> {
        Disk::in_memory(format, options, false)
    }

    /// A disk that claims to be larger than what it lies on, once [`Disk::leave_room`] has limited
    /// that: writes end in the page cache, and only a sync finds out that there is no room.
    pub fn thin(format: Format) -> Option<Disk> {
        Disk::in_memory(format, "", true)
    }

    fn in_memory(format: Format, options: &'static str, is_thin: bool) -> Option<Disk> {
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        for name in ["below", "mounted"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut disk = Disk {
            folder,
            device: String::new(),
            options,
            is_thin: false,
            is_mounted: false,
        };
        if let Err(why) = disk.set_up(format, is_thin) {
            eprintln!("SKIPPED: no {format:?} disk of its own, which takes root and mkfs: {why}");
            return None;
        }
        Some(disk)
    }

    fn set_up(&mut self, format: Format, is_thin: bool) -> Result<(), String> {
        see_mounts_alone()?;
        let below = self.below();
        if is_thin {
            say("mount", &["-t", "tmpfs", "none"], &below)?;
            self.is_thin = true;
        }
        let image = below.join("image");
        // XFS refuses to be smaller.
        let size = match format {
            Format::Ext4 => 64 << 20,
            Format::Xfs => 300 << 20,
        };
        File::create(&image)
            .and_then(|file| file.set_len(size))
            .map_err(|error| error.to_string())?;
        match format {
            // What the filesystem itself needs is there from the beginning, on a thin disk too.
            Format::Ext4 => say(
                "mkfs.ext4",
                &[
                    "-q",
                    "-E",
                    "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
                ],
                &image,
            )?,
            Format::Xfs => say("mkfs.xfs", &["-q", "-K"], &image)?,
        };
        self.device = say("losetup", &["-f", "--show"], &image)?;
        if is_thin {
            // A loop device calls a write a success of which only the beginning found room, which is
            // a lie that nobody can see through. A single page has room or has not.
            let name = self.device.trim_start_matches("/dev/");
            std::fs::write(format!("/sys/block/{name}/queue/max_sectors_kb"), "4")
                .map_err(|error| format!("max_sectors_kb: {error}"))?;
        }
        self.mount()
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// Leaves a thin disk so many bytes for what it does not hold yet.
    #[track_caller]
    pub fn leave_room(&self, bytes: u64) {
        use std::os::unix::fs::MetadataExt;
        assert!(self.is_thin);
        let image = std::fs::metadata(self.below().join("image")).unwrap();
        let options = format!("remount,size={}", image.blocks() * 512 + bytes);
        say("mount", &["-o", &options], &self.below()).unwrap();
    }

    fn below(&self) -> PathBuf {
        self.folder.path().join("below")
    }

    /// From now on nothing reaches the disk: what the page cache and the filesystem's log hold is
    /// lost.
    #[track_caller]
    pub fn cut_power(&self) {
        use rustix::ioctl::{Setter, ioctl, opcode};
        // From linux/fs.h; both filesystems take it.
        const SHUTDOWN: u32 = opcode::read::<u32>(b'X', 125);
        const WITHOUT_FLUSHING_THE_LOG: u32 = 2;
        let root = File::open(self.path()).unwrap();
        // SAFETY: this request reads one u32 through the pointer, whatever its direction bits say
        // (it is `_IOR` in linux/fs.h, and `get_user` in both filesystems).
        #[allow(unsafe_code)]
        unsafe { ioctl(root, Setter::<SHUTDOWN, u32>::new(WITHOUT_FLUSHING_THE_LOG)) }.unwrap();
    }

    /// Unmounts the disk and mounts it again, which replays its log. Nobody has a file on it open.
    #[track_caller]
    pub fn mount_again(&mut self) {
        self.unmount();
        self.mount().unwrap();
    }

    fn mount(&mut self) -> Result<(), String> {
        let options = if self.options.is_empty() {
            "defaults"
        } else {
            self.options
        };
        say("mount", &["-o", options, &self.device], &self.path())?;
        self.is_mounted = true;
        Ok(())
    }

    #[track_caller]
    fn unmount(&mut self) {
        // A command that was killed a moment ago may not be gone altogether.
        wait_until("the disk can be unmounted", || {
            say("umount", &[], &self.path()).is_ok() || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
        });
        self.is_mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // After a failed test somebody may still be on it: the device goes with its last user.
        let mut complaints = Vec::new();
        if self.is_mounted {
            complaints.extend(say("umount", &["-l"], &self.path()).err());
        }
        if !self.device.is_empty() {
            complaints.extend(say("losetup", &["-d"], Path::new(&self.device)).err());
        }
        if self.is_thin {
            complaints.extend(say("umount", &["-l"], &self.below()).err());
        }
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "{complaints:?}");
        }
    }
}

/// Runs a tool to its end, and gives back what it said.
/// What this thread and its processes mount is in no other mount namespace. A copy of it there, which another test
/// makes, would keep the filesystem after it was unmounted here, shut down as it is.
fn see_mounts_alone() -> Result<(), String> {
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("unshare: {error}"))?;
    say("mount", &["--make-rprivate"], Path::new("/")).map(drop)
}

fn say(tool: &str, arguments: &[&str], path: &Path) -> Result<String, String> {
    let output = Command::new(tool)
        .args(arguments)
        .arg(path)
        .output()
        .map_err(|error| format!("{tool}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{tool}: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
