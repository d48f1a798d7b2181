//! What a browser sends to the operators' pages, and what it is told; no more than the tests need.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::PATIENCE;

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        };
        Self { status, fields: lines.map(field).collect(), body: body.to_owned() }
    }
}

/// A browser with one cookie.
pub(crate) struct Browser {
    address: SocketAddr,
    cookie: Option<String>,
    /// The cookie as it was set.
    pub(crate) set_cookie: Option<String>,
    /// What its forms hold.
    pub(crate) token: Option<String>,
}

impl Browser {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, cookie: None, set_cookie: None, token: None }
    }

    /// Asks for a page.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let host = self.address.to_string();
        self.get_as(path, &host).await
    }

    /// Asks for a page of this host.
    pub(crate) async fn get_as(&mut self, path: &str, host: &str) -> Answer {
        let cookie = self.cookie_field();
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}Connection: close\r\n\r\n"
        ))
        .await
    }

    /// Sends a form of a page.
    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_from(path, form, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Sends a form with these fields, which say where it comes from.
    pub(crate) async fn post_from(
        &mut self,
        path: &str,
        form: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        if let Some(token) = &self.token {
            body.append_pair("token", token);
        }
        let (body, host, cookie) = (body.finish(), self.address, self.cookie_field());
        let fields: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}{fields}Connection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(&request).await
    }

    /// Takes from a page what its forms hold.
    pub(crate) async fn learn_token(&mut self, path: &str) {
        let page = self.get(path).await.body;
        let (_, after) =
            page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("{page}"));
        self.token = after.split('"').next().map(str::to_owned);
    }

    /// Lets a login that may act five times a second act again.
    pub(crate) async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(210)).await;
    }

    fn cookie_field(&self) -> String {
        self.cookie.as_ref().map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"))
    }

    async fn send(&mut self, request: &str) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            // Who is refused early is told before all was sent.
            let sent = stream.write_all(request.as_bytes()).await;
            let mut answer = Vec::new();
            stream
                .read_to_end(&mut answer)
                .await
                .unwrap_or_else(|error| panic!("{error}: {sent:?}"));
            String::from_utf8(answer).unwrap()
        };
        let answer = Answer::parse(&timeout(PATIENCE, exchange).await.expect("an answer in time"));
        if let Some(set) = answer.field("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
            self.set_cookie = Some(set.to_owned());
        }
        answer
    }
}
