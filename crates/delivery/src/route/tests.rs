//! Which route mail takes.

use super::*;

fn domain(text: &str) -> PolicyDomain {
    PolicyDomain::parse(text).unwrap()
}

fn route(recipients: Vec<DomainPattern>, senders: Vec<DomainPattern>, to: &str) -> Route {
    let hop =
        ConfiguredHop { to: SmartHost::Domain(domain(to)), requirement: TlsRequirement::AsPolicy };
    Route { recipients, senders, next_hops: vec![hop] }
}

/// Where mail goes, if it is routed.
fn taken(routes: &Routes, sender: &str, recipient: &str) -> Option<String> {
    let sender = ReversePath::parse(sender).unwrap();
    let recipient = MailboxDomain::parse(recipient).unwrap();
    routes.find(&sender, &recipient).map(|route| route.next_hops[0].to.to_string())
}

#[test]
fn a_domain_its_subdomains_and_all_others_are_told_apart() {
    let routes = Routes::new(vec![
        route(vec![DomainPattern::Exactly(domain("example.com"))], vec![], "itself.example"),
        route(vec![DomainPattern::Below(domain("example.com"))], vec![], "below.example"),
        route(vec![DomainPattern::Exactly(domain("b\u{fc}cher.example"))], vec![], "idn.example"),
        route(vec![DomainPattern::All], vec![], "default.example"),
    ]);
    for (recipient, to) in [
        ("example.com", "itself.example"),
        ("EXAMPLE.com", "itself.example"),
        ("a.example.com", "below.example"),
        ("a.b.Example.com", "below.example"),
        ("notexample.com", "default.example"),
        ("com", "default.example"),
        ("xn--bcher-kva.example", "idn.example"),
        ("b\u{fc}cher.example", "idn.example"),
        ("[192.0.2.1]", "default.example"),
    ] {
        assert_eq!(taken(&routes, "<a@b.example>", recipient).as_deref(), Some(to), "{recipient}");
    }
}

#[test]
fn both_sender_and_recipient_have_to_match_where_both_are_named() {
    let exactly = |text| vec![DomainPattern::Exactly(domain(text))];
    let routes = Routes::new(vec![
        route(exactly("to.example"), exactly("from.example"), "both.example"),
        route(vec![], exactly("from.example"), "sender.example"),
        route(exactly("to.example"), vec![], "recipient.example"),
    ]);
    for (sender, recipient, to) in [
        ("<a@from.example>", "to.example", Some("both.example")),
        ("<a@from.example>", "other.example", Some("sender.example")),
        ("<a@other.example>", "to.example", Some("recipient.example")),
        ("<a@other.example>", "other.example", None),
        ("<a@sub.from.example>", "other.example", None),
        ("<>", "to.example", Some("recipient.example")),
        ("<>", "other.example", None),
    ] {
        assert_eq!(taken(&routes, sender, recipient).as_deref(), to, "{sender} {recipient}");
    }
    let of = |recipient| -> Vec<String> {
        let recipient = MailboxDomain::parse(recipient).unwrap();
        let routes = routes.of_recipient(&recipient);
        routes.map(|route| route.next_hops[0].to.to_string()).collect()
    };
    assert_eq!(of("to.example"), ["both.example", "sender.example", "recipient.example"]);
    assert_eq!(of("other.example"), ["sender.example"]);
}
