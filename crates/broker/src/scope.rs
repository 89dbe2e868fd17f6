//! A role of NATS's operator mode: what a scoped signing key lets the users do whom it makes.

use serde_json::{Map, Value, json};

use crate::config::{Permissions, Responses};

/// A role, and what its users may do. `{{name()}}` in a subject stands for the name of each.
#[derive(Debug, Clone)]
pub struct Scope {
    /// What the account calls the role.
    pub role: String,
    /// What its users may do.
    pub permissions: Permissions,
}

impl Scope {
    /// The entry of the account's `signing_keys`; the public key (`A…`) that signs for the role is still to be put in.
    #[must_use]
    pub fn claim(&self) -> Value {
        let Permissions { publish, subscribe, responses } = &self.permissions;
        let mut template = Map::from_iter([
            ("pub".to_owned(), allowed(publish)),
            ("sub".to_owned(), allowed(subscribe)),
            ("subs".to_owned(), json!(-1)),
            ("data".to_owned(), json!(-1)),
            ("payload".to_owned(), json!(-1)),
        ]);
        if let Some(Responses { max, expires }) = responses {
            let ttl = u64::try_from(expires.as_nanos()).unwrap_or(u64::MAX);
            template.insert("resp".to_owned(), json!({ "max": max, "ttl": ttl }));
        }
        json!({ "kind": "user_scope", "key": "", "role": self.role, "template": template })
    }

    /// The command that makes such a key in an account, for a POSIX shell.
    #[must_use]
    pub fn nsc(&self, account: &str) -> String {
        let Permissions { publish, subscribe, responses } = &self.permissions;
        let options = [("pub", publish), ("sub", subscribe)].into_iter().flat_map(|(way, subjects)| {
            let denied = subjects.is_empty().then(|| format!("--deny-{way} {}", quoted(">")));
            let allowed = subjects.iter().map(move |subject| format!("--allow-{way} {}", quoted(subject)));
            denied.into_iter().chain(allowed)
        });
        let answers = responses.map(|Responses { max, expires }| {
            format!("--allow-pub-response={max} --response-ttl {}ms", expires.as_millis())
        });
        let head = format!(
            "nsc edit signing-key --account {} --sk generate --role {}",
            quoted(account),
            quoted(&self.role)
        );
        [head].into_iter().chain(options).chain(answers).collect::<Vec<_>>().join(" \\\n  ")
    }
}

fn allowed(subjects: &[String]) -> Value {
    // An empty `allow` would allow all.
    if subjects.is_empty() { json!({ "deny": [">"] }) } else { json!({ "allow": subjects }) }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_allow_what_is_listed_and_nothing_else() {
        let responses = Some(Responses { max: 1, expires: Duration::from_secs(30) });
        let publish = vec!["$JS.API.>".to_owned(), "cmd.{{name()}}.get".to_owned()];
        let relay = Scope {
            role: "relay".to_owned(),
            permissions: Permissions { publish, subscribe: Vec::new(), responses },
        };
        insta::assert_snapshot!(relay.nsc("it's mine"), @r"
        nsc edit signing-key --account 'it'\''s mine' --sk generate --role 'relay' \
          --allow-pub '$JS.API.>' \
          --allow-pub 'cmd.{{name()}}.get' \
          --deny-sub '>' \
          --allow-pub-response=1 --response-ttl 30000ms
        ");
        insta::assert_snapshot!(relay.claim(), @r#"{"key":"","kind":"user_scope","role":"relay","template":{"data":-1,"payload":-1,"pub":{"allow":["$JS.API.>","cmd.{{name()}}.get"]},"resp":{"max":1,"ttl":30000000000},"sub":{"deny":[">"]},"subs":-1}}"#);
    }
}
