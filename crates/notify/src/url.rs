//! Where notices are posted.

use std::fmt;

use hyper::Uri;

/// Where notices are posted. Its path may be a secret, so only the server is ever shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    path_and_query: String,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// By TLS.
    Https,
}

/// What is no address for notices.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// It names no server, or has a user name or a fragment.
    #[error("is no URL of a server, such as \"https://hooks.example.net/T0/B0\"")]
    NoServer,
    /// It is for something else than HTTP.
    #[error("begins neither with https:// nor with http://")]
    Scheme,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`UrlError`]; it repeats nothing of what was read.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.trim().parse().map_err(|_cause| UrlError::NoServer)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            Some(_) | None => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::NoServer)?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(UrlError::NoServer);
        }
        let usual = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let port = authority.port_u16().unwrap_or(usual);
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { scheme, host: host.to_owned(), port, path_and_query: path_and_query.to_owned() })
    }

    /// How the server is reached.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The server's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What the server is asked for: not to be shown.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// As the Host field has it (RFC 9110 §7.2).
    pub(crate) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => host,
            (Scheme::Http | Scheme::Https, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The server alone.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_only_its_server_is_shown() {
        for (text, shown, path) in [
            ("https://hooks.example.net/T0/B0?key=1", "https://hooks.example.net", "/T0/B0?key=1"),
            ("http://127.0.0.1:9093/api", "http://127.0.0.1:9093", "/api"),
            ("http://[::1]:80", "http://[::1]", "/"),
            (" https://a.example:8443/x\n", "https://a.example:8443", "/x"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
            assert_eq!(url.path_and_query(), path);
        }
        assert!(Url::parse("http://localhost/x").unwrap().is_loopback());
        assert!(!Url::parse("http://10.0.0.1/x").unwrap().is_loopback());
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for text in ["", "hooks.example.net/x", "/x", "https://", "https://a:b@c.example/"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert_eq!(Url::parse("ftp://a.example/"), Err(UrlError::Scheme));
    }
}
