//! `agent-otp enroll`: prints a token, waits for whoever brings it, and has the owner compare six words.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use agent_otp_broker::UserKey;
use agent_otp_domain::{OwnerId, Role, SignedStatement};
use agent_otp_jetstream::nats_user::{NatsUser, Whose};
use agent_otp_jetstream::{self as jetstream, Connection, Reception, Visit, Who, clock};
use agent_otp_trust::enrolment::{Answer, Candidate, Invitation, Invited, Said, Token, Void};
use agent_otp_trust::{Member, Nonce};
use agent_otp_user::Owner;
use anyhow::{Context as _, bail};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::args::Enroll;
use crate::place::{Part, Place, Run};
use crate::server::RunTls;
use crate::{admitted, confirm, exit, interrupt, print, qr, setup};

/// How long a token is good for.
const LASTS: Duration = Duration::from_mins(10);
/// How long it takes at most until somebody has heard that the token is void.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the new member has to say that it has kept its key.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(place: &Place, asked: Enroll) -> anyhow::Result<ExitCode> {
    setup::has_keys(place)?;
    let _hold = place.hold(Part::Enrol, "agent-otp enroll")?;
    tokio::task::block_in_place(|| place.unlock([&place.owner()]))?;
    let owner = setup::owner_of(place)?;
    let (_, latest) = owner.latest()?;
    latest.has_room_for(asked.role, &asked.name)?;
    let run = place.run()?;
    let token = token(place, &run, &asked)?;
    let enrolling = Enrolling { place, owner, owner_id: run.owner.parse()?, token };
    interrupt::until(async |stop| enrolling.receive(&run, stop).await).await??;
    Ok(ExitCode::SUCCESS)
}

fn token(place: &Place, run: &Run, asked: &Enroll) -> anyhow::Result<Token> {
    let invitation = Invitation {
        url: asked.nats_url.clone().or_else(|| run.nats_public_url.clone()).unwrap_or(run.nats_url.clone()),
        tls_key: run.nats_tls.as_ref().and_then(RunTls::pin).map(str::parse).transpose()?,
        owner: place.owner().pin()?.owner_key,
        role: asked.role,
        name: asked.name.clone(),
        expires_at: clock::now().after(LASTS),
    };
    Ok(Token::new(invitation, clock::random::<32>().into())?)
}

/// Receives one newcomer.
struct Enrolling<'a> {
    place: &'a Place,
    owner: Owner,
    owner_id: OwnerId,
    token: Token,
}

/// Why nobody was enrolled.
enum Ended {
    Void(Void),
    Failed(anyhow::Error),
}

impl From<Void> for Ended {
    fn from(why: Void) -> Self {
        Self::Void(why)
    }
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl Enrolling<'_> {
    /// Admits whoever has the token for as long as that takes, and nobody afterwards.
    async fn receive(&self, run: &Run, stop: CancellationToken) -> anyhow::Result<()> {
        admitted::sweep(self.place, &self.owner_id)?;
        let key =
            UserKey::derived(&self.token.user_seed()).context("no NATS user can be made of the token")?;
        let whose = Whose::Enrolment { owner: self.owner_id.clone(), id: self.token.id() };
        let received = async {
            admitted::admit(self.place, &NatsUser::new(key.public(), whose.clone())).await?;
            let who = Who::Enroller { owner: self.owner_id.clone() };
            let login = run.access(self.place)?.operator("enroller")?;
            let connection = Connection::open(&login, &who).await?;
            let reception = Reception::open(connection, &self.owner_id, &self.token.id()).await?;
            self.greet(run).context("the token could not be written to stdout")?;
            self.attend(reception, run, stop).await
        };
        let received = received.await;
        if received.is_err() {
            // Why it came to nothing is on its way, and nobody says when the broker has passed it on: whose user is
            // withdrawn by then hears nothing any more.
            tokio::time::sleep(FAREWELL).await;
        }
        // Whatever came of it, the token is worth nothing any more.
        let withdrawn = admitted::withdraw(self.place, &whose).await;
        received?;
        withdrawn
            .context("the token's NATS user could not be withdrawn; it may do nothing but enrol")
            .map(drop)
    }

    /// Shows the token: on stdout for programs, and how it is used on stderr.
    fn greet(&self, run: &Run) -> std::io::Result<()> {
        let Invitation { url, role, name, expires_at, .. } = self.token.invitation();
        let text = self.token.written();
        print::say(&format!("To enrol {role}:{name}, type on its machine:  agent-otp join -"));
        print::say(&format!(
            "and paste this token, which is good for one try until {expires_at}. Keep it to yourself."
        ));
        if std::io::stderr().is_terminal() {
            for line in qr::lines(&text.to_uppercase()).unwrap_or_default() {
                print::say(&line);
            }
        }
        print::secret(text.as_bytes())?;
        if run.nats_public_url.is_none() && *url == run.nats_url {
            print::say(&format!(
                "Only this machine reaches {url}: for another one, start `agent-otp up --listen ADDRESS` first."
            ));
        }
        print::say("Waiting for it; Ctrl-C makes the token void.");
        Ok(())
    }

    async fn attend(
        &self,
        mut reception: Reception,
        run: &Run,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let Invitation { role, name, .. } = self.token.invitation();
        let ended = match self.meet(&mut reception, &stop).await {
            Ok((candidate, visit)) => self.decide(&mut reception, candidate, visit, run, &stop).await,
            Err(why) => Err(why.into()),
        };
        let again = format!("nobody is enrolled; for another try: agent-otp enroll {role} {name}");
        match ended {
            Ok(()) => Ok(()),
            Err(Ended::Void(why)) => bail!("the token is void: {why}; {again}"),
            Err(Ended::Failed(error)) => Err(error.context(format!("{role}:{name} is not enrolled"))),
        }
    }

    /// Waits for a key that is proven and committed to.
    async fn meet(
        &self,
        reception: &mut Reception,
        stop: &CancellationToken,
    ) -> Result<(Candidate, Visit), Void> {
        let visit = self.next(reception, stop).await?;
        let roster = self.owner.latest().map(|(signed, _)| signed);
        let invited = Invited::new(&self.token);
        let nonce = Nonce::new(clock::random());
        let committed = match (&visit.said, roster) {
            (Some(said), Ok(roster)) => invited.committed(said, nonce, roster),
            (None, _) => Err(Void::Malformed),
            (Some(_), Err(_)) => Err(Void::Failed),
        };
        let (committed, challenge) = turned_away(committed, &visit).await?;
        visit.answer(&challenge).await;
        let visit = match self.next(reception, stop).await {
            Ok(visit) => visit,
            // Whoever was challenged shows its key now, and is told as well.
            Err(why) => {
                if let Ok(Some(late)) = timeout(FAREWELL, reception.next()).await {
                    turned_away::<()>(Err(why), &late).await.ok();
                }
                return Err(why);
            }
        };
        let candidate = visit.said.as_ref().ok_or(Void::Malformed).and_then(|said| committed.revealed(said));
        Ok((turned_away(candidate, &visit).await?, visit))
    }

    /// The next visit, as long as the token lasts.
    async fn next(&self, reception: &mut Reception, stop: &CancellationToken) -> Result<Visit, Void> {
        let left = self.token.invitation().expires_at.since(clock::now());
        tokio::select! {
            () = stop.cancelled() => Err(Void::Stopped),
            () = tokio::time::sleep(left) => Err(Void::Lapsed),
            visit = reception.next() => {
                let visit = visit.ok_or(Void::Stopped)?;
                // By the clock, too: a machine that was suspended wakes late.
                let is_late = clock::now() >= self.token.invitation().expires_at;
                turned_away(if is_late { Err(Void::Lapsed) } else { Ok(()) }, &visit).await?;
                Ok(visit)
            }
        }
    }

    /// Has a person compare the words, and enrols the candidate.
    async fn decide(
        &self,
        reception: &mut Reception,
        candidate: Candidate,
        visit: Visit,
        run: &Run,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        print::say(&format!("\n    {}\n", candidate.words));
        let confirmed = self.confirmed(reception, &candidate, stop).await;
        turned_away(confirmed, &visit).await?;
        match self.enrol(&candidate, run).await {
            Ok(signed) => {
                self.welcome(reception, candidate, visit, signed).await;
                Ok(())
            }
            Err(error) => {
                visit.answer(&Answer::Void { why: Void::Failed }).await;
                Err(Ended::Failed(error))
            }
        }
    }

    /// Tells the new member, and waits a while for it to say that it has kept its key.
    async fn welcome(
        &self,
        reception: &mut Reception,
        candidate: Candidate,
        visit: Visit,
        signed: SignedStatement,
    ) {
        let Member { role, name, key, .. } = candidate.member.clone();
        let (waiting, welcome) = candidate.welcome(signed);
        visit.answer(&welcome).await;
        print::say(&format!("enrolled {role}:{name} with the key {key}"));
        let kept = async {
            while let Some(visit) = reception.next().await {
                if visit.said.as_ref().is_some_and(|said| waiting.has_kept(said)) {
                    return visit.answer(&Answer::Closed {}).await;
                }
            }
        };
        if timeout(KEPT_WITHIN, kept).await.is_err() {
            print::say(&format!(
                "It has not said that it knows. Type the same `agent-otp join` there once more; or take it back with \
                 `agent-otp revoke {role}:{name}`."
            ));
        }
    }

    /// Whether the words are confirmed before anything else happens.
    async fn confirmed(
        &self,
        reception: &mut Reception,
        candidate: &Candidate,
        stop: &CancellationToken,
    ) -> Result<(), Void> {
        let unasked = stop.child_token();
        let asking = confirm::ask(candidate.words.clone(), unasked.clone());
        let outcome = tokio::select! {
            confirmed = asking => match confirmed {
                // A machine that was suspended wakes late.
                Ok(Some(true)) if clock::now() >= self.token.invitation().expires_at => Err(Void::Lapsed),
                Ok(Some(true)) => Ok(()),
                Ok(Some(false)) | Err(_) => Err(Void::Words),
                Ok(None) => Err(Void::Stopped),
            },
            why = self.disturbed(reception, stop) => Err(why),
        };
        unasked.cancel();
        outcome
    }

    /// Comforts whoever waits, until something happens that makes the token void.
    async fn disturbed(&self, reception: &mut Reception, stop: &CancellationToken) -> Void {
        loop {
            let visit = match self.next(reception, stop).await {
                Ok(visit) => visit,
                Err(why) => return why,
            };
            let why = match &visit.said {
                Some(Said::Waiting {}) => {
                    visit.answer(&Answer::Wait {}).await;
                    continue;
                }
                Some(Said::Leave {}) => Void::Left,
                Some(Said::Commit { .. } | Said::Reveal { .. } | Said::Kept { .. }) | None => Void::Twice,
            };
            visit.answer(&Answer::Void { why }).await;
            return why;
        }
    }

    /// Makes it so. The NATS user comes first: without the roster it may do nothing, and is swept away.
    async fn enrol(&self, candidate: &Candidate, run: &Run) -> anyhow::Result<SignedStatement> {
        let Candidate { member, user, .. } = candidate;
        let (role, name) = (member.role, member.name.clone());
        let whose = Whose::Member { owner: self.owner_id.clone(), role, name };
        let relay = way_to_relay(self.place, run).await?;
        admitted::admit(self.place, &NatsUser::new(user.to_string(), whose.clone())).await?;
        let advanced = self.owner.advance(clock::now(), |next| next.joined(member.clone()));
        if advanced.is_err() {
            admitted::withdraw(self.place, &whose).await?;
        }
        let (_, signed) = advanced?;
        if let Err(error) = self.owner.publish(&relay.bus).await {
            // What is signed is signed: the new member can verify it, and the user's side hands it over.
            let error = exit::chain(&error.into());
            print::say(&format!(
                "No relay has the new roster yet; `agent-otp up` hands it over in a minute ({error})."
            ));
        }
        Ok(signed)
    }
}

/// Whose way to the relay rosters are handed over by: no key of its own is needed for it.
async fn way_to_relay(place: &Place, run: &Run) -> anyhow::Result<jetstream::Member> {
    let local = setup::local()?;
    let login = run.access(place)?.member(Role::Approver, &local)?;
    let pin = place.member(Role::Approver, &local).pin()?;
    Ok(jetstream::Member::connect(&login, Role::Approver, local, pin.owner_key, pin.roster).await?)
}

/// Tells a visitor why the token is void, if it is.
async fn turned_away<T>(outcome: Result<T, Void>, visit: &Visit) -> Result<T, Void> {
    if let Err(why) = &outcome {
        visit.answer(&Answer::Void { why: *why }).await;
    }
    outcome
}
