//! What the broker of a running `up` lets each NATS user do.

use agent_otp_tests::Place;

#[tokio::test]
async fn an_agent_reaches_its_own_commands_and_events_and_nothing_else() {
    let place = Place::new();
    let _up = place.up().await;
    let owner = place.run().owner;
    let mut agent = place.wire("agent:shopper").await;
    let id = "01a2074f-d940-78dd-a5ee-67b332e181a7";
    let other = "a".repeat(32);
    assert!(agent.may_publish(&format!("otp.v1.cmd.{owner}.agent.shopper.request")).await);
    for subject in [
        format!("otp.v1.cmd.{owner}.agent.booker.request"),
        format!("otp.v1.cmd.{owner}.agent.shopper.open"),
        format!("otp.v1.cmd.{owner}.approver.local.approve"),
        format!("otp.v1.cmd.{owner}.capturer.local.capture"),
        format!("otp.v1.cmd.{other}.agent.shopper.request"),
        format!("otp.v1.log.{owner}.shopper.{id}.approved"),
        format!("otp.v1.event.{owner}.shopper.{id}.approved"),
        format!("otp.v1.roster.{owner}.3"),
        format!("otp.v1.timer.set.{owner}.shopper.{id}"),
        format!("$KV.otp_vault.{owner}.shopper.{id}.x"),
        "$JS.API.STREAM.CREATE.MINE".to_owned(),
        "$JS.API.STREAM.MSG.GET.KV_otp_vault".to_owned(),
        "$JS.API.CONSUMER.CREATE.OTP_LOG".to_owned(),
        "$JS.API.CONSUMER.CREATE.OTP_LOG.mine.otp.v1.log.>".to_owned(),
        "$JS.API.DIRECT.GET.OTP_LOG".to_owned(),
        "$JS.API.STREAM.DELETE.OTP_LOG".to_owned(),
        "$SRV.PING".to_owned(),
    ] {
        assert!(!agent.may_publish(&subject).await, "{subject}");
    }
    assert!(agent.may_subscribe(&format!("otp.v1.event.{owner}.shopper.>")).await);
    for subject in [
        format!("_INBOX.{owner}.approver.local.>"),
        "_INBOX.>".to_owned(),
        format!("otp.v1.event.{owner}.booker.>"),
        format!("otp.v1.event.{owner}.>"),
        "otp.v1.event.>".to_owned(),
        "otp.v1.cmd.>".to_owned(),
        "otp.v1.log.>".to_owned(),
        "$KV.otp_vault.>".to_owned(),
        ">".to_owned(),
    ] {
        assert!(!agent.may_subscribe(&subject).await, "{subject}");
    }
}

#[tokio::test]
async fn a_dashboard_sees_events_and_nothing_else() {
    let place = Place::new();
    let _up = place.up().await;
    let owner = place.run().owner;
    let mut dashboard = place.wire("dashboard").await;
    assert!(dashboard.may_subscribe("otp.v1.event.>").await);
    assert!(dashboard.may_subscribe("otp.v1.event.*.*.*.denied").await);
    for subject in ["otp.v1.cmd.>", "otp.v1.log.>", "otp.v1.roster.>", "$KV.otp_vault.>", "_INBOX.>", ">"] {
        assert!(!dashboard.may_subscribe(subject).await, "{subject}");
    }
    for subject in [
        format!("otp.v1.cmd.{owner}.approver.local.approve"),
        format!("otp.v1.event.{owner}.shopper.x.denied"),
        "$JS.API.INFO".to_owned(),
        "$JS.API.DIRECT.GET.OTP_LOG".to_owned(),
    ] {
        assert!(!dashboard.may_publish(&subject).await, "{subject}");
    }
}
