//! `agent-otp join`: makes a key on this machine, proves a token, and becomes the member that the token names.

use std::process::ExitCode;
use std::time::Duration;

use agent_otp_broker::UserKey;
use agent_otp_domain::{MemberId, Role};
use agent_otp_jetstream::{
    ConnectError, Connection, Credentials, Entrance, EntranceError, Login, Member, Server, Trust,
    VerifyError, Who, clock,
};
use agent_otp_keyring::{Home, Pin, private};
use agent_otp_trust::Nonce;
use agent_otp_trust::enrolment::{Enrolled, Invitation, Joining, Revealed, Said, Token};
use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::hidden::{self, Line};
use crate::place::{Part, Place};
use crate::{interrupt, keys, print};

/// How long an answer may take that no person gives.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much longer than the token the owner's answer is waited for.
const GRACE: Duration = Duration::from_secs(30);
const VOID: &str = "the token is void: it was used, has lapsed, or `agent-otp enroll` has ended there; have another one made";
/// After how many questions without an answer nobody is.
const SILENCES_MAX: u32 = 2;
/// How often it is asked whether somebody is still there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn run(place: &Place, token: &str) -> anyhow::Result<ExitCode> {
    let token = tokio::task::block_in_place(|| read(token))?;
    let Invitation { role, name, .. } = token.invitation();
    let _hold = place.hold(Part::Join, "agent-otp join")?;
    if place.member(*role, name).exists() {
        bail!(
            "{role}:{name} is enrolled in {} already; name another directory with --data",
            place.dir().display()
        );
    }
    // A new key rests as those do that are here already.
    let homes = keys::homes(place);
    tokio::task::block_in_place(|| place.unlock(homes.iter().map(|(_, home)| home)))?;
    let newcomer = Newcomer { place, home: place.member(*role, name), role: *role, name: name.clone() };
    interrupt::until(async |stop| newcomer.join(&token, stop).await).await??;
    print::out(&format!("enrolled {role}:{name} with the key {}", newcomer.home.public()?.id()));
    newcomer.say_next();
    Ok(ExitCode::SUCCESS)
}

/// The token as it was given: itself, or `-` for one line on stdin, which no list of processes and no history shows.
fn read(token: &str) -> anyhow::Result<Token> {
    if token != "-" {
        return Ok(token.parse()?);
    }
    match hidden::line("Token (it is not shown): ")? {
        Line::Typed(text) => Ok(text.parse()?),
        Line::Interrupted => bail!("interrupted"),
        Line::End => bail!("the input ended before a token came"),
    }
}

/// One that wants to become a member.
struct Newcomer<'a> {
    place: &'a Place,
    home: Home,
    role: Role,
    name: MemberId,
}

/// The owner's side, once it has answered, and what is to be said to it next.
struct Challenged {
    entrance: Entrance,
    revealed: Revealed,
    reveal: Said,
}

/// What the roster says of a newcomer that has shown its key before.
enum Standing {
    Member,
    /// The broker does not admit it, or the roster does not name it.
    Stranger,
}

impl Newcomer<'_> {
    /// Joins; what was prepared for it is gone if it does not.
    async fn join(&self, token: &Token, stop: CancellationToken) -> anyhow::Result<()> {
        // One that was broken off after the key was shown may have been enrolled all the same.
        if self.home.next_public()?.is_some() {
            let standing = self.standing().await;
            match standing.with_context(|| self.unknown())? {
                Standing::Member => return Ok(self.home.promote()?),
                Standing::Stranger => self.home.abandon()?,
            }
        }
        if clock::now() >= token.invitation().expires_at {
            bail!(
                "the token has lapsed at {}, by this machine's clock; have another one made: agent-otp enroll {} {}",
                token.invitation().expires_at,
                self.role,
                self.name
            );
        }
        let user = self.prepare(token.invitation())?;
        let challenged = match self.enter(token, &user).await {
            Ok(challenged) => challenged,
            // Nobody has seen the key.
            Err(error) => {
                self.home.abandon()?;
                return Err(error);
            }
        };
        let Err(error) = self.reveal(token, challenged, stop).await else { return Ok(()) };
        // The owner may have confirmed it, whatever went wrong since: the broker and the roster say how it ended.
        print::say("asking the broker whether the owner has confirmed it");
        match self.standing().await {
            Ok(Standing::Member) => Ok(self.home.promote()?),
            Ok(Standing::Stranger) => {
                self.home.abandon()?;
                Err(error)
            }
            Err(unknown) => Err(unknown.context(self.unknown())),
        }
    }

    fn unknown(&self) -> String {
        format!(
            "it is not known whether the owner has enrolled this machine before: type the same once more when its broker is \
             there, or delete {}",
            self.home.dir().display()
        )
    }

    /// Makes all that the member will need, save that it is none yet: its key is one that is to come.
    fn prepare(&self, invitation: &Invitation) -> anyhow::Result<UserKey> {
        private::make_dir(&self.place.dir().join("members"))?;
        self.home.prepare(&Pin { owner_key: invitation.owner.clone(), roster: None })?;
        self.place.remember_way(self.role, &self.name, &server(invitation))?;
        let path = self.place.member_user(self.role, &self.name);
        // That of a try that was broken off before it had a key.
        private::remove(&path)?;
        let user = UserKey::create(&path)?;
        self.home.next_identity()?;
        Ok(user)
    }

    /// Proves the token, and hears what the key is to be proven for.
    async fn enter(&self, token: &Token, user: &UserKey) -> anyhow::Result<Challenged> {
        let invitation = token.invitation();
        let key = UserKey::derived(&token.user_seed()).context("no NATS user can be made of the token")?;
        let login = Login {
            server: server(invitation),
            credentials: Credentials::Nkey(key.seed().to_owned().into()),
        };
        let (owner, id) = (invitation.owner_id(), token.id());
        let who = Who::Enrolment { owner: owner.clone(), id: id.clone() };
        let connection = match Connection::open(&login, &who).await {
            Err(ConnectError::NotAdmitted { .. }) => bail!(VOID),
            connection => connection?,
        };
        let entrance = Entrance::new(connection, &owner, &id);
        let nonce = Nonce::new(clock::random());
        let (joining, commit) =
            Joining::begin(token, self.home.next_identity()?, user.public().parse()?, nonce);
        let challenge = entrance.say(&commit, PATIENCE).await?;
        let (revealed, reveal) = joining.challenged(&challenge, clock::now())?;
        Ok(Challenged { entrance, revealed, reveal })
    }

    /// Shows and proves the key, has the owner compare the words, and keeps the key once the owner's roster names it.
    async fn reveal(
        &self,
        token: &Token,
        challenged: Challenged,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let Challenged { entrance, revealed, reveal } = challenged;
        print::say("The owner's side shows six words. They have to be these:");
        print::say(&format!("\n    {}\n", revealed.words()));
        print::say(
            "If they are not, answer no there. Waiting for the owner to confirm them; Ctrl-C gives up.",
        );
        let patience = token.invitation().expires_at.since(clock::now()) + GRACE;
        let welcome = tokio::select! {
            welcome = entrance.say(&reveal, patience) => welcome?,
            gone = is_gone(&entrance) => return Err(gone.into()),
            () = stop.cancelled() => {
                print::say("giving up: the owner's side is told");
                // Whoever hears it answers, and the token is void.
                entrance.say(&Said::Leave {}, PATIENCE).await.ok();
                bail!("given up; the token is void");
            }
        };
        let Enrolled { seen, kept } = revealed.welcomed(&welcome)?;
        if let Some(seen) = seen {
            self.home.remember(seen)?;
        }
        self.home.promote()?;
        // The owner is told that all went well; the member is one in any case.
        if let Err(error) = entrance.say(&kept, PATIENCE).await {
            tracing::debug!(%error, "the owner's side did not hear that the key is kept");
        }
        Ok(())
    }

    /// Asks as the member that it would be.
    async fn standing(&self) -> anyhow::Result<Standing> {
        let login = self.place.member_login(self.role, &self.name)?;
        let pin = self.home.pin()?.owner_key;
        let member = match Member::connect(&login, self.role, self.name.clone(), pin, None).await {
            Ok(member) => member,
            Err(ConnectError::NotAdmitted { .. }) => return Ok(Standing::Stranger),
            Err(error) => return Err(error.into()),
        };
        let (_, roster) = match member.verifier.current(clock::now()).await {
            Err(error @ (VerifyError::Roster(_) | VerifyError::Untrusted(_) | VerifyError::Call(_))) => {
                return Err(error.into());
            }
            Ok(current) => current,
        };
        let next = self.home.next_public()?;
        let named = roster.named(self.role, &self.name).map(|member| &member.public_key);
        if next.is_none() || named != next.as_ref() {
            return Ok(Standing::Stranger);
        }
        if let Some(seen) = member.verifier.seen() {
            self.home.remember(seen)?;
        }
        Ok(Standing::Member)
    }

    /// Says what can be typed as this member.
    fn say_next(&self) {
        let Self { place, role, name, .. } = self;
        let program = place.typed();
        let next = match role {
            Role::Agent => {
                format!("{program} request --agent {name} --from github.com --reason 'Sign in to GitHub'")
            }
            Role::Approver => format!("{program} pending"),
            Role::Capturer => format!("{program} serve capturer"),
            Role::Auditor => format!("{program} serve audit, and then {program} audit list"),
            Role::Owner | Role::Relay => return,
        };
        print::say(&format!("Next: {next}"));
    }
}

/// Waits until nobody is on the owner's side any more: its program was killed, say.
async fn is_gone(entrance: &Entrance) -> EntranceError {
    let mut silent = 0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match entrance.say(&Said::Waiting {}, PATIENCE).await {
            Ok(_) => silent = 0,
            Err(gone @ EntranceError::Closed) => return gone,
            // A broker that admits the token no more answers nothing at all.
            Err(gone) => {
                silent += 1;
                if silent >= SILENCES_MAX {
                    return gone;
                }
            }
        }
    }
}

/// The broker that the token names.
fn server(invitation: &Invitation) -> Server {
    let trust = invitation.tls_key.map_or(Trust::Plain, Trust::Pinned);
    Server { url: invitation.url.clone(), trust, certificate: None }
}
