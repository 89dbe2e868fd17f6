//! What a person reads who asks for help, or types something wrong. Nothing has to run for it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;

#[test]
fn help_says_what_can_be_typed() {
    insta::assert_snapshot!("help", typed(&["--help"]));
    insta::assert_snapshot!("help_of_up", typed(&["up", "--help"]));
    let serve = [
        "serve --help",
        "serve broker --help",
        "serve relay --help",
        "serve user --help",
        "serve capturer --help",
        "serve audit --help",
    ];
    let serve = serve.map(|line| typed(&line.split(' ').collect::<Vec<_>>()));
    insta::assert_snapshot!("help_of_serve", serve.join("\n"));
    insta::assert_snapshot!("help_of_request", typed(&["request", "--help"]));
    let decide = ["pending", "approve", "deny"].map(|verb| typed(&[verb, "--help"]));
    insta::assert_snapshot!("help_of_pending_approve_and_deny", decide.join("\n"));
    insta::assert_snapshot!("help_of_capture", typed(&["capture", "--help"]));
    insta::assert_snapshot!("help_of_decode", typed(&["decode", "--help"]));
    let enrol = ["enroll", "join", "members", "revoke"].map(|verb| typed(&[verb, "--help"]));
    insta::assert_snapshot!("help_of_enroll_and_join", enrol.join("\n"));
    let audit = ["list", "show", "events", "follow", "rebuild"].map(|verb| typed(&["audit", verb, "--help"]));
    insta::assert_snapshot!("help_of_audit", [typed(&["audit", "--help"]), audit.join("\n")].join("\n"));
    let keys = ["show", "protect", "unprotect", "rotate", "recovery", "recovery new", "recover"];
    let keys = keys.map(|verb| {
        typed(&["keys"].into_iter().chain(verb.split(' ')).chain(["--help"]).collect::<Vec<_>>())
    });
    insta::assert_snapshot!("help_of_keys", [typed(&["keys", "--help"]), keys.join("\n")].join("\n"));
    let sources =
        ["kinds", "list", "add", "remove", "check", "test"].map(|verb| typed(&["sources", verb, "--help"]));
    insta::assert_snapshot!(
        "help_of_sources",
        [typed(&["sources", "--help"]), sources.join("\n")].join("\n")
    );
    insta::assert_snapshot!("source_kinds", typed(&["sources", "kinds"]));
    insta::assert_snapshot!("help_of_alarms", typed(&["alarms", "--help"]));
    let nats = [typed(&["nats", "--help"]), typed(&["nats", "permissions", "--help"])];
    insta::assert_snapshot!("help_of_nats", nats.join("\n"));
    let alone = ["demo", "bench"].map(|verb| typed(&[verb, "--help"]));
    insta::assert_snapshot!("help_of_demo_and_bench", alone.join("\n"));
}

#[test]
fn the_permissions_of_an_owner_are_printed_for_both_modes_of_a_server() {
    let owner = "a".repeat(32);
    let known = "approver:tablet=UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let permissions = ["nats", "permissions", "--owner", &owner, "--format"];
    let printed = [
        &["config", "--member", "agent:booker", "--member", known][..],
        &["operator"],
        &["operator-json"],
        &["operator", "--member", "agent:booker"],
    ];
    let printed = printed.map(|format| typed(&[&permissions[..], format].concat()));
    insta::assert_snapshot!("permissions", printed.join("\n"));
}

#[test]
fn an_error_says_what_was_expected_and_what_to_type_next() {
    let request = ["request", "--agent", "shopper", "--reason", "Sign in"];
    let with = |more: &[&'static str]| [&request[..], more].concat();
    let table = [
        with(&["--from", "mail.github.com"]),
        with(&["--from", "co.uk"]),
        with(&["--from", "GitHub"]),
        with(&["--from", "github.com", "--channel", "fax"]),
        with(&["--from", "github.com", "--matching", "("]),
        with(&["--from", "github.com", "--shape", "digits:99"]),
        with(&["--from", "github.com", "--wanted", "link", "--shape", "digits:6"]),
        with(&["--from", "github.com", "--ttl", "2h"]),
        with(&["--from", "github.com", "--purpose", "fun"]),
        with(&["--from", "github.com"]),
        vec!["pending"],
        vec!["approve", "nonsense"],
        vec!["approve", "019a0000-0000-7000-8000-000000000000"],
        vec!["enroll", "agent", "booker"],
        vec!["enroll", "owner", "me"],
        vec!["enroll", "agent", "The Booker"],
        vec!["join", "somewhere"],
        vec!["join", "otp1mistyped"],
        vec!["members"],
        vec!["revoke", "booker"],
        vec!["revoke", "agent:booker"],
        vec!["serve", "capturer"],
        vec!["audit", "list"],
        vec!["audit", "list", "--type", "asked"],
        vec!["audit", "events", "--agent", "The Shopper"],
        vec!["audit", "events", "--since", "yesterday"],
        vec!["audit", "events", "--since", "2026-01-31T12:00:00Z", "--until", "2026-01-31T11:00:00Z"],
        vec!["audit", "follow", "--from", "0"],
        vec!["audit", "follow", "--from", "7", "--since", "2h"],
        vec!["audit", "rebuild"],
        vec!["keys", "show"],
        vec!["keys", "protect"],
        vec!["keys", "rotate", "shopper"],
        vec!["keys", "rotate", "owner:me"],
        vec!["keys", "rotate", "agent:The Shopper"],
        vec!["keys", "recover"],
        vec!["keys", "show", "--passphrase-file", "/nowhere/passphrase"],
        vec!["sources", "add", "imap", "host=mail.example"],
        vec!["sources", "add", "imap", "name=mine", "host=mail.example", "user=me"],
        vec!["sources", "add", "pop3", "name=mine"],
        vec!["sources", "add", "maildir", "mine"],
        vec!["sources", "remove", "mine"],
        vec!["sources", "check", "mine"],
        vec!["alarms"],
        vec!["up", "--nats-server", "/nowhere/nats-server"],
        vec!["serve", "user"],
    ];
    let told: Vec<String> =
        table.iter().map(|words| format!("$ agent-otp {}\n{}", words.join(" "), typed(words))).collect();
    insta::assert_snapshot!("errors", told.join("\n"));
}

/// Everything that the program prints, and its exit code.
fn typed(words: &[&str]) -> String {
    let nowhere = tempfile::tempdir().unwrap();
    let data = nowhere.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_agent-otp"))
        .args(words)
        .env("AGENT_OTP_DATA", &data)
        .env_remove("AGENT_OTP_NATS_SERVER")
        .env_remove("AGENT_OTP_PASSPHRASE")
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).unwrap().replace(&data.display().to_string(), "DATA");
    format!("{told}-> {}\n", output.status.code().unwrap())
}
