//! Takes the one code out of a message, or says why not.
//!
//! What may leave is the code and how sure it is, never the text.
//!
//! Bounds: of subject and body 256 KiB each are read, before and after normalising; there are 500 candidates at most,
//! or none, each weighed by 240 bytes before and after it. Patterns are finite automata, so that time is linear in the
//! text, and so is memory: about ten bytes for each of its bytes.

mod alone;
mod candidates;
mod capitals;
mod choice;
mod exact;
mod link;
mod mask;
mod normalise;
mod objections;
mod pattern;
mod phrases;
mod place;
mod purpose;
mod score;
mod text;

use std::fmt;

use agent_otp_domain::{Code, CodeShape, Purpose};

use candidates::Candidate;
use choice::{choose, weigh};
use score::{Context, Score};

pub(crate) use alone::alone;
pub(crate) use link::link_alone;
pub use link::{link, link_purpose};
pub use purpose::purpose;
pub use text::{Link, Text};

/// What was found in a message.
#[derive(Debug)]
#[must_use = "a code that is found and dropped never reaches the agent"]
pub enum Extraction {
    /// The one code.
    Code(Code, Confidence),
    /// Several codes fit equally well; which one is meant is not for a program to say.
    Ambiguous,
    /// The message contradicts itself: its text and its HTML name different codes, it is bound to another
    /// domain than the one asked for, or a link shows one domain and leads to another.
    Conflicting,
    /// There is no code.
    None,
}

/// How sure it is that the code is the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Only its shape speaks for it: the one piece of the message that has the shape asked for.
    Low,
    /// The words around it speak for it.
    Medium,
    /// The message announces it as the code, or names it in a form made for programs.
    High,
}

/// Takes the one code out of a message; see [`Findings::code`].
pub fn code(text: &Text, shape: Option<&CodeShape>, domain: Option<&str>) -> Extraction {
    Findings::of(text).code(shape, domain)
}

/// What a message holds, worked out once; what is taken of it depends on who asks.
pub struct Findings(Vec<Found>);

/// What one reading of a message holds.
struct Found {
    bound: Option<exact::Bound>,
    prefixed: Option<exact::Prefixed>,
    /// What may be the code, the likeliest first.
    weighed: Vec<(Candidate, Score)>,
    /// What the code is for.
    purpose: Option<Purpose>,
}

impl Findings {
    /// Reads a message.
    #[must_use]
    pub fn of(text: &Text) -> Self {
        Self(text.readings().map(|reading| Found::of(text.subject(), reading)).collect())
    }

    /// Takes the one code.
    ///
    /// `shape` is what the agent asked for: a code of another shape is none. `domain` is the one asked for:
    /// a message that is bound to another (WICG origin-bound one-time codes) is refused.
    pub fn code(&self, shape: Option<&CodeShape>, domain: Option<&str>) -> Extraction {
        let agreed = self.0.iter().map(|found| found.code(shape, domain)).reduce(agree);
        match agreed {
            // What speaks against a code in the text speaks against it in the HTML too.
            Some(Extraction::Code(code, _)) if self.0.iter().any(|found| found.objects_to(&code)) => {
                Extraction::None
            }
            Some(agreed) => agreed,
            None => Extraction::None,
        }
    }

    /// Takes the one code of a message that may be bound to any of these domains, or to any at all if there are none.
    pub fn code_for<'a>(
        &self,
        shape: Option<&CodeShape>,
        domains: impl IntoIterator<Item = &'a str>,
    ) -> Extraction {
        let mut is_bound_elsewhere = false;
        for domain in domains {
            match self.code(shape, Some(domain)) {
                Extraction::Conflicting => is_bound_elsewhere = true,
                found @ (Extraction::Code(..) | Extraction::Ambiguous | Extraction::None) => return found,
            }
        }
        if is_bound_elsewhere { Extraction::Conflicting } else { self.code(shape, None) }
    }

    /// What the code is for; `None` if the message does not say so, or holds no code. See [`purpose()`](fn@purpose).
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        purpose::gravest(self.0.iter().filter_map(|found| found.purpose))
    }

    /// What the user has to choose from where [`Findings::code`] does not: the likeliest, each masked.
    #[must_use]
    pub fn choices(&self, shape: Option<&CodeShape>) -> Vec<String> {
        let mut codes: Vec<&str> = Vec::new();
        for code in self.0.iter().flat_map(|found| found.likely(shape)) {
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        codes.into_iter().take(CHOICES_MAX).map(masked).collect()
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Findings(redacted)")
    }
}

impl Found {
    fn of(subject: &str, body: &str) -> Self {
        let bound = exact::Bound::find(body);
        let (text, subject) = text::join(subject, body);
        let prefixed = exact::Prefixed::find(&text);
        let candidates = candidates::find(&text, &mask::Masks::find(&text));
        if bound.is_none() && prefixed.is_none() && candidates.is_empty() {
            return Self { bound, prefixed, weighed: Vec::new(), purpose: None };
        }
        let context = Context { text: &text, subject, phrases: phrases::Phrases::find(&text) };
        let weighed = weigh(&context, candidates);
        let prefixed = prefixed.filter(|_| context.may_be_about_a_code());
        let prefixed = prefixed.and_then(|prefixed| prefixed.among(&weighed));
        let purpose = purpose::said(&context, &weighed);
        Self { bound, prefixed, weighed, purpose }
    }

    fn code(&self, shape: Option<&CodeShape>, domain: Option<&str>) -> Extraction {
        match (&self.bound, &self.prefixed) {
            (Some(bound), _) => bound.to(shape, domain),
            (None, Some(prefixed)) => match (prefixed.of(shape), choose(&self.weighed, shape)) {
                (Extraction::Code(one, _), Extraction::Code(other, _))
                    if !other.expose().ends_with(one.expose()) =>
                {
                    Extraction::Ambiguous
                }
                (prefixed, _) => prefixed,
            },
            (None, None) => choose(&self.weighed, shape),
        }
    }

    /// Whether this reading has the same value, and something speaks against it there.
    fn objects_to(&self, code: &Code) -> bool {
        let mut same = self.weighed.iter().filter(|(candidate, _)| candidate.value.as_str() == code.expose());
        same.any(|(_, score)| !score.unopposed && score.points < score::SHAPED)
    }

    /// What may well be the code.
    fn likely(&self, shape: Option<&CodeShape>) -> impl Iterator<Item = &str> {
        let is_exact = self.bound.is_some() || self.prefixed.is_some();
        let weighed =
            self.weighed.iter().filter(move |(_, score)| !is_exact && score.points >= score::SHAPED);
        let bound = self.bound.iter().map(exact::Bound::code);
        let prefixed = self.prefixed.iter().flat_map(exact::Prefixed::codes);
        let codes = bound.chain(prefixed).chain(weighed.map(|(candidate, _)| candidate.value.as_str()));
        codes.filter(move |code| shape.is_none_or(|shape| shape.fits(code)))
    }
}

/// How many codes the user is shown to choose from.
const CHOICES_MAX: usize = 5;

/// A code as it may be shown beside others: `4•••13`. How long it is, is not told.
pub(crate) fn masked(code: &str) -> String {
    let shown = if code.len() < 6 { 1 } else { 2 };
    let (first, last) = (code.get(..1), code.len().checked_sub(shown).and_then(|at| code.get(at..)));
    format!("{}•••{}", first.unwrap_or_default(), last.unwrap_or_default())
}

/// Takes the one code out of a message; see [`Findings::code_for`].
pub fn code_for<'a>(
    text: &Text,
    shape: Option<&CodeShape>,
    domains: impl IntoIterator<Item = &'a str>,
) -> Extraction {
    Findings::of(text).code_for(shape, domains)
}

/// Takes the one link out of a message that leads to any of these domains and signs in. Without a domain there is none:
/// a link is only safe where it was asked for.
pub fn link_for<'a>(text: &Text, domains: impl IntoIterator<Item = &'a str>) -> Extraction {
    let found = domains.into_iter().map(|domain| link(text, domain));
    found.reduce(agree).unwrap_or(Extraction::None)
}

/// Compiles the tables now, so that the first message need not wait for it.
pub(crate) fn warm_up() {
    drop(code(&Text::plain("Your code is: 000000"), None, None));
}

/// What two readings of one message, its text and its HTML, say together.
fn agree(one: Extraction, other: Extraction) -> Extraction {
    match (one, other) {
        (Extraction::Code(one, sure), Extraction::Code(other, surer)) => {
            if one.expose() == other.expose() {
                Extraction::Code(one, sure.max(surer))
            } else {
                Extraction::Conflicting
            }
        }
        (Extraction::Conflicting, _) | (_, Extraction::Conflicting) => Extraction::Conflicting,
        (Extraction::Ambiguous, _) | (_, Extraction::Ambiguous) => Extraction::Ambiguous,
        (found, Extraction::None) | (Extraction::None, found) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_another_shape_is_none() {
        for (text, shape, found) in [
            ("Your code is 4829. Order 771234.", "digits:6", "None"),
            ("Your pairing code is 4829 and your login code is 771234.", "digits:6", "771234 High"),
            ("Your code is 482913.", "letters:6", "None"),
            ("G-482913 is your Google verification code.", "digits:6", "482913 High"),
            ("4829", "digits:4", "4829 Low"),
            ("4829 and 5530", "digits:4", "None"),
            ("hey my number is 415 555 0187", "digits:10", "None"),
        ] {
            let shape = shape.parse().unwrap();
            assert_eq!(shown(code(&Text::plain(text), Some(&shape), None)), found, "{text}");
        }
        assert_eq!(shown(code(&Text::plain("4829"), None, None)), "None");
    }

    #[test]
    fn a_message_bound_to_another_domain_is_refused() {
        let message = Text::plain("Your Acme code is 482913.\n\n@login.acme.example #482913");
        for (domain, found) in [
            (Some("acme.example"), "482913 High"),
            (Some("login.acme.example"), "482913 High"),
            (Some("me.example"), "Conflicting"),
            (Some("other.login.acme.example"), "Conflicting"),
            (None, "482913 High"),
        ] {
            assert_eq!(shown(code(&message, None, domain)), found, "{domain:?}");
        }
    }

    #[test]
    fn of_several_domains_a_message_may_be_bound_to_any_and_lead_to_one() {
        let message = Text::plain("Your Acme code is 482913.\n\n@acme.example #482913");
        for (domains, found) in [
            (&["other.example", "acme.example"][..], "482913 High"),
            (&["acme.example", "other.example"], "482913 High"),
            (&["other.example", "another.example"], "Conflicting"),
            (&[], "482913 High"),
        ] {
            assert_eq!(shown(code_for(&message, None, domains.iter().copied())), found, "{domains:?}");
        }
        let one = "https://acme.example/login?token=aa11bb22cc33";
        let other = "https://acme.test/login?token=dd44ee55ff66";
        let both = ["acme.example", "acme.test"];
        for (text, domains, found) in [
            (one.to_owned(), &both[..], "Code"),
            (other.to_owned(), &both, "Code"),
            (format!("{one} or {other}"), &both, "Conflicting"),
            (format!("{one} or {other}"), &["acme.test"], "Code"),
            (one.to_owned(), &["other.example"], "None"),
            (one.to_owned(), &[], "None"),
        ] {
            let link = format!("{:?}", link_for(&Text::plain(&text), domains.iter().copied()));
            assert_eq!(link.split('(').next(), Some(found), "{text} {domains:?}");
        }
    }

    #[test]
    fn readings_must_agree() {
        for (plain, html, found) in [
            ("Your code is 482913", "Your code is 482 913", "482913 Medium"),
            ("Your code is 482913", "Your code is 111222", "Conflicting"),
            ("See the HTML", "Your login code is 482913", "482913 High"),
            ("Code 1: 482913\nCode 2: 550192", "Your code is 482913", "Ambiguous"),
            ("It says: \"Your login code is 482913. Hurry.\"", "Your login code is 482913. Hurry.", "None"),
        ] {
            let readings = [plain, html].map(|text| zeroize::Zeroizing::new(text.to_owned())).into();
            assert_eq!(
                shown(code(&Text::mail(zeroize::Zeroizing::default(), readings, Vec::new()), None, None)),
                found,
                "{plain}"
            );
        }
    }

    #[test]
    fn one_of_two_codes_is_never_picked() {
        for text in [
            "Code 1: 482913\nCode 2: 550192",
            "Your code is 482913. Your code is 550192.",
            "Code: 482913 or code: 550192",
            "Login code: 482913\nVerification code: 550192",
            "Your OTP is 482913 or 550192",
            "Codes for today: access 55190, signing 88201.",
        ] {
            assert_eq!(shown(code(&Text::plain(text), None, None)), "Ambiguous", "{text}");
        }
    }

    #[test]
    fn what_is_no_code_is_not_taken() {
        for text in [
            "Your code 482913 was used to sign in from a new device.",
            "Your code: SUMMER20",
            "Your coupon code: 4829134",
            "Your invoice IG-48291 is ready",
            "We sent you a code. Your invoice IG-48291 is ready",
            "Use code 482913 at checkout for 10% off",
            "Your meeting passcode is 482913",
            "Your recovery code is 4829-1344",
            "I sent a code to your phone, 482913, can you text it back?",
            "Payment received\n\n448190\n\nThank you",
            "Please send code 482913 to 88120 to vote",
            "Your backup codes: 48291344",
            "It looks like this: \"Your login code is 482913. Do not share it.\"",
            "It looks like this:\n“Your login code is 482913. Do not share it.”\nDo not fall for it.",
            "Booking number: 4829.130.277\nPIN code: 7712",
            "The password of your account amiller42 was changed",
            "We confirm your payment by card ending with 4829",
            "Your support PIN is 4829.",
            "Your Wi-Fi access\nNetwork: Guest\nAccess code: 48291307",
            "Your verification code is in the app. Order (#D-482913)",
            "Your passcode 719406 was used",
            "I keep getting codes [#902144]",
            "We sent a verification code to your phone ending in 0118",
            "Sample of the sign-in template {{name}}: Your Acme code is 482913",
            "Verify here: https://acme.example/v?code=482913&t=1",
            "Secure login with OTP: learn to code in 2026",
            "Your booking is confirmed.\nConfirmation code: QX7L2M",
            "Never give anyone your OTP code, CNIC or PIN",
            "Your temporary password is Tq7#48xM",
            "Der Code 482913 wurde um 08:12 Uhr für Ihre Anmeldung verwendet",
            "Send `Your verification code is 482913` to the parser",
            "Set a new password for the portal (student 22104418)",
            "Your code for the call is below\nJoin by phone, PIN: 614 889 237#",
        ] {
            assert_eq!(shown(code(&Text::plain(text), None, None)), "None", "{text}");
        }
    }

    #[test]
    fn a_code_is_known_by_what_surrounds_it() {
        for text in [
            "Acme: 482913\n\nDon't share this code.",
            "Do not forward this code to anyone. 482913",
            "If this was sent to you by mistake, ignore it. Your code is 482913",
            "Confirm with 482913",
            "Old code 771204 is expired. Your new code is 482913",
            "電話番号の確認のため、482913を画面に入力してください。",
            "To change your account enter 482913",
            "Confirm your e-mail with the code below:\n\n482913",
            "482913 is OTP to log in to ACME Bank. OTPs are SECRET. Bank NEVER asks for OTP.",
            "Your \"Acme\" code is \"482913\"",
            "Your code:\n“482913”",
            "482913 is your Acme account recovery code",
            "Your login code is 482913. Ticket FB-12345",
            "FB-482913 is your confirmation code",
            "Acme24: enter 482913 to register",
            "You are paying EUR 149.99 at ACME. If that's right, key in 482913.",
            "Verify this phone w/ 482913",
            "Use the code below (reference code: QKTM)\n482913",
            "Please enter 4 8 2 9 1 3 in the form",
            "|  4  8  2  9  1  3  |\nenter the above to sign in",
            "Your new code\nThe code 118204 no longer works.\nPlease use this one instead: 482913",
            "Phone on file: +31 6 ****4071\nDevice confirmation code: 482913",
            "To sign up please type these six digits into the box on our page:\n\n482913",
            "Code beta3ak 3ala Acme howa 482913",
            "Apnar Acme code holo 482913",
            "Code to unlock the device SM-A546E: 482913",
            "<#> 482913 is your Acme login",
            "Acme: 482913 to verify your phone",
            "Gib 4-8-2-9-1-3 ein, um deine Nummer zu bestätigen",
            "Confirmez votre portable avec le numéro 482913",
            "To pair your lock CF-200 enter 482913",
            "With 482913 you log in to Acme",
            "Your Acme login: >>> 482-913 <<<",
        ] {
            let found = shown(code(&Text::plain(text), None, None));
            assert_eq!(found.split(' ').next(), Some("482913"), "{text}");
        }
    }

    #[test]
    fn where_none_is_picked_the_likeliest_are_shown_masked() {
        for (text, shape, shown) in [
            ("Code 1: 482913\nCode 2: 550192", None, "4•••13 5•••92"),
            ("Code 1: 4829\nCode 2: 550192", None, "5•••92 4•••9"),
            ("Code 1: 4829\nCode 2: 550192", Some("digits:4"), "4•••9"),
            ("G-482913 or FB-550192", None, "4•••13 5•••92"),
            ("Welcome to Acme, est. 1998.", None, ""),
        ] {
            let shape = shape.map(|shape| shape.parse().unwrap());
            let choices = Findings::of(&Text::plain(text)).choices(shape.as_ref());
            assert_eq!(choices.join(" "), shown, "{text}");
        }
    }

    #[test]
    fn the_debug_of_an_extraction_shows_no_code() {
        let found = code(&Text::plain("Your login code is 482913"), None, None);
        assert_eq!(format!("{found:?}"), "Code(Code(redacted), High)");
        let findings = Findings::of(&Text::plain("Your login code is 482913"));
        assert_eq!(format!("{findings:?}"), "Findings(redacted)");
    }

    fn shown(extraction: Extraction) -> String {
        match extraction {
            Extraction::Code(code, confidence) => format!("{} {confidence:?}", code.expose()),
            Extraction::Ambiguous => "Ambiguous".to_owned(),
            Extraction::Conflicting => "Conflicting".to_owned(),
            Extraction::None => "None".to_owned(),
        }
    }
}
