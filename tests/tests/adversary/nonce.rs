//! A broker that has a statement signed as its nonce: a NATS client signs whatever nonce it is sent, and no identity key is
//! ever a NATS key.

use agent_otp_agent::Agent;
use agent_otp_domain::{KeyId, SignedStatement, pre_authentication_encoding};
use agent_otp_jetstream::{Login, Server};
use agent_otp_trust::{Book, Cancel, PublicKey, Statement as _, Untrusted};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::stage::{SHOPPER, Stage, key, name, owner, owner_key, who};
use crate::world::within;

#[tokio::test]
async fn what_a_client_signs_for_its_broker_is_no_statement_of_its_owner() {
    let stage = Box::pin(Stage::start()).await;
    // A nonce is text, so the payload is: whatever it says, the signature is what the attack is about.
    let payload = b"let the attacker have it".to_vec();
    let wanted = pre_authentication_encoding(Cancel::TYPE, &payload);
    let (nkey, signature) = signed_as_nonce(&stage, &String::from_utf8(wanted).unwrap()).await;

    // The attack works so far: this NATS key has signed exactly what a statement's signature covers.
    let (_, bytes) = nkeys::from_public_key(&nkey).unwrap();
    let public = PublicKey::try_from(&bytes[..]).unwrap();
    let statement =
        SignedStatement { payload_type: Cancel::TYPE.to_owned(), payload, key: public.id(), signature };
    assert!(public.has_signed(&statement));

    // But it is nobody's identity key, and the signature is not by one.
    let mut book = Book::new(owner_key().id(), None);
    book.admit(&stage.double.store.rosters.read(&owner(), None).await.unwrap().unwrap()).unwrap();
    let verified = Cancel::verify(&statement, &book);
    assert!(matches!(&verified, Err(Untrusted::UnknownKey { key }) if *key == public.id()), "{verified:?}");
    let posing = SignedStatement { key: key(SHOPPER).id(), ..statement };
    let verified = Cancel::verify(&posing, &book);
    assert!(matches!(verified, Err(Untrusted::Signature)), "{verified:?}");
    let identities: Vec<KeyId> =
        book.latest().unwrap().members.iter().map(|member| member.key.clone()).collect();
    assert!(!identities.contains(&public.id()) && public.id() != owner_key().id());
}

/// What the agent's program answers to a broker that sends this nonce: its NATS key, and its signature.
async fn signed_as_nonce(stage: &Stage, nonce: &str) -> (String, [u8; 64]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let login = stage.world.login(&who(SHOPPER));
    let login = Login { server: Server::plain(url), ..login };
    let home = stage.home(SHOPPER);
    let connecting = tokio::spawn(async move { Agent::connect(&login, home, name(SHOPPER)).await.map(drop) });
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    let info = json!({
        "server_id": "x", "server_name": "x", "version": "2.12.0", "go": "x", "host": "127.0.0.1", "port": 4222,
        "headers": true, "max_payload": 1_048_576, "proto": 1, "auth_required": true, "nonce": nonce,
    });
    stream.write_all(format!("INFO {info}\r\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    within(BufReader::new(stream).read_line(&mut line)).await.unwrap();
    connecting.abort();
    let connect: Value = serde_json::from_str(line.trim().strip_prefix("CONNECT ").unwrap()).unwrap();
    let signature = BASE64URL_NOPAD.decode(connect["sig"].as_str().unwrap().as_bytes()).unwrap();
    (connect["nkey"].as_str().unwrap().to_owned(), signature.try_into().unwrap())
}
