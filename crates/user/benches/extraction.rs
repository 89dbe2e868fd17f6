//! What extraction costs on one core: a text message, a plain mail and an HTML mail of 100 KB.

use std::hint::black_box;

use agent_otp_user::extract::{self, Text};
use agent_otp_user::mail;
use criterion::{Criterion, criterion_group, criterion_main};

fn text_message(bench: &mut Criterion) {
    let plain = Text::plain(
        "457730 is the code to approve £62.40 at ASOS.COM with card ending 9914 on 23/11. We'll never ask you for it.",
    );
    bench.bench_function("one text message", |bench| {
        bench.iter(|| extract::code(black_box(&plain), None, None));
    });
    bench.bench_function("the purpose of one text message", |bench| {
        bench.iter(|| extract::purpose(black_box(&plain)));
    });
}

fn html_mail(bench: &mut Criterion) {
    let raw = newsletter(100 * 1024);
    bench.bench_function("reading one HTML mail of 100 KB", |bench| {
        bench.iter(|| mail::read(black_box(&raw)));
    });
    if let Ok(mail) = mail::read(&raw) {
        bench.bench_function("extracting from one HTML mail of 100 KB", |bench| {
            bench.iter(|| extract::code(black_box(&mail.text), None, None));
        });
    }
}

/// A mail whose HTML is laid out in nested tables and inline styles, as services write it.
fn newsletter(bytes: usize) -> Vec<u8> {
    let mut html = String::from(
        "<html><head><style>.preheader{display:none}</style></head><body><h1>Sign in</h1>\
         <p>Your login code is <b>482913</b>. It expires in 10 minutes.</p>",
    );
    let row = "<table width=\"600\" cellpadding=\"0\" cellspacing=\"0\" role=\"presentation\" style=\"border-collapse:collapse;\
        background-color:#ffffff;font-family:Arial,Helvetica,sans-serif\"><tr><td align=\"left\" style=\"padding:16px 24px;\
        font-size:14px;line-height:20px;color:#333333\">We keep your account safe, and we tell you about every new device. \
        NUMBERS <a href=\"https://acme.example/help/articles/how-to-sign-in\" \
        style=\"color:#0055aa;text-decoration:none\">Read more</a></td></tr></table>\n";
    for numbers in ["Order 1182 of 23 November cost EUR 24.90.", "", "", ""].iter().cycle() {
        if html.len() >= bytes {
            break;
        }
        html.push_str(&row.replace("NUMBERS", numbers));
    }
    format!(
        "From: Acme <no-reply@acme.example>\r\nSubject: Your login code\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n{html}</body></html>\r\n"
    )
    .into_bytes()
}

criterion_group!(benches, text_message, html_mail);
criterion_main!(benches);
