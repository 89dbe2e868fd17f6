//! Every subject, stream and durable by name: lower case, broad to narrow, no personal data.

use agent_otp_domain::{Digest, EventType, MemberId, OwnerId, RequestKey, Role};

pub(crate) const LOG_STREAM: &str = "OTP_LOG";
pub(crate) const ROSTER_STREAM: &str = "OTP_ROSTER";
pub(crate) const TIMER_STREAM: &str = "OTP_TIMER";
pub(crate) const VAULT_BUCKET: &str = "otp_vault";
pub(crate) const VAULT_STREAM: &str = "KV_otp_vault";
pub(crate) const TIMER_DURABLE: &str = "relay_timers";
pub(crate) const ERASER_DURABLE: &str = "relay_eraser";
pub(crate) const RELAY_QUEUE: &str = "relay";

pub(crate) const LOG_ALL: &str = "otp.v1.log.>";
pub(crate) const EVENT_ALL: &str = "otp.v1.event.>";
pub(crate) const ROSTER_ALL: &str = "otp.v1.roster.*.*";
/// What the roster stream has stored, and where it is said: who waits there hears of a revocation at once.
pub(crate) const ROSTER_STORED: &str = "otp.v1.roster.>";
pub(crate) const STANDING_ALL: &str = "otp.v1.standing.>";
pub(crate) const TIMER_SET_ALL: &str = "otp.v1.timer.set.>";
pub(crate) const TIMER_FIRED_ALL: &str = "otp.v1.timer.fired.>";
pub(crate) const COMMAND_ALL: &str = "otp.v1.cmd.>";

/// Where the relay appends an event.
pub(crate) fn log(key: &RequestKey, kind: EventType) -> String {
    format!("otp.v1.log.{key}.{kind}")
}

/// All events of one request. Every writer must build the very same text: see ADR-50 on the guard's key.
pub(crate) fn log_of(key: &RequestKey) -> String {
    format!("otp.v1.log.{key}.>")
}

/// All ends of a kind, of anyone's requests.
pub(crate) fn log_of_kind(kind: EventType) -> String {
    format!("otp.v1.log.*.*.*.{kind}")
}

/// Where what was stored is published.
pub(crate) fn events_of_owner(owner: &OwnerId) -> String {
    format!("otp.v1.event.{owner}.>")
}

pub(crate) fn events_of_agent(owner: &OwnerId, agent: &MemberId) -> String {
    format!("otp.v1.event.{owner}.{agent}.>")
}

pub(crate) fn events_of(key: &RequestKey) -> String {
    format!("otp.v1.event.{key}.>")
}

/// Where a roster of this number is kept for ever.
pub(crate) fn roster_subject(owner: &OwnerId, number: u64) -> String {
    format!("otp.v1.roster.{owner}.{number}")
}

pub(crate) fn rosters_of(owner: &OwnerId) -> String {
    format!("otp.v1.roster.{owner}.*")
}

/// Where it is said that a roster was stored.
pub(crate) fn standing_of(owner: &OwnerId) -> String {
    format!("otp.v1.standing.{owner}.*")
}

/// Where a capturer tells an agent something about one of its requests.
pub(crate) fn notice(key: &RequestKey) -> String {
    format!("otp.v1.notice.{key}")
}

/// Where an agent hears what it is told about all of its requests.
pub(crate) fn notices_of_agent(owner: &OwnerId, agent: &MemberId) -> String {
    format!("otp.v1.notice.{owner}.{agent}.*")
}

/// Where a capturer tells any of its owner's agents.
pub(crate) fn notices_of_owner(owner: &OwnerId) -> String {
    format!("otp.v1.notice.{owner}.*.*")
}

pub(crate) fn timer_set(key: &RequestKey) -> String {
    format!("otp.v1.timer.set.{key}")
}

pub(crate) fn timers_of(owner: &OwnerId) -> String {
    format!("otp.v1.timer.set.{owner}.>")
}

pub(crate) fn timer_fired(key: &RequestKey) -> String {
    format!("otp.v1.timer.fired.{key}")
}

/// Where a sealed code is kept: the digest stands in the key, so that an orphan never blocks another capture.
pub(crate) fn vault(key: &RequestKey, sealed: &Digest) -> String {
    format!("$KV.{VAULT_BUCKET}.{key}.{sealed}")
}

pub(crate) fn vault_of(key: &RequestKey) -> String {
    format!("$KV.{VAULT_BUCKET}.{key}.>")
}

/// The request that stands in the last three tokens behind `prefix_tokens` others.
pub(crate) fn request_key(subject: &str, prefix_tokens: usize) -> Option<RequestKey> {
    let mut tokens = subject.split('.').skip(prefix_tokens);
    let (owner, agent, request) = (tokens.next()?, tokens.next()?, tokens.next()?);
    Some(RequestKey {
        owner: owner.parse().ok()?,
        agent: agent.parse().ok()?,
        request: request.parse().ok()?,
    })
}

/// What is asked of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// An agent asks for a code.
    Request,
    /// The user approves.
    Approve,
    /// The user denies.
    Deny,
    /// A capturer hands in the sealed code.
    Capture,
    /// The agent claims the code.
    Consume,
    /// The agent takes its request back.
    Cancel,
    /// Reads a request's events.
    Get,
    /// Lists an owner's open requests.
    Open,
    /// Reads a roster.
    Roster,
    /// Hands in a roster that the owner signed.
    Enrol,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Request,
        Self::Approve,
        Self::Deny,
        Self::Capture,
        Self::Consume,
        Self::Cancel,
        Self::Get,
        Self::Open,
        Self::Roster,
        Self::Enrol,
    ];

    /// The verb as it stands in a subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Capture => "capture",
            Self::Consume => "consume",
            Self::Cancel => "cancel",
            Self::Get => "get",
            Self::Open => "open",
            Self::Roster => "roster",
            Self::Enrol => "enrol",
        }
    }

    /// What the command is called: the `type` of its body.
    #[must_use]
    pub fn message_type(self) -> String {
        format!("{}.v1", self.as_str())
    }

    /// What a role may ask of the relay.
    #[must_use]
    pub fn of(role: Role) -> &'static [Self] {
        match role {
            Role::Agent => &[Self::Request, Self::Consume, Self::Cancel, Self::Get, Self::Roster],
            Role::Approver => &[Self::Approve, Self::Deny, Self::Get, Self::Open, Self::Roster, Self::Enrol],
            Role::Capturer => &[Self::Capture, Self::Get, Self::Open, Self::Roster],
            Role::Auditor => &[Self::Roster],
            Role::Owner | Role::Relay => &[],
        }
    }
}

/// Where a member asks.
pub(crate) fn command(owner: &OwnerId, role: Role, member: &MemberId, verb: Verb) -> String {
    format!("otp.v1.cmd.{owner}.{role}.{member}.{}", verb.as_str())
}

/// Where all members ask one thing.
pub(crate) fn commands(verb: Verb) -> String {
    format!("otp.v1.cmd.*.*.*.{}", verb.as_str())
}

/// Who asks, by the subject that NATS let it publish to.
pub(crate) fn caller(subject: &str) -> Option<(OwnerId, Role, MemberId)> {
    let mut tokens = subject.split('.').skip(3);
    let (owner, role, member) = (tokens.next()?, tokens.next()?, tokens.next()?);
    Some((owner.parse().ok()?, role.parse().ok()?, member.parse().ok()?))
}

/// Where a member's replies go: nobody else may subscribe there.
pub(crate) fn inbox(owner: &OwnerId, role: Role, member: &MemberId) -> String {
    format!("_INBOX.{owner}.{role}.{member}")
}

/// Where the replies of a program go that belongs to no owner: the relay, `provision`, a dashboard.
pub(crate) fn service_inbox(name: &str) -> String {
    format!("_INBOX.{name}")
}

/// Where one that wants to become a member says so.
pub(crate) fn join(owner: &OwnerId, id: &MemberId) -> String {
    format!("otp.v1.enrol.{owner}.{id}.join")
}

/// Where an owner's side hears of all of them.
pub(crate) fn joins(owner: &OwnerId) -> String {
    format!("otp.v1.enrol.{owner}.*.join")
}

/// Where the answers to one enrolment go.
pub(crate) fn enrolment_inbox(owner: &OwnerId, id: &MemberId) -> String {
    format!("_INBOX.enrol.{owner}.{id}")
}

/// Where an owner's side answers any of its enrolments, and none of another owner's.
pub(crate) fn enrolment_inboxes(owner: &OwnerId) -> String {
    format!("_INBOX.enrol.{owner}.*.>")
}

/// Where the answers to an owner's side of enrolments go.
pub(crate) fn enroller_inbox(owner: &OwnerId) -> String {
    format!("_INBOX.enroller.{owner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_from_its_subjects() {
        let key = RequestKey {
            owner: "a".repeat(32).parse().unwrap(),
            agent: "shopper".parse().unwrap(),
            request: "019a0000-0000-7000-8000-000000000000".parse().unwrap(),
        };
        assert_eq!(request_key(&log(&key, EventType::Denied), 3), Some(key.clone()));
        assert_eq!(request_key(&timer_set(&key), 4), Some(key.clone()));
        assert_eq!(request_key(&timer_fired(&key), 4), Some(key));
        assert_eq!(request_key("otp.v1.log.x", 3), None);
    }

    #[test]
    fn a_caller_is_read_from_its_subject() {
        let owner: OwnerId = "b".repeat(32).parse().unwrap();
        let member: MemberId = "shopper".parse().unwrap();
        let subject = command(&owner, Role::Agent, &member, Verb::Consume);
        assert_eq!(caller(&subject), Some((owner, Role::Agent, member)));
        assert_eq!(caller("otp.v1.cmd.x.agent.shopper.get"), None);
    }
}
