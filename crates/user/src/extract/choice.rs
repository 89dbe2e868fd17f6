//! Which candidate is the code, of all that were weighed: the best, if it leads by enough, or none.

use agent_otp_domain::{Code, CodeShape};

use super::candidates::{Candidate, Form};
use super::score::{self, Context, Score, Tie};
use super::{Confidence, Extraction};

/// What it costs a value that the text calls another number elsewhere, in points.
const ANOTHER: f32 = 5.0;

/// Weighs the candidates, best first, each value once.
pub(super) fn weigh(context: &Context<'_>, candidates: Vec<Candidate>) -> Vec<(Candidate, Score)> {
    let mut weighed: Vec<(Candidate, Score)> = Vec::new();
    for candidate in candidates {
        let score = context.score(&candidate);
        match weighed.iter_mut().find(|(known, _)| known.value == candidate.value) {
            Some((known, best)) => {
                let in_subject = known.start < context.subject && candidate.start >= context.subject;
                let is_repeated = in_subject && (best.unopposed || score.unopposed);
                let points = best.points.max(score.points) + if is_repeated { 2.5 } else { 0.0 };
                best.points = points;
                best.times += score.times;
                best.another += score.another;
                best.tie = best.tie.max(score.tie);
                best.several |= score.several;
            }
            None => weighed.push((candidate, score)),
        }
    }
    for (_, score) in &mut weighed {
        // What is an invoice in one line is no code in another.
        score.points -= if score.another > 0 && score.times > 1 { ANOTHER } else { 0.0 };
    }
    let in_question = |(_, score): &&(Candidate, Score)| score.points >= score::SHAPED;
    if weighed.iter().filter(in_question).count() == 1
        && let Some((candidate, score)) = weighed.iter_mut().find(|weighed| in_question(&&**weighed))
        && candidate.form == Form::Digits
        && score.tie != Tie::None
        && score.unopposed
        && score.points < score::RELEASE
    {
        score.points += score::ALONE;
    }
    // Beside digits, a word in capitals is a name: `code SPID: 056 341`.
    if weighed.iter().any(|(code, score)| code.form == Form::Digits && score.points >= score::RELEASE) {
        weighed.retain(|(candidate, _)| candidate.form != Form::Capitals);
    }
    weighed.sort_by(|(_, one), (_, other)| other.points.total_cmp(&one.points));
    weighed
}

/// The one that is the code, if one leads by enough.
pub(super) fn choose(weighed: &[(Candidate, Score)], shape: Option<&CodeShape>) -> Extraction {
    let fits = |(candidate, _): &&(Candidate, Score)| shape.is_none_or(|shape| shape.fits(&candidate.value));
    let mut fitting = weighed.iter().filter(fits);
    let Some((best, score)) = fitting.next() else { return Extraction::None };
    let next = fitting.next();
    if score.points >= score::RELEASE {
        let margin = |other: &Score| {
            if score.is_anchored() && other.is_anchored() { score::MARGIN_ANCHORED } else { score::MARGIN }
        };
        // `482913 or 771204`: the two are of one kind, in one clause, and nothing is said against either.
        let twins = |(twin, other): &(Candidate, Score)| {
            let alike = other.clause == score.clause && twin.value.len() == best.value.len();
            let listed = score.several && other.several;
            other.points >= score::SHAPED && other.unopposed && twin.form == best.form && (alike || listed)
        };
        if next.is_some_and(|next| score.points - next.1.points < margin(&next.1) || twins(next)) {
            return Extraction::Ambiguous;
        }
        let rivals = |(rival, other): &(Candidate, Score)| {
            let alike = rival.form == best.form && rival.value.len() == best.value.len();
            alike
                && score.is_anchored()
                && other.is_anchored()
                && other.unopposed
                && other.points >= score::RELEASE
        };
        if next.is_some_and(rivals) {
            return Extraction::Ambiguous;
        }
        let certain = score.is_anchored() && score.points >= score::CERTAIN;
        return release(&best.value, if certain { Confidence::High } else { Confidence::Medium });
    }
    let unrivalled = next.is_none() && weighed.iter().all(|(_, other)| other.points < score::RELEASE);
    if shape.is_some() && unrivalled && score.points >= score::SHAPED {
        return release(&best.value, Confidence::Low);
    }
    Extraction::None
}

pub(super) fn release(value: &str, confidence: Confidence) -> Extraction {
    Code::new(value).map_or(Extraction::None, |code| Extraction::Code(code, confidence))
}
