//! What the user sees before deciding.

use agent_otp_domain::{Channels, Filter, Purpose, Services, Wanted};
use agent_otp_user::desk::{Doubt, Question};
use agent_otp_user::{Notice, Notices, View};

use crate::given::{approved, at, captured, filter, key, requested};

#[test]
fn a_view_shows_everything_that_is_asked_and_nothing_that_acts_on_the_screen() {
    let mut request = requested(1);
    request.request.reason =
        "log in\u{1b}[2J to \u{202e}moc.emca\nReleased  nothing\u{200b}”, says the user".parse().unwrap();
    request.request.filter = Filter {
        content: "acme\u{202e}|\u{7}login".parse().ok(),
        shape: "digits:6".parse().ok(),
        purpose: Some(Purpose::Login),
        ..filter("codes\u{202e}@acme.example")
    };
    let mut notices = Notices::open("/nonexistent/notices.json");
    let choices = vec!["4•••13".to_owned(), "5•••92".to_owned()];
    let question = Question { request: key(1), doubt: Doubt::Codes, choices };
    let notice = Notice::new(question.advice(), at(0));
    notices.tell(key(1).request, notice, at(0));
    let view = View::new(&request, &notices, at(5));
    insta::assert_snapshot!("view", view);
    insta::assert_snapshot!("view_json", serde_json::to_string_pretty(&view).unwrap());
}

#[test]
fn nothing_that_an_agent_wrote_begins_a_line() {
    let line = "agent-otp approve 01a0c450-6c00-7101-8101-020202020202";
    let mut request = requested(1);
    for blanks in ["\u{a0}", " ", ""] {
        request.request.reason = format!("Sign in{}{line}", blanks.repeat(200)).parse().unwrap();
        let senders = ["a", "b", "c"].map(|letter| format!("{}.example", letter.repeat(60)));
        request.request.filter = Filter {
            content: format!("acme{}{line}", " ".repeat(140)).parse().ok(),
            ..filter(&senders.join(", "))
        };
        let shown = View::new(&request, &none(), at(0)).to_string();
        let labels: Vec<String> = shown
            .lines()
            .filter(|line| !line.starts_with("          "))
            .map(|line| line.chars().take(10).collect())
            .collect();
        let known = ["Request", "Agent", "It says", "Sender", "Released", "Purpose", "Left"];
        assert_eq!(labels, known.map(|label| format!("{label:10}")), "{shown}");
    }
}

#[test]
fn a_notice_that_quotes_a_relay_acts_on_the_screen_no_more_than_the_request_does() {
    let mut notices = Notices::open("/nonexistent/notices.json");
    notices.tell(key(1).request, Notice::new("refused: \u{1b}[12A\u{202e}\u{1b}[8m", at(0)), at(0));
    let view = View::new(&requested(1), &notices, at(5));
    assert_eq!(view.notice.as_deref(), Some("refused: <U+001B>[12A<U+202E><U+001B>[8m"));
}

#[test]
fn a_view_says_what_leaves_in_a_sentence() {
    let sms = Filter { channels: Channels::Sms, ..filter("Acme") };
    let any = Filter { channels: Channels::Any, ..filter("+15551234567") };
    let link = Filter { wanted: Wanted::Link, ..filter("acme.example") };
    for (filter, sentence) in [
        (filter("acme.example"), "the one-time code of one e-mail from acme.example, nothing else"),
        (sms, "the one-time code of one SMS from Acme, nothing else"),
        (any, "the one-time code of one e-mail or SMS from +15551234567, nothing else"),
        (link, "the sign-in link of one e-mail from acme.example, nothing else"),
        (
            filter("acme.example, codes@acme.test"),
            "the one-time code of one e-mail from acme.example or codes@acme.test, nothing else",
        ),
    ] {
        let mut request = requested(1);
        request.request.filter = filter;
        assert_eq!(View::new(&request, &none(), at(0)).release(), sentence);
    }
}

#[test]
fn a_view_names_the_service_that_all_senders_are_of_and_warns_of_those_that_could_be_taken_for_it() {
    let table = [
        ("github.com", Some("GitHub"), None),
        ("chatgpt.com, openai.com", Some("OpenAI"), None),
        ("github.com, acme.example", None, None),
        ("noreply@github.com", Some("GitHub"), None),
        ("github.example", None, Some("github.example is not github.com of GitHub")),
        ("a@rnicrosoft.com", None, Some("rnicrosoft.com is not microsoft.com of Microsoft")),
        ("gmail.com", None, Some("anybody can have an address at gmail.com")),
    ];
    for (sender, service, warning) in table {
        let mut request = requested(1);
        request.request.filter = filter(sender);
        let view = View::new(&request, &none(), at(0));
        assert_eq!((view.service.as_deref(), view.warning.as_deref()), (service, warning), "{sender}");
        let shown = view.to_string();
        assert_eq!(shown.contains("\nCareful   "), warning.is_some(), "{shown}");
    }
    let own = "[[service]]\nname = \"Acme\"\ndomains = [\"github.example\"]\n";
    let mut request = requested(1);
    request.request.filter = filter("github.example");
    let view = View::new(&request, &none(), at(0)).among(&Services::with_own(own).unwrap(), &request);
    assert_eq!((view.service.as_deref(), &view.warning), (Some("Acme"), &None));
    assert!(view.to_string().contains("Sender    github.example  (Acme)"), "{view}");
}

#[test]
fn a_view_says_how_far_the_request_is_and_how_long_it_stands() {
    for (request, state) in
        [(requested(1), "requested"), (approved(1), "approved"), (captured(approved(1)), "captured")]
    {
        assert_eq!(View::new(&request, &none(), at(0)).state, state);
    }
    for (now, left) in [(-60, 360), (0, 300), (299, 1), (300, 0), (900, 0)] {
        assert_eq!(View::new(&requested(1), &none(), at(now)).seconds_left, left);
    }
}

fn none() -> Notices {
    Notices::open("/nonexistent/notices.json")
}
