//! An existing NATS server, as somebody else runs it: with users in its configuration, or in operator mode.
#![expect(clippy::indexing_slicing, reason = "JSON that is not there is null")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::programs;
use crate::wait::eventually;

/// A nats-server that knows nothing of Agent OTP but what an administrator writes into its configuration.
#[derive(Debug)]
pub struct Existing {
    process: Process,
    port: u16,
    dir: TempDir,
}

impl Existing {
    /// Starts it on a free port of the loopback, with JetStream and this in its configuration.
    pub async fn start(configuration: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports = dir.path().join("ports");
        fs::create_dir(&ports).unwrap();
        let path = dir.path().join("nats-server.conf");
        let store = dir.path().join("store");
        let common = format!(
            "host: 127.0.0.1
port: -1
ports_file_dir: \"{}\"
jetstream {{ store_dir: \"{}\", sync_interval: always }}
",
            ports.display(),
            store.display(),
        );
        fs::write(&path, common + configuration).unwrap();
        let mut command = Command::new(programs::nats_server());
        command.arg("-c").arg(&path);
        let mut process = Process::spawn(command, &dir.path().join("prints"));
        let port = eventually("an existing nats-server", async || {
            assert!(!process.has_ended(), "nats-server has ended:\n{}", process.said());
            listed(&ports)
        })
        .await;
        Self { process, port, dir }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A directory for what its administrator hands out.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    #[must_use]
    pub fn said(&self) -> String {
        self.process.said()
    }
}

fn listed(ports: &Path) -> Option<u16> {
    let file = fs::read_dir(ports).ok()?.next()?.ok()?.path();
    let ports: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
}

/// An account of a server in operator mode, with scoped signing keys: the users that they make may do what the template
/// says, and nothing else.
#[derive(Debug)]
pub struct Account {
    operator: KeyPair,
    system: KeyPair,
    key: KeyPair,
    scopes: Vec<(String, KeyPair, Value)>,
}

impl Account {
    /// An account with these scopes, as `agent-otp nats permissions --format operator-json` prints them.
    #[must_use]
    pub fn with(scopes: &[Value]) -> Self {
        let scopes = scopes.iter().map(|scope| {
            let key = KeyPair::new_account();
            let mut scope = scope.clone();
            scope["key"] = key.public_key().into();
            (scope["role"].as_str().unwrap().to_owned(), key, scope)
        });
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            key: KeyPair::new_account(),
            scopes: scopes.collect(),
        }
    }

    /// What stands in the configuration of its server.
    #[must_use]
    pub fn configuration(&self) -> String {
        let operator = claims(&self.operator, &self.operator, json!({ "type": "operator", "version": 2 }));
        let system = claims(&self.operator, &self.system, account(&[], &[]));
        let scopes: Vec<Value> = self.scopes.iter().map(|(_, _, scope)| scope.clone()).collect();
        let account = claims(&self.operator, &self.key, account(&JETSTREAM, &scopes));
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n  {}: {system}\n  {}: {account}\n}}\n",
            self.system.public_key(),
            self.system.public_key(),
            self.key.public_key(),
        )
    }

    /// Writes the credentials of a user that the signing key of `role` has made, into a new file that nobody else reads.
    pub fn user(&self, role: &str, name: &str, path: &Path) {
        let (_, key, _) =
            self.scopes.iter().find(|(known, _, _)| known == role).expect("a scope of that role");
        self.credentials(key, name, json!({}), path);
    }

    /// Writes the credentials of a user that may do everything in this account.
    pub fn almighty(&self, path: &Path) {
        let limits = json!({ "subs": -1, "data": -1, "payload": -1 });
        self.credentials(&self.key, "almighty", limits, path);
    }

    fn credentials(&self, signer: &KeyPair, name: &str, limits: Value, path: &Path) {
        let user = KeyPair::new_user();
        let mut nats = json!({ "type": "user", "version": 2, "issuer_account": self.key.public_key() });
        nats.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        let jwt = jwt(signer, &json!({ "sub": user.public_key(), "name": name, "nats": nats }));
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap(),
        );
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

fn claims(signer: &KeyPair, subject: &KeyPair, nats: Value) -> String {
    jwt(signer, &json!({ "sub": subject.public_key(), "name": "test", "nats": nats }))
}

/// What an account is limited in that may use JetStream; the server's own account may not.
const JETSTREAM: [&str; 4] = ["mem_storage", "disk_storage", "streams", "consumer"];

/// An account without limits.
fn account(jetstream: &[&str], scopes: &[Value]) -> Value {
    let unlimited = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
    let unlimited = unlimited.iter().chain(jetstream);
    let mut limits: serde_json::Map<String, Value> =
        unlimited.map(|name| ((*name).to_owned(), json!(-1))).collect();
    limits.insert("wildcards".to_owned(), json!(true));
    json!({ "type": "account", "version": 2, "limits": limits, "signing_keys": scopes })
}

/// What NATS calls a JWT: signed with an nkey.
fn jwt(signer: &KeyPair, claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["iss"] = signer.public_key().into();
    claims["iat"] = json!(1_700_000_000);
    claims["jti"] = claims["sub"].clone();
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encode(&claims));
    let signature = signer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}
