//! A nats-server that runs as our child, from its start to its orderly end.

use std::fs::{DirBuilder, File};
use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::child;
use crate::config::{Config, User};
use crate::directory::{Claim, ClaimError, Files};
use crate::log::{Log, Reload};
use crate::orphan::{self, OrphanError, Record};
use crate::private;
use crate::process::{self, PATIENCE, Process, ProcessError};
use crate::ready;

/// How long a server may take until it greets.
const START: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A running nats-server. Dropped, it is killed, and gone; what was stored is stored, but [`Broker::stop`] is kinder.
#[derive(Debug)]
#[must_use = "a broker that is dropped is killed"]
pub struct Broker {
    child: Child,
    pid: u32,
    port: u16,
    config: Config,
    // Last, so that the directory is held until the child is killed.
    claim: Claim,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// nats-server without users admits everybody.
    #[error("a broker needs at least one user")]
    NoUsers,
    /// The directory is in use, or cannot be used.
    #[error(transparent)]
    Claim(ClaimError),
    /// The last server of this directory is still there.
    #[error(transparent)]
    Orphan(OrphanError),
    /// Somebody else listens on the port.
    #[error(
        "port {port} of {address} is taken by another program: stop that one (`ss -ltnp` shows it), choose another \
         port, or none for a free one"
    )]
    PortTaken {
        /// The address.
        address: IpAddr,
        /// The port that was asked for.
        port: u16,
    },
    /// A file of the directory cannot be written.
    #[error("cannot write the broker's files into {}", dir.display())]
    Files {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("cannot run {}", program.display())]
    Spawn {
        /// The nats-server.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The new process cannot be looked at.
    #[error("cannot tell which process the new nats-server is")]
    Process(#[source] ProcessError),
    /// The system does not say whether it still runs.
    #[error("cannot wait for nats-server")]
    Wait(#[source] io::Error),
    /// It ended at once.
    #[error("nats-server ended at once ({status}); its log ends:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// It runs and does not greet.
    #[error("nats-server was not ready after {} s; its log ends:\n{log}", START.as_secs())]
    NotReady {
        /// The last lines of its log.
        log: String,
    },
}

/// Why other users were not admitted; the former ones still are.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// nats-server without users admits everybody.
    #[error("a broker needs at least one user")]
    NoUsers,
    /// The configuration cannot be written.
    #[error("cannot write {}", path.display())]
    Configuration {
        /// The configuration.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server is not there to be told.
    #[error("cannot tell nats-server to read its configuration again")]
    Process(#[source] ProcessError),
    /// The server does not take the new configuration.
    #[error("nats-server refuses the new configuration: {said}")]
    Refused {
        /// The reason that it logged.
        said: String,
    },
    /// The server has ended: whoever starts the next one gives it these users.
    #[error("nats-server has ended")]
    Ended,
    /// The server did not say whether it has taken it.
    #[error("nats-server did not read its configuration again within {} s", PATIENCE.as_secs())]
    Unanswered,
}

/// Why a broker was not stopped in order.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It could not be signalled.
    #[error("cannot stop nats-server")]
    Process(#[source] ProcessError),
    /// It could not be killed or waited for.
    #[error("cannot wait for the end of nats-server (process {pid})")]
    Wait {
        /// Its pid.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// It ended, and its traces remain.
    #[error("cannot remove the files of the running nats-server in {}", dir.display())]
    Files {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Broker {
    /// Starts `nats_server` and waits until it greets; before that, stops what an earlier program left behind.
    ///
    /// It runs in a process group of its own, so that Ctrl-C at a terminal does not end it before us.
    ///
    /// # Errors
    ///
    /// [`StartError`] says which step failed; nothing runs then.
    pub async fn start(nats_server: &Path, config: Config) -> Result<Broker, StartError> {
        if config.users.is_empty() {
            return Err(StartError::NoUsers);
        }
        let claim = Claim::take(&config.dir).map_err(StartError::Claim)?;
        if let Some(pid) = orphan::stop(&claim.files).await.map_err(StartError::Orphan)? {
            tracing::warn!(pid, "stopped an orphaned nats-server");
        }
        if let Some(port) = config.port {
            free(config.listen.address(), port)?;
        }
        let output = prepare(&claim.files, &config)
            .map_err(|source| StartError::Files { dir: config.dir.clone(), source })?;
        let child = spawn(nats_server, &claim.files, output)
            .map_err(|source| StartError::Spawn { program: nats_server.to_owned(), source })?;
        let pid = child.id().unwrap_or_default();
        let mut broker = Broker { child, pid, port: 0, config, claim };
        match broker.become_ready().await {
            Ok(port) => {
                broker.port = port;
                Ok(broker)
            }
            Err(error) => {
                broker.discard().await;
                Err(error)
            }
        }
    }

    /// Where a program of this machine reaches it: `nats://127.0.0.1:<port>`, or `tls://…`.
    #[must_use]
    pub fn url(&self) -> String {
        let listen = &self.config.listen;
        format!("{}://{}", listen.scheme(), listen.local(self.port))
    }

    /// The port on which it listens; a successor gets the same one by [`Config::port`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it ends by itself. May be cancelled and called again.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot wait for it.
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Admits these users and no others, and waits until the server does so; those left out are disconnected.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; the users of before are then still admitted.
    pub async fn reload(&mut self, users: Vec<User>) -> Result<(), ReloadError> {
        if users.is_empty() {
            return Err(ReloadError::NoUsers);
        }
        let config = Config { users, ..self.config.clone() };
        self.configure(&config)?;
        if let Err(error) = self.reread().await {
            self.configure(&self.config)?;
            return Err(error);
        }
        self.config = config;
        Ok(())
    }

    /// Ends it by SIGTERM, after 5 s by SIGKILL, and removes what only a running server has.
    ///
    /// # Errors
    ///
    /// [`StopError`]; unless it is [`StopError::Files`], the server may still run.
    pub async fn stop(mut self) -> Result<(), StopError> {
        if self.child.id().is_some() {
            process::signal(self.pid, Signal::TERM).map_err(StopError::Process)?;
        }
        let pid = self.pid;
        let failed = |source| StopError::Wait { pid, source };
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => drop(ended.map_err(failed)?),
            Err(_elapsed) => self.child.kill().await.map_err(failed)?,
        }
        let files = &self.claim.files;
        files.remove_traces().map_err(|source| StopError::Files { dir: self.config.dir.clone(), source })
    }

    async fn become_ready(&mut self) -> Result<u16, StartError> {
        self.record(None)?;
        let log = Log { path: self.claim.files.log() };
        let ports = self.claim.files.ports();
        let port = tokio::select! {
            status = self.child.wait() => {
                let status = status.map_err(StartError::Wait)?;
                return Err(StartError::Ended { status, log: log.tail() });
            }
            port = timeout(START, ready::port(&ports, |port| self.config.listen.local(port))) => {
                port.map_err(|_elapsed| StartError::NotReady { log: log.tail() })?
            }
        };
        self.record(Some(port))?;
        Ok(port)
    }

    /// Notes which process it is, so that it is found again if this program is killed.
    fn record(&self, port: Option<u16>) -> Result<(), StartError> {
        let process = Process::with_pid(self.pid).map_err(StartError::Process)?;
        // One that has ended already leaves nothing to find; the caller sees its end.
        let Some(Process { pid, started, exe, .. }) = process else { return Ok(()) };
        let files = &self.claim.files;
        let record = Record { pid, started, exe, port, store: files.store() };
        let json = serde_json::to_vec_pretty(&record).map_err(|error| self.unwritten(error.into()))?;
        files.write(&files.record(), &json).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> StartError {
        StartError::Files { dir: self.config.dir.clone(), source }
    }

    async fn discard(mut self) {
        // The reason for which it did not start is what the caller is told.
        self.child.kill().await.ok();
        self.claim.files.remove_traces().ok();
    }

    fn configure(&self, config: &Config) -> Result<(), ReloadError> {
        let files = &self.claim.files;
        let path = files.configuration();
        files
            .write(&path, config.render(files).as_bytes())
            .map_err(|source| ReloadError::Configuration { path, source })
    }

    async fn reread(&mut self) -> Result<(), ReloadError> {
        if let Ok(Some(_)) = self.child.try_wait() {
            return Err(ReloadError::Ended);
        }
        let log = Log { path: self.claim.files.log() };
        let mark = log.mark();
        process::signal(self.pid, Signal::HUP).map_err(ReloadError::Process)?;
        let answer = async {
            loop {
                match log.reload_since(mark) {
                    Some(answer) => return answer,
                    None => sleep(POLL).await,
                }
            }
        };
        tokio::select! {
            // It may have been killed a moment ago, and answers nothing then.
            _ = self.child.wait() => Err(ReloadError::Ended),
            answer = timeout(PATIENCE, answer) => match answer {
                Ok(Reload::Taken) => Ok(()),
                Ok(Reload::Refused { said }) => Err(ReloadError::Refused { said }),
                Err(_elapsed) => Err(ReloadError::Unanswered),
            }
        }
    }
}

impl Drop for Broker {
    /// Whoever drops it may delete its directory, or start another one in it.
    fn drop(&mut self) {
        child::kill(&mut self.child);
    }
}

fn free(address: IpAddr, port: u16) -> Result<(), StartError> {
    match TcpListener::bind((address, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(StartError::PortTaken { address, port })
        }
        // Any other difficulty is the server's to name, in its log.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Writes the configuration, clears what the last server left, and opens the log.
fn prepare(files: &Files, config: &Config) -> io::Result<File> {
    files.remove_traces()?;
    DirBuilder::new().mode(0o700).create(files.ports())?;
    files.write(&files.configuration(), config.render(files).as_bytes())?;
    private::options().create(true).append(true).open(files.log())
}

fn spawn(nats_server: &Path, files: &Files, output: File) -> io::Result<Child> {
    Command::from(child::command(nats_server))
        .arg("-c")
        .arg(files.configuration())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
