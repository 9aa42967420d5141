//! Pipes: waiting until there is something to do, and how much that is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread};

/// One end of a pipe, and what is waited for.
#[derive(Clone)]
pub(crate) enum Pipe<'a> {
    /// Something to read, or nobody who could write any more.
    Readable(BorrowedFd<'a>),
    /// Room to write, or nobody who could read any more.
    Writable(BorrowedFd<'a>),
}

/// Waits until one of these pipes is ready, or for so long; which are. What is `None` is never ready.
/// Returns early when a signal handler ran on this thread.
pub(crate) fn ready_within<const N: usize>(
    pipes: [Option<Pipe<'_>>; N],
    time: Duration,
) -> io::Result<[bool; N]> {
    let (_, ready) = ready_beside(None, pipes, time)?;
    Ok(ready)
}

/// Waits as [`ready_within`] does, also until another descriptor is readable; whether that is, and
/// which of the pipes are.
pub(in crate::sys) fn ready_beside<const N: usize>(
    other: Option<BorrowedFd<'_>>,
    pipes: [Option<Pipe<'_>>; N],
    time: Duration,
) -> io::Result<(bool, [bool; N])> {
    let other = other.map(Pipe::Readable);
    let mut descriptors: Vec<PollFd<'_>> = [&other]
        .into_iter()
        .chain(&pipes)
        .flatten()
        .map(|pipe| match pipe {
            Pipe::Readable(end) => PollFd::from_borrowed_fd(*end, PollFlags::IN),
            Pipe::Writable(end) => PollFd::from_borrowed_fd(*end, PollFlags::OUT),
        })
        .collect();
    let time = Timespec::try_from(time).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    });
    match poll(&mut descriptors, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut polled = descriptors
        .iter()
        .map(|polled| !polled.revents().is_empty());
    let mut is_ready =
        |pipe: Option<Pipe<'_>>| pipe.is_some() && polled.next().expect("each was polled");
    Ok((is_ready(other), pipes.map(is_ready)))
}

/// From now on, what would have to wait fails with [`io::ErrorKind::WouldBlock`] instead.
pub(crate) fn never_block(pipe: impl AsFd) -> io::Result<()> {
    Ok(ioctl_fionbio(pipe, true)?)
}

/// How many bytes a pipe holds now.
pub(crate) fn bytes_in(pipe: impl AsFd) -> io::Result<u64> {
    Ok(ioctl_fionread(pipe)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn each_pipe_is_told_apart_and_none_is_never_ready() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let ready = |time| {
            ready_within(
                [
                    None,
                    Some(Pipe::Readable(reader.as_fd())),
                    Some(Pipe::Writable(writer.as_fd())),
                ],
                time,
            )
            .unwrap()
        };
        assert_eq!(ready(Duration::MAX), [false, false, true]);
        (&writer).write_all(b"xy").unwrap();
        assert_eq!(ready(Duration::ZERO), [false, true, true]);
        assert_eq!(bytes_in(&reader).unwrap(), 2);

        reader.read_exact(&mut [0; 2]).unwrap();
        let is_readable = [Some(Pipe::Readable(reader.as_fd()))];
        assert_eq!(
            ready_within(is_readable, Duration::from_millis(1)).unwrap(),
            [false]
        );
        never_block(&reader).unwrap();
        let empty = reader.read(&mut [0]).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        writer.flush().unwrap();
    }
}
