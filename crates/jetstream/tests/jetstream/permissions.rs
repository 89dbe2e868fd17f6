//! What NATS itself refuses, party by party: the relay's own checks are the second line, these are the first.

use agent_otp_domain::Role;
use agent_otp_jetstream::{Feed, Log, Replay, Who};

use crate::events::{member, other_owner, owner, request, request_of, requested};
use crate::probe::Probe;
use crate::world::{World, within};

const ME: &str = "OWNER";
const OTHER: &str = "OTHER";

/// What a party may do, and what it may not: `+` is allowed, `-` is refused. `OWNER` is its own, `OTHER` is another's.
const TABLE: [(&str, &str); 8] = [
    (
        "agent:shopper",
        "pub + otp.v1.cmd.OWNER.agent.shopper.request
         pub + otp.v1.cmd.OWNER.agent.shopper.consume
         pub + otp.v1.cmd.OWNER.agent.shopper.cancel
         pub - otp.v1.cmd.OWNER.agent.shopper.approve
         pub - otp.v1.cmd.OWNER.agent.shopper.open
         pub - otp.v1.cmd.OWNER.agent.shopper.enrol
         pub - otp.v1.cmd.OWNER.agent.booker.request
         pub - otp.v1.cmd.OWNER.approver.phone.approve
         pub - otp.v1.cmd.OWNER.approver.shopper.approve
         pub - otp.v1.cmd.OTHER.agent.shopper.request
         pub - otp.v1.log.OWNER.shopper.x.requested
         pub - otp.v1.event.OWNER.shopper.x.requested
         pub - otp.v1.roster.OWNER.1
         pub - otp.v1.timer.set.OWNER.shopper.x
         pub - $KV.otp_vault.OWNER.shopper.x.y
         pub - $JS.API.INFO
         pub - $JS.API.STREAM.NAMES
         pub - $JS.API.STREAM.INFO.OTP_LOG
         pub - $JS.API.STREAM.CREATE.MINE
         pub - $JS.API.STREAM.MSG.GET.OTP_LOG
         pub - $JS.API.STREAM.MSG.GET.KV_otp_vault
         pub - $JS.API.DIRECT.GET.OTP_LOG
         pub - $JS.API.DIRECT.GET.KV_otp_vault
         pub - $JS.API.CONSUMER.CREATE.OTP_LOG
         pub - $JS.API.CONSUMER.CREATE.OTP_LOG.mine.otp.v1.log.>
         pub - $JS.API.CONSUMER.MSG.NEXT.OTP_LOG.relay_eraser
         pub - $JS.API.STREAM.MSG.DELETE.KV_otp_vault
         pub - $JS.ACK.OTP_LOG.relay_eraser.1.1.1.1.1
         pub - $SRV.PING
         pub - $SRV.INFO.agent-otp-relay
         pub - _INBOX.OWNER.agent.booker.x
         pub - _INBOX.relay.x
         sub + otp.v1.event.OWNER.shopper.>
         sub + otp.v1.standing.OWNER.*
         sub - otp.v1.standing.OTHER.*
         sub - otp.v1.standing.>
         pub - otp.v1.standing.OWNER.1
         sub + otp.v1.notice.OWNER.shopper.x
         sub - otp.v1.notice.OWNER.booker.x
         sub - otp.v1.notice.>
         pub - otp.v1.notice.OWNER.shopper.x
         sub + _INBOX.OWNER.agent.shopper.>
         sub - otp.v1.event.OWNER.booker.>
         sub - otp.v1.event.OWNER.>
         sub - otp.v1.event.>
         sub - otp.v1.log.OWNER.shopper.>
         sub - otp.v1.cmd.>
         sub - _INBOX.OWNER.agent.booker.>
         sub - _INBOX.OWNER.agent.>
         sub - _INBOX.relay.>
         sub - _INBOX.>
         sub - $SRV.>
         sub - $JS.>
         sub - $KV.otp_vault.>
         sub - >",
    ),
    (
        "approver:phone",
        "pub + otp.v1.cmd.OWNER.approver.phone.approve
         pub + otp.v1.cmd.OWNER.approver.phone.enrol
         pub - otp.v1.enrol.OWNER.first.join
         pub - _INBOX.enrol.OWNER.first.x
         pub - otp.v1.cmd.OWNER.approver.phone.consume
         pub - otp.v1.cmd.OWNER.agent.shopper.consume
         pub - otp.v1.cmd.OTHER.approver.phone.approve
         pub - otp.v1.roster.OWNER.2
         pub - $JS.API.DIRECT.GET.OTP_LOG
         sub + otp.v1.event.OWNER.>
         sub + otp.v1.standing.OWNER.*
         sub - otp.v1.standing.OTHER.*
         sub - otp.v1.standing.>
         pub - otp.v1.standing.OWNER.1
         sub - otp.v1.enrol.OWNER.*.join
         sub - otp.v1.event.OTHER.>
         sub - _INBOX.OWNER.agent.shopper.>",
    ),
    (
        "capturer:home",
        "pub + otp.v1.cmd.OWNER.capturer.home.capture
         pub - otp.v1.cmd.OWNER.capturer.home.approve
         pub + otp.v1.notice.OWNER.shopper.x
         pub - otp.v1.notice.OTHER.shopper.x
         sub - otp.v1.notice.OWNER.shopper.x
         pub - otp.v1.cmd.OWNER.capturer.home.consume
         pub - $KV.otp_vault.OWNER.shopper.x.y
         sub + otp.v1.event.OWNER.>
         sub + otp.v1.standing.OWNER.*
         sub - otp.v1.standing.OTHER.*
         sub - otp.v1.standing.>
         pub - otp.v1.standing.OWNER.1
         sub - otp.v1.event.OTHER.>
         sub - $KV.otp_vault.>",
    ),
    (
        "auditor:archive",
        "pub + $JS.API.DIRECT.GET.OTP_LOG
         pub + otp.v1.cmd.OWNER.auditor.archive.roster
         pub - otp.v1.cmd.OWNER.auditor.archive.get
         pub - $JS.API.DIRECT.GET.KV_otp_vault
         pub - $JS.API.STREAM.MSG.GET.OTP_LOG
         pub - $JS.API.CONSUMER.CREATE.OTP_LOG
         pub - otp.v1.log.OWNER.shopper.x.requested
         sub + otp.v1.event.>
         sub - otp.v1.log.>
         sub - otp.v1.cmd.>",
    ),
    (
        "dashboard",
        "pub - otp.v1.cmd.OWNER.approver.phone.approve
         pub - $JS.API.DIRECT.GET.OTP_LOG
         pub - $JS.API.INFO
         sub + otp.v1.event.>
         sub - otp.v1.log.>
         sub - otp.v1.cmd.>
         sub - _INBOX.>",
    ),
    (
        "enroller",
        "pub + _INBOX.enrol.OWNER.first.x
         pub + _INBOX.enrol.OWNER.second.x
         pub - _INBOX.enrol.OTHER.first.x
         pub - _INBOX.OWNER.agent.shopper.x
         pub - otp.v1.enrol.OWNER.first.join
         pub - otp.v1.cmd.OWNER.approver.phone.enrol
         pub - otp.v1.roster.OWNER.2
         pub - $JS.API.DIRECT.GET.OTP_LOG
         sub + otp.v1.enrol.OWNER.*.join
         sub + otp.v1.enrol.OWNER.first.join
         sub - otp.v1.enrol.OTHER.*.join
         sub - otp.v1.enrol.>
         sub - otp.v1.enrol.OWNER.>
         sub - _INBOX.enrol.OWNER.first.>
         sub - otp.v1.event.OWNER.>
         sub - otp.v1.cmd.>",
    ),
    (
        "enrolment:first",
        "pub + otp.v1.enrol.OWNER.first.join
         pub - otp.v1.enrol.OWNER.second.join
         pub - otp.v1.enrol.OTHER.first.join
         pub - otp.v1.enrol.OWNER.first.other
         pub - _INBOX.enrol.OWNER.second.x
         pub - otp.v1.cmd.OWNER.agent.first.request
         pub - otp.v1.cmd.OWNER.approver.first.enrol
         pub - $JS.API.STREAM.MSG.GET.OTP_ROSTER
         pub - $JS.API.DIRECT.GET.OTP_ROSTER
         pub - $JS.API.INFO
         sub + _INBOX.enrol.OWNER.first.>
         sub - _INBOX.enrol.OWNER.second.>
         sub - _INBOX.enrol.OWNER.>
         sub - _INBOX.enrol.>
         sub - otp.v1.enrol.OWNER.*.join
         sub - otp.v1.enrol.OWNER.second.join
         sub - otp.v1.event.OWNER.>
         sub - >",
    ),
    (
        "relay",
        "pub + otp.v1.log.OWNER.shopper.x.requested
         pub + $JS.API.DIRECT.GET.OTP_LOG
         pub + $JS.API.DIRECT.GET.OTP_TIMER
         pub - $JS.API.DIRECT.GET.OTP_ROSTER
         pub - $JS.API.DIRECT.GET.KV_otp_vault
         pub + $JS.API.STREAM.MSG.GET.OTP_LOG
         pub + $JS.API.STREAM.MSG.GET.OTP_ROSTER
         pub + $JS.API.STREAM.MSG.GET.KV_otp_vault
         pub - $JS.API.STREAM.MSG.GET.OTP_TIMER
         pub + $JS.API.STREAM.INFO.KV_otp_vault
         pub - $JS.API.STREAM.INFO.OTP_LOG
         pub - $JS.API.STREAM.INFO.OTP_ROSTER
         pub - $JS.API.STREAM.INFO.OTP_TIMER
         pub + $JS.API.STREAM.CREATE.KV_otp_vault
         pub - $JS.API.STREAM.CREATE.OTP_LOG
         pub - $JS.API.STREAM.CREATE.MINE
         pub - $JS.API.STREAM.UPDATE.OTP_LOG
         pub - $JS.API.STREAM.UPDATE.KV_otp_vault
         pub - $JS.API.STREAM.DELETE.OTP_LOG
         pub - $JS.API.STREAM.DELETE.KV_otp_vault
         pub - $JS.API.STREAM.PURGE.OTP_LOG
         pub - $JS.API.STREAM.MSG.DELETE.OTP_LOG
         pub - $JS.API.STREAM.MSG.DELETE.OTP_ROSTER
         pub - $JS.API.CONSUMER.CREATE.OTP_LOG
         pub - $JS.API.CONSUMER.CREATE.OTP_LOG.mine.otp.v1.log.>
         pub - $JS.API.CONSUMER.DURABLE.CREATE.OTP_LOG.mine
         pub - $JS.API.CONSUMER.DELETE.OTP_LOG.relay_eraser
         pub - otp.v1.event.OWNER.shopper.x.requested
         pub - otp.v1.timer.fired.OWNER.shopper.x
         pub - otp.v1.cmd.OWNER.agent.shopper.request
         sub + otp.v1.cmd.>
         sub - _INBOX.OWNER.agent.shopper.>
         sub - otp.v1.enrol.>
         sub - _INBOX.enrol.>
         sub - otp.v1.event.>",
    ),
];

#[tokio::test]
async fn each_party_may_do_what_its_role_needs_and_nothing_else() {
    let parties: Vec<Who> = TABLE.iter().map(|(party, _)| who(party)).collect();
    let members: Vec<Who> = parties.iter().filter(|who| !matches!(who, Who::Operator(_))).cloned().collect();
    let world = World::start(&members).await;
    for ((party, rows), who) in TABLE.iter().zip(&parties) {
        let mut probe = Probe::connect(&world.login(who)).await;
        for row in rows.lines() {
            let row = row.trim().replace(ME, &owner().to_string()).replace(OTHER, &other_owner().to_string());
            let [how, allowed, subject] = row.split(' ').collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(probe.is_allowed(how, subject).await, allowed == "+", "{party}: {how} {subject}");
        }
    }
}

#[tokio::test]
async fn an_auditor_replays_the_log_of_all_owners_and_a_dashboard_sees_events() {
    let who = who("auditor:archive");
    let world = World::start(std::slice::from_ref(&who)).await;
    let log = Log::new(world.connect(&Who::Operator("relay")).await);
    let dashboard = world.connect(&Who::Operator("dashboard")).await;
    let mut feed = Feed::of_all(&dashboard).await.unwrap();
    let keys = [request(), request_of(&other_owner(), "booker")];
    for key in &keys {
        log.append(0, &requested(key)).await.unwrap();
    }
    let auditor = Replay::new(world.connect(&who).await);
    let replayed = auditor.from(1).await.unwrap();
    assert_eq!(
        replayed.iter().map(|event| (event.sequence, event.subject.clone())).collect::<Vec<_>>(),
        [1, 2].map(|sequence| {
            (sequence, format!("otp.v1.log.{}.requested", keys[usize::try_from(sequence).unwrap() - 1]))
        }),
    );
    assert_eq!(auditor.last().await.unwrap(), 2);
    for key in keys {
        assert_eq!(within(feed.next()).await.unwrap().recorded.key(), key);
    }
}

#[tokio::test]
async fn an_agent_hears_of_its_own_requests_and_of_no_other() {
    let who = who("agent:shopper");
    let world = World::start(std::slice::from_ref(&who)).await;
    let log = Log::new(world.connect(&Who::Operator("relay")).await);
    let agent = world.connect(&who).await;
    let mut of_owner = Feed::of_owner(&agent, &owner()).await.unwrap();
    let mut own = Feed::of_agent(&agent, &owner(), &"shopper".parse().unwrap()).await.unwrap();
    let mine = request();
    for key in [&request_of(&owner(), "booker"), &request_of(&other_owner(), "shopper"), &mine] {
        log.append(0, &requested(key)).await.unwrap();
    }
    assert_eq!(within(own.next()).await.unwrap().recorded.key(), mine);
    let heard = futures_util::FutureExt::now_or_never(of_owner.next());
    assert!(heard.is_none(), "{heard:?}");
}

fn who(party: &str) -> Who {
    match party {
        "relay" => Who::Operator("relay"),
        "enroller" => Who::Enroller { owner: owner() },
        "enrolment:first" => Who::Enrolment { owner: owner(), id: "first".parse().unwrap() },
        "dashboard" => Who::Operator("dashboard"),
        member => {
            let (role, name) = member.split_once(':').unwrap();
            self::member(role.parse::<Role>().unwrap(), name)
        }
    }
}
