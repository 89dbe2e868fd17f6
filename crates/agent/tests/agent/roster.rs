//! The roster: renewed at every start, refilled into an empty broker, and waited for where it is stale.

use std::time::Duration;

use agent_otp_agent::AgentError;
use agent_otp_domain::SignedStatement;
use agent_otp_jetstream::message::Ask;
use agent_otp_jetstream::{VerifyError, clock};
use agent_otp_trust::{Book, Roster, RosterError};
use tokio::time::Instant;

use crate::home::{Home, SHOPPER, STRANGER, agent, asking, members, owner_key, owner_of};
use crate::world::within;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn the_owner_renews_the_roster_at_every_start_and_all_of_them_form_one_chain() {
    let mut home = Box::pin(Home::start()).await;
    for _ in 0..2 {
        home.stop_renewing().await;
        home.renew_roster().await;
    }
    let chain = chain(&home, 4).await;
    assert_eq!(home.approver.bus().roster(None).await.unwrap(), chain[3]);
    assert_eq!(owner_of(&home.world).latest().unwrap().0, chain[3]);
    let standing = Roster::verify(&chain[3]).unwrap();
    assert!(standing.valid_until > clock::now().after(DAY).before(Duration::from_mins(1)));
    assert_eq!(standing.members, members());
}

#[tokio::test]
async fn a_broker_that_lost_everything_gets_every_roster_again() {
    let mut home = Box::pin(Home::start()).await;
    home.stop_renewing().await;
    let before = chain(&home, 2).await;
    home.stop_serving().await;
    home.lose_everything().await;
    home.serve().await;
    home.approver.bus().roster(None).await.unwrap_err();
    home.renew_roster().await;
    assert_eq!(chain(&home, 3).await[..2], before);
    let pending = home.ask().await;
    home.approve(pending.key()).await;
}

#[tokio::test]
async fn an_owner_without_a_roster_says_where_it_should_be() {
    let home = Box::pin(Home::asleep()).await;
    let owner = owner_of(&home.world);
    owner.begin(members(), clock::now()).unwrap();
    owner.begin(members(), clock::now()).unwrap_err();
    std::fs::remove_file(home.world.files().join("rosters/0000000001.roster")).unwrap();
    let error = owner.latest().unwrap_err();
    let shown = error.to_string().replace(&home.world.files().display().to_string(), "HOME");
    insta::assert_snapshot!(shown, @"there is no roster in HOME/rosters; restore it");
}

#[tokio::test]
async fn a_stale_roster_is_waited_for_and_the_error_says_since_when() {
    let home = Box::pin(Home::asleep()).await;
    let made_at = clock::now().before(DAY + Duration::from_hours(1));
    stale(&home, made_at).await;
    let began = Instant::now();
    let error = home.agent.request(asking()).await.unwrap_err();
    assert!(began.elapsed() >= Duration::from_secs(10));
    let AgentError::Roster(VerifyError::Roster(RosterError::Stale { since })) = error else {
        panic!("{error}")
    };
    assert_eq!(since, made_at.after(DAY));
}

#[tokio::test]
async fn an_agent_asks_as_soon_as_the_stale_roster_is_renewed() {
    let mut home = Box::pin(Home::asleep()).await;
    stale(&home, clock::now().before(DAY)).await;
    let agent = agent(&home.world, SHOPPER).await.unwrap();
    let asking =
        tokio::spawn(async move { agent.request(asking()).await.map(|pending| pending.key().clone()) });
    home.renew_roster().await;
    let key = within(asking).await.unwrap().unwrap();
    home.approve(&key).await;
}

#[tokio::test]
async fn an_agent_that_no_roster_names_is_told_so() {
    let home = Box::pin(Home::start()).await;
    let stranger = agent(&home.world, STRANGER).await.unwrap();
    let error = stranger.request(asking()).await.unwrap_err();
    assert!(matches!(error, AgentError::NotEnrolled { number: 2 }), "{error}");
    insta::assert_snapshot!(error, @"roster 2 of the owner does not name this agent's key; enrol the agent again");
}

/// The relay's rosters up to this number, which is the last, after checking that they form one chain.
async fn chain(home: &Home, last: u64) -> Vec<SignedStatement> {
    let mut book = Book::new(owner_key().id(), None);
    let mut chain = Vec::new();
    for number in 1..=last {
        let statement = home.approver.bus().roster(Some(number)).await.unwrap();
        assert_eq!(book.admit_latest(&statement).unwrap().number, number);
        chain.push(statement);
    }
    home.approver.bus().roster(Some(last + 1)).await.unwrap_err();
    chain
}

/// Enrols a roster that was signed at this time, and not renewed since.
async fn stale(home: &Home, made_at: agent_otp_domain::Timestamp) {
    let owner = owner_of(&home.world);
    owner.begin(members(), made_at).unwrap();
    let (statement, _) = owner.latest().unwrap();
    home.approver.bus().call(&Ask::Enrol { statement }).await.unwrap();
}
