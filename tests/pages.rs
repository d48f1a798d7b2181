//! The operators' pages, asked for as a browser would and as an attacker would.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use access::Role;
use admin::pages::table::{Kind, Listed, listed};
use testbed::{MxBehaviour, PolicyText};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cli::{asked, asked_json};
use crate::page_client::{Answer, Browser};
use crate::process_in_world::ProcessInWorld;

/// `sts-relay ui`, ended when it is dropped.
struct Ui {
    child: Child,
    address: SocketAddr,
    code: String,
}

impl Ui {
    fn open(config: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sts-relay"))
            .arg("--config")
            .arg(config)
            .arg("ui")
            .args(arguments)
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (address, code) = line.trim().split_once("/login?code=").unwrap();
        let address = address.strip_prefix("http://").unwrap().parse().unwrap();
        Self { child, address, code: code.to_owned() }
    }

    /// A browser that has followed the link.
    async fn browser(&self) -> Browser {
        let mut browser = Browser::at(self.address);
        let answer = browser.post("/login/code", &[("code", &self.code)]).await;
        assert_eq!((answer.status, answer.field("location")), (303, Some("/")), "{answer:?}");
        browser
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A relay with a message that a policy holds.
async fn holding() -> (ProcessInWorld, String) {
    let mut relay = ProcessInWorld::start("").await;
    let mx = relay.domain("held.test", MxBehaviour::starttls_not_offered()).await;
    let policy = PolicyText::enforce([mx.name()]);
    relay.world.domain("held.test").sts("1").policy(policy).await;
    let id = relay.submit(&["<bob@held.test>"]).await;
    relay.tried(1).await;
    (relay, id)
}

/// Asks for a page or an act of the table, with whatever its form needs.
async fn ask(browser: &mut Browser, one: &Listed, id: &str) -> Answer {
    let path = one.path.replace("{id}", id).replace("{domain}", "held.test");
    if one.kind == Kind::Page {
        return browser.get(&path).await;
    }
    let form = [("change", "retry"), ("scope", "all"), ("domain", "nobody.test")];
    browser.post(&path, &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_and_act_is_for_its_role_alone() {
    let (relay, id) = holding().await;
    let (viewer, operator) =
        (Ui::open(&relay.config, &["--role", "viewer"]), Ui::open(&relay.config, &[]));
    let (mut viewing, mut operating) = (viewer.browser().await, operator.browser().await);
    // Records, and the ledger made of them, are kept a moment after the attempt.
    for page in [format!("/records/{id}"), "/domains/held.test".to_owned()] {
        while viewing.get(&page).await.status == 404 {
            viewing.rest().await;
        }
    }
    viewing.learn_token("/queue").await;
    operating.learn_token("/queue").await;
    for one in listed().iter().filter(|one| one.path != "/logout") {
        let nobody = ask(&mut Browser::at(viewer.address), one, &id).await.status;
        let as_viewer = ask(&mut viewing, one, &id).await;
        let as_operator = ask(&mut operating, one, &id).await;
        match one.role {
            None => assert!(nobody != 303 || one.path == "/", "{one:?}: {nobody}"),
            Some(Role::Viewer) => {
                assert_eq!(nobody, 303, "{one:?}");
                assert!(as_viewer.status < 400, "{one:?}: {as_viewer:?}");
            }
            Some(Role::Operator) => {
                assert_eq!((nobody, as_viewer.status), (303, 403), "{one:?}");
                assert!(as_viewer.body.contains("A viewer may not do that"), "{one:?}");
            }
        }
        if one.role.is_some() {
            assert_ne!(as_operator.status, 403, "{one:?}: {as_operator:?}");
        }
        // 20 requests and 5 acts a second: nobody else's are counted.
        for browser in [&mut viewing, &mut operating] {
            browser.rest().await;
        }
    }
    assert_eq!(viewing.post("/logout", &[]).await.status, 303);
    assert_eq!(viewing.get("/queue").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_logs_in_once_and_ends_with_its_command() {
    let (relay, _id) = holding().await;
    let ui = Ui::open(&relay.config, &[]);
    let mut browser = ui.browser().await;
    assert_eq!(browser.get("/queue").await.status, 200);
    let again = Browser::at(ui.address).post("/login/code", &[("code", &ui.code)]).await;
    assert_eq!(again.status, 403, "{again:?}");
    // Looking at the link changes nothing, as a preview of it would.
    let other = Ui::open(&relay.config, &[]);
    let seen = Browser::at(other.address).get(&format!("/login?code={}", other.code)).await;
    assert!(seen.status == 200 && seen.field("set-cookie").is_none(), "{seen:?}");
    drop(other.browser().await);
    let address = ui.address;
    drop(ui);
    while TcpStream::connect(address).await.is_ok() {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(Browser::at(other.address).get("/login").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_named_first_and_then_made_and_logged_with_who_made_it() {
    let (relay, id) = holding().await;
    let ui = Ui::open(&relay.config, &[]);
    let mut browser = ui.browser().await;
    browser.learn_token("/queue").await;
    let list = browser.get("/queue").await;
    assert!(list.body.contains("1 message waits for 1 domain.") && list.body.contains(&id));
    let form = [("change", "hold"), ("scope", "picked"), ("id", id.as_str())];
    let named = browser.post("/queue/confirm", &form).await;
    assert!(named.body.contains("Hold 1 message?") && named.body.contains("bob@held.test"));
    assert_eq!(asked_json(&relay.config, &["queue", "show", &id])["state"], "queued");
    assert_eq!(browser.post("/queue/change", &form).await.status, 303);
    assert_eq!(asked_json(&relay.config, &["queue", "show", &id])["state"], "on hold");
    let told = browser.get("/queue").await;
    assert!(told.body.contains("1 message put on hold."), "{}", told.body);
    assert!(!browser.get("/queue").await.body.contains("1 message put on hold."));
    let line = relay.line("message put on hold", &id).await;
    assert!(line.contains("uid"), "{line}");
    // All that meet a filter: more than were named are not touched.
    let mut form =
        vec![("change", "delete"), ("scope", "all"), ("domain", "held.test"), ("expected", "0")];
    let stale = browser.post("/queue/change", &form).await;
    assert!(stale.body.contains("Nothing was changed.") && stale.body.contains("1 are meant now"));
    form[3] = ("expected", "1");
    browser.rest().await;
    assert_eq!(browser.post("/queue/change", &form).await.status, 303);
    assert_eq!(asked_json(&relay.config, &["queue", "list"]).as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_is_granted_for_a_domain_typed_twice_and_ended() {
    let (relay, _id) = holding().await;
    let ui = Ui::open(&relay.config, &[]);
    let mut browser = ui.browser().await;
    browser.learn_token("/exceptions").await;
    let mut form = [
        ("domain", "held.test"),
        ("again", "help.test"),
        ("what", "mta-sts"),
        ("hours", "24"),
        ("reason", "ticket <4711>"),
    ];
    let refused = browser.post("/exceptions/grant", &form).await;
    assert!(
        refused.body.contains("not typed twice") && refused.body.contains("ticket &#60;4711&#62;")
    );
    form[1] = ("again", "held.test");
    assert_eq!(browser.post("/exceptions/grant", &form).await.status, 303);
    assert!(asked(&relay.config, &["exception", "list"]).contains("held.test"));
    assert!(browser.get("/exceptions").await.body.contains("One exception is in force."));
    let ended = browser.post("/exceptions/end", &[("domain", "held.test")]).await;
    assert_eq!(ended.status, 303);
    assert!(browser.get("/exceptions").await.body.contains("No exception is in force."));
    let acts = browser.get("/activity").await.body;
    assert!(acts.contains("exception-add") && acts.contains("held.test (mta-sts) until"), "{acts}");
    assert!(acts.contains("exception-remove"), "{acts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_tells_of_held_mail_and_where_to_look() {
    let (relay, _id) = holding().await;
    let (_ui, mut browser) = ui_browser(&relay).await;
    let told = loop {
        let page = browser.get("/").await.body;
        if page.contains("held.test: its mail is held") {
            break page;
        }
        assert!(page.contains("Nobody is needed."), "{page}");
        browser.rest().await;
    };
    assert!(told.contains("One domain needs a person.") && told.contains("1 message waits since"));
    let domain = browser.get("/domains/held.test").await.body;
    assert!(domain.contains("STARTTLS was not offered") && domain.contains("mx.held.test"));
    assert!(domain.contains("policy 1 appeared, mode enforce"), "{domain}");
    assert_eq!(browser.get("/domains/nobody.test").await.status, 404);
    assert_eq!(browser.get("/domains?standing=lost").await.status, 400);
    assert!(browser.get("/domains?standing=held").await.body.contains("held.test"));
    assert!(browser.get("/domains?name=nothing").await.body.contains("No domain meets this."));
    browser.learn_token("/").await;
    let refreshed = browser.post("/policies/refresh", &[("domain", "held.test")]).await;
    assert_eq!(refreshed.field("location"), Some("/domains/held.test"));
    let note = browser.get("/domains/held.test").await.body;
    assert!(note.contains("The policy was fetched: id 1, mode enforce."), "{note}");
}

#[test]
fn every_page_is_in_the_manual() {
    let manual = crate::tidy::page("docs/page.md");
    for one in listed().iter().filter(|one| one.kind == Kind::Page && one.role.is_some()) {
        let is_there = manual.contains(&format!("| `{}` |", one.path));
        assert!(is_there || one.path == "/find", "docs/page.md lacks {}", one.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_in_the_name_of_somebody_who_is_logged_in() {
    let (relay, id) = holding().await;
    let ui = Ui::open(&relay.config, &[]);
    let mut browser = ui.browser().await;
    browser.learn_token("/queue").await;
    let form = [("change", "hold"), ("scope", "picked"), ("id", id.as_str())];
    let own = format!("http://{}", ui.address);
    let other_port = format!("http://127.0.0.1:{}", ui.address.port().wrapping_add(1));
    for (what, fields, status) in [
        ("from another port of the host", vec![("sec-fetch-site", "same-site")], 403),
        ("from elsewhere", vec![("sec-fetch-site", "cross-site"), ("origin", own.as_str())], 403),
        ("typed by nobody", vec![("sec-fetch-site", "none")], 403),
        ("with no word of where from", vec![], 403),
        ("by an old browser elsewhere", vec![("origin", "https://evil.example")], 403),
        ("by an old browser at another port", vec![("origin", other_port.as_str())], 403),
        ("by an old browser in a frame", vec![("origin", "null")], 403),
        ("by an old browser here", vec![("origin", own.as_str())], 303),
    ] {
        browser.rest().await;
        let answer = browser.post_from("/queue/change", &form, &fields).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        let state = asked_json(&relay.config, &["queue", "show", &id])["state"].clone();
        assert_eq!(state == "on hold", status == 303, "{what}");
    }
    // Tokens of others, of earlier logins, and none.
    browser.rest().await;
    let mut other = ui_browser(&relay).await;
    other.1.learn_token("/queue").await;
    let own_token = std::mem::replace(&mut browser.token, other.1.token.clone());
    let stale = browser.post("/queue/change", &form).await;
    assert!(stale.status == 403 && stale.body.contains("earlier login"), "{stale:?}");
    browser.token = None;
    assert_eq!(browser.post("/queue/change", &form).await.status, 403);
    browser.token = own_token;
    // Another name for this address (DNS rebinding).
    for host in ["evil.example", "relay.test", "127.0.0.1.evil.example", ""] {
        let answer = browser.get_as("/queue", host).await;
        assert_eq!(answer.status, 421, "{host}: {answer:?}");
        assert!(!answer.body.contains(&id));
    }
    assert_eq!(browser.get_as("/queue", "localhost:1").await.status, 200);
}

async fn ui_browser(relay: &ProcessInWorld) -> (Ui, Browser) {
    let ui = Ui::open(&relay.config, &[]);
    let browser = ui.browser().await;
    (ui, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_the_browser_to_trust_nothing_else() {
    let (relay, _id) = holding().await;
    let (_ui, mut browser) = ui_browser(&relay).await;
    for path in ["/login", "/queue", "/style.css", "/page.js", "/nowhere", "/queue?nonsense=1"] {
        let answer = browser.get(path).await;
        let policy = answer.field("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part) && !policy.contains("unsafe"), "{path}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{path}");
        }
        assert_eq!(answer.field("access-control-allow-origin"), None, "{path}");
        assert!(!answer.body.contains("style=") && !answer.body.contains("<script>"), "{path}");
    }
    let cookie = browser.set_cookie.clone().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_named_and_what_is_too_much_is_refused() {
    let (relay, _id) = holding().await;
    let (_ui, mut browser) = ui_browser(&relay).await;
    browser.learn_token("/queue").await;
    for (path, status, word) in [
        ("/queue?nonsense=1", 400, "nonsense"),
        ("/queue?state=lost", 400, "lost"),
        ("/queue?after=%2B", 400, ""),
        ("/queue?older_than=x", 400, "older_than"),
        ("/records?outcome=lost", 400, "lost"),
        ("/records?before=x", 400, "before"),
        ("/records?since=yesterday", 400, "yesterday"),
        ("/queue/0000000000001", 404, "Not found"),
        ("/queue/nonsense", 404, "Not found"),
        ("/records/0000000000001", 404, "Not found"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.contains(word), "{path}: {answer:?}");
    }
    let long = "x".repeat(65 << 10);
    let form = [("change", long.as_str())];
    assert_eq!(browser.post("/queue/confirm", &form).await.status, 413);
    browser.rest().await;
    let mut last = 200;
    for _ in 0..40 {
        let answer = browser.get("/exceptions").await;
        last = answer.status;
        if last == 429 {
            assert_eq!(answer.field("retry-after"), Some("1"));
            break;
        }
    }
    assert_eq!(last, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_no_address_of_mail_that_waits() {
    let (relay, id) = holding().await;
    let ui = Ui::open(&relay.config, &["--role", "viewer"]);
    let mut browser = ui.browser().await;
    let record = format!("/records/{id}");
    // Records are kept a moment after the attempt.
    while browser.get(&record).await.status == 404 {
        browser.rest().await;
    }
    for path in ["/queue".to_owned(), format!("/queue/{id}"), record] {
        let seen = browser.get(&path).await;
        assert_eq!(seen.status, 200, "{path}");
        assert!(
            !seen.body.contains("bob@") && !seen.body.contains("ann@"),
            "{path}: {}",
            seen.body
        );
    }
    for path in ["/queue?sender=ann@sender.test", "/records?recipient=bob@held.test"] {
        assert_eq!(browser.get(path).await.status, 400, "{path}");
    }
}
