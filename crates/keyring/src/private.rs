//! A file that only its user can read, and that is there whole or not at all, whatever crashes.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::KeyringError;

/// Longer than anything that is kept here, in bytes: rosters are the longest.
const LONGEST: usize = 512 * 1_024;
/// What most files fit into.
const USUAL: usize = 8 * 1_024;
/// What the names of files begin with that are being written. After a crash they stay, until [`sweep`].
const UNFINISHED: &str = ".unfinished-";

/// Makes a directory that only this user can enter; one that is there must be so already.
///
/// # Errors
///
/// [`KeyringError::Loose`] if others can enter it, [`KeyringError::Unwritable`] if it cannot be made.
pub fn make_dir(dir: &Path) -> Result<(), KeyringError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(unwritable(dir))?;
    is_private(dir, &fs::metadata(dir).map_err(unreadable(dir))?, 0o700)
}

/// Holds a directory for one program at a time, until the returned file is dropped.
///
/// # Errors
///
/// [`KeyringError::Unwritable`] if it cannot be held.
pub fn lock(dir: &Path) -> Result<File, KeyringError> {
    lock_file(&dir.join("lock"))
}

/// The same for what a file stands for, which is made if it is not there.
///
/// # Errors
///
/// [`KeyringError::Unwritable`] if it cannot be held.
pub fn lock_file(path: &Path) -> Result<File, KeyringError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(unwritable(path))?;
    file.lock().map_err(unwritable(path))?;
    Ok(file)
}

/// Reads a whole file, if nobody else can.
///
/// # Errors
///
/// [`KeyringError::Loose`] if others can read it, [`KeyringError::Unreadable`] if it is not there.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let file = File::open(path).map_err(unreadable(path))?;
    is_private(path, &file.metadata().map_err(unreadable(path))?, 0o600)?;
    // The room for a secret is taken at once: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(USUAL));
    file.take(LONGEST as u64).read_to_end(&mut content).map_err(unreadable(path))?;
    Ok(content)
}

/// Writes a file that is not there yet.
///
/// # Errors
///
/// [`KeyringError::Exists`] if it is there, [`KeyringError::Unwritable`] if it is not on the disk.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), KeyringError> {
    let (dir, file) = written(path, content)?;
    file.persist_noclobber(path).map_err(|error| {
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            KeyringError::Exists { path: path.to_owned() }
        } else {
            unwritable(path)(error.error)
        }
    })?;
    sync(&dir)
}

/// Writes a file in place of the one that may be there.
///
/// # Errors
///
/// [`KeyringError::Unwritable`] if it is not on the disk.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), KeyringError> {
    let (dir, file) = written(path, content)?;
    file.persist(path).map_err(|error| unwritable(path)(error.error))?;
    sync(&dir)
}

/// Writes over a file's own bytes, which a new file would leave on the disk: with the content, and with zeros to where it
/// ended. A crash in between leaves a part, or the zeros.
///
/// # Errors
///
/// [`KeyringError::Unwritable`] if the file is not there, or cannot be written.
pub fn overwrite(path: &Path, content: &[u8]) -> Result<(), KeyringError> {
    let write = || {
        let mut file = File::options().write(true).open(path)?;
        io::copy(&mut padded(content, file.metadata()?.len()), &mut file)?;
        // Blocks that are given back before they are written keep what they held.
        file.sync_all()?;
        file.set_len(content.len() as u64)
    };
    write().map_err(unwritable(path))
}

/// The same, and writes over what the file held before: a hard disk keeps nothing of it. Flash memory, file systems that
/// copy on write, and backups may.
pub(crate) fn replace_wiping(path: &Path, content: &[u8]) -> Result<(), KeyringError> {
    let mut before = File::options().write(true).open(path).map_err(unwritable(path))?;
    let length = before.metadata().map_err(unreadable(path))?.len().min(LONGEST as u64);
    // The new file is whole and in place before the old one loses anything.
    replace(path, content)?;
    io::copy(&mut io::repeat(0).take(length), &mut before)
        .and_then(|_| before.sync_all())
        .map_err(unwritable(path))
}

/// Deletes what a crash has left unfinished in a directory, keys perhaps; its lock must be held.
pub(crate) fn sweep(dir: &Path) -> Result<(), KeyringError> {
    let entries = fs::read_dir(dir).map_err(unreadable(dir))?;
    for entry in entries {
        let entry = entry.map_err(unreadable(dir))?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            remove(&entry.path())?;
        }
    }
    sync(dir)
}

/// Puts a file in the place of another one of its directory.
pub(crate) fn promote(from: &Path, to: &Path) -> Result<(), KeyringError> {
    fs::rename(from, to).map_err(unwritable(to))?;
    sync(to.parent().unwrap_or(Path::new(".")))
}

/// Deletes a directory and all that is in it; one that is gone already is as well.
///
/// # Errors
///
/// [`KeyringError::Unwritable`] if something stays.
pub fn remove_dir(dir: &Path) -> Result<(), KeyringError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(dir)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Deletes a file; one that is gone already is as well.
///
/// # Errors
///
/// [`KeyringError::Unwritable`] if it stays.
pub fn remove(path: &Path) -> Result<(), KeyringError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The files of a directory whose names end in `.suffix`, in order.
///
/// # Errors
///
/// [`KeyringError::Unreadable`] if the directory cannot be listed.
pub fn list(dir: &Path, suffix: &str) -> Result<Vec<PathBuf>, KeyringError> {
    let entries = fs::read_dir(dir).map_err(unreadable(dir))?;
    let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(unreadable(dir))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == suffix));
    paths.sort();
    Ok(paths)
}

/// The content, and zeros after it up to this length.
fn padded(content: &[u8], length: u64) -> impl io::Read {
    content.chain(io::repeat(0).take(length.saturating_sub(content.len() as u64)))
}

/// The content in a nameless neighbour of the file, of mode 0600, on the disk.
fn written(path: &Path, content: &[u8]) -> Result<(PathBuf, NamedTempFile), KeyringError> {
    let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&dir).map_err(unwritable(path))?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(unwritable(path))?;
    Ok((dir, file))
}

/// Puts a directory's new entries on the disk.
#[cfg(unix)]
fn sync(dir: &Path) -> Result<(), KeyringError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(unwritable(dir))
}

/// Elsewhere the file system alone answers for it.
#[cfg(not(unix))]
fn sync(_dir: &Path) -> Result<(), KeyringError> {
    Ok(())
}

#[cfg(unix)]
fn is_private(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), KeyringError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::Loose { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

/// Elsewhere a mode says nothing.
#[cfg(not(unix))]
fn is_private(_path: &Path, _metadata: &fs::Metadata, _wanted: u32) -> Result<(), KeyringError> {
    Ok(())
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> KeyringError {
    move |source| KeyringError::Unreadable { path: path.to_owned(), source }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> KeyringError {
    move |source| KeyringError::Unwritable { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_a_longer_file_reaches_to_its_end() {
        let over = |content: &[u8], length| {
            let mut over = Vec::new();
            padded(content, length).read_to_end(&mut over).unwrap();
            over
        };
        assert_eq!(over(b"ended", 9), b"ended\0\0\0\0");
        assert_eq!(over(b"longer", 3), b"longer");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        for (before, content) in
            [(&b"a sealed code"[..], &b"ended"[..]), (b"ended", b"a sealed code"), (b"", b"")]
        {
            fs::write(&path, before).unwrap();
            overwrite(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }
}
