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
    bench.bench_function("one HTML mail of 100 KB, read and extracted", |bench| {
        bench.iter(|| mail::read(black_box(&raw)).map(|mail| extract::code(&mail.text, None, None)));
    });
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
        Order 1182 of 23 November cost EUR 24.90. <a href=\"https://acme.example/help/articles/how-to-sign-in\" \
        style=\"color:#0055aa;text-decoration:none\">Read more</a></td></tr></table>\n";
    while html.len() < bytes {
        html.push_str(row);
    }
    format!(
        "From: Acme <no-reply@acme.example>\r\nSubject: Your login code\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n{html}</body></html>\r\n"
    )
    .into_bytes()
}

criterion_group!(benches, text_message, html_mail);
criterion_main!(benches);
