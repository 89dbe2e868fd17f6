//! Names that mean somebody, names that mean nobody, and names that are made to be taken for others.

use std::collections::BTreeMap;

use super::*;
use crate::Filter;

fn sought(text: &str, channels: Channels) -> Result<String, String> {
    let shown = |Sought { sender, content }: Sought| match content {
        Some(content) => format!("{sender} /{content}/"),
        None => sender.to_string(),
    };
    Services::default().sought(text, channels).map(shown).map_err(|error| error.to_string())
}

#[test]
fn a_name_means_the_domains_of_its_service_and_by_sms_its_senders_and_words() {
    for (text, channels, expected) in [
        ("github", Channels::Email, "github.com"),
        ("GitHub", Channels::Email, "github.com"),
        ("git-hub", Channels::Email, "github.com"),
        ("openai", Channels::Email, "chat.com, chatgpt.com, openai.com"),
        ("ChatGPT", Channels::Email, "chat.com, chatgpt.com, openai.com"),
        ("github", Channels::Sms, "github.com, GitHub /github/"),
        ("github", Channels::Any, "github.com, GitHub /github/"),
        ("github.com", Channels::Email, "github.com"),
        ("noreply@github.com", Channels::Email, "noreply@github.com"),
        ("github.com,GitLab", Channels::Any, "github.com, GitLab"),
        ("+15551234567", Channels::Sms, "+15551234567"),
        ("22395", Channels::Sms, "22395"),
        ("id:ACME", Channels::Sms, "ACME"),
        ("id:GitHub", Channels::Sms, "GitHub"),
        ("münchen.de", Channels::Email, ""),
    ] {
        let found = sought(text, channels);
        if expected.is_empty() {
            assert!(found.is_err(), "{text}");
        } else {
            assert_eq!(found.as_deref(), Ok(expected), "{text} {channels}");
        }
    }
}

#[test]
fn what_a_name_means_is_a_filter_that_can_be_used() {
    let services = Services::default();
    for service in services.all() {
        for channels in [Channels::Email, Channels::Sms, Channels::Any] {
            let Ok(Sought { sender, content }) = services.sought(&service.name, channels) else {
                assert!(channels == Channels::Sms && service.sms.is_empty(), "{} {channels}", service.name);
                continue;
            };
            assert_eq!(services.of(&sender).map(|of| &of.name), Some(&service.name), "{}", service.name);
            assert_eq!(services.resemblances(&sender), [], "{}", service.name);
            let filter =
                Filter { channels, sender, content, shape: None, wanted: crate::Wanted::Code, purpose: None };
            assert_eq!(filter.check(), Ok(()), "{}", service.name);
        }
    }
}

#[test]
fn every_name_of_the_table_means_one_service_and_every_domain_belongs_to_one() {
    let services = Services::default();
    assert!(services.all().count() > 100);
    let (mut names, mut domains) = (BTreeMap::new(), BTreeMap::new());
    for service in services.all() {
        for name in service.names() {
            if let Some(other) = names.insert(plain(name), service.name.clone()) {
                assert_eq!(other, service.name, "{name}");
            }
        }
        for domain in &service.domains {
            assert_eq!(domains.insert(domain.to_string(), &service.name), None, "{domain}");
        }
    }
}

#[test]
fn an_unknown_name_asks_for_a_domain_and_tells_what_is_near() {
    insta::assert_snapshot!(sought("acme", Channels::Email).unwrap_err(), @"no service is known as `acme`; name its domain, such as acme.example, or an SMS sender id as id:ACME");
    insta::assert_snapshot!(sought("gihtub", Channels::Email).unwrap_err(), @"no service is known as `gihtub` (did you mean GitHub?); name its domain, such as acme.example, or an SMS sender id as id:ACME");
    insta::assert_snapshot!(sought("rnicrosoft", Channels::Sms).unwrap_err(), @"no service is known as `rnicrosoft` (did you mean Microsoft?); name its domain, such as acme.example, or an SMS sender id as id:ACME");
    for text in ["", " ", "-", "com", "co.uk", "github.io", "id:", "id:a name that is long", "@", ","] {
        assert!(sought(text, Channels::Any).is_err(), "{text}");
    }
}

#[test]
fn a_name_or_domain_that_is_made_to_be_taken_for_a_service_is_refused() {
    insta::assert_snapshot!(sought("gіthub", Channels::Email).unwrap_err(), @"`gіthub` looks like GitHub, and is not: it mixes letters of several scripts");
    insta::assert_snapshot!(sought("rnicrosoft.com", Channels::Email).unwrap_err(), @"`rnicrosoft.com` looks like microsoft.com of Microsoft, and is not: if it is what you mean, add it to your services");
    for text in [
        "gіthub.com",
        "xn--gthub-jye.com",
        "paypa1.com",
        "paypai.com",
        "a@rnicrosoft.com",
        "g00gle.com",
        "github.com,rnicrosoft.com",
        "xn--gthub-6pa.com",
        "xn--80ak6aa92e.com",
    ] {
        assert!(sought(text, Channels::Email).is_err(), "{text}");
    }
}

#[test]
fn a_domain_that_is_near_a_services_is_told_and_others_are_not() {
    let services = Services::default();
    let told = |text: &str| -> Vec<String> { services.warnings(&text.parse().unwrap()) };
    for (text, expected) in [
        ("github.example", "github.example is not github.com of GitHub"),
        ("githbu.com", "githbu.com is not github.com of GitHub"),
        ("githubb.com", "githubb.com is not github.com of GitHub"),
        ("github-login.com", "github-login.com is not github.com of GitHub"),
        ("git-hub.com", "git-hub.com is not github.com of GitHub"),
        ("a@mail.github.example", "github.example is not github.com of GitHub"),
        ("rnicrosoft.com", "rnicrosoft.com is not microsoft.com of Microsoft"),
        ("gmail.com", "anybody can have an address at gmail.com"),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
    for text in [
        "github.com",
        "acme.example",
        "a@b.example",
        "a@gmail.com",
        "+15551234567",
        "GitHub",
        "hub.example",
        "xy.example",
    ] {
        assert_eq!(told(text), [""; 0], "{text}");
    }
}

#[test]
fn a_user_adds_services_and_they_come_first() {
    let own = "[[service]]\nname = \"Acme\"\naliases = [\"acme inc\"]\ndomains = [\"acme.example\", \"acme-mail.example\"]\nsms = [\"ACME\", \"22395\"]\nbrands = [\"acme\", \"a.c.m.e\"]\n\n[[service]]\nname = \"github\"\ndomains = [\"github.example\"]\n";
    let services = Services::with_own(own).unwrap();
    let shown =
        |text, channels| services.sought(text, channels).map(|sought| sought.sender.to_string()).unwrap();
    assert_eq!(shown("ACME-Inc", Channels::Email), "acme-mail.example, acme.example");
    assert_eq!(shown("acme", Channels::Sms), "acme-mail.example, acme.example, 22395, ACME");
    let content = services.sought("acme", Channels::Sms).unwrap().content.unwrap();
    assert!(content.is_in("Your A.C.M.E code") && !content.is_in("Your axcxmxe code"));
    assert_eq!(shown("github", Channels::Email), "github.example");
    assert_eq!(services.resemblances(&"github.example".parse().unwrap()), []);
}

#[test]
fn a_file_of_services_that_cannot_be_used_is_told_why() {
    let refused = |toml: &str| Services::with_own(toml).map(drop).unwrap_err().to_string();
    insta::assert_snapshot!(refused("[[service]]\nname = \"A\"\ndomains = [\"mail.github.com\"]\n"), @r#"
    TOML parse error at line 3, column 11
      |
    3 | domains = ["mail.github.com"]
      |           ^^^^^^^^^^^^^^^^^^^
    `mail.github.com` names no sender: it belongs to github.com; ask for that
    "#);
    insta::assert_snapshot!(refused("[[service]]\nname = \"A\"\ndomains = []\n"), @"the service `A` has 0 senders: 1 to 16 are allowed, a domain among them");
    insta::assert_snapshot!(refused("[[service]]\nname = \"gіthub\"\ndomains = [\"a.example\"]\n"), @"the name `gіthub` cannot be used: it mixes letters of several scripts");
    insta::assert_snapshot!(refused("[[service]]\nname = \"A\"\ndomains = [\"proton.me\"]\n"), @"anybody can have an address at proton.me, so it cannot stand for A; have agents name an address");
    for toml in [
        "[[service]]\nname = \"A\"\n",
        "[[service]]\nname = \"\"\ndomains = [\"a.example\"]\n",
        "[[service]]\nname = \"a.b\"\ndomains = [\"a.example\"]\n",
        "[[service]]\nname = \"A\"\ndomains = [\"com\"]\n",
        "[[service]]\nname = \"A\"\ndomains = [\"xn--80ak6aa92e.com\"]\n",
        "[[service]]\nname = \"A\"\ndomains = [\"a.example\"]\nsms = [\"a sender with a long name\"]\n",
        "[[service]]\nname = \"A\"\ndomains = [\"a.example\"]\nbrands = [\"\"]\n",
        "[[service]]\nname = \"A\"\ndomains = [\"a.example\"]\nother = 1\n",
        "services = []\n",
    ] {
        assert!(Services::with_own(toml).is_err(), "{toml}");
    }
}
