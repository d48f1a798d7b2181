//! The operators' page at the admin address: logging in by name and password, with and without TLS.

use std::fs;
use std::sync::Arc;

use access::hash_password;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::page_client::Browser;
use crate::world::RelayInWorld;

/// A folder with a file of operators: ann, who acts, and bob, who looks.
fn operators() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let hash = hash_password("a good one").unwrap();
    let lines = format!("ann:{hash}:operator\nbob:{hash}:viewer\n");
    fs::write(folder.path().join("operators"), lines).unwrap();
    folder
}

/// A relay with the page at a loopback address, and these settings besides.
async fn relay_with_page(folder: &TempDir, more: &str) -> RelayInWorld {
    let file = folder.path().join("operators");
    let settings = format!(
        "admin.address = \"127.0.0.1:0\"\nadmin.page = true\nadmin.users_file = {file:?}\n{more}"
    );
    RelayInWorld::start_with(&settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_password_sees_the_page_in_the_role_of_the_file() {
    let folder = operators();
    let relay = relay_with_page(&folder, "").await;
    let mut browser = Browser::at(relay.monitors());
    assert_eq!(browser.get("/metrics").await.status, 200);
    assert_eq!(browser.get("/queue").await.field("location"), Some("/login"));
    assert!(browser.get("/login").await.body.contains("type=\"password\""));
    let mut said = Vec::new();
    for (name, password) in [("ann", "another"), ("nobody", "a good one"), ("", "")] {
        let form = [("name", name), ("password", password)];
        let refused = browser.post("/login/password", &form).await;
        assert_eq!((refused.status, refused.field("set-cookie")), (403, None), "{name}");
        said.push(refused.body);
    }
    assert!(said.iter().all(|page| *page == said[0] && page.contains("no such operator")));
    let form = [("name", "ann"), ("password", "a good one")];
    assert_eq!(browser.post("/login/password", &form).await.status, 303);
    let page = browser.get("/exceptions").await.body;
    assert!(page.contains("ann (page) &middot; operator") && page.contains("Grant one"), "{page}");
    let before = browser.set_cookie.clone();
    assert_eq!(browser.post("/login/password", &form).await.status, 303);
    assert_ne!(browser.set_cookie, before, "each login has an id of its own");
    let mut bob = Browser::at(relay.monitors());
    assert_eq!(bob.post("/login/password", &[("name", "bob"), form[1]]).await.status, 303);
    assert!(!bob.get("/exceptions").await.body.contains("Grant one"));
    // From elsewhere nobody is logged in, not even by the right password.
    let from = [("sec-fetch-site", "cross-site")];
    let foreign = Browser::at(relay.monitors()).post_from("/login/password", &form, &from).await;
    assert_eq!((foreign.status, foreign.field("set-cookie")), (403, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_wrong_passwords_even_the_right_one_waits() {
    let folder = operators();
    let relay = relay_with_page(&folder, "").await;
    let mut browser = Browser::at(relay.monitors());
    for _ in 0..5 {
        let form = [("name", "ann"), ("password", "wrong")];
        assert_eq!(browser.post("/login/password", &form).await.status, 403);
    }
    let refused =
        browser.post("/login/password", &[("name", "ann"), ("password", "a good one")]).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((60..=901).contains(&wait), "{wait}");
    let other = browser.post("/login/password", &[("name", "bob"), ("password", "a good one")]);
    assert_eq!(other.await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_everything_at_the_address_is_under_tls() {
    let folder = operators();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["page.test".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (shown, secret) = (folder.path().join("page.pem"), folder.path().join("page.key"));
    fs::write(&shown, certificate.pem()).unwrap();
    fs::write(&secret, key.serialize_pem()).unwrap();
    let more = format!(
        "admin.certificate = {shown:?}\nadmin.key = {secret:?}\nadmin.hosts = [\"page.test\"]\n"
    );
    let relay = relay_with_page(&folder, &more).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(relay.monitors()).await.unwrap();
    let name = ServerName::try_from("page.test").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    let body = "name=ann&password=a+good+one";
    let request = format!(
        "POST /login/password HTTP/1.1\r\nHost: page.test\r\nOrigin: https://page.test\r\n\
         Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer that closes without close_notify has said all of it.
    let _end = stream.read_to_end(&mut answer).await.is_ok();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie")).unwrap();
    assert!(cookie.contains("__Host-sts-relay=") && cookie.contains("; Secure"), "{cookie}");
}
