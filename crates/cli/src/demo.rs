//! `agent-otp demo`: the whole way of a code, told step by step, each step checked.

mod search;
mod tale;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use agent_otp_agent::{Agent, Asking, Pending, WaitError};
use agent_otp_audit::Trail;
use agent_otp_broker::find_or_install;
use agent_otp_domain::{Channels, Digest, EventType, Filter, MemberId, RequestKey, Role, SealedCode, Wanted};
use agent_otp_jetstream::message::{Ask, RefusalCode};
use agent_otp_jetstream::{CallError, Connection, Feed, Member, Replay, Vault, Who, clock};
use agent_otp_keyring::Passphrase;
use agent_otp_trust::{Consume, Nonce, VerifiedRequest};
use agent_otp_user::{Approver, Notices, View};
use anyhow::{Context as _, bail};
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::time::timeout;

use crate::access::Access;
use crate::args::{Demo, MailProof};
use crate::demo::search::{Needles, search};
use crate::demo::tale::Tale;
use crate::host::{Own, Which};
use crate::listen::Listening;
use crate::place::Place;
use crate::sources::SourcePorts;
use crate::stack::{Options, Stack};
use crate::{print, scratch, setup};

/// How long any one step may take.
const STEP: Duration = Duration::from_secs(20);
/// Letters and digits that no hexadecimal text holds by chance.
const ALPHABET: &[u8; 16] = b"GHJKMNPQRTVWXYZ7";
const AGENT: &str = "shopper";

pub(crate) async fn run(demo: Demo, passphrase: Option<Passphrase>) -> anyhow::Result<ExitCode> {
    let shown = scratch::within("agent-otp-demo-", async |dir| show(&demo, dir, passphrase).await);
    Ok(if shown.await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows everything; whether every promise held.
async fn show(demo: &Demo, dir: &Path, passphrase: Option<Passphrase>) -> anyhow::Result<bool> {
    let found = find_or_install(demo.nats_server.as_deref(), &mut |line| print::say(line)).await?;
    let place = Place::at(Some(dir.join("data")))?.with(passphrase);
    let mut tale = Tale::new(demo.json);
    tale.tell(
        "Everything below is real: a nats-server, a relay, an agent, a user and an SMTP listener, on this",
    );
    tale.tell(&format!("machine, in {}, which is deleted at the end.", dir.display()));
    let options = Options {
        broker: Which::Own(Own { nats_server: found.path, nats_port: None, listening: Listening::default() }),
        command: "agent-otp demo",
        source_ports: SourcePorts::default(),
        mail: MailProof { accept_unverified_mail: true, ..MailProof::default() },
    };
    let stack = Stack::start(&place, options, &mut |line| print::say(line)).await?;
    let told = Cast::tell(&place, &stack, &mut tale).await;
    let stopped = stack.stop().await;
    told.and(stopped)?;
    Ok(tale.end())
}

/// Who takes part, and what they use.
struct Cast<'a> {
    place: &'a Place,
    smtp: &'a str,
    access: Access,
    agent: Agent,
    approver: Approver,
    vault: Vault,
}

/// What was sent, and must be nowhere.
struct Secrets {
    code: String,
    sealed: SealedCode,
}

impl<'a> Cast<'a> {
    async fn tell(place: &'a Place, stack: &'a Stack, tale: &mut Tale) -> anyhow::Result<()> {
        let run = &stack.host.run;
        let (name, local): (MemberId, _) = (AGENT.parse()?, setup::local()?);
        let access = run.access(place)?;
        let login = |role, name: &MemberId| access.member(role, name);
        let relay = access.operator("relay")?;
        let cast = Self {
            place,
            smtp: run.sources.get("smtp").context("no source takes mail")?,
            access: access.clone(),
            agent: Agent::connect(&login(Role::Agent, &name)?, place.member(Role::Agent, &name), name)
                .await?,
            approver: Approver::connect(
                &login(Role::Approver, &local)?,
                place.member(Role::Approver, &local),
                local,
            )
            .await?,
            // Looks into the vault with the relay's own eyes: it shows what the relay holds, which is sealed.
            vault: Vault::new(Connection::open(&relay, &Who::Operator("relay")).await?),
        };
        let secrets = cast.code_by_email(tale).await?;
        cast.denied(tale).await?;
        cast.expired(tale).await?;
        cast.forgotten(tale, &secrets).await?;
        cast.trail(tale).await
    }

    async fn code_by_email(&self, tale: &mut Tale) -> anyhow::Result<Secrets> {
        tale.chapter("A code by e-mail");
        tale.tell("The agent `shopper` asks for the code that acme.example sends, and says why. It made a key for this");
        tale.tell("one request; only that key will open the code. The user sees:");
        let pending = self.ask("Sign in to the shop to reorder paper", "5m").await?;
        let key = pending.key().clone();
        let feed = Feed::of_request(self.approver.bus().connection(), &key).await?;
        self.approved(&pending, tale).await?;
        let (secrets, digest) = self.captured(&pending, feed, tale).await?;

        let received = timeout(STEP, pending.wait()).await.context("the agent waited too long")??;
        tale.check(
            "consumed",
            "the agent claimed it, verified everything, and opened the very code",
            received.expose() == secrets.code,
        );
        let is_erased =
            within(STEP, || async { Ok(self.vault.read(&key, &digest).await?.is_none()) }).await?;
        tale.check("erased", "the relay erased the ciphertext", is_erased);
        self.claimed_again(&key, tale).await?;
        Ok(secrets)
    }

    async fn approved(&self, pending: &Pending, tale: &mut Tale) -> anyhow::Result<()> {
        let request = self.seen_by_user(pending).await?;
        tale.tell(&View::new(&request, &Notices::open(self.place.notices()), clock::now()).to_string());
        self.approver.approve(&request).await?;
        tale.check("approved", "the user approved, with a signature over exactly this request", true);
        Ok(())
    }

    /// What was sent, and under which digest the vault holds it.
    async fn captured(
        &self,
        pending: &Pending,
        mut feed: Feed,
        tale: &mut Tale,
    ) -> anyhow::Result<(Secrets, Digest)> {
        let code = code();
        tale.tell("Now acme.example sends its mail, to the user's SMTP listener. (This demo accepts mail without proof");
        tale.tell("of its sender, as `up --accept-unverified-mail` does; the trail will say `unverified`.)");
        self.mail(&code).await?;
        until(&mut feed, EventType::Captured).await?;
        tale.check(
            "captured",
            "the user's side took the code out of the mail and sealed it to the agent's key",
            true,
        );
        let captured = self.seen_by_user(pending).await?;
        let digest = captured.capture.context("the request was captured")?.1.sealed;
        let sealed =
            self.vault.read(pending.key(), &digest).await?.context("the vault holds the sealed code")?;
        let is_opaque = !sealed.as_bytes().windows(code.len()).any(|window| window == code.as_bytes());
        tale.check("sealed", &format!("the relay holds {sealed:?}, and cannot read it"), is_opaque);
        Ok((Secrets { code, sealed }, digest))
    }

    async fn claimed_again(&self, key: &RequestKey, tale: &mut Tale) -> anyhow::Result<()> {
        let home = self.place.member(Role::Agent, &key.agent);
        let (identity, pin) = (home.identity()?, home.pin()?);
        let login = self.access.member(Role::Agent, &key.agent)?;
        let again =
            Member::connect(&login, Role::Agent, key.agent.clone(), pin.owner_key, pin.roster).await?;
        let (roster, _) = again.verifier.current(clock::now()).await?;
        let nonce = Nonce::new(clock::random());
        let capture = captured_digest(&again, key).await?;
        let consume =
            Consume { heading: again.heading(key, identity.id(), roster), capture, claim: nonce.digest() };
        let statement = identity.sign(&consume);
        let refused = again.bus.call(&Ask::Consume { statement, nonce: *nonce.as_bytes() }).await;
        let is_refused =
            matches!(&refused, Err(CallError::Refused { code: RefusalCode::AlreadyConsumed, .. }));
        tale.check(
            "second_consume",
            "a second claim, with the agent's own key, is refused: a code is read once",
            is_refused,
        );
        Ok(())
    }

    async fn denied(&self, tale: &mut Tale) -> anyhow::Result<()> {
        tale.chapter("A request that the user denies");
        let pending = self.ask("Trust me, I need this one too", "5m").await?;
        let request = self.seen_by_user(&pending).await?;
        tale.tell(&format!("The agent says “{}”. The user denies.", request.request.reason));
        self.approver.deny(&request).await?;
        let outcome = timeout(STEP, pending.wait()).await.context("the agent waited too long")?;
        tale.check(
            "denied",
            "the agent is told, and gets nothing",
            matches!(outcome, Err(WaitError::Denied)),
        );
        Ok(())
    }

    async fn expired(&self, tale: &mut Tale) -> anyhow::Result<()> {
        tale.chapter("A request that nobody answers");
        tale.tell("The agent gives the user one second; the user is having coffee.");
        let pending = self.ask("Quick, before it is gone", "1s").await?;
        let outcome = timeout(STEP, pending.wait()).await.context("the agent waited too long")?;
        tale.check(
            "expired",
            "the request expired by itself",
            matches!(outcome, Err(WaitError::Expired { .. })),
        );
        Ok(())
    }

    async fn forgotten(&self, tale: &mut Tale, secrets: &Secrets) -> anyhow::Result<()> {
        tale.chapter("What is left");
        let (code, sealed) = (Needles::of(secrets.code.as_bytes()), Needles::of(secrets.sealed.as_bytes()));
        let planted = self.place.dir().join("planted");
        tokio::fs::write(&planted, [secrets.code.as_bytes(), secrets.sealed.as_bytes()].concat()).await?;
        let both = search(self.place.dir(), &code)?.found == [planted.clone()]
            && search(self.place.dir(), &sealed)?.found.contains(&planted);
        tokio::fs::remove_file(&planted).await?;
        tale.check("planted", "a search of every file finds a copy of both that was planted for it", both);

        let searched = search(self.place.dir(), &code)?;
        let (files, kib) = (searched.files, searched.bytes / 1024);
        let promise =
            format!("without it: the code is in none of {files} files ({kib} KiB: store, keys, logs, trail)");
        tale.check("no_code", &promise, searched.found.is_empty());
        // The user's side keeps the sealed code on disk until it has learnt that the request ended.
        let is_gone =
            within(STEP, || async { Ok(search(self.place.dir(), &sealed)?.found.is_empty()) }).await?;
        tale.check(
            "no_ciphertext",
            "the sealed bytes that were really sent are in none of them either",
            is_gone,
        );
        Ok(())
    }

    async fn trail(&self, tale: &mut Tale) -> anyhow::Result<()> {
        tale.chapter("What stays: the trail");
        let local = setup::local()?;
        let login = self.access.member(Role::Auditor, &local)?;
        let owner = self.approver.bus().owner().clone();
        let who = Who::Member { owner, role: Role::Auditor, name: local };
        let last = Replay::new(Connection::open(&login, &who).await?).last().await?;
        let mut trail = Trail::open(&self.place.audit()).await?;
        trail.wait_for(last, STEP).await?;
        let events = trail.events(&agent_otp_audit::Filter::default(), 0, 100).await?;
        for event in &events {
            let (kind, actor) = (event.kind.as_deref().unwrap_or("?"), event.actor.as_deref().unwrap_or("?"));
            tale.tell(&format!("{}  {kind:<9}  {actor:<15}  {}", event.time, event.verification));
        }
        let kinds: Vec<&str> = events.iter().filter_map(|event| event.kind.as_deref()).collect();
        let expected =
            ["requested", "approved", "captured", "consumed", "requested", "denied", "requested", "expired"];
        tale.check("trail", "every step stands in the log, in order, once", kinds == expected);
        let are_verified = events.iter().all(agent_otp_audit::Entry::is_verified);
        tale.check("verified", "every statement is signed by who should have made it", are_verified);
        Ok(())
    }

    async fn ask(&self, reason: &str, ttl: &str) -> anyhow::Result<Pending> {
        let filter = Filter {
            channels: Channels::Email,
            sender: "acme.example".parse()?,
            content: None,
            shape: Some("alnum:8".parse()?),
            wanted: Wanted::Code,
            purpose: Some("login".parse()?),
        };
        Ok(self.agent.request(Asking { reason: reason.parse()?, filter, ttl: ttl.parse()? }).await?)
    }

    async fn seen_by_user(&self, pending: &Pending) -> anyhow::Result<VerifiedRequest> {
        Ok(self.approver.find(pending.key().request).await?)
    }

    async fn mail(&self, code: &str) -> anyhow::Result<()> {
        let message = Message::builder()
            .from("ACME <no-reply@acme.example>".parse()?)
            .to("user@localhost.example".parse()?)
            .subject("Your sign-in code")
            .header(ContentType::TEXT_PLAIN)
            .body(format!(
                "Hello,\n\nyour ACME verification code is: {code}\n\nIt is valid for 10 minutes.\n"
            ))?;
        let Some((host, port)) = self.smtp.rsplit_once(':') else { bail!("`{}` is no address", self.smtp) };
        let mailer =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port.parse()?).build();
        mailer.send(message).await.context("the mail was not taken")?;
        Ok(())
    }
}

/// The capture that stands for a request.
async fn captured_digest(member: &Member, key: &RequestKey) -> anyhow::Result<Digest> {
    let verified = member.verifier.request(key).await?.context("the request stands")?;
    Ok(verified.capture.context("the request was captured")?.0)
}

/// A code that could not have been guessed, nor stand anywhere by chance.
fn code() -> String {
    let random: [u8; 8] = clock::random();
    let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 16)));
    let letters: String = letters.map(|&letter| char::from(letter)).collect();
    // A digit in it makes it a code to any reader.
    letters.char_indices().map(|(index, letter)| if index == 3 { '4' } else { letter }).collect()
}

/// Waits for an event of one request.
async fn until(feed: &mut Feed, kind: EventType) -> anyhow::Result<()> {
    let found = timeout(STEP, async {
        while let Some(hint) = feed.next().await {
            if hint.recorded.event.kind() == kind {
                return true;
            }
        }
        false
    });
    if found.await.is_ok_and(|found| found) { Ok(()) } else { bail!("no `{kind}` came within {STEP:?}") }
}

/// Whether something becomes so in time.
async fn within<F, Fut>(bound: Duration, holds: F) -> anyhow::Result<bool>
where
    F: Fn() -> Fut,
    Fut: Future<Output = anyhow::Result<bool>>,
{
    let looking = async {
        loop {
            if holds().await? {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(bound, looking).await.unwrap_or(Ok(false))
}
