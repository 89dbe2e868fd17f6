//! How a request is shown to the user: everything that it asks, and nothing that acts on the screen.

use std::fmt;

use agent_otp_domain::{RequestId, Services, Timestamp, Wanted, compact, visible};
use agent_otp_trust::VerifiedRequest;
use serde::Serialize;

use crate::notices::Notices;
use crate::row::{advice, quoted, row};

/// A request as the user sees it before deciding.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// The request's id, to approve or deny it by.
    pub id: RequestId,
    /// `requested`, `approved` or `captured`.
    pub state: &'static str,
    /// Which agent asks.
    pub agent: String,
    /// The fingerprint of the key that the agent signed with.
    pub key: String,
    /// Why, in the agent's own words, with invisible characters made visible and no blanks in a row.
    pub reason: String,
    /// Whose message: domains, addresses, numbers or sender ids, with commas between several.
    pub sender: String,
    /// The known service that all of these belong to.
    pub service: Option<String>,
    /// What speaks against a domain: that it could be taken for a known service's, or that anybody writes from there.
    pub warning: Option<String>,
    /// `email`, `sms` or `any`.
    pub channel: String,
    /// What will be released: `code` or `link`.
    pub releases: String,
    /// The shape that the code must have.
    pub shape: Option<String>,
    /// The pattern that the message must contain, with invisible characters made visible.
    pub matching: Option<String>,
    /// What the code is for, as the agent says.
    pub purpose: Option<String>,
    /// When the agent asked (RFC 3339).
    pub made_at: String,
    /// When the request lapses (RFC 3339).
    pub expires_at: String,
    /// How long it still stands, in seconds.
    pub seconds_left: u64,
    /// What the capturer has to say about it.
    pub notice: Option<String>,
}

impl View {
    /// A verified request, as it is at `now`.
    #[must_use]
    pub fn new(request: &VerifiedRequest, notices: &Notices, now: Timestamp) -> Self {
        let asked = &request.request;
        let filter = &asked.filter;
        let state = match (request.approval.is_some(), request.capture.is_some()) {
            (_, true) => "captured",
            (true, false) => "approved",
            (false, false) => "requested",
        };
        let view = Self {
            id: request.key.request,
            state,
            agent: request.key.agent.to_string(),
            key: asked.heading.signer.to_string(),
            reason: compact(&asked.reason.to_string()),
            sender: visible(&filter.sender.to_string()),
            service: None,
            warning: None,
            channel: filter.channels.to_string(),
            releases: filter.wanted.to_string(),
            shape: filter.shape.map(|shape| shape.to_string()),
            matching: filter.content.as_ref().map(|pattern| visible(&pattern.to_string())),
            purpose: filter.purpose.map(|purpose| purpose.to_string()),
            made_at: asked.heading.made_at.to_string(),
            expires_at: asked.expires_at.to_string(),
            seconds_left: asked.expires_at.since(now).as_secs(),
            notice: notices.about(request.key.request).map(|notice| visible(&notice.text)),
        };
        view.among(&Services::default(), request)
    }

    /// The same view of the request, with the sender's service, or what it could be taken for, among these.
    #[must_use]
    pub fn among(mut self, services: &Services, request: &VerifiedRequest) -> Self {
        let sender = &request.request.filter.sender;
        let told = services.warnings(sender);
        self.service = services.of(sender).map(|service| service.name.clone());
        self.warning = (!told.is_empty()).then(|| told.join("; "));
        self
    }

    /// What will leave the user's hands, in a sentence.
    #[must_use]
    pub fn release(&self) -> String {
        let channel = match self.channel.as_str() {
            "email" => "e-mail",
            "sms" => "SMS",
            _ => "e-mail or SMS",
        };
        let what =
            if self.releases == Wanted::Link.to_string() { "the sign-in link" } else { "the one-time code" };
        let shape = self.shape.as_ref().map(|shape| format!(" ({shape})")).unwrap_or_default();
        let matching =
            self.matching.as_ref().map(|pattern| format!(" that contains /{pattern}/")).unwrap_or_default();
        format!(
            "{what}{shape} of one {channel} from {}{matching}, nothing else",
            self.sender.replace(", ", " or ")
        )
    }

    /// The agent's words in quotation marks.
    #[must_use]
    pub fn words(&self) -> String {
        quoted(&self.reason)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Request   {}  ({})", self.id, self.state)?;
        writeln!(f, "Agent     {}  (key {})", self.agent, self.key)?;
        writeln!(f, "{}", row("It says   ", &self.words()))?;
        let service = self.service.as_ref().map(|service| format!("  ({service})")).unwrap_or_default();
        writeln!(f, "{}", row("Sender    ", &format!("{}{service}", self.sender)))?;
        if let Some(warning) = &self.warning {
            writeln!(f, "{}", row("Careful   ", warning))?;
        }
        writeln!(f, "{}", row("Released  ", &self.release()))?;
        writeln!(f, "Purpose   {}", self.purpose.as_deref().unwrap_or("not stated: to sign in or up"))?;
        let (minutes, seconds) = (self.seconds_left / 60, self.seconds_left % 60);
        write!(f, "Left      {minutes} min {seconds:02} s")?;
        if let Some(notice) = &self.notice {
            write!(f, "\n{}", advice("Notice    ", notice))?;
        }
        Ok(())
    }
}
