//! Whose fault a failure may be: the file's, which counts towards its quarantine, or the house's, which does not.
//! A full disk or a lost database must not quarantine all that arrives meanwhile.

use std::{error::Error as StdError, fmt, io};

use crate::error::{Error, ErrorKind};

/// For the queue and for people; never the error's text.
pub(super) fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Internal => "internal",
        ErrorKind::Input => "input",
        ErrorKind::Missing => "missing",
        ErrorKind::Setup => "setup",
        ErrorKind::Refused => "refused",
        ErrorKind::Damaged => "damaged",
        ErrorKind::Retry => "retry",
    }
}

pub(super) fn may_be_the_files(error: &Error) -> bool {
    let of_the_house = matches!(error.kind(), ErrorKind::Setup | ErrorKind::Retry) || is_of_the_house(error);
    !of_the_house
}

/// Marks what failed before the file was looked at: the tenant's rooms do not open, its key is disabled.
pub(super) fn of_the_house(error: Error) -> Error {
    Error::new(error.kind(), "").with_source(OfTheHouse(error))
}

/// What a disk, a network or a process without room does. An object that is missing or spoilt is the delivery's own trouble.
fn is_of_the_house(error: &(dyn StdError + 'static)) -> bool {
    error.is::<OfTheHouse>()
        || error.downcast_ref::<io::Error>().is_some_and(|error| OF_THE_HOUSE.contains(&error.kind()))
        || error.source().is_some_and(is_of_the_house)
}

const OF_THE_HOUSE: [io::ErrorKind; 14] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::OutOfMemory,
    io::ErrorKind::ResourceBusy,
    io::ErrorKind::TimedOut,
    io::ErrorKind::NotConnected,
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::BrokenPipe,
];

#[derive(Debug)]
struct OfTheHouse(Error);

impl fmt::Display for OfTheHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for OfTheHouse {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_lost_race_and_a_disabled_key_are_not_the_files_fault() {
        let disk = Error::new(ErrorKind::Internal, "write").with_source(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!may_be_the_files(&disk));
        assert!(!may_be_the_files(&Error::new(ErrorKind::Retry, "lost its race")));
        assert!(!may_be_the_files(&Error::setup("no such folder")));
        let disabled = of_the_house(Error::new(ErrorKind::Refused, "key is disabled"));
        assert!(!may_be_the_files(&disabled));
        assert_eq!((kind(&disabled), disabled.to_string().as_str()), ("refused", "key is disabled"));
    }

    #[test]
    fn a_damaged_or_missing_object_and_a_bug_may_be() {
        assert!(may_be_the_files(&Error::new(ErrorKind::Damaged, "does not open")));
        assert!(may_be_the_files(&Error::new(ErrorKind::Internal, "rows were parsed and not written")));
        let missing = Error::input("object store").with_source(io::Error::from(io::ErrorKind::NotFound));
        assert!(may_be_the_files(&missing));
    }
}
