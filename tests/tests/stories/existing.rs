//! `up --nats`: an existing NATS server in place of one of our own, in each way in which such a server knows its users.

use std::fs;
use std::path::Path;

use agent_otp_broker::Certificate;
use agent_otp_jetstream::nats_user::NatsUsers;
use agent_otp_tests::{Account, Existing, Place, eventually, strings};
use serde_json::Value;

#[tokio::test]
async fn a_server_whose_users_stand_in_its_configuration_carries_a_code() {
    let place = Place::new();
    let configuration = place.agent_otp(&["nats", "permissions"]).await.well().stdout;
    let server = Existing::start(&configuration).await;
    let up = place.up_on(&server.url(), &[]).await;
    eventually("its greeting", async || up.said().contains("(an existing server)").then_some(())).await;
    carries_a_code(&place).await;
    let mut agent = place.wire("agent:shopper").await;
    assert!(!agent.may_subscribe("otp.v1.event.>").await);
    assert!(!agent.may_publish("$JS.API.STREAM.CREATE.MINE").await);

    let refused = NatsUsers::at(place.dir().join("nats-users")).apply().await.unwrap_err().to_string();
    assert!(refused.contains("its administrator admits and removes users"), "{refused}");
    up.stop().await.well();
    // What is there stays there, and is found again.
    let _up = place.up_on(&server.url(), &[]).await;
    carries_a_code(&place).await;
}

#[tokio::test]
async fn a_server_in_operator_mode_carries_a_code_with_a_scoped_user_for_each() {
    let place = Place::new();
    let (account, server) = operator_mode(&place).await;
    let owner = owner(&place).await;
    let creds = server.dir().join("creds");
    fs::create_dir(&creds).unwrap();
    for operator in ["relay", "provision"] {
        account.user(operator, operator, &creds.join(format!("{operator}.creds")));
    }
    for (role, name) in
        [("agent", "shopper"), ("approver", "local"), ("capturer", "local"), ("auditor", "local")]
    {
        let path = creds.join(format!("{role}-{name}.creds"));
        account.user(&format!("{role}-{owner}"), name, &path);
    }
    let _up = place.up_on(&server.url(), &["--creds", creds.to_str().unwrap()]).await;
    carries_a_code(&place).await;

    let mut agent = place.wire("agent:shopper").await;
    for (subject, allowed) in [
        (format!("otp.v1.cmd.{owner}.agent.shopper.request"), true),
        (format!("otp.v1.cmd.{owner}.agent.booker.request"), false),
        (format!("otp.v1.cmd.{owner}.approver.shopper.approve"), false),
        (format!("otp.v1.cmd.{}.agent.shopper.request", "a".repeat(32)), false),
        ("$JS.API.STREAM.CREATE.MINE".to_owned(), false),
    ] {
        assert_eq!(agent.may_publish(&subject).await, allowed, "{subject}");
    }
    for (subject, allowed) in [
        (format!("otp.v1.event.{owner}.shopper.>"), true),
        (format!("otp.v1.event.{owner}.booker.>"), false),
        ("_INBOX.>".to_owned(), false),
    ] {
        assert_eq!(agent.may_subscribe(&subject).await, allowed, "{subject}");
    }
}

#[tokio::test]
async fn an_owner_who_holds_its_scoped_keys_makes_users_of_its_own_and_of_no_other() {
    let place = Place::new();
    let (account, server) = operator_mode(&place).await;
    let (owner, other) = (owner(&place).await, "a".repeat(32));
    let dir = server.dir();
    let one = dir.join("almighty.creds");
    account.almighty(&one);
    let _up = place.up_on(&server.url(), &["--creds", one.to_str().unwrap()]).await;
    carries_a_code(&place).await;

    // Names that an honest owner would not choose.
    for (number, name) in ["booker", "*", ">", "x.*", &other, "a b"].into_iter().enumerate() {
        let path = dir.join(format!("{number}.creds"));
        account.user(&format!("agent-{owner}"), name, &path);
        let Some(mut agent) = place.wire_with(&path).await else { continue };
        for subject in [
            format!("otp.v1.cmd.{other}.agent.shopper.request"),
            format!("otp.v1.cmd.{owner}.approver.local.approve"),
            format!("otp.v1.log.{owner}.shopper.x.approved"),
            "$JS.API.INFO".to_owned(),
        ] {
            assert!(!agent.may_publish(&subject).await, "{name}: {subject}");
        }
        for subject in [format!("otp.v1.event.{other}.>"), "otp.v1.event.>".to_owned(), "_INBOX.>".to_owned()]
        {
            assert!(!agent.may_subscribe(&subject).await, "{name}: {subject}");
        }
        let own = agent.may_publish(&format!("otp.v1.cmd.{owner}.agent.booker.request")).await;
        assert!(own || name != "booker");
    }
}

#[tokio::test]
async fn a_server_with_tls_is_known_by_its_authority_and_knows_its_clients_by_theirs() {
    let place = Place::new();
    let configuration = place.agent_otp(&["nats", "permissions"]).await.well().stdout;
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        Certificate::issue(&dir.path().join(name), &["127.0.0.1".to_owned()]).unwrap();
        ["certificate.pem", "key.pem"].map(|file| dir.path().join(name).join(file))
    };
    let [(server_chain, server_key), (chain, key)] =
        ["server", "client"].map(made).map(|[chain, key]| (chain, key));
    let tls = format!(
        "tls {{ cert_file: {server_chain:?}, key_file: {server_key:?}, ca_file: {chain:?}, verify: true }}\n"
    );
    let server = Existing::start(&(configuration + &tls)).await;
    let url = server.url().replace("nats://", "tls://");
    let text = |path: &Path| path.to_str().unwrap().to_owned();

    let stranger = place.agent_otp(&["up", "--nats", &url]).await;
    assert!(stranger.stderr.contains("its certificate is not trusted"), "{stranger:?}");
    let bare = place.agent_otp(&["up", "--nats", &url, "--tls-ca", &text(&server_chain)]).await;
    assert_ne!(bare.code, Some(0), "{bare:?}");

    let (ca, chain, key) = (text(&server_chain), text(&chain), text(&key));
    let _up = place.up_on(&url, &["--tls-ca", &ca, "--tls-cert", &chain, "--tls-key", &key]).await;
    carries_a_code(&place).await;
}

#[tokio::test]
async fn what_is_missing_on_an_existing_server_is_said_with_the_next_step() {
    let place = Place::new();
    let up = async |url: &str, options: &[&str]| {
        let ended = place.agent_otp(&[&["up", "--nats", url], options].concat()).await;
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(!place.dir().join("run.json").exists(), "{ended:?}");
        ended.stderr
    };
    let said = up("nats://127.0.0.1:1", &[]).await;
    assert!(said.contains("cannot connect to NATS at nats://127.0.0.1:1"), "{said}");
    let said = up("nats://127.0.0.1:1", &["--creds", "/nowhere/x.creds"]).await;
    assert!(said.contains("name the credentials file that the server's administrator gave you"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let said = up("nats://127.0.0.1:1", &["--creds", empty.path().to_str().unwrap()]).await;
    assert!(said.contains("lacks relay.creds, approver-local.creds, capturer-local.creds"), "{said}");

    // Somebody else's server, which has not heard of us.
    let other = Place::new();
    let configuration = other.agent_otp(&["nats", "permissions"]).await.well().stdout;
    let said = up(&Existing::start(&configuration).await.url(), &[]).await;
    assert!(said.contains("put what `agent-otp nats permissions` prints into its configuration"), "{said}");

    // One that admits the relay, and nobody who may make the streams.
    let (account, server) = operator_mode(&place).await;
    let owner = owner(&place).await;
    let creds = empty.path();
    account.user("relay", "relay", &creds.join("relay.creds"));
    for role in ["approver", "capturer"] {
        account.user(&format!("{role}-{owner}"), "local", &creds.join(format!("{role}-local.creds")));
    }
    let options = ["--creds", creds.to_str().unwrap()];
    let said = up(&server.url(), &options).await;
    assert!(said.contains("have `agent-otp-relay provision` run by one who may"), "{said}");
    let said = place.agent_otp(&["up", "--tls-ca", "/x.pem"]).await.stderr;
    assert!(said.contains("name it with --nats URL"), "{said}");
}

/// A server in operator mode with one account, whose scopes are those that are printed.
async fn operator_mode(place: &Place) -> (Account, Existing) {
    let printed = place.agent_otp(&["nats", "permissions", "--format", "operator-json"]).await.well().json();
    let Value::Array(scopes) = printed else { panic!("{printed}") };
    let account = Account::with(&scopes);
    let server = Existing::start(&account.configuration()).await;
    (account, server)
}

async fn owner(place: &Place) -> String {
    let keys = place.agent_otp(&["keys", "show", "--json"]).await.well().json();
    assert_eq!(keys["keys"][0]["member"], "owner");
    keys["keys"][0]["key"].as_str().unwrap().to_owned()
}

async fn carries_a_code(place: &Place) {
    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    let life = strings(["requested", "approved", "captured", "consumed"]);
    assert_eq!(place.history(&asked.id).await, life);
}
