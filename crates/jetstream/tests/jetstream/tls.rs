//! TLS to a broker that others reach: whom a client takes for it, and what it says of another.

use agent_otp_broker::{Certificate, Listen};
use agent_otp_domain::Digest;
use agent_otp_jetstream::{ConnectError, Connection, Login, Server, Trust, Who};
use tempfile::TempDir;

use crate::world::World;

const RELAY: Who = Who::Operator("relay");

#[tokio::test]
async fn a_client_takes_the_broker_whose_key_it_knows_and_no_other() {
    let (world, certificate) = world().await;
    let pin = Digest::of(&[certificate.public_key()]);
    let login = |trust| Login { server: Server { trust, ..server(&world) }, ..world.login(&RELAY) };
    Connection::open(&login(Trust::Pinned(pin)), &RELAY).await.unwrap();
    // The certificate says under which addresses it is reached.
    Connection::open(&login(Trust::Authority(certificate.file())), &RELAY).await.unwrap();

    let other = Digest::of(&[b"another key"]);
    let error = Connection::open(&login(Trust::Pinned(other)), &RELAY).await.unwrap_err();
    let ConnectError::OtherBroker { pinned, found, .. } = error else { panic!("{error:?}") };
    assert_eq!((pinned, found), (other, pin));
    for trust in [Trust::Platform, Trust::Plain] {
        let error = Connection::open(&login(trust), &RELAY).await.unwrap_err();
        assert!(matches!(error, ConnectError::Untrusted { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_broker_without_tls_is_not_spoken_to_by_who_knows_its_key() {
    let world = World::bare(&[]).await;
    let pin = Trust::Pinned(Digest::of(&[b"a key"]));
    let login = world.login(&RELAY);
    let login = Login { server: Server { trust: pin, ..login.server }, ..login };
    let error = Connection::open(&login, &RELAY).await.unwrap_err();
    assert!(matches!(error, ConnectError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn a_user_that_the_broker_does_not_know_is_told_so() {
    let world = World::bare(&[]).await;
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    let login = Login::plain(world.login(&RELAY).server.url, stranger);
    let error = Connection::open(&login, &RELAY).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotAdmitted { .. }), "{error:?}");
}

async fn world() -> (World, Certificate) {
    let dir = TempDir::new().unwrap();
    let certificate = Certificate::issue(dir.path(), &["127.0.0.1".to_owned()]).unwrap();
    let listen = Listen::Tls { address: [127, 0, 0, 1].into(), certificate: certificate.clone() };
    (World::listening(dir, listen, &[]).await, certificate)
}

fn server(world: &World) -> Server {
    let Server { url, .. } = world.login(&RELAY).server;
    Server::plain(url.replace("nats://", "tls://"))
}
