//! What a member found wrong: a line each in a file of its home, which is added to and never changed.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use agent_otp_domain::Alarm;
use tracing::{error, warn};

use crate::{Home, KeyringError, private};

/// How many alarms are kept, the first ones: whoever lies could lie anew each time, and is known by then.
const KEPT_MAX: usize = 200;

impl Home {
    /// Keeps an alarm, and logs it once; what cannot be kept is logged each time.
    pub fn alert(&self, alarm: &Alarm) {
        let Alarm { request, what, .. } = alarm;
        match self.raise(alarm) {
            Ok(true) => error!(?request, what, "alarm"),
            Ok(false) => {}
            Err(error) => warn!(%error, ?request, what, "an alarm is not kept"),
        }
    }

    /// Keeps an alarm; whether it is a new one. What is noticed again is known already.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the alarms cannot be read or written.
    pub fn raise(&self, alarm: &Alarm) -> Result<bool, KeyringError> {
        let _lock = private::lock(self.dir())?;
        let kept = self.alarms()?;
        if kept.len() >= KEPT_MAX || kept.iter().any(|known| known.is_same(alarm)) {
            return Ok(false);
        }
        let path = self.alarms_file();
        let line = serde_json::to_string(alarm)
            .map_err(|error| KeyringError::Unwritable { path: path.clone(), source: error.into() })?;
        append(&path, &line).map_err(|source| KeyringError::Unwritable { path, source })?;
        Ok(true)
    }

    /// The alarms that are kept, the oldest first.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if they cannot be read. A line that is none is an alarm as well.
    pub fn alarms(&self) -> Result<Vec<Alarm>, KeyringError> {
        let path = self.alarms_file();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = private::read(&path)?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|_| unreadable(&path))).collect())
    }

    fn alarms_file(&self) -> PathBuf {
        self.dir().join("alarms.jsonl")
    }
}

fn unreadable(path: &Path) -> Alarm {
    Alarm {
        noticed_by: "keyring".to_owned(),
        position: None,
        request: None,
        what: format!("a line of {} cannot be read", path.display()),
        noticed_at: None,
    }
}

/// Adds a line. It begins with the line break, so that a part that a crash has left behind is a line of its own.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(format!("\n{line}").as_bytes())?;
    file.sync_data()
}
