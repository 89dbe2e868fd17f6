//! Every URL that a gateway may have called and signed for one delivery.
//!
//! It is put together from what the user says, and from `X-Forwarded-Host` or `Host`, which anybody can write. That is
//! harmless: they only choose which URL is checked, and one that the gateway has not signed does not verify.

use std::collections::BTreeSet;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};

use super::delivery::Delivery;

/// By either scheme, with the port and without, as the gateways' own libraries try them.
pub(super) fn urls(delivery: &Delivery) -> BTreeSet<String> {
    let hosts = ["x-forwarded-host", "host"].into_iter().filter_map(|name| delivery.header(name));
    // A chain of proxies appends; the first is the one that the gateway called.
    let hosts = hosts.filter_map(|hosts| hosts.split(',').next()?.trim().parse::<Authority>().ok());
    let of_host = |host: Authority| {
        [("https", 443), ("http", 80)].into_iter().flat_map(move |(scheme, usual)| {
            let port = host.port_u16().unwrap_or(usual);
            [host.host().to_owned(), format!("{}:{port}", host.host())]
                .map(|host| format!("{scheme}://{host}"))
        })
    };
    let origins = hosts.flat_map(of_host).chain(delivery.public_urls.iter().cloned());
    origins.map(|origin| origin + &delivery.target).collect()
}

/// What stands before `/sms` in the URL that a gateway is given, such as `https://capture.example` or
/// `https://capture.example/hook`, without a slash at its end.
pub(super) fn public_url(text: &str) -> Option<String> {
    let url: Uri = text.parse().ok()?;
    let is_web = url.scheme() == Some(&Scheme::HTTPS) || url.scheme() == Some(&Scheme::HTTP);
    let is_plain = url.query().is_none() && !text.contains(['#', '@']);
    (is_web && is_plain).then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_what_stands_before_the_path() {
        for (text, read) in [
            ("https://capture.example", Some("https://capture.example")),
            ("https://capture.example/", Some("https://capture.example")),
            ("http://capture.example:8080/hook", Some("http://capture.example:8080/hook")),
            ("capture.example", None),
            ("/hook", None),
            ("ftp://capture.example", None),
            ("https://capture.example/?a=1", None),
            ("https://me@capture.example", None),
            ("https://", None),
        ] {
            assert_eq!(public_url(text).as_deref(), read, "{text}");
        }
    }
}
