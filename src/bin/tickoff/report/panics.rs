//! A workbook's rows go to a temporary file, and the crate that writes them panics when that fails: a
//! full disk would look like a defect. Here it becomes the error that it is.

use std::any::Any;
use std::io;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};

/// How that crate begins to say so; what follows is the system's error as `Debug` shows it.
const SAYS: &str = "Couldn't write to xml file: ";

/// What it returns, or the system's error. Any other panic goes on. From the first call on, the
/// program does not tell of panics that are such an error.
pub fn caught<T>(write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if reason(panic.payload()).is_none() {
            tell(panic);
        }
    }));
    // What it was writing is thrown away as a whole.
    match catch_unwind(AssertUnwindSafe(write)) {
        Ok(written) => written,
        Err(panic) => match reason(&*panic) {
            Some(error) => Err(error),
            None => resume_unwind(panic),
        },
    }
}

fn reason(panic: &(dyn Any + Send)) -> Option<io::Error> {
    let reason = panic.downcast_ref::<String>()?.strip_prefix(SAYS)?;
    let code = reason
        .split_once("code: ")
        .and_then(|(_, code)| code.split(',').next()?.parse().ok());
    Some(code.map_or_else(
        || io::Error::other(reason.to_owned()),
        io::Error::from_raw_os_error,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_is_an_error_and_another_panic_stays_one() {
        let full = || io::Error::from_raw_os_error(28);
        let fails = || -> io::Result<io::Result<()>> { Err(full()) };
        let error = caught(|| fails().expect("Couldn't write to xml file")).unwrap_err();
        assert_eq!(error.to_string(), full().to_string());
        assert_eq!(caught(|| Ok(7)).unwrap(), 7);
        let defect = || caught::<()>(|| panic!("a defect"));
        let panic = catch_unwind(defect).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "a defect");
    }
}
