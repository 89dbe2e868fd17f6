//! Says what a code is for, from the words around it.

use agent_otp_domain::Purpose;

use super::candidates::{self, Candidate};
use super::choice::weigh;
use super::mask::{Masks, has_price};
use super::phrases::{Meaning, Phrases};
use super::place::{Place, clause_end};
use super::score::{Context, SHAPED, Score};
use super::{Text, text};

/// The gravest first: where a message speaks of two, the code may do the graver.
const GRAVEST_FIRST: [(Meaning, Purpose); 6] = [
    (Meaning::Payment, Purpose::Payment),
    (Meaning::Reset, Purpose::Reset),
    (Meaning::Pairing, Purpose::Pairing),
    (Meaning::Change, Purpose::Change),
    (Meaning::SignUp, Purpose::SignUp),
    (Meaning::Login, Purpose::Login),
];

/// What the code of a message is for; `None` if the message does not say so, as in `Your code is 482913`.
///
/// The clause of the code counts before the subject, and that before the rest. What begins with `if this wasn't you`
/// is advice, and does not count, unless the code is part of it. A code beside an amount of money is for a payment. Where the text and the HTML of a mail differ, the graver purpose counts.
#[must_use]
pub fn purpose(text: &Text) -> Option<Purpose> {
    gravest(text.readings().filter_map(|reading| {
        let (text, subject) = text::join(text.subject(), reading);
        let context = Context { text: &text, subject, phrases: Phrases::find(&text) };
        let weighed = weigh(&context, candidates::find(&text, &Masks::find(&text)));
        said(&context, &weighed)
    }))
}

/// The one of several purposes that lets an agent do most.
pub(super) fn gravest(purposes: impl Iterator<Item = Purpose>) -> Option<Purpose> {
    let rank = |purpose: &Purpose| GRAVEST_FIRST.iter().position(|(_, known)| known == purpose);
    purposes.min_by_key(rank)
}

/// What one text says that its best candidate is for.
pub(super) fn said(context: &Context<'_>, weighed: &[(Candidate, Score)]) -> Option<Purpose> {
    let (text, subject) = (context.text, context.subject);
    // A telephone number in the advice is none.
    let best = weighed.first().filter(|(_, score)| score.points >= SHAPED).map(|(code, _)| code);
    let said = Said::of(context, best);
    let code = best.map(|code| Place::of(code, text, subject));
    let clause = code.and_then(|place| {
        let is_priced = text.get(place.start..place.end).is_some_and(has_price);
        if is_priced { Some(Purpose::Payment) } else { said.within(place.start, place.end) }
    });
    let whole = || said.within(0, subject).or_else(|| said.within(subject, text.len()));
    clause.or_else(whole).or_else(|| has_price(text).then_some(Purpose::Payment))
}

/// Every mention of a purpose that is no advice.
struct Said(Vec<(usize, usize, Purpose)>);

impl Said {
    fn of(context: &Context<'_>, code: Option<&Candidate>) -> Self {
        let begins: Vec<(usize, usize)> = context.phrases.of(Meaning::Aside).iter().collect();
        let next = begins.iter().skip(1).map(|(next, _)| *next).chain([context.text.len()]);
        let mut asides: Vec<(usize, usize)> = begins
            .iter()
            .zip(next)
            .map(|((start, end), next)| {
                (*start, end + clause_end(context.text.get(*end..next.max(*end)).unwrap_or_default()))
            })
            .collect();
        // `To secure your account, reset your password with 482913` is what the code is for.
        if let Some(code) = code {
            asides.retain(|(start, end)| code.end <= *start || *end <= code.start);
        }
        let is_aside = |at: usize| {
            let next = asides.partition_point(|(start, _)| *start <= at);
            next.checked_sub(1).and_then(|last| asides.get(last)).is_some_and(|(_, end)| at < *end)
        };
        let mentions = GRAVEST_FIRST.into_iter().flat_map(|(meaning, purpose)| {
            context.phrases.of(meaning).iter().map(move |(start, end)| (start, end, purpose))
        });
        Self(mentions.filter(|(start, _, _)| !is_aside(*start)).collect())
    }

    /// The gravest purpose that is mentioned within `from..to`.
    fn within(&self, from: usize, to: usize) -> Option<Purpose> {
        self.0.iter().find(|(start, end, _)| from <= *start && *end <= to).map(|(_, _, purpose)| *purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_its_code_is_for() {
        for (text, said) in [
            ("482913 is your Acme login code", "login"),
            ("Ihr Code zur Anmeldung: 482913", "login"),
            ("ログイン認証コード:482913", "login"),
            ("رمز تسجيل الدخول: 482913", "login"),
            ("Use 482913 to finish setting up your new account", "sign-up"),
            ("【美团】482913(手机注册验证码)", "sign-up"),
            ("Código para crear tu cuenta: 482913", "sign-up"),
            ("482913 is your password reset code", "reset"),
            ("Код для восстановления пароля: 482913", "reset"),
            ("비밀번호 재설정 인증번호 482913", "reset"),
            ("Votre code pour le paiement de 12,00 EUR : 482913", "payment"),
            ("482913 adalah kode OTP untuk transaksi Rp 350.000", "payment"),
            ("Kod do przelewu: 482913", "payment"),
            ("Enter 482913 to change your phone number", "change"),
            ("【微信】你正在更换绑定手机号,验证码482913", "pairing"),
            ("Koppla din enhet med koden 482913", "pairing"),
            ("Enter 482913 to link your TV", "pairing"),
        ] {
            assert_eq!(
                purpose(&Text::plain(text)).map(|said| said.to_string()).as_deref(),
                Some(said),
                "{text}"
            );
        }
    }

    #[test]
    fn a_message_that_does_not_say_so_has_no_purpose() {
        for text in ["Your code is 482913", "验证码:482913", "482913", ""] {
            assert_eq!(purpose(&Text::plain(text)), None, "{text}");
        }
    }

    #[test]
    fn advice_for_others_is_no_purpose() {
        for text in [
            "Your login code is 482913. If this wasn't you, reset your password.",
            "482913 ist dein Code zum Einloggen. Falls du das nicht warst, setze dein Passwort zurück.",
            "Your sign-in code is 482913.\nIf you didn't ask for it, change your password at acme.example.",
        ] {
            assert_eq!(purpose(&Text::plain(text)), Some(Purpose::Login), "{text}");
        }
    }

    #[test]
    fn what_the_code_itself_is_advised_for_is_its_purpose() {
        for text in [
            "To secure your account, reset your password with this code: 482913",
            "Not done yet? Otherwise reset your password with 482913.",
            "If you did not set one, this is the code for your new password: 482913",
        ] {
            assert_eq!(purpose(&Text::plain(text)), Some(Purpose::Reset), "{text}");
        }
    }

    #[test]
    fn the_clause_of_the_code_counts_first_and_the_graver_purpose() {
        for (subject, text, said) in [
            ("Reset your password", "Your code is 482913", Purpose::Reset),
            ("Your account", "Sign in at acme.example.\n\nYour payment code is 482913", Purpose::Payment),
            ("Sign in", "Use 482913 to sign in and pay: it approves your purchase", Purpose::Payment),
        ] {
            assert_eq!(purpose(&Text::with_subject(subject, text)), Some(said), "{text}");
        }
    }
}
