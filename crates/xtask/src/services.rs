//! `cargo xtask services`: makes the table of known services from copies of public lists and from the project's own rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use agent_otp_domain::{SenderPattern, Services};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most domains of a service that lists may add to: who has more writes from its main one.
const DOMAINS_MAX: usize = 12;

/// What stands at the head of the table.
const HEAD: &str = "\
# Made by `cargo xtask services`: change data/sources/ and make it again. Sources and licences: data/README.md.
";

/// Where downloaded copies are, which take the place of those in the repository.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Copies {
    /// The list of 2fa.directory, as its API serves it at /v3/all.json.
    #[arg(long, value_name = "FILE")]
    two_factor: Option<PathBuf>,
    /// Apple's quirks/shared-credentials.json.
    #[arg(long, value_name = "FILE")]
    shared_credentials: Option<PathBuf>,
}

/// A row of the table.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    domains: Vec<String>,
    #[serde(default)]
    sms: Vec<String>,
    #[serde(default)]
    brands: Vec<String>,
}

#[derive(Deserialize)]
struct Own {
    service: Vec<Row>,
}

/// Sites with the same accounts, or those that have moved.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shared: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    from: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_domains_are_obsoleted: Option<bool>,
}

/// A site of 2fa.directory: its name and what is said of it.
type Site = (String, Value);

/// Makes the table below `data`, the directory of the domain crate's data, and returns how many services are in it.
pub(crate) fn run(data: &Path, copies: &Copies) -> Result<usize> {
    let sources = data.join("sources");
    if let Some(path) = &copies.two_factor {
        let sites: Vec<Site> = serde_json::from_slice(&read(path)?).with_context(|| bad(path))?;
        let kept = sites.iter().map(|(name, site)| (name, kept_of(site).collect::<Value>()));
        fs::write(sources.join("2fa.json"), lines(kept)?)?;
    }
    if let Some(path) = &copies.shared_credentials {
        let groups: Vec<Group> = serde_json::from_slice(&read(path)?).with_context(|| bad(path))?;
        fs::write(sources.join("shared-credentials.json"), lines(groups)?)?;
    }
    let table = table(&sources)?;
    // What cannot be used is not written.
    Services::with_own(&table)?;
    fs::write(data.join("services.toml"), &table)?;
    Ok(table.matches("[[service]]").count())
}

/// The table that these sources make.
pub(crate) fn table(sources: &Path) -> Result<String> {
    let path = sources.join("own.toml");
    let text = String::from_utf8(read(&path)?)?;
    let Own { service: mut rows } = toml::from_str(&text).with_context(|| bad(&path))?;
    let sites: Vec<Site> = serde_json::from_slice(&read(&sources.join("2fa.json"))?)?;
    let groups: Vec<Group> = serde_json::from_slice(&read(&sources.join("shared-credentials.json"))?)?;
    for (name, site) in sites {
        add_site(&mut rows, name, &site);
    }
    for group in groups {
        add_group(&mut rows, group);
    }
    rows.sort_by_key(|row| row.name.to_lowercase());
    ensure!(!rows.is_empty(), "there is no service");
    rows.iter().try_fold(HEAD.to_owned(), |table, row| Ok(table + &written(row)?))
}

/// Adds a site: to the row of its name or its domain, or as one of its own. One whose name is a domain is left out,
/// because a request for it names the domain.
fn add_site(rows: &mut Vec<Row>, name: String, site: &Value) {
    let more = site["additional-domains"].as_array().into_iter().flatten();
    let all = std::iter::once(&site["domain"]).chain(more).filter_map(|domain| registrable(domain.as_str()?));
    let taken = owners(rows);
    let same = |row: &Row| row.name.to_lowercase() == name.to_lowercase();
    let mut domains: Vec<String> = all.collect();
    let own = domains.first().and_then(|main| taken.get(main).copied());
    let at = rows.iter().position(same).or(own);
    domains.retain(|domain| taken.get(domain).is_none_or(|owner| Some(*owner) == at));
    domains.truncate(DOMAINS_MAX);
    match at.and_then(|at| rows.get_mut(at)) {
        Some(row) => add(&mut row.domains, domains),
        None if name.contains(['.', '@', ',', ':', '+', '(']) || !name.is_ascii() || domains.is_empty() => {}
        None => {
            let mut row = Row { name, ..Row::default() };
            add(&mut row.domains, domains);
            rows.push(row);
        }
    }
}

/// Adds what shares its accounts with a service, if it is of one alone and not of too many; what a service has given up
/// may be another's by now.
fn add_group(rows: &mut [Row], group: Group) {
    let is_obsolete = group.from_domains_are_obsoleted == Some(true);
    let from = if is_obsolete { Vec::new() } else { group.from };
    let domains: Vec<String> =
        group.shared.iter().chain(&group.to).chain(&from).filter_map(|domain| registrable(domain)).collect();
    let taken = owners(rows);
    let of: BTreeSet<usize> = domains.iter().filter_map(|domain| taken.get(domain).copied()).collect();
    let (Some(&at), 1, ..=DOMAINS_MAX) = (of.first(), of.len(), domains.len()) else { return };
    if let Some(row) = rows.get_mut(at) {
        add(&mut row.domains, domains);
    }
}

fn add(domains: &mut Vec<String>, more: Vec<String>) {
    for domain in more {
        if domains.len() < DOMAINS_MAX && !domains.contains(&domain) {
            domains.push(domain);
        }
    }
}

/// Which row a domain is in.
fn owners(rows: &[Row]) -> BTreeMap<String, usize> {
    let of_row = |(at, row): (usize, &Row)| {
        row.domains.iter().map(move |domain| (domain.clone(), at)).collect::<Vec<_>>()
    };
    rows.iter().enumerate().flat_map(of_row).collect()
}

/// The registrable domain of a host, if mail from there could be asked for.
fn registrable(host: &str) -> Option<String> {
    let pattern: SenderPattern = format!("a@{host}").parse().ok()?;
    let domain = pattern.domain().map(ToOwned::to_owned)?;
    // Where anybody can have an address, no service is known by its domain.
    let is_usable =
        Services::with_own(&format!("[[service]]\nname = \"a\"\ndomains = [\"{domain}\"]\n")).is_ok();
    is_usable.then_some(domain)
}

/// What is kept of a site: its domains.
fn kept_of(site: &Value) -> impl Iterator<Item = (String, Value)> {
    let field = |name: &str| site.get(name).map(|value| (name.to_owned(), value.clone()));
    field("domain").into_iter().chain(field("additional-domains"))
}

/// A list with an item a line.
fn lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<String> {
    let items: Vec<String> =
        items.into_iter().map(|item| serde_json::to_string(&item)).collect::<Result<_, _>>()?;
    Ok(format!("[\n  {}\n]\n", items.join(",\n  ")))
}

fn written(row: &Row) -> Result<String> {
    let list = |name: &str, items: &[String]| -> Result<String> {
        let items: Vec<String> = items.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        Ok(if items.is_empty() { String::new() } else { format!("{name} = [{}]\n", items.join(", ")) })
    };
    let name = serde_json::to_string(&row.name)?;
    let lists =
        [("aliases", &row.aliases), ("domains", &row.domains), ("sms", &row.sms), ("brands", &row.brands)];
    let lists = lists.iter().map(|(name, items)| list(name, items)).collect::<Result<String>>()?;
    Ok(format!("\n[[service]]\nname = {name}\n{lists}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn bad(path: &Path) -> String {
    format!("{} is not what was expected", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_its_sources_make() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/data");
        let made = table(&data.join("sources")).unwrap();
        assert!(made == fs::read_to_string(data.join("services.toml")).unwrap(), "type cargo xtask services");
    }

    #[test]
    fn a_downloaded_list_takes_the_place_of_the_copy_and_of_its_domains_alone() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        fs::create_dir(dir.path().join("sources")).unwrap();
        write(
            "sources/own.toml",
            "[[service]]\nname = \"Acme\"\ndomains = [\"acme.example\"]\nsms = [\"ACME\"]\n",
        );
        let copies = Copies {
            two_factor: Some(write(
                "all.json",
                r#"[["ACME", {"domain": "login.acme.example", "additional-domains": ["acme.test", "com"], "tfa": ["sms"]}],
                    ["Bcme", {"domain": "bcme.example", "documentation": "https://x"}],
                    ["bcme.io", {"domain": "bcme.io"}], ["Nobody", {"domain": "co.uk"}], ["Mail", {"domain": "gmail.com"}]]"#,
            )),
            shared_credentials: Some(write(
                "shared.json",
                r#"[{"shared": ["acme.example", "acme-mail.example"]}, {"shared": ["acme.example", "bcme.example"]},
                    {"from": ["old.example"], "to": ["bcme.example"], "fromDomainsAreObsoleted": true},
                    {"from": ["new.example"], "to": ["bcme.example"]}]"#,
            )),
        };
        assert_eq!(run(dir.path(), &copies).unwrap(), 2);
        insta::assert_snapshot!(fs::read_to_string(dir.path().join("services.toml")).unwrap(), @r#"
        # Made by `cargo xtask services`: change data/sources/ and make it again. Sources and licences: data/README.md.

        [[service]]
        name = "Acme"
        domains = ["acme.example", "acme.test", "acme-mail.example"]
        sms = ["ACME"]

        [[service]]
        name = "Bcme"
        domains = ["bcme.example", "new.example"]
        "#);
        insta::assert_snapshot!(fs::read_to_string(dir.path().join("sources/2fa.json")).unwrap(), @r#"
        [
          ["ACME",{"additional-domains":["acme.test","com"],"domain":"login.acme.example"}],
          ["Bcme",{"domain":"bcme.example"}],
          ["bcme.io",{"domain":"bcme.io"}],
          ["Nobody",{"domain":"co.uk"}],
          ["Mail",{"domain":"gmail.com"}]
        ]
        "#);
    }
}
