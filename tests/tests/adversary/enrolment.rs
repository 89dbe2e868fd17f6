//! Enrolment through a broker in the attacker's hands, who may have seen the token besides.

use agent_otp_domain::{MemberId, Role, SignedStatement, UserId};
use agent_otp_jetstream::{Entrance, Reception, Visit, Who, clock};
use agent_otp_trust::enrolment::{Answer, Candidate, Invitation, Invited, Joining, Said, Token, Void, Words};
use agent_otp_trust::{IdentityKey, Nonce, Roster};
use nkeys::KeyPair;

use crate::forgery::mallory;
use crate::stage::{owner, owner_key};
use crate::world::{World, within};

#[tokio::test]
async fn a_key_that_was_swapped_by_somebody_with_the_token_is_shown_by_the_words() {
    let token = token();
    // The joiner's packets end at a broker of Mallory's, who speaks with the owner's side in the joiner's place.
    let (real, forged) = (broker(&token).await, broker(&token).await);
    let (mut owners, mut mallorys) = (reception(&real, &token).await, reception(&forged, &token).await);
    let to_owner = entrance(&real, &token).await;
    let owner = receive(&mut owners, &token, Nonce::new(clock::random()));
    let joiner = join(entrance(&forged, &token).await, &token, newcomer());
    let swap = async {
        let visit = mallorys.next().await.unwrap();
        let (joining, commit) = Joining::begin(&token, mallory(), user(), Nonce::new(clock::random()));
        let challenge = to_owner.say(&commit, PATIENCE).await.unwrap();
        // The owner's own nonce is the best that the joiner can be told.
        let Answer::Challenge { nonce, roster, .. } = &challenge else { panic!("{challenge:?}") };
        let said = visit.said.as_ref().unwrap();
        let (_, passed_on) = Invited::new(&token).committed(said, *nonce, roster.clone()).unwrap();
        visit.answer(&passed_on).await;
        let (_, reveal) = joining.challenged(&challenge, clock::now()).unwrap();
        let shown = mallorys.next().await.unwrap();
        drop(to_owner.say(&reveal, PATIENCE).await);
        shown.answer(&Answer::Void { why: Void::Words }).await;
    };
    let (candidate, words, ()) = within(async { tokio::join!(owner, joiner, swap) }).await;
    let candidate = candidate.unwrap();
    assert_eq!(candidate.member.public_key, mallory().public(), "the attack works so far");
    assert_ne!(candidate.words, words);
    assert!(!candidate.words.are(&words.to_string()));
}

#[tokio::test]
async fn a_key_that_was_swapped_by_the_broker_alone_proves_nothing() {
    let token = token();
    let (real, forged) = (broker(&token).await, broker(&token).await);
    let (mut owners, mut brokers) = (reception(&real, &token).await, reception(&forged, &token).await);
    let to_owner = entrance(&real, &token).await;
    let owner = receive(&mut owners, &token, Nonce::new(clock::random()));
    let joiner = join(entrance(&forged, &token).await, &token, newcomer());
    let swap = async {
        for _ in 0..2 {
            let visit = brokers.next().await.unwrap();
            let mut said = visit.said.clone().unwrap();
            if let Said::Reveal { public_key, possession, .. } = &mut said {
                *public_key = mallory().public();
                *possession = SignedStatement { key: mallory().id(), ..possession.clone() };
            }
            let answer = to_owner.say(&said, PATIENCE).await.unwrap();
            visit.answer(&answer).await;
        }
    };
    let (candidate, _, ()) = within(async { tokio::join!(owner, joiner, swap) }).await;
    assert_eq!(candidate.map(drop), Err(Void::Proof));
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The owner's side up to the words.
async fn receive(reception: &mut Reception, token: &Token, nonce: Nonce) -> Result<Candidate, Void> {
    let roster = owner_key().sign_roster(&Roster::first(&owner_key(), Vec::new(), clock::now()));
    let visit = reception.next().await.unwrap();
    let (committed, challenge) = Invited::new(token).committed(said(&visit), nonce, roster)?;
    visit.answer(&challenge).await;
    let visit = reception.next().await.unwrap();
    let candidate = committed.revealed(said(&visit));
    let why = candidate.as_ref().map_or_else(|why| *why, |_| Void::Words);
    visit.answer(&Answer::Void { why }).await;
    candidate
}

fn said(visit: &Visit) -> &Said {
    visit.said.as_ref().unwrap()
}

/// The joiner's side up to the words.
async fn join(entrance: Entrance, token: &Token, key: IdentityKey) -> Words {
    let (joining, commit) = Joining::begin(token, key, user(), Nonce::new(clock::random()));
    let challenge = entrance.say(&commit, PATIENCE).await.unwrap();
    let (revealed, reveal) = joining.challenged(&challenge, clock::now()).unwrap();
    drop(entrance.say(&reveal, PATIENCE).await);
    revealed.words().clone()
}

fn token() -> Token {
    let invitation = Invitation {
        url: "nats://127.0.0.1:4222".to_owned(),
        tls_key: None,
        owner: owner_key().id(),
        role: Role::Agent,
        name: "newcomer".parse().unwrap(),
        expires_at: clock::now().after(PATIENCE),
    };
    Token::new(invitation, clock::random::<32>().into()).unwrap()
}

async fn broker(token: &Token) -> World {
    Box::pin(World::start(&[Who::Enroller { owner: owner() }, joiner(token.id())])).await
}

async fn reception(world: &World, token: &Token) -> Reception {
    let connection = world.connect(&Who::Enroller { owner: owner() }).await;
    Reception::open(connection, &owner(), &token.id()).await.unwrap()
}

async fn entrance(world: &World, token: &Token) -> Entrance {
    Entrance::new(world.connect(&joiner(token.id())).await, &owner(), &token.id())
}

fn joiner(id: MemberId) -> Who {
    Who::Enrolment { owner: owner(), id }
}

fn newcomer() -> IdentityKey {
    IdentityKey::from_seed(&[0x21; 32].into())
}

fn user() -> UserId {
    KeyPair::new_user().public_key().parse().unwrap()
}
