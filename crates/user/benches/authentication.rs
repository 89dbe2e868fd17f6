//! What it costs on one core to verify who sent a mail, once its keys and policies are cached.

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use agent_otp_domain::Timestamp;
use agent_otp_user::mail;
use agent_otp_user::mail::authentication::{Authenticator, Dns, Envelope};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/dns/mod.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "it answers this program's own questions")]
mod dns;

/// When the mail was written: 2026-11-23T09:14:05Z.
const WRITTEN_AT: Timestamp = Timestamp::from_unix_ms(1_795_425_245_000);

#[expect(clippy::unwrap_used, reason = "a measurement that cannot go on should stop")]
fn signed_mail(bench: &mut Criterion) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/eml");
    let raw = fs::read(format!("{folder}/071_auth_dkim_aligned.eml")).unwrap();
    let zone = dns::zone(&fs::read_to_string(format!("{folder}/zone.json")).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let authenticator = Authenticator::new(Dns::Server(dns::serve(zone)), None).unwrap();
    let (envelope, now) = (Envelope::local(), WRITTEN_AT.after(Duration::from_secs(5)));
    bench.bench_function("one mail with RSA-2048, verified", |bench| {
        bench.iter(|| runtime.block_on(authenticator.verify(black_box(&raw), &envelope, now)).unwrap());
    });
    bench.bench_function("one mail, read", |bench| {
        bench.iter(|| mail::read(black_box(&raw)).unwrap());
    });
}

criterion_group!(benches, signed_mail);
criterion_main!(benches);
