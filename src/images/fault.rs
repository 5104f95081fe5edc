//! Classifies errors of the operating system: a shortage of this machine, a fault of the image, or
//! an outage of its source.

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};

use rustix::io::Errno;

use super::FetchError;

/// Temporary shortages of this machine: descriptors, memory, threads, buffers, disk, ports.
const SHORTAGES: [Errno; 8] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOMEM,
    Errno::AGAIN,
    Errno::NOBUFS,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::ADDRNOTAVAIL,
];

/// Permanent faults of the name or of the file: retrying does not help.
const PERMANENT: [Errno; 8] = [
    Errno::NAMETOOLONG,
    Errno::LOOP,
    Errno::ISDIR,
    Errno::INVAL,
    Errno::ILSEQ,
    Errno::OVERFLOW,
    Errno::FBIG,
    Errno::NXIO,
];

/// Classifies an error of reading a file. Errors that are neither permanent nor a shortage are
/// outages of the file system (EIO, ESTALE, ENOTCONN, ETIMEDOUT, ENODEV).
pub(super) fn of_file(error: &io::Error) -> FetchError {
    let is =
        |kinds: &[Errno]| Errno::from_io_error(error).is_some_and(|errno| kinds.contains(&errno));
    match error.kind() {
        _ if is(&SHORTAGES) => FetchError::Shortage(out_of(error)),
        // A name with a NUL has no errno: it never reaches the operating system.
        _ if is(&PERMANENT) => FetchError::Unreadable(format!("the file cannot be read: {error}")),
        ErrorKind::InvalidInput => {
            FetchError::Unreadable(format!("the file cannot be read: {error}"))
        }
        ErrorKind::OutOfMemory => FetchError::Shortage(out_of(error)),
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            FetchError::NotFound("the file does not exist".into())
        }
        ErrorKind::PermissionDenied => {
            FetchError::Denied("permission to read the file is denied".into())
        }
        _ => FetchError::Outage(format!("reading the file failed: {error}")),
    }
}

/// The shortage of this machine that caused `error`, if one did.
pub(super) fn shortage(error: &(dyn Error + 'static)) -> Option<FetchError> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            if Errno::from_io_error(io).is_some_and(|errno| SHORTAGES.contains(&errno)) {
                return Some(FetchError::Shortage(out_of(io)));
            }
            // `source()` of an I/O error that wraps another error skips the wrapped error: look at
            // it here.
            if let Some(found) = io.get_ref().and_then(|wrapped| shortage(wrapped)) {
                return Some(found);
            }
        }
        cause = inner.source();
    }
    None
}

/// Whether this machine is out of descriptors now. Name resolution needs some, and its errors do
/// not say so.
pub(super) fn no_descriptors() -> Option<FetchError> {
    let error = File::open("/dev/null").err()?;
    shortage(&error)
}

fn out_of(error: &io::Error) -> String {
    let what = match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            "file descriptors: raise the limit (ulimit -n) or lower worker.in_flight"
        }
        Some(Errno::NOSPC | Errno::DQUOT) => "disk",
        Some(Errno::ADDRNOTAVAIL) => "local ports",
        _ => "memory or threads",
    };
    format!("this machine is out of {what} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno) -> FetchError {
        of_file(&errno.into())
    }

    #[test]
    fn an_error_is_a_shortage_of_the_machine_or_a_fault_of_the_image_or_its_source() {
        for errno in SHORTAGES {
            assert!(matches!(of(errno), FetchError::Shortage(_)), "{errno:?}");
        }
        for errno in PERMANENT {
            assert!(matches!(of(errno), FetchError::Unreadable(_)), "{errno:?}");
        }
        for errno in [
            Errno::IO,
            Errno::STALE,
            Errno::NOTCONN,
            Errno::TIMEDOUT,
            Errno::NODEV,
            Errno::HOSTDOWN,
        ] {
            assert!(matches!(of(errno), FetchError::Outage(_)), "{errno:?}");
        }
        assert!(matches!(of(Errno::NOENT), FetchError::NotFound(_)));
        assert!(matches!(of(Errno::NOTDIR), FetchError::NotFound(_)));
        assert!(matches!(of(Errno::ACCESS), FetchError::Denied(_)));
        assert!(matches!(of(Errno::PERM), FetchError::Denied(_)));
    }

    #[test]
    fn a_shortage_is_found_at_any_depth_of_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);

        let full = || io::Error::from(Errno::MFILE);
        for error in [
            Outer(full()),
            Outer(io::Error::other(full())),
            Outer(io::Error::other(Outer(io::Error::other(Outer(full()))))),
        ] {
            let Some(FetchError::Shortage(reason)) = shortage(&error) else { panic!("{error:?}") };
            assert!(reason.contains("out of file descriptors"), "{reason}");
        }
        assert!(shortage(&Outer(Errno::CONNREFUSED.into())).is_none());
        assert!(no_descriptors().is_none());
    }
}
