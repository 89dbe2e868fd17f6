//! What the capturer has to tell the user about open requests: kept in one file, so that `pending` can show it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agent_otp_domain::{RequestId, Timestamp, Ttl};
use agent_otp_keyring::{KeyringError, private};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// The notices, by request. They name no sender and no word of a message.
#[derive(Debug)]
pub struct Notices {
    path: PathBuf,
    notices: BTreeMap<RequestId, Notice>,
}

/// Something that the user should know about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is, and what to do.
    pub text: String,
    /// Until when it matters, in milliseconds since 1970.
    pub until: Timestamp,
    /// Whether it matters also when the request has ended.
    #[serde(default)]
    pub outlasts: bool,
}

impl Notice {
    /// A notice that matters while the request is open.
    #[must_use]
    pub fn new(text: impl Into<String>, now: Timestamp) -> Self {
        Self { text: text.into(), until: now.after(Ttl::MAX), outlasts: false }
    }

    /// The same, although the request may have ended.
    #[must_use]
    pub fn outlasting(self) -> Self {
        Self { outlasts: true, ..self }
    }
}

impl Notices {
    /// The notices that are kept in this file; none if there is no such file, or it cannot be read.
    #[must_use]
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let read = |path: &PathBuf| serde_json::from_slice(&private::read(path).ok()?).ok();
        Self { notices: read(&path).unwrap_or_default(), path }
    }

    /// What there is to say about a request.
    #[must_use]
    pub fn about(&self, request: RequestId) -> Option<&Notice> {
        self.notices.get(&request)
    }

    /// What there is to say about requests although they may have ended.
    pub fn outlasting(&self, now: Timestamp) -> impl Iterator<Item = (RequestId, &Notice)> {
        let notices = self.notices.iter().filter(move |(_, notice)| notice.outlasts && now < notice.until);
        notices.map(|(request, notice)| (*request, notice))
    }

    /// Keeps a notice, and drops those that matter no more.
    pub fn tell(&mut self, request: RequestId, notice: Notice, now: Timestamp) {
        self.notices.retain(|_, notice| now < notice.until);
        self.notices.insert(request, notice);
        if let Err(error) = self.save() {
            warn!(%error, "a notice is not kept");
        }
    }

    fn save(&self) -> Result<(), KeyringError> {
        private::replace(&self.path, &serde_json::to_vec_pretty(&self.notices).unwrap_or_default())
    }
}
