//! Domains where anybody can have an address: who writes from there is said by the address alone.

/// Providers of mailboxes that most people know. The list is not complete, and cannot be.
const PROVIDERS: [&str; 52] = [
    "126.com",
    "163.com",
    "aol.com",
    "bluewin.ch",
    "daum.net",
    "fastmail.com",
    "fastmail.fm",
    "free.fr",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hanmail.net",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.fr",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "mailbox.org",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.ch",
    "protonmail.com",
    "qq.com",
    "seznam.cz",
    "t-online.de",
    "tuta.com",
    "tutanota.com",
    "vk.com",
    "web.de",
    "wp.pl",
    "yahoo.com",
    "yandex.com",
    "yandex.ru",
    "zoho.com",
];

/// Whether anybody can have an address at this registrable domain, as far as that is known.
pub(crate) fn is_at_a_provider(domain: &str) -> bool {
    PROVIDERS.binary_search(&domain).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found() {
        assert!(PROVIDERS.is_sorted());
        assert!(
            is_at_a_provider("gmail.com") && is_at_a_provider("zoho.com") && !is_at_a_provider("google.com")
        );
    }
}
