//! The room that is left on a disk.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// For who may not use what the file system keeps back.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Of the file system that a folder lies on.
///
/// # Errors
/// `Setup` when the folder is not there or cannot be asked.
pub fn space(folder: &Path) -> Result<Space> {
    let cannot = |error: rustix::io::Errno| {
        let message = format!("the file system of {} does not tell how full it is", folder.display());
        Error::new(ErrorKind::Setup, message).with_source(std::io::Error::from(error))
    };
    let told = rustix::fs::statvfs(folder).map_err(cannot)?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Ok(Space { free_bytes: bytes(told.f_bavail), total_bytes: bytes(told.f_blocks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_and_one_that_is_not_there_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let told = space(folder.path()).unwrap();
        assert!(told.total_bytes > 0 && told.free_bytes <= told.total_bytes, "{told:?}");
        assert_eq!(space(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::Setup);
    }
}
