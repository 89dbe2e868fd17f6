//! A broker that other machines reach: TLS for everybody, a key that stays, and users that come and go while it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agent_otp_domain::Role;
use agent_otp_jetstream::nats_user::{Applied, NatsUser, NatsUsers, Whose};
use agent_otp_jetstream::{ConnectError, Connection, Credentials, Login, Server, Trust};
use agent_otp_tests::{Place, eventually, within};
use nkeys::KeyPair;

const LISTEN: [&str; 3] = ["--accept-unverified-mail", "--listen", "127.0.0.1"];

#[tokio::test]
async fn a_code_goes_the_whole_way_with_tls_for_everybody() {
    let place = Place::new();
    let up = place.up_with(&LISTEN).await;
    let run = place.run();
    assert!(run.nats_url.starts_with("tls://127.0.0.1:"), "{run:?}");
    assert_eq!(run.nats_public_url, run.nats_url);
    let Trust::Pinned(pin) = run.server.trust else { panic!("{run:?}") };
    let others = format!("others   {}  (TLS key sha256:{pin};", run.nats_url);
    eventually("its greeting", async || up.said().contains(&others).then_some(())).await;

    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");

    let plain = Login { server: Server::plain(&run.nats_url), ..place.login("agent:shopper") };
    let refused = Connection::open(&plain, &place.who("agent:shopper")).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Untrusted { .. }), "{refused:?}");
    let key = place.dir().join("tls/key.pem");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_broker_is_known_again_after_a_restart_under_another_name() {
    let place = Place::new();
    place.up_with(&LISTEN).await.stop().await.well();
    let up = place.up_with(&LISTEN).await;
    let first = place.run();
    up.stop().await.well();
    let advertise = ["--listen", "127.0.0.1", "--advertise", "otp.example.com:4333"];
    let _up = place.up_with(&advertise).await;
    let second = place.run();
    assert_eq!(second.server, first.server, "the same port and the same key");
    assert_eq!(second.nats_public_url, "tls://otp.example.com:4333");
}

#[tokio::test]
async fn a_user_is_admitted_and_cut_off_without_a_restart() {
    let place = Place::new();
    let _up = place.up_with(&LISTEN).await;
    let broker = place.run().nats_pid;
    let users = NatsUsers::at(place.dir().join("nats-users"));
    let (agent, login) = booker(&place);
    let refused = Connection::open(&login, &agent.whose.who()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotAdmitted { .. }), "{refused:?}");

    users.add(&agent).unwrap();
    assert_eq!(users.apply().await.unwrap(), Applied::Now);
    let connection = Connection::open(&login, &agent.whose.who()).await.unwrap();
    assert!(*connection.is_up().borrow());

    assert!(users.remove(&agent.whose).unwrap());
    assert_eq!(users.apply().await.unwrap(), Applied::Now);
    let mut is_up = connection.is_up();
    within("the broker to cut it off", is_up.wait_for(|is_up| !is_up)).await.unwrap();
    let refused = Connection::open(&login, &agent.whose.who()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotAdmitted { .. }), "{refused:?}");
    assert!(place.pending().await.is_empty(), "everybody else goes on");
    assert_eq!(place.run().nats_pid, broker);
}

#[tokio::test]
async fn users_that_cannot_be_read_change_nothing() {
    let place = Place::new();
    let _up = place.up().await;
    let users = NatsUsers::at(place.dir().join("nats-users"));
    let (agent, login) = booker(&place);
    users.add(&agent).unwrap();
    assert_eq!(users.apply().await.unwrap(), Applied::Now);
    let damaged = place.dir().join("nats-users/damaged.json");
    fs::write(&damaged, "{").unwrap();
    let refused = users.apply().await.unwrap_err().to_string();
    assert!(refused.contains("damaged.json is damaged: restore it, or remove it"), "{refused}");
    Connection::open(&login, &agent.whose.who()).await.unwrap();
    fs::remove_file(damaged).unwrap();
    assert_eq!(users.apply().await.unwrap(), Applied::Now);
}

#[tokio::test]
async fn a_user_that_was_admitted_while_nothing_ran_or_while_the_broker_was_dead_may_connect() {
    let place = Place::new();
    place.up().await.stop().await.well();
    let users = NatsUsers::at(place.dir().join("nats-users"));
    assert_eq!(users.apply().await.unwrap(), Applied::AtStart);
    let up = place.up().await;
    let (agent, login) = booker(&place);
    up.stop().await.well();
    users.add(&agent).unwrap();
    assert_eq!(users.apply().await.unwrap(), Applied::AtStart);
    let _up = place.up().await;
    Connection::open(&login, &agent.whose.who()).await.unwrap();

    place.run().kill_broker();
    assert!(users.remove(&agent.whose).unwrap());
    assert_eq!(users.apply().await.unwrap(), Applied::Now);
    let refused = eventually("an answer of the broker", async || {
        match Connection::open(&login, &agent.whose.who()).await {
            Err(ConnectError::Connect { .. }) => None,
            other => Some(other),
        }
    })
    .await;
    assert!(matches!(refused, Err(ConnectError::NotAdmitted { .. })), "{refused:?}");
}

/// An agent on another machine, and how it logs in.
fn booker(place: &Place) -> (NatsUser, Login) {
    let run = place.run();
    let pair = KeyPair::new_user();
    let owner = run.owner.parse().unwrap();
    let whose = Whose::Member { owner, role: Role::Agent, name: "booker".parse().unwrap() };
    let credentials = Credentials::Nkey(pair.seed().unwrap().into());
    (NatsUser::new(pair.public_key(), whose), Login { server: run.server, credentials })
}
