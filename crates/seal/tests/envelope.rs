//! What is sealed for one agent, request, decision and capturer opens there, and nowhere else.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use agent_otp_domain::{Code, Digest, KeyId, SealedCode, Wanted};
use agent_otp_seal::{AgentSecret, Context, OpenError, RecipientKey, SealError, open, seal};

#[test]
fn a_code_opens_with_the_agents_secret() {
    for text in ["4829", "482913", "R7K-2M", "abcdefghij"] {
        let (secret, sealed) = sealed(text, Wanted::Code);
        assert_eq!(open(&sealed, Wanted::Code, &secret, &context()).unwrap().expose(), text);
    }
    let link = "https://acme.example/magic?t=1";
    let (secret, sealed) = sealed(link, Wanted::Link);
    assert_eq!(open(&sealed, Wanted::Link, &secret, &context()).unwrap().expose(), link);
}

#[test]
fn a_code_that_did_not_open_still_opens_for_its_agent() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    assert_foreign(open(&sealed, Wanted::Code, &AgentSecret::generate(), &context()));
    assert_eq!(open(&sealed, Wanted::Code, &secret, &context()).unwrap().expose(), "482913");
}

#[test]
fn the_length_of_a_sealed_code_says_only_whether_it_is_a_link() {
    for text in ["4829", "482913", "abcdefghij"] {
        assert_eq!(sealed(text, Wanted::Code).1.as_bytes().len(), 304, "{text}");
    }
    for length in [0, 1, 500, Code::LINK_BYTES_MAX - 8] {
        let link = format!("https://{}", "a".repeat(length));
        assert_eq!(sealed(&link, Wanted::Link).1.as_bytes().len(), 2_096, "{length}");
    }
}

#[test]
fn a_code_sealed_twice_does_not_look_the_same() {
    let secret = AgentSecret::generate();
    let seal = || seal(&Code::new("482913").unwrap(), Wanted::Code, &recipient(&secret), &context()).unwrap();
    let (one, other) = (seal(), seal());
    let alike = one.as_bytes().iter().zip(other.as_bytes()).filter(|(a, b)| a == b).count();
    assert!(alike < 30, "{alike} of 304 bytes are the same");
}

#[test]
fn a_code_opens_in_no_other_context() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    let others = [
        Context { request: Digest::of(&[b"another request"]), ..context() },
        Context { decision: Digest::of(&[b"another decision"]), ..context() },
        Context { capturer: KeyId::of(&[2; 32]), ..context() },
        Context { request: context().decision, decision: context().request, ..context() },
    ];
    for other in others {
        assert_foreign(open(&sealed, Wanted::Code, &secret, &other));
    }
}

#[test]
fn a_code_of_which_one_bit_was_changed_does_not_open() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    for index in 0..sealed.as_bytes().len() {
        let mut bytes = sealed.as_bytes().to_vec();
        *bytes.get_mut(index).unwrap() ^= 1;
        assert_foreign(open(&SealedCode::new(bytes), Wanted::Code, &secret, &context()));
    }
}

/// X25519 ignores the highest bit of a key (RFC 7748 §5), but HPKE derives its keys from `enc` as it is written.
#[test]
fn the_ephemeral_key_has_one_spelling() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    let mut bytes = sealed.as_bytes().to_vec();
    *bytes.get_mut(31).unwrap() ^= 0x80;
    assert_foreign(open(&SealedCode::new(bytes), Wanted::Code, &secret, &context()));
}

#[test]
fn an_ephemeral_key_of_low_order_does_not_open() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    let (_, ct) = sealed.as_bytes().split_at(32);
    let zero = SealedCode::new([&[0; 32], ct].concat());
    assert_foreign(open(&zero, Wanted::Code, &secret, &context()));
}

#[test]
fn bytes_of_another_length_are_refused() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    for length in [0, 31, 32, 303, 305, 2_096] {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes.resize(length, 0);
        let opened = open(&SealedCode::new(bytes), Wanted::Code, &secret, &context());
        assert!(matches!(opened, Err(OpenError::Length { found, .. }) if found == length), "{length}");
    }
    let opened = open(&sealed, Wanted::Link, &secret, &context());
    insta::assert_snapshot!(opened.unwrap_err(), @"a sealed link has 2096 bytes, this one 304");
}

#[test]
fn a_link_is_not_sealed_as_a_code_nor_a_code_as_a_link() {
    let recipient = recipient(&AgentSecret::generate());
    let link = Code::link("https://acme.example/a").unwrap();
    let code = Code::new("482913").unwrap();
    for (content, wanted) in [(link, Wanted::Code), (code, Wanted::Link)] {
        let refused = seal(&content, wanted, &recipient, &context());
        assert!(matches!(refused, Err(SealError::Content { wanted: named }) if named == wanted));
    }
}

#[test]
fn what_is_shown_of_secrets_and_failures_tells_no_code() {
    let (secret, sealed) = sealed("482913", Wanted::Code);
    let opened = open(&sealed, Wanted::Code, &secret, &context()).unwrap();
    insta::assert_debug_snapshot!((secret, &sealed, opened), @"
    (
        AgentSecret(redacted),
        SealedCode(304 bytes),
        Code(redacted),
    )
    ");
    let refused = open(&sealed, Wanted::Code, &AgentSecret::generate(), &context()).unwrap_err();
    insta::assert_snapshot!(
        refused,
        @"the code was sealed to another key, for another request, decision or capturer, or was changed on the way"
    );
    insta::assert_debug_snapshot!(refused, @"
    Foreign(
        OpenError,
    )
    ");
}

fn context() -> Context {
    Context {
        request: Digest::of(&[b"request"]),
        decision: Digest::of(&[b"decision"]),
        capturer: KeyId::of(&[1; 32]),
    }
}

fn recipient(secret: &AgentSecret) -> RecipientKey {
    RecipientKey::new(secret.suite().into(), &secret.public_key()).unwrap()
}

fn sealed(text: &str, wanted: Wanted) -> (AgentSecret, SealedCode) {
    let secret = AgentSecret::generate();
    let code = match wanted {
        Wanted::Code => Code::new(text),
        Wanted::Link => Code::link(text),
    };
    let sealed = seal(&code.unwrap(), wanted, &recipient(&secret), &context()).unwrap();
    (secret, sealed)
}

#[track_caller]
fn assert_foreign(opened: Result<Code, OpenError>) {
    assert!(matches!(opened, Err(OpenError::Foreign(_))), "{opened:?}");
}
