//! Whose fault an error of the system is: this machine's, the image's, or its source's.

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};

use rustix::io::Errno;

use super::FetchError;

/// This machine is out of something that it will have again: descriptors, memory, threads, buffers,
/// disk, ports.
const LOCAL: [Errno; 8] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOMEM,
    Errno::AGAIN,
    Errno::NOBUFS,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::ADDRNOTAVAIL,
];

/// True of the name or of what it names, however often it is tried.
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

/// What an error of reading a file means. What is neither its own nor this machine's fault is the
/// share's (EIO, ESTALE, ENOTCONN, ETIMEDOUT, ENODEV).
pub(super) fn of_file(error: &io::Error) -> FetchError {
    let is =
        |kinds: &[Errno]| Errno::from_io_error(error).is_some_and(|errno| kinds.contains(&errno));
    match error.kind() {
        _ if is(&LOCAL) => FetchError::Local(out_of(error)),
        // A name with a NUL has no errno: the system is never asked.
        _ if is(&PERMANENT) => FetchError::Unreadable(format!("the file cannot be read: {error}")),
        ErrorKind::InvalidInput => {
            FetchError::Unreadable(format!("the file cannot be read: {error}"))
        }
        ErrorKind::OutOfMemory => FetchError::Local(out_of(error)),
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            FetchError::NotThere("the file is not there".into())
        }
        ErrorKind::PermissionDenied => {
            FetchError::Denied("permission to read the file is denied".into())
        }
        _ => FetchError::Outage(format!("reading failed: {error}")),
    }
}

/// The fault of this machine that `error` comes from, if it comes from one.
pub(super) fn local(error: &(dyn Error + 'static)) -> Option<FetchError> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            if Errno::from_io_error(io).is_some_and(|errno| LOCAL.contains(&errno)) {
                return Some(FetchError::Local(out_of(io)));
            }
            // The source of an I/O error that wraps another error is that error's source: it would
            // be stepped over.
            if let Some(found) = io.get_ref().and_then(|wrapped| local(wrapped)) {
                return Some(found);
            }
        }
        cause = inner.source();
    }
    None
}

/// Whether this machine is out of descriptors now. Resolving a name needs some, and does not say
/// that it found none.
pub(super) fn no_descriptors() -> Option<FetchError> {
    let error = File::open("/dev/null").err()?;
    local(&error)
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
    fn a_fault_is_the_machines_the_images_or_its_sources() {
        for errno in LOCAL {
            assert!(matches!(of(errno), FetchError::Local(_)), "{errno:?}");
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
        assert!(matches!(of(Errno::NOENT), FetchError::NotThere(_)));
        assert!(matches!(of(Errno::NOTDIR), FetchError::NotThere(_)));
        assert!(matches!(of(Errno::ACCESS), FetchError::Denied(_)));
        assert!(matches!(of(Errno::PERM), FetchError::Denied(_)));
    }

    #[test]
    fn a_fault_of_this_machine_is_found_however_deep_it_lies() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);

        let full = || io::Error::from(Errno::MFILE);
        for error in [
            Outer(full()),
            Outer(io::Error::other(full())),
            Outer(io::Error::other(Outer(io::Error::other(Outer(full()))))),
        ] {
            let Some(FetchError::Local(reason)) = local(&error) else { panic!("{error:?}") };
            assert!(reason.contains("out of file descriptors"), "{reason}");
        }
        assert!(local(&Outer(Errno::CONNREFUSED.into())).is_none());
        assert!(no_descriptors().is_none());
    }
}
