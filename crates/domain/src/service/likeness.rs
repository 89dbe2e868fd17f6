//! Domains that are none of a known service, and could be taken for one.

use std::fmt;

use super::Service;
use crate::RegistrableDomain;
use crate::lookalike::glance;

/// That a domain is not one of a service, and could be taken for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resemblance {
    /// The domain.
    pub(super) domain: String,
    /// The service's.
    pub(super) known: RegistrableDomain,
    /// The service.
    pub(super) service: String,
    /// Whether the two can hardly be told apart by eye.
    pub(super) is_disguise: bool,
}

impl fmt::Display for Resemblance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {} of {}", self.domain, self.known, self.service)
    }
}

/// How a domain looks.
pub(super) struct Look {
    domain: String,
    label: String,
    /// What the label is taken for at a glance.
    seen: String,
}

impl Look {
    pub(super) fn of(domain: &str) -> Self {
        let (unicode, _) = idna::domain_to_unicode(domain);
        let label = first_label(&unicode).to_owned();
        Self { domain: domain.to_owned(), seen: glance(&label), label }
    }

    /// Whether it could be taken for this domain of this service.
    pub(super) fn resembles(&self, service: &Service, known: &RegistrableDomain) -> Option<Resemblance> {
        let likeness = self.likeness(first_label(&known.to_string()))?;
        Some(Resemblance {
            domain: self.domain.clone(),
            known: known.clone(),
            service: service.name.clone(),
            is_disguise: likeness == Likeness::Disguise,
        })
    }

    /// How it is like a label that is known. Short ones are like many.
    fn likeness(&self, known: &str) -> Option<Likeness> {
        if known.len() < 4 {
            return None;
        }
        let label = self.label.as_str();
        if label != known && self.seen == glance(known) {
            return Some(Likeness::Disguise);
        }
        let joined = label.replace('-', "");
        let is_part = known.len() > 4 && label.split('-').any(|part| part == known);
        let is_slip = known.len() > 5 && strsim::damerau_levenshtein(&joined, known) == 1;
        (label == known || is_part || is_slip || joined == known).then_some(Likeness::Near)
    }
}

/// How one label is like another.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    /// The eye takes it for the other.
    Disguise,
    /// It is near it.
    Near,
}

fn first_label(domain: &str) -> &str {
    domain.split('.').next().unwrap_or(domain)
}
