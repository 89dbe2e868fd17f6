//! The table of roles in docs/SECURITY.md, cell by cell, on a real server: what it says may be done is allowed, all else is
//! refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use agent_otp_domain::Role;
use agent_otp_jetstream::{ConnectError, Connection, Login, Who};

use crate::events::{member, other_owner, owner};
use crate::probe::Probe;
use crate::world::World;

/// Under which heading the table stands.
const HEADING: &str = "## What each role may do on NATS";
/// One who has no NATS user: nothing is asked of it, because it is not let in.
const OUTSIDER: &str = "outsider";

/// What is tried for each line of the table: each of these, as a publisher or as a subscriber. `OWNER` is the owner whose
/// roles they are, `OTHER` another one; `SELF` is the role and name of the one who tries, and `ANSWERED` where it is answered.
const TRIED: [(&str, &[&str]); 36] = [
    ("send its own commands", &["pub otp.v1.cmd.OWNER.SELF.VERB"]),
    (
        "send another member's commands",
        &["pub otp.v1.cmd.OWNER.agent.booker.request", "pub otp.v1.cmd.OWNER.approver.tablet.approve"],
    ),
    (
        "send another owner's commands",
        &["pub otp.v1.cmd.OTHER.SELF.VERB", "pub otp.v1.cmd.OTHER.agent.shopper.request"],
    ),
    ("hear commands", &["sub otp.v1.cmd.>", "sub otp.v1.cmd.OWNER.agent.shopper.*"]),
    (
        "answer commands of its own accord",
        &["pub _INBOX.OWNER.agent.booker.x", "pub _INBOX.OWNER.approver.tablet.x"],
    ),
    ("hear the events of the agent `shopper`", &["sub otp.v1.event.OWNER.shopper.>"]),
    (
        "hear those of the owner's other agents",
        &["sub otp.v1.event.OWNER.booker.>", "sub otp.v1.event.OWNER.*.*.denied"],
    ),
    ("hear those of other owners", &["sub otp.v1.event.OTHER.>", "sub otp.v1.event.>"]),
    ("make up an event", &["pub otp.v1.event.OWNER.shopper.x.denied"]),
    ("hear its own answers", &["sub ANSWERED.>"]),
    (
        "hear another's answers",
        &["sub _INBOX.OWNER.agent.booker.>", "sub _INBOX.OWNER.approver.tablet.>", "sub _INBOX.>"],
    ),
    ("append to the log", &["pub otp.v1.log.OWNER.shopper.x.requested"]),
    ("hear appends before they are stored", &["sub otp.v1.log.>"]),
    ("read the log, of all owners", &["pub $JS.API.DIRECT.GET.OTP_LOG"]),
    ("put into the vault", &["pub $KV.otp_vault.OWNER.shopper.x.y"]),
    ("read the vault", &["pub $JS.API.STREAM.MSG.GET.KV_otp_vault"]),
    ("hear what is put into the vault", &["sub $KV.otp_vault.>"]),
    ("erase from the vault", &["pub $JS.API.STREAM.MSG.DELETE.KV_otp_vault"]),
    ("make the vault again", &["pub $JS.API.STREAM.CREATE.KV_otp_vault"]),
    ("store a roster", &["pub otp.v1.roster.OWNER.2", "pub otp.v1.roster.OTHER.2"]),
    ("hear of the owner's rosters as they are stored", &["sub otp.v1.standing.OWNER.*"]),
    ("hear of other owners' rosters", &["sub otp.v1.standing.OTHER.*", "sub otp.v1.standing.>"]),
    ("make up a roster", &["pub otp.v1.standing.OWNER.2"]),
    ("tell an agent something past the log", &["pub otp.v1.notice.OWNER.shopper.x"]),
    ("hear what the agent `shopper` is told so", &["sub otp.v1.notice.OWNER.shopper.*"]),
    (
        "tell or hear so beyond that",
        &["pub otp.v1.notice.OTHER.shopper.x", "sub otp.v1.notice.OWNER.booker.*", "sub otp.v1.notice.>"],
    ),
    ("read rosters from their stream", &["pub $JS.API.STREAM.MSG.GET.OTP_ROSTER"]),
    ("arm a timer", &["pub otp.v1.timer.set.OWNER.shopper.x"]),
    (
        "take the relay's work",
        &[
            "pub $JS.API.CONSUMER.MSG.NEXT.OTP_LOG.relay_eraser",
            "pub $JS.API.CONSUMER.MSG.NEXT.OTP_TIMER.relay_timers",
        ],
    ),
    (
        "make a stream or a consumer",
        &[
            "pub $JS.API.STREAM.CREATE.MINE",
            "pub $JS.API.CONSUMER.CREATE.OTP_LOG.mine.otp.v1.log.>",
            "pub $JS.API.CONSUMER.DURABLE.CREATE.OTP_LOG.mine",
        ],
    ),
    (
        "change or delete a stream, or ask for an event's deletion",
        &[
            "pub $JS.API.STREAM.UPDATE.OTP_LOG",
            "pub $JS.API.STREAM.DELETE.OTP_LOG",
            "pub $JS.API.STREAM.PURGE.OTP_LOG",
            "pub $JS.API.STREAM.MSG.DELETE.OTP_LOG",
        ],
    ),
    ("say that it wants to join, in the enrolment `first`", &["pub otp.v1.enrol.OWNER.first.join"]),
    (
        "say so in another enrolment, or to another owner",
        &["pub otp.v1.enrol.OWNER.second.join", "pub otp.v1.enrol.OTHER.first.join"],
    ),
    (
        "hear who wants to join the owner, and answer",
        &["sub otp.v1.enrol.OWNER.*.join", "pub _INBOX.enrol.OWNER.first.x"],
    ),
    (
        "hear who wants to join another owner, or what is answered to others",
        &[
            "sub otp.v1.enrol.OTHER.*.join",
            "pub _INBOX.enrol.OTHER.first.x",
            "sub _INBOX.enrol.OWNER.second.>",
        ],
    ),
    (
        "hear everything, or ask the server itself",
        &["sub >", "sub $SYS.>", "pub $SYS.REQ.SERVER.PING", "sub $JS.EVENT.>"],
    ),
];

#[tokio::test]
async fn each_cell_of_the_table_of_roles_is_true() {
    let table = Table::of_the_document();
    let tried: BTreeSet<&str> = TRIED.iter().map(|(line, _)| *line).collect();
    assert_eq!(table.lines.keys().map(String::as_str).collect::<BTreeSet<_>>(), tried, "each line is tried");
    let roles: Vec<Who> = table.roles.iter().filter_map(|role| who(role)).collect();
    let members: Vec<Who> = roles.iter().filter(|who| !matches!(who, Who::Operator(_))).cloned().collect();
    let world = World::start(&members).await;

    let mut found: BTreeMap<String, Vec<&str>> =
        table.lines.keys().map(|line| (line.clone(), Vec::new())).collect();
    for role in &table.roles {
        let Some(who) = who(role) else {
            is_not_let_in(&world).await;
            for cells in found.values_mut() {
                cells.push("–");
            }
            continue;
        };
        let mut probe = Probe::connect(&world.login(&who)).await;
        for (line, tries) in TRIED {
            let mut allowed = BTreeSet::new();
            for tried in tries {
                let tried = spelt(tried, &who);
                let (how, subject) = tried.split_once(' ').unwrap();
                allowed.insert(probe.is_allowed(how, subject).await);
            }
            assert_eq!(allowed.len(), 1, "{role}: {line}: some of it is allowed, and some is not");
            found.get_mut(line).unwrap().push(if allowed.contains(&true) { "yes" } else { "–" });
        }
    }
    let rows = TRIED.map(|(line, _)| format!("| {line} | {} |", found.get(line).unwrap().join(" | ")));
    assert_eq!(table.text, rows.join("\n"), "the document differs from what the server does");
}

/// Whoever the broker does not know, it does not let in.
async fn is_not_let_in(world: &World) {
    let login = world.login(&Who::Operator("relay"));
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    let refused = Connection::open(&Login::plain(login.server.url, stranger), &Who::Operator("relay")).await;
    assert!(matches!(refused, Err(ConnectError::NotAdmitted { .. })), "{refused:?}");
}

/// The table as it stands in the document.
struct Table {
    roles: Vec<String>,
    lines: BTreeMap<String, Vec<String>>,
    /// Its lines below the head.
    text: String,
}

impl Table {
    fn of_the_document() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SECURITY.md");
        let document = fs::read_to_string(path).unwrap();
        let (_, below) = document.split_once(HEADING).unwrap();
        let rows: Vec<&str> = below
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .collect();
        let cells = |row: &str| -> Vec<String> {
            row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let head = cells(rows.first().unwrap());
        let body = rows.get(2..).unwrap();
        let lines = body.iter().map(|row| {
            let mut cells = cells(row);
            (cells.remove(0), cells)
        });
        Self { roles: head.into_iter().skip(1).collect(), lines: lines.collect(), text: body.join("\n") }
    }
}

fn who(role: &str) -> Option<Who> {
    Some(match role {
        OUTSIDER => return None,
        "agent" => member(Role::Agent, "shopper"),
        "approver" => member(Role::Approver, "phone"),
        "capturer" => member(Role::Capturer, "home"),
        "auditor" => member(Role::Auditor, "archive"),
        "relay" => Who::Operator("relay"),
        "provision" => Who::Operator("provision"),
        "dashboard" => Who::Operator("dashboard"),
        "enroller" => Who::Enroller { owner: owner() },
        "enrolment" => Who::Enrolment { owner: owner(), id: "first".parse().unwrap() },
        role => panic!("{role} is no role"),
    })
}

fn spelt(tried: &str, who: &Who) -> String {
    let (own, verb) = match who {
        Who::Member { role, name, .. } => {
            let verb = match role {
                Role::Agent => "request",
                Role::Approver => "approve",
                Role::Capturer => "capture",
                Role::Auditor | Role::Owner | Role::Relay => "roster",
            };
            (format!("{role}.{name}"), verb)
        }
        Who::Operator(name) => (format!("relay.{name}"), "roster"),
        Who::Enroller { .. } | Who::Enrolment { .. } => ("agent.first".to_owned(), "roster"),
    };
    tried
        .replace("ANSWERED", &who.inbox())
        .replace("OWNER", &owner().to_string())
        .replace("OTHER", &other_owner().to_string())
        .replace("SELF", &own)
        .replace("VERB", verb)
}
