//! Connections that no TLS report counts (RFC 8460 §4.3.4), and those that count once.

use testbed::{Act, MxBehaviour, PolicyText, Step};

use crate::counted::{Counted, Mail, RECORD};

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_before_starttls_is_not_counted() {
    let settings = "delivery.timeouts.greeting = \"1s\"\ndelivery.timeouts.hello = \"1s\"\n";
    let mut counted = Counted::start(settings).await;
    let valid = MxBehaviour::valid;
    for (name, behaviour) in [
        ("unwilling", valid().at(Step::Greeting, "554 5.3.2 no")),
        ("busy", valid().at(Step::Greeting, Act::ReplyAndDrop("421 4.3.2 later".to_owned()))),
        ("mute", valid().at(Step::Greeting, Act::Silence)),
        ("gone", valid().at(Step::Greeting, Act::Drop)),
        ("strict", valid().at(Step::Ehlo, "550 5.7.1 no").at(Step::Helo, "550 5.7.1 no")),
        ("later", valid().at(Step::Ehlo, Act::ReplyAndDrop("421 4.3.2 later".to_owned()))),
        ("deaf", valid().at(Step::Ehlo, Act::Silence)),
        ("cut", valid().at(Step::Ehlo, Act::Drop)),
    ] {
        let domain = format!("{name}.test");
        counted.enforced(&domain, behaviour.clone()).await;
        counted.send(&domain, Mail::Waits, &[]).await;
        let open = format!("open-{domain}");
        counted.domain(&open, behaviour).await;
        counted.send(&open, Mail::Waits, &[]).await;
    }
    assert!(counted.relay.world.tap().connections().len() >= 16, "{}", counted.relay.world.tap());
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_to_which_there_is_no_connection_is_not_counted() {
    let mut counted = Counted::start("").await;
    counted.enforced("enforced.test", MxBehaviour::valid()).await.close().await;
    counted.domain("open.test", MxBehaviour::valid()).await.close().await;
    counted.send("enforced.test", Mail::Waits, &[]).await;
    counted.send("open.test", Mail::Waits, &[]).await;
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_policy_does_not_name_is_counted_once_however_many_addresses_it_has() {
    let mut counted = Counted::start("").await;
    let policy = PolicyText::testing(["mx.elsewhere.test"]);
    let late = || MxBehaviour::valid().at(Step::MailFrom, "451 4.3.0 later");
    counted.policy("many.test", late(), policy).await;
    // It has three addresses, and each of them is tried.
    let breaking = || MxBehaviour::injected(b"250 injected\r\n");
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(counted.relay.world.mx("mx.breaking.test", breaking()).await);
    }
    let world = &counted.relay.world;
    world.domain("breaking.test").mx(10, &hosts[0]).tls_rpt_record(RECORD).sts("1");
    let policy = PolicyText::testing(["mx.elsewhere.test"]);
    world.domain("breaking.test").policy(policy).await;
    let unnamed = "sts validation-failure mx-not-in-policy 1";
    counted.send("many.test", Mail::Waits, &[unnamed]).await;
    counted.send("breaking.test", Mail::Waits, &[unnamed]).await;
    assert!(hosts.iter().all(|host| host.connections().len() == 1));
    counted.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_whose_tls_begins_with_the_connection_is_not_counted() {
    let routes = "[[route]]\nrecipient = \"bare.test\"\nnext_hop = \"[smtp.test]\"\n\
                  tls = \"implicit\"\n\
                  [[route]]\nrecipient = \"named.test\"\nnext_hop = \"[hub.test]\"\n\
                  tls = \"implicit\"\n";
    let mut counted = Counted::start(routes).await;
    counted.relay.world.mx("smtp.test", MxBehaviour::implicit_tls()).await;
    // The policy of the smart host's domain does not name it.
    let policy = PolicyText::testing(["mx.elsewhere.test"]);
    counted.relay.world.mx("hub.test", MxBehaviour::implicit_tls()).await;
    counted.relay.world.domain("hub.test").tls_rpt_record(RECORD).sts("1").policy(policy).await;
    for name in ["smtp.test", "bare.test", "named.test"] {
        counted.relay.world.domain(name).tls_rpt_record(RECORD);
    }
    counted.send("bare.test", Mail::Delivered, &[]).await;
    counted.send("named.test", Mail::Delivered, &[]).await;
    let kept = counted.stop().await;
    assert_eq!(kept.tallies.list(None, 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_with_a_login_is_not_counted_whatever_the_policy_of_its_domain_says() {
    let routes = "[[route]]\nrecipient = \"enforced.test\"\nnext_hop = \"hub.test\"\n\
                  username = \"ann\"\npassword = \"s3cret\"\n\
                  [[route]]\nrecipient = \"tested.test\"\nnext_hop = \"spoke.test\"\n\
                  username = \"ann\"\npassword = \"s3cret\"\n";
    let mut counted = Counted::start(routes).await;
    let elsewhere = ["mx.elsewhere.test"];
    for (domain, policy) in [
        ("hub.test", PolicyText::enforce(elsewhere)),
        ("spoke.test", PolicyText::testing(elsewhere)),
    ] {
        let taking = MxBehaviour::valid().with_login(&["PLAIN"], "ann", "s3cret");
        counted.policy(domain, taking, policy).await;
    }
    // Neither that a host is not named nor a session with one that is not is told to anybody.
    counted.send("enforced.test", Mail::Waits, &[]).await;
    counted.send("tested.test", Mail::Delivered, &[]).await;
    let kept = counted.stop().await;
    assert_eq!(kept.tallies.list(None, 9).await.unwrap(), []);
}
