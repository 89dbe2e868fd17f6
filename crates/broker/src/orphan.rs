//! A server that outlived the program that started it, known again by the record that was left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::directory::{Claim, ClaimError, Files};
use crate::process::{Process, ProcessError};

/// Why a server that was left behind could not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum OrphanError {
    /// The directory is in use, or cannot be used.
    #[error(transparent)]
    Claim(ClaimError),
    /// The record of the last server cannot be read or removed.
    #[error(
        "cannot use {}: see whether a nats-server of this directory still runs, stop it, then remove the file",
        path.display()
    )]
    Record {
        /// The record.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server is there and cannot be ended.
    #[error("cannot stop the nats-server that was left behind")]
    Process(#[source] ProcessError),
}

/// `broker.json`: which process is the server of a directory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: u32,
    pub(crate) started: String,
    pub(crate) exe: PathBuf,
    pub(crate) port: Option<u16>,
    pub(crate) store: PathBuf,
}

/// Stops the server that an earlier program left running in `dir`, and returns its pid.
///
/// A process is only ever signalled if it is the recorded one: same pid, same start, a nats-server, and
/// started with this directory's configuration. Returns `None` if there is none, and forgets a stale record.
///
/// # Errors
///
/// [`OrphanError::Claim`] if its program still lives, so that it is no orphan; else if it cannot be ended.
pub async fn stop_orphan(dir: &Path) -> Result<Option<u32>, OrphanError> {
    let claim = Claim::take(dir).map_err(OrphanError::Claim)?;
    stop(&claim.files).await
}

/// [`stop_orphan`] for the one who holds the directory.
pub(crate) async fn stop(files: &Files) -> Result<Option<u32>, OrphanError> {
    let path = files.record();
    let refused = |source| OrphanError::Record { path: path.clone(), source };
    let record: Record = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| refused(error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    let process = Process::with_pid(record.pid).map_err(OrphanError::Process)?;
    let orphan = process.filter(|process| record.is_of(process, files));
    if let Some(orphan) = &orphan {
        orphan.end().await.map_err(OrphanError::Process)?;
    }
    files.remove_traces().map_err(refused)?;
    Ok(orphan.map(|orphan| orphan.pid))
}

impl Record {
    fn is_of(&self, process: &Process, files: &Files) -> bool {
        // A wrapper script is recorded while it starts, and has become a nats-server since.
        let name = process.exe.file_name().unwrap_or_default().to_string_lossy();
        let is_nats_server = process.exe == self.exe || name.starts_with("nats-server");
        self.pid == process.pid
            && self.started == process.started
            && is_nats_server
            && process.was_given(&files.configuration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_recorded_one_only_if_everything_fits() {
        let files = Files::of("/home/a/broker");
        let server = |change: fn(&mut Process)| {
            let mut process = Process {
                pid: 42,
                started: "77123".to_owned(),
                exe: PathBuf::from("/opt/nats-server"),
                command: "/opt/nats-server -c /home/a/broker/nats-server.conf ".to_owned(),
            };
            change(&mut process);
            process
        };
        let record = Record {
            pid: 42,
            started: "77123".to_owned(),
            exe: PathBuf::from("/opt/wrapper"),
            port: None,
            store: files.store(),
        };
        assert!(record.is_of(&server(|_| {}), &files));
        assert!(record.is_of(&server(|process| process.exe = PathBuf::from("/opt/wrapper")), &files));
        assert!(!record.is_of(&server(|process| process.pid = 43), &files));
        assert!(!record.is_of(&server(|process| process.started = "77124".to_owned()), &files));
        assert!(!record.is_of(&server(|process| process.exe = PathBuf::from("/bin/vi")), &files));
        assert!(!record.is_of(&server(|process| process.exe = PathBuf::new()), &files));
        assert!(!record.is_of(&server(|process| process.command = "nats-server -c /b".to_owned()), &files));
    }
}
