//! Services by name: whom a request for `github` means, and which names are made to be taken for one of them.
//!
//! The table is made from public lists and from rows of this project (`data/README.md` says which, and how it is made
//! again); a user adds services in the same form. A name is only ever a way to write senders down: what is signed and
//! shown is the senders.

mod likeness;

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use self::likeness::{Look, Resemblance};
use crate::lookalike::{of_text, skeleton};
use crate::mailbox::is_at_a_provider;
use crate::{
    Channel, Channels, ContentPattern, FilterError, Number, RegistrableDomain, SenderId, SenderPattern,
    Senders,
};

/// A service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What it is called.
    pub name: String,
    /// What else it is called.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The registrable domains that it sends mail from, the main one first.
    pub domains: Vec<RegistrableDomain>,
    /// The numbers and sender ids that it sends text messages from.
    #[serde(default)]
    pub sms: Vec<SmsSender>,
    /// Words of which one stands in each of its text messages.
    #[serde(default)]
    pub brands: Vec<String>,
}

/// A number or a sender id.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct SmsSender(SenderPattern);

impl TryFrom<String> for SmsSender {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, FilterError> {
        let number = text.parse::<Number>().map(SenderPattern::Number);
        number.or_else(|_| text.parse::<SenderId>().map(SenderPattern::SenderId)).map(Self)
    }
}

/// A file of services.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    service: Vec<Service>,
}

/// The services that are known.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// The user's own, which come first.
    own: Vec<Service>,
}

/// Why a file of services cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ServicesError {
    /// It is not written as it should be.
    #[error("{0}")]
    Unreadable(String),
    /// A service has no domain, or too many senders.
    #[error(
        "the service `{name}` has {count} senders: 1 to {} are allowed, a domain among them",
        Senders::MAX
    )]
    Senders {
        /// Which.
        name: String,
        /// How many it has.
        count: usize,
    },
    /// Anybody can write from one of its domains.
    #[error(
        "anybody can have an address at {domain}, so it cannot stand for {name}; have agents name an address"
    )]
    Mailboxes {
        /// Which service.
        name: String,
        /// The domain.
        domain: String,
    },
    /// A name is made to be taken for another.
    #[error("the name `{name}` cannot be used: {reason}")]
    Name {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

/// What a request for a service or a sender asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Whose message.
    pub sender: Senders,
    /// What it has to contain: of a text message of a service, one of its words, for its sender can be forged.
    pub content: Option<ContentPattern>,
}

/// Why what was asked for names nobody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SoughtError {
    /// No sender.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// No service of that name is known.
    #[error(
        "no service is known as `{name}`{}; name its domain, such as acme.example, or an SMS sender id as id:ACME",
        Near(near)
    )]
    Unknown {
        /// The name.
        name: String,
        /// Names that are near it.
        near: Vec<String>,
    },
    /// A name that looks like that of a service, and is another.
    #[error("`{name}` looks like {known}, and is not: {reason}")]
    Disguise {
        /// What was asked for.
        name: String,
        /// What it looks like.
        known: String,
        /// What gives it away, or what to do.
        reason: String,
    },
    /// The service's text messages come from nobody knows whom.
    #[error(
        "it is not known from which number or sender id {service} sends text messages; name it, such as +15551234567 or id:ACME, or add it to your services"
    )]
    NoSmsSender {
        /// The service.
        service: String,
    },
}

struct Near<'a>(&'a [String]);

impl fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " (did you mean {}?)", self.0.join(" or ")) }
    }
}

/// The table that comes with this program.
static KNOWN: LazyLock<Vec<Service>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, which every test reads")]
    read(include_str!("../data/services.toml")).expect("a table of services")
});

impl Services {
    /// Those of the table, and before them the user's own: `[[service]]` with `name`, `domains`, and if there are any
    /// `aliases`, `sms` and `brands`, in TOML.
    ///
    /// # Errors
    ///
    /// [`ServicesError`] says what is wrong, and where.
    pub fn with_own(toml: &str) -> Result<Self, ServicesError> {
        Ok(Self { own: read(toml)? })
    }

    fn all(&self) -> impl Iterator<Item = &Service> {
        self.own.iter().chain(KNOWN.iter())
    }

    /// Whom a request asks for: a sender, several with commas between them, a service by its name, or an SMS sender id
    /// behind `id:`.
    ///
    /// # Errors
    ///
    /// [`SoughtError`] says what to write.
    pub fn sought(&self, text: &str, channels: Channels) -> Result<Sought, SoughtError> {
        if let Some(id) = text.strip_prefix("id:") {
            return Ok(Sought { sender: SenderPattern::SenderId(id.parse()?).into(), content: None });
        }
        let is_number = text.starts_with('+') || text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || text.contains(['.', '@', ',']) {
            let sender: Senders = text.parse()?;
            return match self.resemblances(&sender).into_iter().find(|resemblance| resemblance.is_disguise) {
                Some(Resemblance { domain, known, service, .. }) => Err(SoughtError::Disguise {
                    name: domain,
                    known: format!("{known} of {service}"),
                    reason: "if it is what you mean, add it to your services".to_owned(),
                }),
                None => Ok(Sought { sender, content: None }),
            };
        }
        self.find(text)?.sought(channels)
    }

    /// The service of this name, without regard to case, blanks and hyphens.
    ///
    /// # Errors
    ///
    /// [`SoughtError::Unknown`] or [`SoughtError::Disguise`].
    pub fn find(&self, name: &str) -> Result<&Service, SoughtError> {
        let asked = plain(name);
        if let Some(found) = self.all().find(|service| service.names().any(|name| plain(name) == asked)) {
            return Ok(found);
        }
        let looks = plain(&skeleton(&name.to_lowercase()));
        let known =
            self.all().find(|service| service.names().any(|name| plain(&skeleton(&plain(name))) == looks));
        let is_odd = of_text(&name.replace(' ', ""));
        if let (Some(known), false) = (known, name.is_ascii()) {
            let reason =
                is_odd.unwrap_or_else(|| "other letters than those of the name are in it".to_owned());
            return Err(SoughtError::Disguise { name: name.to_owned(), known: known.name.clone(), reason });
        }
        Err(SoughtError::Unknown { name: name.chars().take(80).collect(), near: self.near(&asked) })
    }

    /// Up to three names that differ by a letter or two.
    fn near(&self, asked: &str) -> Vec<String> {
        let distance = |service: &Service| {
            let names = service.names().map(|name| strsim::damerau_levenshtein(&plain(name), asked));
            names.min().unwrap_or(usize::MAX)
        };
        let allowed = if asked.len() < 6 { 1 } else { 2 };
        let mut near: Vec<(usize, &str)> = self
            .all()
            .map(|service| (distance(service), service.name.as_str()))
            .filter(|(distance, _)| *distance <= allowed)
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
    }

    /// The service that all of these senders belong to, if there is one.
    #[must_use]
    pub fn of(&self, senders: &Senders) -> Option<&Service> {
        self.all().find(|service| senders.iter().all(|sender| service.owns(sender)))
    }

    /// What the user should know of these senders before deciding: which domains could be taken for others, and which
    /// anybody writes from.
    #[must_use]
    pub fn warnings(&self, senders: &Senders) -> Vec<String> {
        let at_providers = senders.iter().filter_map(|sender| match sender {
            SenderPattern::Domain(domain) if is_at_a_provider(&domain.to_string()) => {
                Some(format!("anybody can have an address at {domain}"))
            }
            SenderPattern::Domain(_) | SenderPattern::Address(_) | SenderPattern::Number(_) => None,
            SenderPattern::SenderId(_) => None,
        });
        self.resemblances(senders).iter().map(ToString::to_string).chain(at_providers).collect()
    }

    /// Which of the senders' domains are none of a known service, and could be taken for one.
    ///
    /// At a glance: `rnicrosoft.com`. By a slip: `githbu.com`. As another of it: `github.example`, `github-login.com`.
    fn resemblances(&self, senders: &Senders) -> Vec<Resemblance> {
        let is_known = |domain: &str| self.domains().any(|(_, known)| known.to_string() == domain);
        let strangers = senders.domains().filter(|domain| !is_known(domain));
        strangers.filter_map(|domain| self.resemblance(domain)).collect()
    }

    fn resemblance(&self, domain: &str) -> Option<Resemblance> {
        let look = Look::of(domain);
        let found: Vec<Resemblance> =
            self.domains().filter_map(|(service, known)| look.resembles(service, known)).collect();
        let disguise = found.iter().position(|resemblance| resemblance.is_disguise);
        found.into_iter().nth(disguise.unwrap_or(0))
    }

    fn domains(&self) -> impl Iterator<Item = (&Service, &RegistrableDomain)> {
        self.all().flat_map(|service| service.domains.iter().map(move |domain| (service, domain)))
    }
}

impl Service {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    fn owns(&self, sender: &SenderPattern) -> bool {
        match sender.domain() {
            Some(domain) => self.domains.iter().any(|own| own.to_string() == domain),
            None => self.sms.iter().any(|SmsSender(own)| own == sender),
        }
    }

    fn senders(&self, channels: Channels) -> Vec<SenderPattern> {
        let domains = self.domains.iter().cloned().map(SenderPattern::Domain);
        let sms = self.sms.iter().map(|SmsSender(sender)| sender.clone());
        // Of a request for SMS, the domains say which site a code may be bound to.
        match channels {
            Channels::Email => domains.collect(),
            Channels::Sms | Channels::Any => domains.chain(sms).collect(),
        }
    }

    fn sought(&self, channels: Channels) -> Result<Sought, SoughtError> {
        if channels == Channels::Sms && self.sms.is_empty() {
            return Err(SoughtError::NoSmsSender { service: self.name.clone() });
        }
        let sender = Senders::new(self.senders(channels))?;
        let by_sms = channels.admit(Channel::Sms) && sender.send(Channel::Sms) && !self.brands.is_empty();
        let content = if by_sms { Some(one_of(&self.brands).parse()?) } else { None };
        Ok(Sought { sender, content })
    }

    fn check(&self) -> Result<(), ServicesError> {
        let count = self.senders(Channels::Any).len();
        if self.domains.is_empty() || count > Senders::MAX {
            return Err(ServicesError::Senders { name: self.name.clone(), count });
        }
        if let Some(domain) = self.domains.iter().find(|domain| is_at_a_provider(&domain.to_string())) {
            return Err(ServicesError::Mailboxes { name: self.name.clone(), domain: domain.to_string() });
        }
        let bad = |name: &str, reason: String| ServicesError::Name { name: name.to_owned(), reason };
        for name in self.names() {
            if plain(name).is_empty()
                || name.contains(['.', '@', ',', ':', '+'])
                || name.bytes().all(|b| b.is_ascii_digit())
            {
                return Err(bad(name, "a name has letters, and none of . @ , : + in it".to_owned()));
            }
            let odd = name.split(' ').find_map(of_text);
            odd.map_or(Ok(()), |reason| Err(bad(name, reason)))?;
        }
        let content = one_of(&self.brands).parse::<ContentPattern>();
        let is_usable =
            self.brands.is_empty() || content.is_ok() && self.brands.iter().all(|brand| !brand.is_empty());
        if is_usable {
            Ok(())
        } else {
            Err(bad(&self.name, "its brands are too long, or one is empty".to_owned()))
        }
    }
}

/// A pattern for one of the words.
fn one_of(words: &[String]) -> String {
    words.iter().map(|word| regex::escape(word)).collect::<Vec<_>>().join("|")
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect()
}

fn read(toml: &str) -> Result<Vec<Service>, ServicesError> {
    let Table { service } = toml::from_str(toml)
        .map_err(|error| ServicesError::Unreadable(error.to_string().trim_end().to_owned()))?;
    service.iter().try_for_each(Service::check)?;
    Ok(service)
}

#[cfg(test)]
mod tests;
