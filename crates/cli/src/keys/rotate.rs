//! `keys rotate`: a member gets a new key, and one roster names the new one and revokes the old one.

use agent_otp_jetstream::clock;
use agent_otp_keyring::Pin;
use anyhow::bail;

use crate::named::Named;
use crate::place::{Part, Place};
use crate::{admitted, print, setup};

/// Three steps, each of which leaves a state from which the same command goes on: the new key is kept beside the old
/// one, the roster is signed, the new key takes the old one's place.
pub(super) fn run(place: &Place, member: &Named) -> anyhow::Result<()> {
    let command = "agent-otp keys rotate";
    setup::has_keys(place)?;
    // The user's side signs rosters too, and holds the keys that it has loaded.
    let _holds = (place.hold(Part::Keys, command)?, place.hold(Part::User, command)?);
    place.unlock([&place.owner()])?;
    let owner = setup::owner_of(place)?;
    let (_, latest) = owner.latest()?;
    let Named { role, name } = member;
    let Some(before) = latest.members.iter().find(|known| known.role == *role && known.name == *name) else {
        let known: Vec<String> =
            latest.members.iter().map(|known| format!("{}:{}", known.role, known.name)).collect();
        bail!("roster {} names no `{member}`; it names {}", latest.number, known.join(", "));
    };
    if admitted::is_elsewhere(place, &latest, *role, name)? {
        bail!(
            "the key of {member} is on another machine: revoke it, and enrol it anew: agent-otp revoke {member}, then \
             agent-otp enroll {role} {name}"
        );
    }
    let home = place.member(*role, name);
    home.prepare(&Pin { owner_key: place.owner().pin()?.owner_key, roster: None })?;
    let key = home.next_identity()?.public();
    let (was, is) = (before.key.clone(), key.id());
    let number = if was == is {
        latest.number
    } else {
        let now = clock::now();
        owner.keep(&owner.next_roster(now)?.rotated(*role, name, key, now)?)?.number
    };
    home.promote()?;
    print::out(&format!("rotated {member}: its key is {is}, by roster {number}"));
    if was != is {
        print::out(&format!("{was} is revoked: what it signs from now on is refused"));
    }
    print::say("Start `agent-otp up` or `agent-otp serve user`: it hands the roster to the relay.");
    Ok(())
}
