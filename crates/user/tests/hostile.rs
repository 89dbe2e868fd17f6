//! Whatever comes in, extraction and mail reading end soon, and what leaves is a code.

#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "it answers this program's own questions")]
mod dns;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use agent_otp_domain::Timestamp;
use agent_otp_trust::SenderCheck;
use agent_otp_user::extract::{self, Extraction, Text};
use agent_otp_user::mail::authentication::{Authentic, Authenticator, Dns, Envelope, NotAuthentic};
use agent_otp_user::mail::{self, MailError};
use proptest::prelude::*;

/// Far above what the slowest machine takes without optimisation, far below what a square or an exponent makes of these sizes.
const SOON: Duration = Duration::from_secs(20);

/// Pieces that extraction knows, to be put together in any order.
const PIECES: &[&str] = &[
    "your code is ",
    "482913",
    "code: ",
    "G-",
    "@acme.example #",
    "R7K-2M",
    " ",
    "\n",
    "-",
    "483-201",
    "验证码",
    "رمز التحقق ",
    "٤٨٢",
    "****",
    "XX44",
    "https://acme.example/login?token=aa11bb22cc33",
    "EUR 12,50 ",
    "use ",
    " is your ",
    "PIN",
    "order ",
    "20% off",
    ":",
    "#",
    "\u{200b}",
    "\u{202e}",
    "é",
    "e\u{301}",
    "は",
    "1.2.3.4",
    "+1 415 555 0187",
    "09:14",
    "🔑",
    "\0",
    "İ",
    "ß",
    "K7P2QX",
    "codes ",
    "3-2-1",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived_and_what_leaves_is_a_code(subject in ".{0,40}", text in "(?s).{0,400}") {
        leaves_a_code(&Text::with_subject(&subject, &text))?;
    }

    #[test]
    fn any_message_of_known_pieces_is_survived_and_what_leaves_is_a_code(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40),
    ) {
        leaves_a_code(&Text::plain(&pieces.concat()))?;
    }

    #[test]
    fn any_bytes_are_survived_as_a_mail(raw in prop::collection::vec(any::<u8>(), 0..800)) {
        if let Ok(mail) = mail::read(&raw) {
            leaves_a_code(&mail.text)?;
        }
    }

    #[test]
    fn any_html_of_known_pieces_is_survived(
        pieces in prop::collection::vec(prop::sample::select(TAGS), 0..60),
    ) {
        let html = pieces.concat();
        let raw = format!("From: a@acme.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}");
        leaves_a_code(&mail::read(raw.as_bytes()).unwrap().text)?;
    }

    #[test]
    fn any_header_is_survived_and_proves_nothing_without_the_dns(
        pieces in prop::collection::vec(prop::sample::select(HEADERS), 0..40),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let raw = [pieces.concat().as_bytes(), &bytes].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let authenticator = Authenticator::new(Dns::None, "mx.home.example".parse().ok()).unwrap();
        let now = Timestamp::from_unix_ms(1_795_425_245_000);
        let verified = runtime.block_on(authenticator.verify(&raw, &Envelope::local(), now));
        let is_believed = matches!(
            verified,
            Ok(Authentic { check: SenderCheck::AuthenticationResults, .. })
        );
        prop_assert!(verified.is_err() || is_believed, "{verified:?}");
    }

    #[test]
    fn any_structure_of_parts_is_survived(
        pieces in prop::collection::vec(prop::sample::select(PARTS), 0..60),
    ) {
        let raw = format!("From: a@acme.example\r\n{}", pieces.concat());
        if let Ok(mail) = mail::read(raw.as_bytes()) {
            leaves_a_code(&mail.text)?;
        }
    }
}

const TAGS: &[&str] = &[
    "<p>",
    "</p>",
    "<td>",
    "</td>",
    "<table>",
    "<tr>",
    "<b>",
    "</b>",
    "<a href=\"https://acme.example/login?token=aa11bb22\">",
    "</a>",
    "<span style=\"display:none\">",
    "</span>",
    "<div style='font-size:0'>",
    "</div>",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<style>.x{display:none}</style>",
    "<i class=x>",
    "&#52;",
    "&nbsp;",
    "&zwnj;",
    "482913",
    "Your code is ",
    "4",
    "8",
    "<",
    ">",
    "\"",
    "<svg>",
    "<math>",
    "<template>",
    "<select><option>",
    "<plaintext>",
];

const HEADERS: &[&str] = &[
    "From: a@acme.example\r\n",
    "From: ",
    "from : ",
    "a@acme.example",
    ",",
    "\r\n",
    "\n",
    "\r\n ",
    ":",
    ";",
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=acme.example; s=s1; h=from:subject; bh=YQ==; b=YQ==",
    "DKIM-Signature: ",
    "dkim-signature:",
    "a=ed25519-sha256; ",
    "c=simple; ",
    "d=mail.acme.example; ",
    "s=..; ",
    "h=from:from::; ",
    "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; ",
    "b=; ",
    "l=18446744073709551616; ",
    "t=18446744073709551615; ",
    "x=1; ",
    "i=@acme.example; ",
    "Date: Mon, 99 Nov 99999 99:99:99 +9999\r\n",
    "Date: Mon, 23 Nov 2026 09:14:05 +0000\r\n",
    "Authentication-Results: mx.home.example; dmarc=pass header.from=acme.example",
    "Authentication-Results: (",
    "\"",
    "\\",
    "Subject: 482913\r\n",
    "\r\n\r\n",
    "DKIM2-Signature: i=1; ",
    "Message-Instance: m=1; ",
];

const PARTS: &[&str] = &[
    "Content-Type: multipart/alternative; boundary=a\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: text/html\r\n",
    "Content-Type: text/plain; charset=utf-16\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "\r\n",
    "--a\r\n",
    "--b\r\n",
    "--a--\r\n",
    "--b--\r\n",
    "Your code is 482913\r\n",
    "WW91ciBjb2RlIGlzIDQ4MjkxMw==\r\n",
    "=34=38\r\n",
    "Subject: =?utf-8?B?NDgyOTEz?=\r\n",
    "From: b@evil.example\r\n",
    "> 111222\r\n",
    "Content-Disposition: attachment\r\n",
];

#[test]
fn a_text_of_any_kind_and_size_is_read_soon() {
    let many: String = (0..10_000).fold(String::new(), |mut all, n| {
        write!(all, "your code is {} ", 100_000 + n * 7).unwrap();
        all
    });
    for text in [
        many,
        "482913 ".repeat(100_000),
        "1".repeat(5_000_000),
        "a".repeat(5_000_000),
        "1-".repeat(1_000_000),
        "1 ".repeat(1_000_000),
        "code ".repeat(200_000),
        "*".repeat(1_000_000),
        "*1".repeat(500_000),
        "x".repeat(500_000) + "@",
        "a.".repeat(500_000),
        "aB1-".repeat(500_000),
        "is ".repeat(200_000) + "482913",
        "\n".repeat(1_000_000),
        "¾\u{301}".repeat(200_000),
        "\u{FDFA}".repeat(100_000),
        "G-482913 ".repeat(100_000),
        "[".repeat(500_000),
        "to 4829 send ".repeat(50_000),
        "https://".repeat(100_000),
        "code 482913\n".to_owned() + &"otp banka ".repeat(20_000) + &"é ".repeat(40_000),
        "code 482913 ".to_owned() + &"otherwise ".repeat(40_000),
        "„Acme“ ".repeat(40_000) + "482913",
    ] {
        let started = now();
        let text = Text::with_subject(&text, &text);
        leaves_a_code(&text).unwrap();
        let took = started.elapsed();
        assert!(took < SOON, "{:?} took {took:?}", text.subject().chars().take(8).collect::<String>());
    }
}

#[test]
fn a_mail_of_any_structure_and_size_is_read_or_refused_soon() {
    let html = "Content-Type: text/html\r\n\r\n";
    let nested: String = (0..100_000).fold(String::new(), |mut all, n| {
        write!(all, "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n").unwrap();
        all
    });
    for body in [
        nested,
        "\r\n".to_owned() + &"a".repeat(50_000_000),
        html.to_owned() + &"<p>a".repeat(10_000_000),
        html.to_owned() + &"<table><tr><td>".repeat(3_000),
        html.to_owned() + &"<div>".repeat(9_000) + &"</p>".repeat(900),
        html.to_owned() + &"&".repeat(200_000),
        html.to_owned() + "<p style=\"" + &"color:red;".repeat(20_000) + "\">482913",
        html.to_owned() + "<style>" + &".a{display:none}".repeat(10_000) + "</style>",
        html.to_owned() + "<p " + &"a=b ".repeat(50_000) + ">",
        html.to_owned() + "<!--" + &"-".repeat(200_000),
        "Content-Transfer-Encoding: base64\r\n\r\n".to_owned() + &"QUFB".repeat(5_000_000),
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n".to_owned() + &"=41".repeat(5_000_000),
        "X: a\r\n".repeat(1_000_000),
        "Subject: ".to_owned() + &"=?utf-8?Q?=41?= ".repeat(100_000) + "\r\n\r\n",
        "\r\n".to_owned() + &"> ".repeat(100_000),
        "\r\n".to_owned() + &"On a wrote\n".repeat(20_000),
        "\r\n".to_owned() + &"\n".repeat(60_000) + &"od: a@b\nto:\n".repeat(15_000),
        "\r\n".to_owned() + &"-----Original Message-----\n".repeat(9_000),
        html.to_owned() + "<style>" + &"/*".repeat(50_000) + &"@a;".repeat(30_000) + "</style>",
    ] {
        let raw = format!("From: a@acme.example\r\n{body}");
        let started = now();
        match mail::read(raw.as_bytes()) {
            Ok(mail) => leaves_a_code(&mail.text).unwrap(),
            Err(error) => assert_eq!(error, MailError::TooLarge),
        }
        let took = started.elapsed();
        assert!(took < SOON, "{:?} took {took:?}", raw.get(..80));
    }
}

#[tokio::test]
async fn a_signature_of_any_length_is_verified_or_refused_soon() {
    // The key is that of RFC 8463, and the hash that of no body: all that is asked is whether the header is signed.
    let zone = r#"{"txt": {
        "s1._domainkey.acme.example": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "_dmarc.acme.example": "v=DMARC1; p=reject"
    }}"#;
    let authenticator = Authenticator::new(Dns::Server(dns::serve(dns::zone(zone).unwrap())), None).unwrap();
    let names = |count: usize| {
        (0..count).fold("from".to_owned(), |mut all, n| {
            write!(all, ":x{n}").unwrap();
            all
        })
    };
    let signature = |names: &str| {
        format!(
            "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=acme.example; s=s1; h={names}; \
             bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=YQ==\r\n"
        )
    };
    for (headers, why) in [
        (signature(&names(99)), NotAuthentic::Changed),
        (signature(&names(99)) + &"X: a\r\n".repeat(900), NotAuthentic::Changed),
        (signature(&names(100)), NotAuthentic::Weak),
        (signature(&names(200_000)), NotAuthentic::Weak),
        (signature(&"from:".repeat(2_000_000)), NotAuthentic::Weak),
        (signature(&names(99)) + &"X: a\r\n".repeat(1_500_000), NotAuthentic::Weak),
        (signature(&names(99)).repeat(10_000), NotAuthentic::Weak),
        (signature(&names(99)).repeat(900), NotAuthentic::Changed),
    ] {
        let raw = format!("{headers}From: a@acme.example\r\n\r\n");
        let started = now();
        let at = Timestamp::from_unix_ms(1_795_425_245_000);
        let verified = authenticator.verify(raw.as_bytes(), &Envelope::local(), at).await;
        assert_eq!(verified, Err(why), "{} bytes", raw.len());
        let took = started.elapsed();
        assert!(took < SOON, "{} bytes took {took:?}", raw.len());
    }
}

fn leaves_a_code(text: &Text) -> Result<(), TestCaseError> {
    if let Extraction::Code(code, _) = extract::code(text, None, None) {
        let code = code.expose();
        prop_assert!((4..=10).contains(&code.len()), "{code}");
        prop_assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{code}");
    }
    if let Extraction::Code(link, _) = extract::link(text, "acme.example") {
        prop_assert!(link.expose().starts_with("https://"));
    }
    black_box(extract::purpose(text));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn now() -> Instant {
    Instant::now()
}
