//! One statement at a time: who may say what, when, and about whom.

use std::time::Duration;

use agent_otp_domain::{Channels, CodeShape, Digest, Filter, OwnerId, RequestId, Role, SignedStatement};
use agent_otp_trust::{
    Book, Cancel, Capture, Consume, Decision, Heading, Request, Revocation, Statement, Untrusted, Verdict,
};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, SigningKey, Verifier as _};

use crate::family::{
    AGENT, APPROVER, CAPTURER, Family, OTHER_AGENT, OWNER, STRANGER, Said, at, filter, first_roster, key,
    name, refused, sign_bytes,
};

#[test]
fn every_kind_of_statement_verifies_and_says_what_was_signed() {
    let family = Family::new();
    let said = Said::by(&family);
    let (request, decision) = (said.request.digest(), said.approval.digest());
    returns(&family.book, &said.request, &family.request());
    returns(&family.book, &said.approval, &family.approval(request));
    returns(&family.book, &said.denial, &family.denial(request));
    returns(&family.book, &said.capture, &family.capture(request, decision));
    returns(&family.book, &said.consume, &family.consume(said.capture.digest()));
    returns(&family.book, &said.cancel, &family.cancel(request));
}

#[test]
fn a_statement_stands_for_its_own_kind_and_version_alone() {
    let family = Family::new();
    let said = Said::by(&family);
    refused!(Request::verify(&said.cancel, &family.book), Untrusted::WrongType { .. });
    refused!(Decision::verify(&said.request, &family.book), Untrusted::WrongType { .. });
    refused!(Capture::verify(&said.approval, &family.book), Untrusted::WrongType { .. });
    refused!(Consume::verify(&said.capture, &family.book), Untrusted::WrongType { .. });
    refused!(Cancel::verify(&said.consume, &family.book), Untrusted::WrongType { .. });

    let later = sign_bytes(AGENT, &Cancel::TYPE.replace("v1", "v2"), said.cancel.payload.clone());
    refused!(Cancel::verify(&later, &family.book), Untrusted::WrongType { .. });
    let renamed = SignedStatement { payload_type: Request::TYPE.to_owned(), ..said.cancel };
    refused!(Request::verify(&renamed, &family.book), Untrusted::Signature);
}

#[test]
fn a_flipped_bit_anywhere_in_the_payload_breaks_the_signature() {
    let family = Family::new();
    let said = Said::by(&family);
    for index in 0..said.approval.payload.len() {
        let mut flipped = said.approval.clone();
        flipped.payload[index] ^= 1 << (index % 8);
        refused!(Decision::verify(&flipped, &family.book), Untrusted::Signature);
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_signature_breaks_it() {
    let family = Family::new();
    let said = Said::by(&family);
    for index in 0..64 {
        let mut flipped = said.approval.clone();
        flipped.signature[index] ^= 1 << (index % 8);
        refused!(Decision::verify(&flipped, &family.book), Untrusted::Signature);
    }
}

/// With R the identity and S = k·a, the equation of RFC 8032 holds; computed from the agent's seed.
#[test]
fn a_signature_with_a_point_of_small_order_is_refused_though_it_satisfies_the_equation() {
    let family = Family::new();
    let mut signed = Said::by(&family).cancel;
    signed.signature = [0; 64];
    signed.signature[0] = 1;
    let s = "41049d7097cdfb7a74da51b7766d75de932e8f000b700c16c9b320d8e9e6c60d";
    signed.signature[32..].copy_from_slice(&HEXLOWER.decode(s.as_bytes()).unwrap());

    let lenient = SigningKey::from_bytes(&[AGENT; 32]).verifying_key();
    assert!(lenient.verify(&signed.signed_bytes(), &Signature::from_bytes(&signed.signature)).is_ok());
    refused!(Cancel::verify(&signed, &family.book), Untrusted::Signature);
}

#[test]
fn a_signature_stands_for_the_key_that_made_it() {
    let family = Family::new();
    let said = Said::by(&family);
    let misattributed = SignedStatement { key: key(OTHER_AGENT).id(), ..said.request };
    refused!(Request::verify(&misattributed, &family.book), Untrusted::Signature);
}

#[test]
fn a_key_that_no_roster_names_is_unknown() {
    let family = Family::new();
    let request = Request { heading: family.heading(STRANGER), ..family.request() };
    refused!(Request::verify(&key(STRANGER).sign(&request), &family.book), Untrusted::UnknownKey { .. });
    let by_owner = Request { heading: family.heading(OWNER), ..family.request() };
    refused!(Request::verify(&key(OWNER).sign(&by_owner), &family.book), Untrusted::UnknownKey { .. });
}

#[test]
fn a_member_speaks_in_its_own_role_alone() {
    let family = Family::new();
    let said = Said::by(&family);
    for seed in [AGENT, CAPTURER] {
        let approval = Decision { heading: family.heading(seed), ..family.approval(said.request.digest()) };
        refused!(
            Decision::verify(&key(seed).sign(&approval), &family.book),
            Untrusted::NotAMember { role: Role::Approver, number: 1, .. }
        );
    }
    for seed in [AGENT, APPROVER] {
        let capture = family.capture(said.request.digest(), said.approval.digest());
        let capture = Capture { heading: family.heading(seed), ..capture };
        refused!(
            Capture::verify(&key(seed).sign(&capture), &family.book),
            Untrusted::NotAMember { role: Role::Capturer, .. }
        );
    }
    let request = Request { heading: family.heading(APPROVER), ..family.request() };
    refused!(
        Request::verify(&key(APPROVER).sign(&request), &family.book),
        Untrusted::NotAMember { role: Role::Agent, .. }
    );
}

#[test]
fn an_agent_speaks_under_its_own_name_alone() {
    let family = Family::new();
    let said = Said::by(&family);
    let heading = family.heading(OTHER_AGENT);
    let request = Request { heading: heading.clone(), ..family.request() };
    let consume = Consume { heading: heading.clone(), ..family.consume(said.capture.digest()) };
    let cancel = Cancel { heading, ..family.cancel(said.request.digest()) };
    let other = key(OTHER_AGENT);
    refused!(Request::verify(&other.sign(&request), &family.book), Untrusted::Elsewhere { what: "agent" });
    refused!(Consume::verify(&other.sign(&consume), &family.book), Untrusted::Elsewhere { what: "agent" });
    refused!(Cancel::verify(&other.sign(&cancel), &family.book), Untrusted::Elsewhere { what: "agent" });
}

#[test]
fn a_statement_about_another_owner_is_refused() {
    let family = Family::new();
    let owner = OwnerId::of(&key(STRANGER).id());
    let cancel = cancelled(&family, |heading| heading.owner = owner);
    refused!(Cancel::verify(&cancel, &family.book), Untrusted::Elsewhere { what: "owner" });
}

#[test]
fn the_signer_that_a_statement_names_is_the_key_that_signed() {
    let family = Family::new();
    let cancel = cancelled(&family, |heading| heading.signer = key(OTHER_AGENT).id());
    refused!(Cancel::verify(&cancel, &family.book), Untrusted::Elsewhere { what: "signer" });
}

#[test]
fn a_statement_goes_by_a_roster_of_the_book() {
    let family = Family::new();
    let later = cancelled(&family, |heading| heading.roster.number = 2);
    refused!(Cancel::verify(&later, &family.book), Untrusted::RosterUnknown { number: 2 });
    let forked = cancelled(&family, |heading| heading.roster.digest = Digest::of(&[b"another roster"]));
    refused!(Cancel::verify(&forked, &family.book), Untrusted::RosterUnknown { number: 1 });
}

#[test]
fn a_revoked_key_is_believed_for_what_it_said_before_and_for_nothing_live() {
    let mut family = Family::new();
    let before = cancelled(&family, |heading| heading.made_at = at(59));
    let after = cancelled(&family, |heading| heading.made_at = at(60));
    assert!(Cancel::verify_live(&after, &family.book).is_ok());

    revoke(&mut family, AGENT, 60);
    assert!(Cancel::verify(&before, &family.book).is_ok());
    refused!(Cancel::verify_live(&before, &family.book), Untrusted::Revoked { .. });
    refused!(Cancel::verify(&after, &family.book), Untrusted::Revoked { .. });
    refused!(Cancel::verify_live(&after, &family.book), Untrusted::Revoked { .. });
}

#[test]
fn the_earliest_of_several_revocations_counts() {
    let mut family = Family::new();
    let after = cancelled(&family, |heading| heading.made_at = at(60));
    family.succeed(|roster| {
        let revoked_at = |seconds| Revocation { key: key(AGENT).id(), at: at(seconds) };
        roster.revoked = vec![revoked_at(90), revoked_at(60)];
    });
    refused!(Cancel::verify(&after, &family.book), Untrusted::Revoked { .. });
}

#[test]
fn a_member_that_left_is_believed_for_the_past_alone() {
    let mut family = Family::new();
    let cancel = cancelled(&family, |_| ());
    family.succeed(|roster| roster.members.retain(|member| member.key != key(AGENT).id()));
    assert!(Cancel::verify(&cancel, &family.book).is_ok());
    refused!(Cancel::verify_live(&cancel, &family.book), Untrusted::NotAMember { number: 2, .. });
}

#[test]
fn nothing_is_live_while_the_highest_roster_ever_seen_is_missing() {
    let mut family = Family::new();
    let cancel = cancelled(&family, |_| ());
    revoke(&mut family, AGENT, 60);

    let mut restarted = Book::new(key(OWNER).id(), family.book.seen());
    restarted.admit(&key(OWNER).sign_roster(&first_roster())).unwrap();
    refused!(Cancel::verify_live(&cancel, &restarted), Untrusted::RosterUnknown { number: 2 });
}

#[test]
fn a_filter_that_cannot_be_used_is_refused_wherever_it_stands() {
    let family = Family::new();
    let shape = CodeShape { min: 8, ..filter("github.com").shape.unwrap() };
    let filters = [
        Filter { channels: Channels::Sms, ..filter("github.com") },
        Filter { channels: Channels::Email, ..filter("GitHub") },
        Filter { shape: Some(shape), ..filter("github.com") },
    ];
    for filter in filters {
        let request = Request { filter: filter.clone(), ..family.request() };
        refused!(Request::verify(&key(AGENT).sign(&request), &family.book), Untrusted::Filter(_));
        let narrowed = narrowed(&family, filter);
        refused!(Decision::verify(&key(APPROVER).sign(&narrowed), &family.book), Untrusted::Filter(_));
    }
}

#[test]
fn a_request_stands_for_a_second_to_an_hour_and_no_longer_than_its_agent_may_ask() {
    let usual = Family::new();
    let mut roster = first_roster();
    roster.members[0].limits.ttl_ms_max = 60_000;
    let limited = Family::with(&roster);
    let stands = |family: &Family, ttl_ms| {
        let expires_at = at(0).after(Duration::from_millis(ttl_ms));
        Request::verify(&key(AGENT).sign(&Request { expires_at, ..family.request() }), &family.book)
    };
    for (family, ttl_ms) in [(&usual, 1_000), (&usual, 3_600_000), (&limited, 60_000)] {
        assert!(stands(family, ttl_ms).is_ok(), "{ttl_ms}");
    }
    for (family, ttl_ms) in [(&usual, 0), (&usual, 999), (&usual, 3_600_001), (&limited, 60_001)] {
        refused!(stands(family, ttl_ms), Untrusted::Malformed { .. });
    }
    let backwards = Request { expires_at: at(0).before(Duration::from_mins(1)), ..usual.request() };
    refused!(Request::verify(&key(AGENT).sign(&backwards), &usual.book), Untrusted::Malformed { .. });
}

#[test]
fn what_a_statement_carries_is_bounded() {
    let family = Family::new();
    let mut request = family.request();
    request.recipient.public_key = vec![8; 4_097];
    refused!(Request::verify(&key(AGENT).sign(&request), &family.book), Untrusted::Malformed { .. });

    let capturer = key(CAPTURER).id();
    for capturers in [vec![], vec![capturer; 101]] {
        let decision = Decision {
            verdict: Verdict::Approve { capturers, narrowing: None },
            ..family.approval(Digest::of(&[]))
        };
        refused!(Decision::verify(&key(APPROVER).sign(&decision), &family.book), Untrusted::Malformed { .. });
    }

    let mut capture = family.capture(Digest::of(&[]), Digest::of(&[]));
    capture.evidence.source = "s".repeat(65);
    refused!(Capture::verify(&key(CAPTURER).sign(&capture), &family.book), Untrusted::Malformed { .. });
}

#[test]
fn a_decision_belongs_to_exactly_the_request_that_the_user_saw() {
    let family = Family::new();
    let (request, digest) = (family.request(), key(AGENT).sign(&family.request()).digest());
    assert!(family.approval(digest).binds(digest, &request).is_ok());
    assert!(family.denial(digest).binds(digest, &request).is_ok());

    let another = RequestId::new(at(0), [8; 10]);
    let elsewhere = Heading { request: another, ..family.heading(APPROVER) };
    let unbound = [
        family.approval(Digest::of(&[b"another request"])),
        family.denial(Digest::of(&[b"another request"])),
        Decision { heading: elsewhere.clone(), ..family.approval(digest) },
        Decision { heading: elsewhere, ..family.denial(digest) },
        Decision {
            heading: Heading { agent: name("booker"), ..family.heading(APPROVER) },
            ..family.approval(digest)
        },
    ];
    for decision in unbound {
        refused!(decision.binds(digest, &request), Untrusted::Unbound { .. });
    }
}

#[test]
fn an_approval_neither_outlives_nor_contradicts_its_request() {
    let family = Family::new();
    let (request, digest) = (family.request(), key(AGENT).sign(&family.request()).digest());
    let narrowed = |filter| Decision { request: digest, ..narrowed(&family, filter) };
    assert!(narrowed(filter("noreply@github.com")).binds(digest, &request).is_ok());
    refused!(narrowed(filter("gitlab.com")).binds(digest, &request), Untrusted::Malformed { .. });

    let expires_at = at(300).after(Duration::from_millis(1));
    let approval = Decision { expires_at, ..family.approval(digest) };
    refused!(approval.binds(digest, &request), Untrusted::Malformed { .. });
    let denial = Decision { expires_at, ..family.denial(digest) };
    assert!(denial.binds(digest, &request).is_ok());
}

fn returns<S: Statement + PartialEq + std::fmt::Debug>(book: &Book, signed: &SignedStatement, said: &S) {
    assert_eq!(S::verify(signed, book).unwrap(), *said);
    assert_eq!(S::verify_live(signed, book).unwrap(), *said);
}

/// A cancellation by the agent, with another heading: the smallest statement there is.
fn cancelled(family: &Family, change: impl FnOnce(&mut Heading)) -> SignedStatement {
    let mut cancel = family.cancel(Digest::of(&[b"a request"]));
    change(&mut cancel.heading);
    key(AGENT).sign(&cancel)
}

fn narrowed(family: &Family, filter: Filter) -> Decision {
    let verdict = Verdict::Approve { capturers: vec![key(CAPTURER).id()], narrowing: Some(filter) };
    Decision { verdict, ..family.approval(Digest::of(&[])) }
}

fn revoke(family: &mut Family, seed: u8, seconds: u64) {
    family.succeed(|roster| roster.revoked = vec![Revocation { key: key(seed).id(), at: at(seconds) }]);
}
