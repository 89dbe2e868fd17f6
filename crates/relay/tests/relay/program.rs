//! The program `agent-otp-relay`, as whoever runs a server types it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use agent_otp_jetstream::Who;

use crate::world::World;

#[tokio::test]
async fn provision_may_run_again_and_says_what_differs() {
    let world = World::start(&[]).await;
    let again = typed(&world, &["provision"]);
    assert!(again.0 && again.1.contains("created=[]"), "{again:?}");

    let (is_well, told) = typed(&world, &["provision", "--vault", "file"]);
    assert!(!is_well);
    let differs = "KV_otp_vault exists with other settings: storage is \"memory\", not \"file\"; change it by hand, \
                   or give the settings that it has";
    assert!(told.contains(differs), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let world = World::start(&[]).await;
    let key = world.files().join(Who::Operator("provision").inbox());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let (is_well, told) = typed(&world, &["provision"]);
    assert!(!is_well && told.contains(&format!("(mode 0640): type chmod 600 {}", key.display())), "{told}");
}

/// Types a verb with the operator's key; whether it went well, and what it said.
fn typed(world: &World, words: &[&str]) -> (bool, String) {
    let who = Who::Operator("provision");
    let output = Command::new(env!("CARGO_BIN_EXE_agent-otp-relay"))
        .args(words)
        .args(["--nats-url", &world.login(&who).server.url, "--nkey-file"])
        .arg(world.files().join(who.inbox()))
        .env("RUST_BACKTRACE", "1")
        .env_remove("AGENT_OTP_LOG")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}
