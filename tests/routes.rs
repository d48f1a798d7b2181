//! Mail that goes by `[[route]]`: which way, to whom, with what proof and with which password.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use tempfile::TempDir;
use testbed::{Act, Certificate, Channel, Message, MxBehaviour, MxHost, PolicyText, Step, Strip};

use crate::world::{MESSAGE, PATIENCE, RelayInWorld, SENDER, submit};

/// Every message has a connection and a login of its own.
const EACH_ON_ITS_OWN: &str = "delivery.messages_per_connection = 1\n";

/// All mail goes to `smtp.test`, whose MX records nobody asks for.
const DEFAULT: &str = "[[route]]\nrecipient = \"*\"\nnext_hop = \"[smtp.test]\"\n";

/// The same, logging in as ann.
fn with_login(more: &str) -> String {
    format!("{DEFAULT}username = \"ann\"\n{more}\n")
}

/// Waits for the one message that a host takes.
async fn only_message(mx: &MxHost) -> Arc<Message> {
    let messages = mx.wait_for_messages(1, PATIENCE).await.unwrap();
    assert_eq!(messages.len(), 1);
    Arc::clone(&messages[0])
}

/// Lines of AUTH that anybody on the way could read.
fn auth_in_clear(relay: &RelayInWorld) -> Vec<String> {
    let lines = relay.world.tap().clear_text_commands();
    lines.into_iter().map(|command| command.line).filter(|line| is_auth(line)).collect()
}

fn is_auth(line: &str) -> bool {
    line.to_ascii_uppercase().starts_with("AUTH")
}

/// What a host was told of a login, however it was sent.
fn auth(mx: &MxHost) -> Vec<String> {
    let all = mx.connections().into_iter().flat_map(|connection| connection.commands);
    all.filter(|command| is_auth(&command.line)).map(|command| command.line).collect()
}

/// A file with a secret in it.
fn secret(directory: &TempDir, text: &str) -> String {
    let path = directory.path().join("secret");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_takes_mail_whatever_the_records_of_its_domain_say() {
    let relay = RelayInWorld::start_with(DEFAULT).await;
    let smtp = relay.world.mx("smtp.test", MxBehaviour::valid()).await;
    let own = relay.domain("example.test", MxBehaviour::valid()).await;
    relay.world.domain("closed.test").null_mx();
    for recipient in ["bob@example.test", "bob@closed.test", "bob@nowhere.test", "bob@[192.0.2.1]"]
    {
        relay.submit(&[&format!("<{recipient}>")]).await;
    }
    for message in smtp.wait_for_messages(4, PATIENCE).await.unwrap() {
        assert_eq!(message.tls.as_ref().unwrap().sni.as_deref(), Some("smtp.test"));
    }
    relay.empty().await;
    assert!(own.connections().is_empty(), "{}", relay.story());
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_hop_with_a_port_is_called_there_and_not_at_the_port_of_other_mail() {
    let route = "[[route]]\nrecipient = \"routed.test\"\nnext_hop = \"smtp.test:2525\"\n";
    let relay = RelayInWorld::start_with(route).await;
    assert_ne!(relay.world.smtp_port(), 2525);
    // The same machine takes mail at the usual port, too.
    let usual = relay.world.mx("smtp.test", MxBehaviour::valid()).await;
    let address = SocketAddr::new(usual.address().ip(), 2525);
    let own = relay.world.mx_at("smtp.test", address, MxBehaviour::valid()).await.unwrap();
    relay.world.domain("direct.test").mx(10, &usual);
    relay.submit(&["<bob@routed.test>"]).await;
    relay.submit(&["<bob@direct.test>"]).await;
    assert_eq!(only_message(&own).await.recipients, ["bob@routed.test"]);
    assert_eq!(only_message(&usual).await.recipients, ["bob@direct.test"]);
    relay.empty().await;
    assert_eq!((own.connections().len(), usual.connections().len()), (1, 1));
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smart_host_that_does_not_prove_its_name_gets_neither_mail_nor_password() {
    let settings = with_login("password = \"s3cret\"");
    for behaviour in [
        MxBehaviour::presenting(Certificate::WrongName),
        MxBehaviour::presenting(Certificate::SelfSigned),
        MxBehaviour::presenting(Certificate::Expired),
        MxBehaviour::starttls_not_offered(),
        MxBehaviour::stripped_by(Strip::Overwrite),
        MxBehaviour::starttls_refused("454 4.7.0 not now"),
        MxBehaviour::handshake_garbage(),
        MxBehaviour::injected(b"250-AUTH PLAIN LOGIN\r\n250 ok\r\n"),
    ] {
        let relay = RelayInWorld::start_with(&settings).await;
        let behaviour = behaviour.with_login(&["PLAIN", "LOGIN"], "ann", "s3cret");
        let smtp = relay.world.mx("smtp.test", behaviour).await;
        let id = relay.submit(&["<bob@example.test>"]).await;
        let reasons = relay.deferred(id, 1).await;
        assert!(reasons[0].text.contains("next hop smtp.test"), "{reasons:?}");
        assert_eq!(auth_in_clear(&relay), Vec::<String>::new());
        assert_eq!(auth(&smtp), Vec::<String>::new(), "{}", relay.story());
        assert!(relay.world.tap().envelope().is_empty(), "{}", relay.story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mechanism_logs_in_over_a_verified_session() {
    let directory = TempDir::new().unwrap();
    let file = secret(&directory, "s3cret\n");
    for (offered, settings, used) in [
        (&["PLAIN", "LOGIN"][..], "password = \"s3cret\"".to_owned(), "AUTH PLAIN "),
        (&["CRAM-MD5", "LOGIN"], format!("password_file = {file:?}"), "AUTH LOGIN"),
        (&["PLAIN", "LOGIN"], "auth = \"login\"\npassword = \"s3cret\"".into(), "AUTH LOGIN"),
        (&["PLAIN", "XOAUTH2"], format!("token_file = {file:?}"), "AUTH XOAUTH2 "),
    ] {
        for (starts, tls) in
            [(MxBehaviour::valid(), "verify"), (MxBehaviour::implicit_tls(), "implicit")]
        {
            let settings = with_login(&format!("{settings}\ntls = \"{tls}\""));
            let relay = RelayInWorld::start_with(&settings).await;
            let smtp =
                relay.world.mx("smtp.test", starts.with_login(offered, "ann", "s3cret")).await;
            relay.submit(&["<bob@example.test>"]).await;
            let message = only_message(&smtp).await;
            assert_eq!(message.tls.as_ref().unwrap().sni.as_deref(), Some("smtp.test"));
            let auth = auth(&smtp);
            assert!(auth.len() == 1 && auth[0].starts_with(used), "{used}: {auth:?}");
            assert_eq!(auth_in_clear(&relay), Vec::<String>::new());
            relay.is_well_behaved();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn implicit_tls_with_a_wrong_certificate_gets_nothing() {
    let relay = RelayInWorld::start_with(&with_login("password = \"x\"\ntls = \"implicit\"")).await;
    // The name leads to a host that proves another one.
    let other = relay.world.mx("other.test", MxBehaviour::implicit_tls()).await;
    relay.world.names().add_address("smtp.test", other.address().ip());
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons[0].enhanced.to_string(), "4.7.5", "{reasons:?}");
    assert!(other.connections().iter().all(|one| one.commands.is_empty()), "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_holds_the_mail_and_says_so() {
    let relay = RelayInWorld::start_with(&with_login("password = \"hunter2\"")).await;
    let behaviour = MxBehaviour::valid().with_login(&["PLAIN"], "ann", "s3cret");
    let smtp = relay.world.mx("smtp.test", behaviour).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons[0].enhanced.to_string(), "4.7.8", "{reasons:?}");
    for word in ["smtp.test", "PLAIN", "ann", "535 5.7.8"] {
        assert!(reasons[0].text.contains(word), "{word}: {reasons:?}");
    }
    let told = format!("{:?}", relay.show(id));
    assert!(!told.contains("hunter2"), "{told}");
    assert!(smtp.connections().iter().all(|one| one.envelope().is_empty()));

    // Nothing but the password stood in the way.
    smtp.behave(MxBehaviour::valid().with_login(&["PLAIN"], "ann", "hunter2"));
    relay.retry().await;
    only_message(&smtp).await;
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smart_host_that_wants_a_login_where_none_is_set_holds_the_mail() {
    let relay = RelayInWorld::start_with(DEFAULT).await;
    let behaviour = MxBehaviour::valid().with_login(&["PLAIN"], "ann", "s3cret");
    relay.world.mx("smtp.test", behaviour).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].reply.as_ref().unwrap().starts_with("530 5.7.0"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_is_asked_for_anew_in_the_same_session() {
    let directory = TempDir::new().unwrap();
    let runs = directory.path().join("runs");
    let script = format!("echo x >> {0}; echo token-$(wc -l < {0})", runs.display());
    let command = format!("token_command = [\"/bin/sh\", \"-c\", {script:?}]");
    let settings = EACH_ON_ITS_OWN.to_owned() + &with_login(&command);
    let relay = RelayInWorld::start_with(&settings).await;
    let taking = |token| MxBehaviour::valid().with_login(&["XOAUTH2"], "ann", token);
    let smtp = relay.world.mx("smtp.test", taking("token-1")).await;
    relay.submit(&["<bob@example.test>"]).await;
    smtp.wait_for_messages(1, PATIENCE).await.unwrap();
    relay.empty().await;

    smtp.behave(taking("token-2"));
    relay.submit(&["<bob@example.test>"]).await;
    smtp.wait_for_messages(2, PATIENCE).await.unwrap();
    relay.empty().await;

    // A third one is no better than the fourth that is wanted: the mail waits.
    smtp.behave(taking("token-99"));
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].text.contains("XOAUTH2"), "{reasons:?}");
    assert_eq!(fs::read_to_string(runs).unwrap().lines().count(), 3);
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_has_changed_counts_at_once_and_a_long_token_is_sent_by_itself() {
    let directory = TempDir::new().unwrap();
    let file = secret(&directory, "expired");
    let relay = RelayInWorld::start_with(&with_login(&format!("token_file = {file:?}"))).await;
    let token = "t".repeat(2000);
    let behaviour = MxBehaviour::valid().with_login(&["XOAUTH2"], "ann", &token);
    let smtp = relay.world.mx("smtp.test", behaviour).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    relay.deferred(id, 1).await;

    secret(&directory, &token);
    relay.retry().await;
    only_message(&smtp).await;
    // RFC 4954 §4: what does not fit into a command line is a response of its own.
    assert_eq!(auth(&smtp).last().unwrap(), "AUTH XOAUTH2");
    relay.is_well_behaved();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_hops_of_a_route_are_tried_in_their_order() {
    let route = "[[route]]\nrecipient = \"*\"\nnext_hop = [\"[one.test]\", \"[two.test]\"]\n";
    for (first, second_gets_it) in [
        (MxBehaviour::valid(), false),
        (MxBehaviour::valid().at(Step::Greeting, Act::Drop), true),
        (MxBehaviour::presenting(Certificate::WrongName), true),
        (MxBehaviour::valid().at(Step::RcptTo, "450 4.2.0 not now"), true),
        (MxBehaviour::valid().with_login(&["PLAIN"], "ann", "x"), true),
    ] {
        let relay = RelayInWorld::start_with(route).await;
        let one = relay.world.mx("one.test", first).await;
        let two = relay.world.mx("two.test", MxBehaviour::valid()).await;
        relay.submit(&["<bob@example.test>"]).await;
        relay.world.wait_for_messages(1, PATIENCE).await.unwrap();
        relay.empty().await;
        assert_eq!(two.messages().len(), usize::from(second_gets_it), "{}", relay.story());
        assert!(!one.connections().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_refusal_by_one_next_hop_is_not_carried_to_another() {
    let route = "[[route]]\nrecipient = \"*\"\nnext_hop = [\"[one.test]\", \"[two.test]\"]\n";
    let relay = RelayInWorld::start_with(route).await;
    let refusing = MxBehaviour::valid().for_recipient("bob@example.test", "550 5.1.1 no such user");
    let _one = relay.world.mx("one.test", refusing).await;
    let two = relay.world.mx("two.test", MxBehaviour::valid()).await;
    relay.submit_from("<>", &["<bob@example.test>"]).await;
    relay.empty().await;
    assert!(two.connections().is_empty(), "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_no_next_hop_takes_is_held_with_what_is_wrong_with_each() {
    let route = "[[route]]\nrecipient = \"*\"\nnext_hop = [\"[one.test]\", \"gone.test\"]\n";
    let relay = RelayInWorld::start_with(route).await;
    relay.world.mx("one.test", MxBehaviour::starttls_not_offered()).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    for words in
        ["next hop one.test", "STARTTLS was not offered", "next hop gone.test", "not exist"]
    {
        assert!(reasons[0].text.contains(words), "{words}: {reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_route_that_matches_sender_and_recipient_is_taken() {
    let relay = RelayInWorld::start_with(
        &(EACH_ON_ITS_OWN.to_owned()
            + "[[route]]\nrecipient = \"example.test\"\nnext_hop = \"[itself.test]\"\n\
         [[route]]\nrecipient = [\".example.test\", \"other.test\"]\nnext_hop = \"[below.test]\"\n\
         [[route]]\nsender = \"billing.test\"\nnext_hop = \"[sender.test]\"\n"),
    )
    .await;
    for host in ["itself.test", "below.test", "sender.test"] {
        relay.world.mx(host, MxBehaviour::valid()).await;
    }
    relay.domain("direct.test", MxBehaviour::valid()).await;
    for (sender, recipient, host) in [
        (SENDER, "bob@example.test", "itself.test"),
        (SENDER, "bob@Sub.Example.TEST", "below.test"),
        (SENDER, "bob@a.b.example.test", "below.test"),
        (SENDER, "bob@other.test", "below.test"),
        ("<ann@billing.test>", "bob@direct.test", "sender.test"),
        ("<ann@billing.test>", "bob@example.test", "itself.test"),
        ("<ann@sub.billing.test>", "bob@direct.test", "mx.direct.test"),
        (SENDER, "bob@direct.test", "mx.direct.test"),
    ] {
        relay.world.tap().forget();
        relay.submit_from(sender, &[&format!("<{recipient}>")]).await;
        relay.empty().await;
        let asked: Vec<_> = relay.world.tap().connections().into_iter().map(|c| c.host).collect();
        assert_eq!(asked, [host], "{sender} to {recipient}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_that_counts_on_a_route_is_the_smart_hosts_and_not_the_recipients() {
    let relay = RelayInWorld::start_with(DEFAULT).await;
    let smtp = relay.world.mx("smtp.test", MxBehaviour::valid()).await;
    // The recipients' domain enforces a policy that names other hosts.
    relay.enforcing_domain("example.test", MxBehaviour::valid()).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&smtp).await;
    relay.empty().await;

    // So does the smart host's: proof of its name is not enough any more.
    let elsewhere = PolicyText::enforce(["other.test"]);
    relay.world.domain("smtp.test").sts("1").policy(elsewhere).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert_eq!(reasons[0].enhanced.to_string(), "4.4.8", "{reasons:?}");
    assert!(reasons[0].policy.is_some());
    assert_eq!(smtp.messages().len(), 1);

    // Once it names the host, the mail goes.
    let itself = PolicyText::enforce(["smtp.test"]);
    relay.world.domain("smtp.test").sts("2").policy(itself).await;
    relay.retry().await;
    smtp.wait_for_messages(2, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_as_next_hop_has_its_mx_hosts_asked_and_its_policy_met() {
    let route = "[[route]]\nrecipient = \"*\"\nnext_hop = \"provider.test\"\n";
    let relay =
        RelayInWorld::start_with(&format!("{route}username = \"ann\"\npassword = \"x\"\n")).await;
    let login = |behaviour: MxBehaviour| behaviour.with_login(&["PLAIN"], "ann", "x");
    let unnamed = relay.world.mx("evil.test", login(MxBehaviour::valid())).await;
    let named = relay.world.mx("mx.provider.test", login(MxBehaviour::valid())).await;
    let policy = PolicyText::enforce(["*.provider.test"]);
    relay
        .world
        .domain("provider.test")
        .mx(10, &unnamed)
        .mx(20, &named)
        .sts("1")
        .policy(policy)
        .await;
    relay.submit(&["<bob@example.test>"]).await;
    let message = only_message(&named).await;
    assert_eq!(message.tls.as_ref().unwrap().sni.as_deref(), Some("mx.provider.test"));
    assert!(unnamed.connections().is_empty(), "{}", relay.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opportunistic_route_goes_in_clear_unless_the_smart_hosts_policy_is_enforced() {
    let settings = format!("{DEFAULT}tls = \"opportunistic\"\n");
    let relay = RelayInWorld::start_with(&settings).await;
    let smtp = relay.world.mx("smtp.test", MxBehaviour::starttls_not_offered()).await;
    relay.submit(&["<bob@example.test>"]).await;
    only_message(&smtp).await;
    relay.empty().await;
    let policy = PolicyText::enforce(["smtp.test"]);
    relay.world.domain("smtp.test").sts("1").policy(policy).await;
    let id = relay.submit(&["<bob@example.test>"]).await;
    let reasons = relay.deferred(id, 1).await;
    assert!(reasons[0].policy.is_some(), "{reasons:?}");
    assert_eq!(smtp.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_said_before_any_mail_and_once_for_each_session() {
    let relay = RelayInWorld::start_with(&with_login("password = \"s3cret\"")).await;
    let behaviour = MxBehaviour::valid().with_login(&["PLAIN"], "ann", "s3cret");
    let smtp = relay.world.mx("smtp.test", behaviour).await;
    let mut client = testbed::Sender::connect(relay.listener()).await.unwrap();
    assert!(client.ehlo("client.test").await.unwrap().is_positive());
    for number in 0..5 {
        let recipient = format!("<bob@example{number}.test>");
        submit(&mut client, SENDER, &[&recipient], MESSAGE).await;
    }
    smtp.wait_for_messages(5, PATIENCE).await.unwrap();
    relay.empty().await;
    for connection in smtp.connections() {
        let verbs = connection.commands.iter().filter(|one| one.channel == Channel::Tls);
        let verbs: Vec<_> = verbs.filter_map(|one| one.line.get(..4)).collect();
        assert_eq!(verbs.get(..3), Some(&["EHLO", "AUTH", "MAIL"][..]), "{verbs:?}");
        assert_eq!(verbs.iter().filter(|verb| **verb == "AUTH").count(), 1, "{verbs:?}");
    }
}
