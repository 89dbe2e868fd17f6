//! Laws of whom a filter names, for any senders, and of names that are made to be taken for others.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use agent_otp_domain::{Channels, Sender, SenderPattern, Senders, Services, codec};
use data_encoding::HEXLOWER;
use proptest::prelude::*;

/// Senders that touch each other: domains, addresses below them, and what is compared without regard to case.
const PATTERNS: [&str; 12] = [
    "acme.example",
    "a@acme.example",
    "b@mail.acme.example",
    "acme.test",
    "a@acme.test",
    "github.com",
    "bücher.example",
    "22395",
    "+15551234567",
    "ACME",
    "acme",
    "GitHub",
];

/// Letters that look like those of ASCII beside them.
const TWINS: [(char, char); 12] = [
    ('a', 'а'),
    ('c', 'с'),
    ('e', 'е'),
    ('i', 'і'),
    ('j', 'ј'),
    ('o', 'о'),
    ('o', 'ο'),
    ('p', 'р'),
    ('s', 'ѕ'),
    ('x', 'х'),
    ('y', 'у'),
    ('i', 'ı'),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn senders_are_the_same_in_whichever_order_they_are_named(patterns in patterns(), again in any::<prop::sample::Index>()) {
        let senders = Senders::new(patterns.clone()).unwrap();
        let doubled = patterns.iter().rev().cloned().chain([again.get(&patterns).clone()]);
        prop_assert_eq!(&Senders::new(doubled).unwrap(), &senders);
        prop_assert_eq!(&senders.to_string().parse::<Senders>().unwrap(), &senders);
        let bytes = codec::encode(&senders);
        let read: Senders = codec::decode(&bytes).unwrap();
        prop_assert_eq!(codec::encode(&read), bytes);
        prop_assert_eq!(read, senders);
    }

    #[test]
    fn senders_admit_what_one_of_them_does_and_exclude_only_what_shares_nobody(one in patterns(), other in patterns()) {
        let (left, right) = (Senders::new(one.clone()).unwrap(), Senders::new(other).unwrap());
        prop_assert_eq!(left.excludes(&right), right.excludes(&left));
        prop_assert!(!left.excludes(&left));
        for sender in senders() {
            prop_assert_eq!(left.admits(&sender), one.iter().any(|pattern| pattern.admits(&sender)));
            prop_assert!(!(left.admits(&sender) && right.admits(&sender) && left.excludes(&right)), "{:?} {:?}", left, right);
        }
    }

    #[test]
    fn a_known_domain_with_a_letter_like_its_own_is_refused_or_it_is_the_domain(
        domain in prop::sample::select(vec!["github.com", "apple.com", "paypal.com", "microsoft.com", "spotify.com", "coinbase.com", "dropbox.com"]),
        twins in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let mut label: Vec<char> = domain.strip_suffix(".com").unwrap().chars().collect();
        for (at, twin) in twins {
            let at = at.index(label.len());
            let fitting: Vec<char> = TWINS.iter().filter(|(ascii, _)| *ascii == label[at]).map(|(_, twin)| *twin).collect();
            if !fitting.is_empty() {
                label[at] = *twin.get(&fitting);
            }
        }
        let disguised: String = label.into_iter().chain(".com".chars()).collect();
        let Ok(ascii) = idna::domain_to_ascii(&disguised) else { return Ok(()) };
        for text in [disguised.clone(), ascii.clone(), format!("a@{ascii}"), disguised.trim_end_matches(".com").to_owned()] {
            let sought = Services::default().sought(&text, Channels::Email);
            prop_assert!(sought.is_err() || disguised == domain, "{} {:?}", text, sought);
        }
    }

    #[test]
    fn no_text_breaks_the_search_for_a_service(text in "\\PC{0,40}") {
        for channels in [Channels::Email, Channels::Sms, Channels::Any] {
            if let Ok(sought) = Services::default().sought(&text, channels) {
                prop_assert_eq!(&sought.sender.to_string().parse::<Senders>().unwrap(), &sought.sender);
            }
        }
    }
}

/// The bytes of both forms, which keep their meaning.
#[test]
fn senders_are_written_as_they_were() {
    let hex = |text: &str| HEXLOWER.encode(&codec::encode(&text.parse::<Senders>().unwrap()));
    insta::assert_snapshot!(hex("github.com"), @"82a474797065a6646f6d61696ea576616c7565aa6769746875622e636f6d");
    insta::assert_snapshot!(hex("GitHub, github.com"), @"82a474797065a6616e795f6f66a576616c75659282a474797065a6646f6d61696ea576616c7565aa6769746875622e636f6d82a474797065a973656e6465725f6964a576616c7565a6476974487562");
}

fn patterns() -> impl Strategy<Value = Vec<SenderPattern>> {
    let pattern = prop::sample::select(PATTERNS.to_vec()).prop_filter_map("ASCII", |text| text.parse().ok());
    prop::collection::vec(pattern, 1..10)
}

fn senders() -> Vec<Sender> {
    let addresses = [
        "a@acme.example",
        "b@mail.acme.example",
        "c@acme.example",
        "a@acme.test",
        "a@github.com",
        "a@evil.example",
    ];
    let addresses = addresses.map(|text| Sender::Address(text.parse().unwrap()));
    let numbers = ["22395", "+15551234567"].map(|text| Sender::Number(text.parse().unwrap()));
    let ids = ["Acme", "GITHUB"].map(|text| Sender::SenderId(text.parse().unwrap()));
    addresses.into_iter().chain(numbers).chain(ids).collect()
}
