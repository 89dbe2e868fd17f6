//! The owner: signs the roster, and renews it so that it is never older than its validity.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_otp_domain::{CLOCK_SKEW_MAX, SignedStatement, Timestamp, causes, codec};
use agent_otp_jetstream::message::{Ask, RefusalCode};
use agent_otp_jetstream::{Bus, CallError, clock};
use agent_otp_keyring::{KeyringError, private};
use agent_otp_trust::{ChangeError, IdentityKey, Member, Roster, RosterRef, Untrusted};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the roster is renewed; it is valid for four times as long.
const RENEW_EVERY: Duration = Duration::from_hours(6);
/// How often it looks whether that time has come.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long a failed renewal waits.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often rosters are handed over while another program of this owner hands over its own.
const PUBLISHES_MAX: u32 = 5;
const SUFFIX: &str = "roster";

/// An owner's key and rosters. Every roster is kept, so that a broker that lost its store gets them all again.
#[derive(Debug)]
pub struct Owner {
    key: IdentityKey,
    dir: PathBuf,
}

/// Why the roster was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The rosters cannot be read or written.
    #[error("the rosters on this machine cannot be used")]
    Keyring(#[from] KeyringError),
    /// What is kept is no roster of this owner.
    #[error("a roster on this machine is not believed; restore {}", path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// Why it is not believed.
        #[source]
        source: Untrusted,
    },
    /// There is none.
    #[error("there is no roster in {}; restore it", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key on this machine is not the one that may sign it, or it would not be believed for another reason.
    #[error("the next roster cannot be signed with the key on this machine")]
    Unsignable(#[source] Untrusted),
    /// The roster cannot say that.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The relay refused, or does not answer.
    #[error("the relay does not take the roster")]
    Call(#[from] CallError),
}

impl Owner {
    /// The owner with this key, whose rosters are kept in `dir`.
    #[must_use]
    pub fn new(key: IdentityKey, dir: impl Into<PathBuf>) -> Self {
        Self { key, dir: dir.into() }
    }

    /// Signs the first roster.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Keyring`] if it cannot be written, or one is there.
    pub fn begin(&self, members: Vec<Member>, now: Timestamp) -> Result<RosterRef, OwnerError> {
        private::make_dir(&self.dir)?;
        self.keep(&Roster::first(&self.key, members, now))
    }

    /// The latest roster on this machine.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Missing`] or [`OwnerError::Damaged`].
    pub fn latest(&self) -> Result<(SignedStatement, Roster), OwnerError> {
        latest_roster(&self.dir)
    }

    /// Renews the roster now and every six hours, and when the clock was set back, until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// [`OwnerError`] if the files on this machine cannot be used. A roster that cannot be written is tried again while the
    /// one before may be relied on, and a relay that does not answer is asked again.
    pub async fn keep_fresh(
        &self,
        bus: &Bus,
        stop: CancellationToken,
        ready: impl FnOnce(),
    ) -> Result<(), OwnerError> {
        let mut ready = Some(ready);
        let (_, latest) = self.latest()?;
        self.renew_if_it_can(latest, clock::now())?;
        // The number of the last roster that the relay has for sure.
        let mut published = 0;
        loop {
            // By the clock and not by a long sleep: a machine that was suspended wakes with an old roster. Another program
            // of this owner may have signed one, and been broken off.
            let Roster { number: latest, .. } = self.fresh(clock::now())?;
            if published < latest {
                match self.publish(bus).await {
                    Ok(()) => {
                        published = latest;
                        if let Some(ready) = ready.take() {
                            ready();
                        }
                    }
                    Err(OwnerError::Call(error)) => {
                        warn!(%error, "the relay does not have the roster yet; it is tried again");
                    }
                    Err(error) => return Err(error),
                }
            }
            let pause = if published < latest { AGAIN_AFTER } else { LOOK_EVERY };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The roster that follows the latest, unsigned: the same members, valid for another day.
    ///
    /// # Errors
    ///
    /// As [`Owner::latest`].
    pub fn next_roster(&self, now: Timestamp) -> Result<Roster, OwnerError> {
        let (signed, latest) = self.latest()?;
        Ok(latest.renewed(signed.digest(), now))
    }

    /// Signs a roster and keeps it; whoever runs the user's side hands it to the relay.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Unsignable`] if nobody would believe it, [`OwnerError::Keyring`] if it cannot be written, or one
    /// of its number is there.
    pub fn keep(&self, roster: &Roster) -> Result<RosterRef, OwnerError> {
        let signed = self.key.sign_roster(roster);
        Roster::verify(&signed).map_err(OwnerError::Unsignable)?;
        // The number is padded, so that the files sort as the rosters do.
        let path = self.dir.join(format!("{:010}.{SUFFIX}", roster.number));
        private::write_new(&path, &codec::encode(&signed))?;
        Ok(RosterRef { number: roster.number, digest: signed.digest() })
    }

    /// Signs the roster that follows the latest one, with a change, and keeps it. Another program of this owner that
    /// does the same meanwhile waits its turn.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Change`] if the roster cannot be changed so; otherwise as [`Owner::keep`] and [`Owner::latest`].
    pub fn advance(
        &self,
        now: Timestamp,
        change: impl FnOnce(Roster) -> Result<Roster, ChangeError>,
    ) -> Result<(RosterRef, SignedStatement), OwnerError> {
        let _lock = private::lock(&self.dir)?;
        let reference = self.keep(&change(self.next_roster(now)?)?)?;
        let (signed, _) = self.latest()?;
        Ok((reference, signed))
    }

    /// The latest roster, which is renewed first if it is due. As long as it may be relied on, what keeps it from being
    /// renewed is waited out: a full disk for one.
    fn fresh(&self, now: Timestamp) -> Result<Roster, OwnerError> {
        let (_, latest) = self.latest()?;
        if is_due(latest.made_at, now) { self.renew_if_it_can(latest, now) } else { Ok(latest) }
    }

    /// The roster that follows this one, or this one while it may be relied on and no other can be written.
    fn renew_if_it_can(&self, latest: Roster, now: Timestamp) -> Result<Roster, OwnerError> {
        match self.renew(now) {
            Ok(()) => Ok(self.latest()?.1),
            Err(OwnerError::Keyring(error)) if now < latest.valid_until => {
                warn!(error = causes(&error), "the roster is not renewed yet; it is tried again");
                Ok(latest)
            }
            Err(error) => Err(error),
        }
    }

    fn renew(&self, now: Timestamp) -> Result<(), OwnerError> {
        let (reference, _) = self.advance(now, Ok)?;
        info!(number = reference.number, "roster renewed");
        Ok(())
    }

    /// Hands the relay every roster that it does not have.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Call`] if it refuses, or does not answer.
    pub async fn publish(&self, bus: &Bus) -> Result<(), OwnerError> {
        let mut tries = 1;
        loop {
            match self.publish_once(bus).await {
                // Another program of this owner was faster, and has handed over the next ones too.
                Err(OwnerError::Call(CallError::Refused { code: RefusalCode::Mismatch, .. }))
                    if tries < PUBLISHES_MAX =>
                {
                    tries += 1;
                }
                published => return published,
            }
        }
    }

    async fn publish_once(&self, bus: &Bus) -> Result<(), OwnerError> {
        let known = match bus.roster(None).await {
            Ok(statement) => Roster::verify(&statement).map_or(0, |roster| roster.number),
            Err(CallError::Refused { .. }) => 0,
            Err(error) => return Err(error.into()),
        };
        for path in private::list(&self.dir, SUFFIX)? {
            let (statement, roster) = read(path)?;
            if roster.number > known {
                bus.call(&Ask::Enrol { statement }).await?;
            }
        }
        Ok(())
    }
}

/// Whether a roster of this time is to be followed by another: it is old, or the clock was set back since, and whoever relies
/// on rosters waits for one that is dated in the future.
fn is_due(made_at: Timestamp, now: Timestamp) -> bool {
    now.since(made_at) >= RENEW_EVERY || made_at > now.after(CLOCK_SKEW_MAX)
}

/// All rosters that are kept in a directory, the first one first.
///
/// # Errors
///
/// [`OwnerError::Damaged`] or [`OwnerError::Keyring`].
pub fn rosters(dir: &Path) -> Result<Vec<Roster>, OwnerError> {
    let paths = private::list(dir, SUFFIX)?;
    paths.into_iter().map(|path| Ok(read(path)?.1)).collect()
}

/// The latest roster that is kept in a directory, for whoever has no key.
///
/// # Errors
///
/// [`OwnerError::Missing`] or [`OwnerError::Damaged`].
pub fn latest_roster(dir: &Path) -> Result<(SignedStatement, Roster), OwnerError> {
    let path = private::list(dir, SUFFIX)?.pop();
    read(path.ok_or_else(|| OwnerError::Missing { path: dir.to_owned() })?)
}

fn read(path: PathBuf) -> Result<(SignedStatement, Roster), OwnerError> {
    let bytes = private::read(&path)?;
    let verified = codec::decode::<SignedStatement>(&bytes).map_err(Untrusted::from).and_then(|signed| {
        let roster = Roster::verify(&signed)?;
        Ok((signed, roster))
    });
    verified.map_err(|source| OwnerError::Damaged { path, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SIGNED_AT: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

    #[test]
    fn a_roster_is_renewed_when_it_is_old_and_when_the_clock_was_set_back() {
        let (_dir, owner) = owner();
        let hour = Duration::from_hours(1);
        let (old, ms) = (SIGNED_AT.after(6 * hour), Duration::from_millis(1));
        for now in [SIGNED_AT, old.before(ms), SIGNED_AT.before(CLOCK_SKEW_MAX)] {
            assert_eq!(owner.fresh(now).unwrap().number, 1, "{now}");
        }
        let set_back = SIGNED_AT.before(CLOCK_SKEW_MAX).before(ms);
        // Back, on to where that one is old, and far back from there.
        for (number, now) in
            [(2, set_back), (3, set_back.after(6 * hour)), (4, SIGNED_AT.before(1_000 * hour))]
        {
            let fresh = owner.fresh(now).unwrap();
            assert_eq!((fresh.number, fresh.made_at), (number, now));
            assert_eq!(owner.fresh(now).unwrap().number, number, "once");
        }
    }

    #[test]
    fn a_roster_that_cannot_be_written_is_tried_again_while_the_one_before_may_be_relied_on() {
        let (dir, owner) = owner();
        let (old, stale) = (SIGNED_AT.after(RENEW_EVERY), SIGNED_AT.after(Roster::VALIDITY));
        // Where the lock is to be, something else is.
        let lock = dir.path().join("rosters/lock");
        fs::create_dir(&lock).unwrap();
        assert_eq!(owner.fresh(old).unwrap().number, 1);
        assert_eq!(owner.fresh(stale.before(Duration::from_millis(1))).unwrap().number, 1);
        let ended = owner.fresh(stale).unwrap_err();
        assert!(matches!(ended, OwnerError::Keyring(KeyringError::Unwritable { .. })), "{ended}");
        fs::remove_dir(&lock).unwrap();
        assert_eq!(owner.fresh(old).unwrap().number, 2);
    }

    /// One that keeps its rosters in a directory, and has signed the first.
    fn owner() -> (tempfile::TempDir, Owner) {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner::new(IdentityKey::from_seed(&[7; 32].into()), dir.path().join("rosters"));
        owner.begin(Vec::new(), SIGNED_AT).unwrap();
        (dir, owner)
    }
}
