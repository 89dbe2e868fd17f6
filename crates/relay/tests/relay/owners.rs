//! Several owners on one broker and one relay: none sees or touches another's, and the relay serves whom it is told to.

use std::process::Command;

use agent_otp_domain::{EventType, OwnerId, RequestKey, Role};
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply};
use agent_otp_jetstream::nats_user::{NatsUser, NatsUsers, Whose};
use agent_otp_jetstream::provision::Settings;
use agent_otp_jetstream::{Bus, Feed, Who, clock};
use agent_otp_relay::Relay;
use agent_otp_relay::owners::{self, Owners};
use agent_otp_trust::{Member, Roster};
use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::home::{Home, PHONE, SHOPPER, STRANGER, enrol, key, name, owner, refusal};
use crate::world::{World, within};

#[tokio::test]
async fn two_owners_on_one_broker_and_relay_do_not_see_or_touch_each_other() {
    let stranger = OwnerId::of(&key(STRANGER).id());
    let theirs = [(Role::Agent, "shopper"), (Role::Approver, "phone"), (Role::Capturer, "home")];
    let whos =
        theirs.map(|(role, name)| Who::Member { owner: stranger.clone(), role, name: name.parse().unwrap() });
    let home = Home::beside(&whos).await;
    let mut buses = Vec::new();
    for (who, (role, called)) in whos.iter().zip(theirs) {
        buses.push(Bus::new(home.world.connect(who).await, stranger.clone(), role, name(called)));
    }
    let [agent, approver, capturer] = &buses[..] else { panic!("three") };

    // Each hears its own events alone, whatever it subscribes to.
    let mut heard = Vec::new();
    for bus in [agent, approver, capturer] {
        heard.push(Feed::of_owner(bus.connection(), &owner()).await.unwrap());
        heard.push(Feed::of_all(bus.connection()).await.unwrap());
    }
    let members = [(Role::Agent, "shopper", SHOPPER), (Role::Approver, "phone", PHONE)];
    let members = members.map(|(role, called, seed)| Member::new(role, name(called), key(seed).public()));
    let own = Roster::first(&key(STRANGER), members.to_vec(), clock::now());
    let signed = key(STRANGER).sign_roster(&own);
    approver.call(&Ask::Enrol { statement: signed.clone() }).await.unwrap();

    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    // Under the very same names, requests of another owner are none.
    let RequestKey { agent: shopper, request, .. } = said.key.clone();
    for bus in [agent, approver, capturer] {
        let get = Ask::Get { agent: shopper.clone(), request };
        assert_eq!(refusal(bus.call(&get).await), RefusalCode::Unknown);
        assert_eq!(bus.roster(None).await.unwrap(), signed, "each owner has a roster of its own");
    }
    for bus in [approver, capturer] {
        let Reply::Open { requests, .. } = bus.call(&Ask::Open { from: None }).await.unwrap() else {
            panic!()
        };
        assert_eq!(requests, []);
    }
    // A member of the one who is called alike cannot decide, hand in, claim or take back for the other.
    assert_eq!(refusal(agent.call(&said.request()).await), RefusalCode::Untrusted);
    assert_eq!(refusal(approver.call(&said.approve()).await), RefusalCode::Untrusted);
    assert_eq!(refusal(approver.call(&said.deny()).await), RefusalCode::Untrusted);
    assert_eq!(refusal(capturer.call(&said.capture()).await), RefusalCode::Untrusted);
    let claimed = agent.call(&said.consume()).await;
    assert!(matches!(refusal(claimed), RefusalCode::Untrusted | RefusalCode::Unknown));
    assert_eq!(refusal(approver.call(&enrol(&home.roster)).await), RefusalCode::Untrusted);
    home.bring(&said, EventType::Consumed).await;
    for feed in &mut heard {
        assert!(feed.next().now_or_never().is_none(), "nothing was heard of the other owner");
    }
}

#[tokio::test]
async fn a_relay_with_a_list_serves_the_owners_on_it_and_tells_others_so() {
    let home = Home::unserved().await;
    let list = home.world.files().join("owners");
    owners::add(&list, &OwnerId::of(&key(STRANGER).id())).unwrap();
    let stop = CancellationToken::new();
    let (serves, ready) = oneshot::channel();
    let connection = home.world.connect(&Who::Operator("relay")).await;
    let relay = Relay::new(connection, Settings::default()).for_owners(Owners::open(&list).unwrap());
    let serving = tokio::spawn(relay.serve(stop.clone(), || serves.send(()).unwrap()));
    within(ready).await.unwrap();

    for asked in [enrol(&home.roster), Ask::Roster { number: None }, Ask::Open { from: None }] {
        let error = home.phone.call(&asked).await.unwrap_err();
        assert!(error.to_string().contains("this relay does not serve the owner"), "{error}");
        assert_eq!(refusal(Err(error)), RefusalCode::Forbidden);
    }
    owners::add(&list, &owner()).unwrap();
    crate::world::eventually(async || home.phone.call(&enrol(&home.roster)).await.ok()).await;
    stop.cancel();
    within(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn removing_an_owner_removes_its_nats_users_and_no_others() {
    let world = World::start(&[]).await;
    let (list, dir) = (world.files().join("owners"), world.files().join("nats-users"));
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-otp-relay"));
        command.args(["owner", words[0]]).args(&words[1..]).arg("--owners").arg(&list).output().unwrap()
    };
    let typed = |words: &[&str]| {
        let output = run(words);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let [one, two]: [OwnerId; 2] = ["a", "b"].map(|letter| letter.repeat(32).parse().unwrap());
    typed(&["add", &one.to_string()]);
    typed(&["add", &two.to_string()]);
    assert_eq!(typed(&["list"]), format!("{one}\n{two}\n"));

    let users = NatsUsers::at(dir.clone());
    let keys = ["one.nk", "two.nk"]
        .map(|file| agent_otp_broker::UserKey::create(&world.files().join(file)).unwrap());
    for (owner, key) in [&one, &two].into_iter().zip(&keys) {
        let whose = Whose::Member { owner: owner.clone(), role: Role::Agent, name: name("shopper") };
        users.add(&NatsUser::new(key.public(), whose)).unwrap();
    }
    let mistyped = run(&["remove", &one.to_string(), "--nats-users", "/nowhere/nats-users"]);
    let said = String::from_utf8(mistyped.stderr).unwrap();
    assert!(!mistyped.status.success() && said.contains("cannot read /nowhere/nats-users"), "{said}");
    assert_eq!(typed(&["list"]), format!("{one}\n{two}\n"), "nothing is half done");
    let removed = run(&["remove", &one.to_string(), "--nats-users", dir.to_str().unwrap()]);
    let said = String::from_utf8(removed.stderr).unwrap();
    assert!(removed.status.success() && said.contains("removed=1"), "{said}");
    assert_eq!(typed(&["list"]), format!("{two}\n"));
    let left: Vec<OwnerId> = users.list().unwrap().iter().map(|user| user.whose.owner().clone()).collect();
    assert_eq!(left, [two]);
}
