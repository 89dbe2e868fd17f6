//! What each NATS user may publish and subscribe to: exactly what its role needs.

use agent_otp_domain::{MemberId, OwnerId, Role};

use crate::connection::Who;
use crate::subject::{self, Verb};

/// What NATS puts a user's name in place of, in the template of a scoped signing key (operator mode).
const TEMPLATE_NAME: &str = "{{name()}}";
/// A name that stands where that is to stand, while a template is made.
const NAME: &str = "name-of-the-user";

/// The subjects of one NATS user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// What it may publish to.
    pub publish: Vec<String>,
    /// What it may subscribe to.
    pub subscribe: Vec<String>,
    /// Whether it may answer requests, once each.
    pub respond: bool,
}

/// A member: its own commands, its own inbox, its owner's rosters, and the events that concern it; between capturers and
/// agents, notices.
#[must_use]
pub fn member(owner: &OwnerId, role: Role, name: &MemberId) -> Grants {
    let who = Who::Member { owner: owner.clone(), role, name: name.clone() };
    let mut publish: Vec<String> =
        Verb::of(role).iter().map(|verb| subject::command(owner, role, name, *verb)).collect();
    let mut subscribe = vec![subject::standing_of(owner), format!("{}.>", who.inbox())];
    match role {
        Role::Agent => {
            subscribe.extend([subject::events_of_agent(owner, name), subject::notices_of_agent(owner, name)]);
        }
        Role::Auditor => {
            publish.push(format!("$JS.API.DIRECT.GET.{}", subject::LOG_STREAM));
            subscribe.push(subject::EVENT_ALL.to_owned());
        }
        Role::Capturer => {
            publish.push(subject::notices_of_owner(owner));
            subscribe.push(subject::events_of_owner(owner));
        }
        Role::Owner | Role::Approver | Role::Relay => subscribe.push(subject::events_of_owner(owner)),
    }
    Grants { publish, subscribe, respond: false }
}

/// Any member in this role, whom a scoped signing key of the owner makes: a template with the user's name in it.
#[must_use]
pub fn members(owner: &OwnerId, role: Role) -> Grants {
    template(|name| member(owner, role, name))
}

/// Anyone who wants to become a member, the same way; the user's name is the enrolment's id.
#[must_use]
pub fn enrolments(owner: &OwnerId) -> Grants {
    template(|id| enrolment(owner, id))
}

fn template(of: impl FnOnce(&MemberId) -> Grants) -> Grants {
    #[expect(clippy::expect_used, reason = "the constant is a name, as a test of each template shows")]
    let name = NAME.parse().expect("a constant name");
    let Grants { publish, subscribe, respond } = of(&name);
    let named = |subjects: Vec<String>| subjects.iter().map(|subject| named(subject)).collect();
    Grants { publish: named(publish), subscribe: named(subscribe), respond }
}

/// The subject with the template's name in it.
fn named(subject: &str) -> String {
    let tokens = subject.split('.').map(|token| if token == NAME { TEMPLATE_NAME } else { token });
    tokens.collect::<Vec<_>>().join(".")
}

/// The relay: the bus, what it reads of log, timers and rosters, its two durables, and of the vault everything.
#[must_use]
pub fn relay() -> Grants {
    let durables =
        [(subject::TIMER_STREAM, subject::TIMER_DURABLE), (subject::LOG_STREAM, subject::ERASER_DURABLE)];
    let mut publish = vec![
        subject::LOG_ALL.to_owned(),
        subject::ROSTER_ALL.to_owned(),
        subject::TIMER_SET_ALL.to_owned(),
        format!("$KV.{}.>", subject::VAULT_BUCKET),
        format!("$JS.API.DIRECT.GET.{}", subject::LOG_STREAM),
        format!("$JS.API.DIRECT.GET.{}", subject::TIMER_STREAM),
        format!("$JS.API.STREAM.MSG.GET.{}", subject::LOG_STREAM),
        format!("$JS.API.STREAM.MSG.GET.{}", subject::ROSTER_STREAM),
        format!("$JS.API.STREAM.MSG.GET.{}", subject::VAULT_STREAM),
        format!("$JS.API.STREAM.MSG.DELETE.{}", subject::VAULT_STREAM),
        format!("$JS.API.STREAM.INFO.{}", subject::VAULT_STREAM),
        format!("$JS.API.STREAM.CREATE.{}", subject::VAULT_STREAM),
    ];
    for (stream, durable) in durables {
        publish.push(format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"));
        publish.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"));
        publish.push(format!("$JS.ACK.{stream}.{durable}.>"));
    }
    Grants {
        publish,
        subscribe: vec![
            subject::COMMAND_ALL.to_owned(),
            "$SRV.>".to_owned(),
            format!("{}.>", Who::Operator("relay").inbox()),
        ],
        respond: true,
    }
}

/// Whoever makes the streams, and looks at the relays with `nats micro`: keep this key offline on a server.
#[must_use]
pub fn provision() -> Grants {
    Grants {
        publish: vec!["$JS.API.>".to_owned(), "$SRV.>".to_owned()],
        subscribe: vec![format!("{}.>", Who::Operator("provision").inbox())],
        respond: false,
    }
}

/// A dashboard: everybody's events, and nothing else.
#[must_use]
pub fn dashboard() -> Grants {
    Grants {
        publish: Vec::new(),
        subscribe: vec![subject::EVENT_ALL.to_owned(), format!("{}.>", Who::Operator("dashboard").inbox())],
        respond: false,
    }
}

/// One that wants to become a member: it says so at one subject, and hears the answer.
#[must_use]
pub fn enrolment(owner: &OwnerId, id: &MemberId) -> Grants {
    let who = Who::Enrolment { owner: owner.clone(), id: id.clone() };
    Grants {
        publish: vec![subject::join(owner, id)],
        subscribe: vec![format!("{}.>", who.inbox())],
        respond: false,
    }
}

/// An owner's side of enrolments: it hears who wants to join this owner, and answers there. A user of its own, so that no
/// approver's key opens what a newcomer says, and nobody who enrols may approve.
#[must_use]
pub fn enroller(owner: &OwnerId) -> Grants {
    Grants {
        publish: vec![subject::enrolment_inboxes(owner)],
        subscribe: vec![subject::joins(owner)],
        respond: false,
    }
}
