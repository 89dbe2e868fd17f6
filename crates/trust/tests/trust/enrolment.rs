//! Enrolments: the token as it is written, the exchange as both sides see it, and everybody who stands between them.

use std::collections::BTreeSet;

use agent_otp_domain::{Digest, Role, SignedStatement, UserId, codec};
use agent_otp_trust::enrolment::{
    Answer, Candidate, Committed, Enrolled, EnrolmentError, Invitation, Invited, Joining, Possession,
    Revealed, Said, Token, TokenError, Void,
};
use agent_otp_trust::{Member, Nonce, Roster, RosterError};
use data_encoding::HEXLOWER;

use crate::family::{OWNER, at, first_roster, key, name, refused, sign_bytes};

/// The seed of the key that is to be enrolled.
const NEWCOMER: u8 = 0x21;
/// The seed of the key of whoever stands between.
const MALLORY: u8 = 0x66;

#[test]
fn a_token_is_written_as_it_always_was_and_reads_back() {
    let token = token();
    let text = token.written();
    insta::assert_snapshot!(text.as_str(), @"otp1aeaaaam4cp24lqdg4f576t73j7rpxdgyyx4vo3msxc72iabaexnhudsv6taseygtldw3lkm662eb43yvhrslym45dtaatfa4zp2as43in5yhazlsfuzbi5dmom5c6lzrhezc4mbogixdoorugizdebyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyhds644ga");
    for typed in [
        text.to_string(),
        text.to_uppercase(),
        format!("  {}\r\n", text.as_str()),
        text.as_bytes().chunks(64).map(|part| String::from_utf8_lossy(part) + "\n").collect(),
    ] {
        let read: Token = typed.parse().unwrap();
        assert_eq!(read.invitation(), &invitation(), "{typed}");
        assert_eq!(read.user_seed(), token.user_seed());
    }
    let plain = Invitation { tls_key: None, url: "nats://127.0.0.1:4222".to_owned(), ..invitation() };
    let read: Token = Token::new(plain.clone(), secret()).unwrap().written().parse().unwrap();
    assert_eq!(read.invitation(), &plain);
}

#[test]
fn what_the_secret_is_good_for_is_what_it_always_was() {
    let token = token();
    insta::assert_snapshot!(token.id(), @"nydgd2wbyx6xvzcfgiywnyslpemdysyd");
    insta::assert_snapshot!(HEXLOWER.encode(token.user_seed().as_slice()), @"428585aa5e518ac3a57cbadcb0832b3df7e39b54312db939943016e3469e4f6e");
    // Whoever changes what a token says, and writes it as it should be written, has a token that nobody knows.
    for changed in [
        Invitation { role: Role::Approver, ..invitation() },
        Invitation { name: name("booker"), ..invitation() },
        Invitation { url: "tls://192.0.2.8:4222".to_owned(), ..invitation() },
        Invitation { tls_key: None, ..invitation() },
        Invitation { owner: key(MALLORY).id(), ..invitation() },
        Invitation { expires_at: at(601), ..invitation() },
    ] {
        let changed = Token::new(changed, secret()).unwrap();
        assert_ne!(changed.id(), token.id(), "{changed:?}");
        assert_ne!(changed.user_seed(), token.user_seed(), "{changed:?}");
    }
}

#[test]
fn no_character_of_a_token_can_be_mistyped_unnoticed() {
    let text = token().written();
    for index in 0..text.len() {
        for wrong in "abcdefghijklmnopqrstuvwxyz234567018-".chars() {
            let mut typed = text.to_string();
            typed.replace_range(index..=index, &wrong.to_string());
            if typed != *text {
                let expected = if index < 4 { TokenError::Other } else { TokenError::Mistyped };
                assert_eq!(typed.parse::<Token>().unwrap_err(), expected, "{index}: {wrong}");
            }
        }
        let mut short = text.to_string();
        short.remove(index);
        assert!(short.parse::<Token>().is_err(), "without character {index}");
    }
    for (text, expected) in [
        (String::new(), TokenError::Other),
        ("otp".to_owned(), TokenError::Other),
        ("otp1".to_owned(), TokenError::Mistyped),
        ("otp2abcd".to_owned(), TokenError::Other),
        ("ä".repeat(20), TokenError::Other),
        (format!("{}a", text.as_str()), TokenError::Mistyped),
        (text.repeat(2), TokenError::Mistyped),
    ] {
        assert_eq!(text.parse::<Token>().unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_token_is_for_a_member_at_a_broker() {
    for role in [Role::Owner, Role::Relay] {
        let token = Token::new(Invitation { role, ..invitation() }, secret());
        assert_eq!(token.unwrap_err(), TokenError::Malformed("a role that no member has"));
    }
    for url in ["", "http://a", "nats:// a", "nats://ä", &format!("nats://{}", "a".repeat(200))] {
        let token = Token::new(Invitation { url: url.to_owned(), ..invitation() }, secret());
        assert_eq!(token.unwrap_err(), TokenError::Malformed("no URL of a broker"), "{url}");
    }
}

#[test]
fn the_debug_of_a_token_shows_no_secret() {
    insta::assert_debug_snapshot!(token(), @"Token(agent:shopper-2 of m3qxx72p7nh6f64m3dc7sv3nsk4l7jaa until 2026-01-31T12:10:00.000Z, secret redacted)");
    let (joining, _) = join(NEWCOMER);
    let shown = format!("{joining:?}{:?}", Invited::new(&token()));
    assert!(shown.contains("Prover(redacted)") && !shown.contains("[7, 7"), "{shown}");
}

#[test]
fn both_sides_come_to_the_same_words_and_to_one_roster() {
    let (revealed, candidate) = meet(NEWCOMER);
    assert_eq!(*revealed.words(), candidate.words);
    assert_eq!(candidate.member, Member::new(Role::Agent, name("shopper-2"), key(NEWCOMER).public()));
    assert_eq!(candidate.user, user());
    let roster = roster_with(candidate.member.clone());
    let (admitted, answer) = candidate.welcome(roster.clone());
    let Enrolled { seen, kept } = revealed.welcomed(&answer).unwrap();
    assert_eq!(seen.map(|seen| seen.digest), Some(roster.digest()));
    assert!(admitted.has_kept(&kept));
    assert!(!admitted.has_kept(&Said::Leave {}));
}

#[test]
fn the_exchange_is_what_it_always_was() {
    let (joining, commit) = join(NEWCOMER);
    let (committed, challenge) = Invited::new(&token()).committed(&commit, owners(), roster()).unwrap();
    let (revealed, reveal) = joining.challenged(&challenge, at(5)).unwrap();
    let candidate = committed.revealed(&reveal).unwrap();
    let (_, welcome) = candidate.welcome(roster_with(newcomer()));
    let words = revealed.words().to_string();
    let Enrolled { kept, .. } = revealed.welcomed(&welcome).unwrap();
    let (Said::Commit { commitment, mac: one }, Said::Kept { mac: five }) = (&commit, &kept) else {
        panic!()
    };
    let Answer::Challenge { mac: two, .. } = &challenge else { panic!() };
    let Said::Reveal { mac: three, possession, .. } = &reveal else { panic!() };
    let Answer::Welcome { mac: four, .. } = &welcome else { panic!() };
    let macs = [one, two, three, four, five].map(|mac| HEXLOWER.encode(&codec::encode(mac)[2..]));
    insta::assert_snapshot!(format!("{commitment}\n{}\n{words}", macs.join("\n")), @"
    40b1f3e222b9df3e0af7bd9324aafb9906a40de19adb7dbe30917a7ec4f527ff
    048640f006386ae4c37b33dcd5463adb1ce982f19ee066adc9f4767db0ee1bf8
    e1d10302f0c0c98e26f4438d9172cab9b6e0d2bba735ac406fe0bac76756628f
    f6e9b5062cbeeef34d65e91d39a4b02d90ba5b8016063674bad4b2e5f2087408
    30fba205d18af976fde554d2ee4a88ed61fe00c2f2047c91ea912c2e1cfac23c
    bc07224a90dd9c0aab9f9821e90e1ce4d9f9528d0c32ca3d85dda49688354faf
    other raw equip write imitate rebuild
    ");
    insta::assert_snapshot!(HEXLOWER.encode(&possession.payload), @"84a56f776e6572d9206d33717878373270376e68366636346d336463377376336e736b346c376a6161a4726f6c65a56167656e74a46e616d65a973686f707065722d32aa7472616e736372697074c420919bb38cafac9f18aa197c0f1586ce62f307a245bb02bd59d24ae7d7d644c369");
}

#[test]
fn messages_read_back_and_are_called_as_no_others() {
    let (joining, commit) = join(NEWCOMER);
    let (_, challenge) = Invited::new(&token()).committed(&commit, owners(), roster()).unwrap();
    let (_, reveal) = joining.challenged(&challenge, at(5)).unwrap();
    for said in [commit, reveal, Said::Waiting {}, Said::Leave {}] {
        assert_eq!(codec::decode::<Said>(&codec::encode(&said)).unwrap(), said);
        assert!(codec::decode::<Answer>(&codec::encode(&said)).is_err());
    }
    for answer in [challenge, Answer::Closed {}, Answer::Wait {}, Answer::Void { why: Void::Twice }] {
        assert_eq!(codec::decode::<Answer>(&codec::encode(&answer)).unwrap(), answer);
        assert!(codec::decode::<Said>(&codec::encode(&answer)).is_err());
    }
}

#[test]
fn whoever_has_not_the_secret_proves_nothing() {
    let other = Token::new(invitation(), [8; 32].into()).unwrap();
    let (_, commit) = Joining::begin(&other, key(NEWCOMER), user(), joiners());
    refused!(Invited::new(&token()).committed(&commit, owners(), roster()), Void::Proof);

    let (joining, commit) = join(NEWCOMER);
    let (_, challenge) = Invited::new(&token()).committed(&commit, owners(), roster()).unwrap();
    let Answer::Challenge { nonce, roster: signed, mac } = challenge else { panic!() };
    let forged = Answer::Challenge { nonce: Nonce::new([9; 16]), roster: signed.clone(), mac };
    refused!(joining.challenged(&forged, at(5)), EnrolmentError::Proof);
    let (joining, _) = join(NEWCOMER);
    let forged = Answer::Challenge { nonce, roster: next(|_| {}), mac };
    refused!(joining.challenged(&forged, at(5)), EnrolmentError::Proof);
}

#[test]
fn there_is_one_guess_and_one_order() {
    let (_, reveal) = shown();
    let Said::Reveal { mac, .. } = &reveal else { panic!() };
    let kept = || Said::Kept { mac: *mac };
    for (said, why) in [(reveal.clone(), Void::Twice), (kept(), Void::Twice), (Said::Leave {}, Void::Left)] {
        let voided = Invited::new(&token()).committed(&said, owners(), roster()).map(drop);
        assert_eq!(voided, Err(why), "{said:?}");
    }
    let (_, commit) = join(NEWCOMER);
    for (said, why) in [(commit, Void::Twice), (kept(), Void::Twice), (Said::Leave {}, Void::Left)] {
        let voided = shown().0.revealed(&said).map(drop);
        assert_eq!(voided, Err(why), "{said:?}");
    }
    let (revealed, _) = meet(NEWCOMER);
    refused!(revealed.welcomed(&Answer::Void { why: Void::Words }), EnrolmentError::Void(Void::Words));
    let (revealed, _) = meet(NEWCOMER);
    refused!(revealed.welcomed(&Answer::Closed {}), EnrolmentError::Proof);
}

#[test]
fn nothing_that_was_committed_to_can_be_changed() {
    let (_, Said::Commit { mac: other, .. }) = join(NEWCOMER) else { panic!() };
    for change in 0..4 {
        let (committed, mut reveal) = shown();
        let Said::Reveal { nonce, public_key, user, mac, .. } = &mut reveal else { panic!() };
        match change {
            0 => *nonce = Nonce::new([1; 16]),
            1 => *public_key = key(MALLORY).public(),
            2 => *user = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4".parse().unwrap(),
            _ => *mac = other,
        }
        assert_eq!(committed.revealed(&reveal).map(drop), Err(Void::Proof), "{change}");
    }
}

#[test]
fn a_key_that_its_owner_does_not_hold_is_not_enrolled() {
    let (_, reveal) = shown();
    let Said::Reveal { possession: real, .. } = reveal else { panic!() };
    let by_another = sign_bytes(MALLORY, Possession::TYPE, real.payload.clone());
    let possessions = [
        by_another.clone(),
        SignedStatement { key: real.key.clone(), ..by_another },
        sign_bytes(NEWCOMER, Possession::TYPE, b"another enrolment".to_vec()),
        sign_bytes(NEWCOMER, "another type", real.payload.clone()),
    ];
    for wrong in possessions {
        // The proof is over everything else, and right.
        let (committed, mut reveal) = shown();
        let Said::Reveal { possession, .. } = &mut reveal else { panic!() };
        *possession = wrong;
        assert_eq!(committed.revealed(&reveal).map(drop), Err(Void::Proof));
    }
}

#[test]
fn who_stands_between_with_the_token_is_shown_by_the_words() {
    let mut shown = BTreeSet::new();
    for nonce in 0..32 {
        // Toward the joiner it plays the owner, with the real roster; toward the owner it plays the joiner.
        let (joining, commit) = join(NEWCOMER);
        let (_, challenge) =
            Invited::new(&token()).committed(&commit, Nonce::new([nonce; 16]), roster()).unwrap();
        let (revealed, _) = joining.challenged(&challenge, at(5)).unwrap();
        let (_, candidate) = meet(MALLORY);
        assert_ne!(*revealed.words(), candidate.words);
        shown.insert(revealed.words().to_string());
    }
    // Each nonce gives other words, and Mallory has to choose its own before it knows the joiner's.
    assert_eq!(shown.len(), 32);
}

#[test]
fn only_a_roster_of_the_pinned_owner_that_names_the_key_makes_a_member() {
    let foreign = key(MALLORY).sign_roster(&Roster::first(&key(MALLORY), vec![newcomer()], at(1)));
    refused!(welcomed_with(foreign), EnrolmentError::Roster(RosterError::OtherOwner { .. }));
    refused!(welcomed_with(roster()), EnrolmentError::NotNamed { number: 1 });
    let other_key = Member { ..Member::new(Role::Agent, name("shopper-2"), key(MALLORY).public()) };
    refused!(welcomed_with(roster_with(other_key)), EnrolmentError::NotNamed { number: 2 });
    let other_role = Member::new(Role::Approver, name("shopper-2"), key(NEWCOMER).public());
    refused!(welcomed_with(roster_with(other_role)), EnrolmentError::NotNamed { number: 2 });
    let other_name = Member::new(Role::Agent, name("shopper-3"), key(NEWCOMER).public());
    refused!(welcomed_with(roster_with(other_name)), EnrolmentError::NotNamed { number: 2 });
    assert!(welcomed_with(roster_with(newcomer())).is_ok());

    let challenged = |signed: SignedStatement, now| {
        let (joining, commit) = join(NEWCOMER);
        let (_, challenge) = Invited::new(&token()).committed(&commit, owners(), signed).unwrap();
        joining.challenged(&challenge, now).map(drop)
    };
    let foreign = key(MALLORY).sign_roster(&Roster::first(&key(MALLORY), vec![], at(1)));
    refused!(challenged(foreign, at(5)), EnrolmentError::Roster(RosterError::OtherOwner { .. }));
    refused!(challenged(roster(), at(100_000)), EnrolmentError::Roster(RosterError::Stale { .. }));
}

fn invitation() -> Invitation {
    Invitation {
        url: "tls://192.0.2.7:4222".to_owned(),
        tls_key: Some(Digest::of(&[b"TLS key"])),
        owner: key(OWNER).id(),
        role: Role::Agent,
        name: name("shopper-2"),
        expires_at: at(600),
    }
}

fn secret() -> zeroize::Zeroizing<[u8; 32]> {
    [7; 32].into()
}

fn token() -> Token {
    Token::new(invitation(), secret()).unwrap()
}

fn user() -> UserId {
    "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF".parse().unwrap()
}

fn joiners() -> Nonce {
    Nonce::new([3; 16])
}

fn owners() -> Nonce {
    Nonce::new([4; 16])
}

fn newcomer() -> Member {
    Member::new(Role::Agent, name("shopper-2"), key(NEWCOMER).public())
}

fn roster() -> SignedStatement {
    key(OWNER).sign_roster(&first_roster())
}

fn next(change: impl FnOnce(&mut Roster)) -> SignedStatement {
    let mut next = first_roster().renewed(roster().digest(), at(3));
    change(&mut next);
    key(OWNER).sign_roster(&next)
}

fn roster_with(member: Member) -> SignedStatement {
    next(|roster| roster.members.push(member))
}

fn join(seed: u8) -> (Joining, Said) {
    Joining::begin(&token(), key(seed), user(), joiners())
}

/// Someone who has shown a key, and the owner's side that has taken it.
fn meet(seed: u8) -> (Revealed, Candidate) {
    let (joining, commit) = join(seed);
    let (committed, challenge) = Invited::new(&token()).committed(&commit, owners(), roster()).unwrap();
    let (revealed, reveal) = joining.challenged(&challenge, at(5)).unwrap();
    (revealed, committed.revealed(&reveal).unwrap())
}

/// The owner's side before it takes a key, and what shows the key.
fn shown() -> (Committed, Said) {
    let (joining, commit) = join(NEWCOMER);
    let (committed, challenge) = Invited::new(&token()).committed(&commit, owners(), roster()).unwrap();
    let (_revealed, reveal) = joining.challenged(&challenge, at(5)).unwrap();
    (committed, reveal)
}

/// What comes of it if the owner welcomes with this roster.
fn welcomed_with(roster: SignedStatement) -> Result<Enrolled, EnrolmentError> {
    let (revealed, candidate) = meet(NEWCOMER);
    let (_, answer) = candidate.welcome(roster);
    revealed.welcomed(&answer)
}
