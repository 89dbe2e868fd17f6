//! The program `agent-otp-relay`, as whoever runs a server types it.

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
