//! What it costs to hold a message against the open requests, however many there are, and what each of them weighs.
#![expect(clippy::print_stderr, reason = "what memory is taken is no time, which alone criterion prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

#[path = "../tests/user/given.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod given;

use std::collections::BTreeSet;
use std::fs;
use std::hint::black_box;

use agent_otp_domain::Sender;
use agent_otp_user::Message;
use agent_otp_user::desk::Desk;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

use given::{approved_of_many, at, capturer, filter, mail};

/// How many requests are open.
const OPEN: u32 = 100_000;

fn among_many(bench: &mut Criterion) {
    let before = resident();
    let mut desk = Desk::new(capturer(), BTreeSet::new());
    for number in 0..OPEN {
        desk.learn(approved_of_many(number, filter(&format!("service-{number}.example"))));
    }
    desk.settle(at(1));
    let each = resident().saturating_sub(before) / usize::try_from(OPEN).unwrap();
    eprintln!("{OPEN} open requests: {each} bytes each, resident");

    bench.bench_function("a message that none of 100,000 open requests waits for", |bench| {
        bench.iter_batched(
            || from("a@elsewhere.example"),
            |message| {
                desk.receive(message);
                black_box(desk.settle(at(1)))
            },
            BatchSize::SmallInput,
        );
    });
    bench.bench_function("a message without a code that one of 100,000 open requests waits for", |bench| {
        let mut number = 0;
        bench.iter_batched(
            || {
                number = (number + 1) % OPEN;
                from(&format!("a@service-{number}.example"))
            },
            |message| {
                desk.receive(message);
                black_box(desk.settle(at(1)))
            },
            BatchSize::SmallInput,
        );
    });
}

fn from(address: &str) -> Message {
    Message { sender: Sender::Address(address.parse().unwrap()), ..mail("Welcome.") }
}

/// How much memory this process takes, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4_096
}

criterion_group!(benches, among_many);
criterion_main!(benches);
