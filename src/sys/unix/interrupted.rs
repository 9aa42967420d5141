//! Calls that a signal interrupted, where neither std nor rustix makes them again.

use std::io;

/// Makes a call until no signal interrupts it.
pub(crate) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            made => return made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_made_until_it_is_not_interrupted_and_no_other_error_is_tried_again() {
        let mut answers = vec![Ok(7), Err(libc::EIO), Err(libc::EINTR), Err(libc::EINTR)];
        let mut call = || again(|| answers.pop().unwrap().map_err(io::Error::from_raw_os_error));
        assert_eq!(call().unwrap_err().raw_os_error(), Some(libc::EIO));
        assert_eq!(call().unwrap(), 7);
    }
}
