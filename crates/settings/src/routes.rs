//! `[[route]]`: mail that goes to a configured next hop instead of its domain's MX hosts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use delivery::{
    ConfiguredHop, DomainPattern, Login, LoginMechanism, Route, Routes, Secret, SmartHost,
    TlsRequirement, TlsStart,
};
use mta_sts::{MxHost, PolicyDomain};

use crate::check::Check;
use crate::raw_route::{RawRoute, RawRouteAuth, RawRouteTls};

/// The port at which TLS begins with the connection (RFC 8314 §7.3).
const SUBMISSIONS: u16 = 465;

impl Check<'_> {
    /// The routes.
    pub(crate) fn routes(&mut self) -> Routes {
        let (mut routes, mut takes_all) = (Vec::new(), None);
        for (number, raw) in self.raw.route.iter().enumerate() {
            let at = RouteNumber { number };
            if let Some(all) = takes_all {
                let problem = format!("no mail comes here: route {all} takes all of it");
                self.wrong(&at.key("recipient"), &problem);
            }
            let route = self.route(at, raw);
            let has_all = route.recipients.contains(&DomainPattern::All);
            if route.senders.is_empty() && has_all && takes_all.is_none() {
                takes_all = Some(number);
            }
            routes.push(route);
        }
        Routes::new(routes)
    }

    fn route(&mut self, at: RouteNumber, raw: &RawRoute) -> Route {
        let recipients = self.patterns(&at.key("recipient"), &raw.recipient);
        let senders = self.patterns(&at.key("sender"), &raw.sender);
        if raw.recipient.is_empty()
            && raw.sender.is_empty()
            && self.source.is_certain(&at.key("sender"))
        {
            let problem = "say whose mail takes this route: recipient = \"*\" is all mail";
            self.wrong_with(&at.key("next_hop"), &at.key("recipient"), problem);
        }
        if raw.next_hop.is_empty() {
            self.wrong(&at.key("next_hop"), "must not be empty");
        }
        let login = self.login(at, raw);
        if raw.tls == RawRouteTls::Opportunistic {
            if login.is_some() {
                let problem = "a password is only sent to a host whose certificate was verified: \
                               keep tls at \"verify\"";
                self.wrong(&at.key("tls"), problem);
            }
            self.warnings.push(format!(
                "mail for the route to {} may leave in clear, and to an unverified host: its tls is \
                 \"opportunistic\"",
                raw.next_hop.join(", ")
            ));
        }
        let hop = |text: &String| self.next_hop(at, raw.tls, text, login.as_ref());
        let next_hops = raw.next_hop.iter().filter_map(hop).collect();
        Route { recipients, senders, next_hops }
    }

    /// Patterns of domains, those that can be read.
    pub(crate) fn patterns(&mut self, key: &str, texts: &[String]) -> Vec<DomainPattern> {
        let pattern = |text: &String| match (text.as_str(), text.strip_prefix('.')) {
            ("*", _) => Ok(DomainPattern::All),
            (_, Some(parent)) => PolicyDomain::parse(parent).map(DomainPattern::Below),
            (domain, None) => PolicyDomain::parse(domain).map(DomainPattern::Exactly),
        };
        let mut patterns = Vec::new();
        for text in texts {
            match pattern(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let how = "\"example.com\", \".example.com\" (its subdomains) or \"*\"";
                    self.wrong(key, &format!("`{text}`: {error}; write {how}"));
                }
            }
        }
        patterns
    }

    /// One next hop, and how it is talked to.
    fn next_hop(
        &mut self,
        at: RouteNumber,
        tls: RawRouteTls,
        text: &str,
        login: Option<&Login>,
    ) -> Option<ConfiguredHop> {
        let to = smart_host(text, self.raw.delivery.smtp_port);
        let hop = to.and_then(|to| {
            let requirement = requirement(tls, &to, login).map_err(str::to_owned)?;
            Ok(ConfiguredHop { to, requirement })
        });
        let named = hop.map(Some).map_err(|problem| format!("`{text}`: {problem}"));
        self.or_wrong(&at.key("next_hop"), named)
    }

    /// Who the relay says it is.
    fn login(&mut self, at: RouteNumber, raw: &RawRoute) -> Option<Login> {
        let (kind, secret) = self.secret(at, raw)?;
        if raw.username.chars().any(char::is_control) {
            self.wrong(&at.key("username"), "holds a control character");
        }
        let mechanism = match (raw.auth, kind) {
            (RawRouteAuth::Auto, Kind::Password) => None,
            (RawRouteAuth::Login, Kind::Password) => Some(LoginMechanism::Login),
            (RawRouteAuth::Plain, Kind::Password) => Some(LoginMechanism::Plain),
            (RawRouteAuth::Auto | RawRouteAuth::Xoauth2, Kind::Token) => {
                Some(LoginMechanism::Xoauth2)
            }
            (RawRouteAuth::Xoauth2, Kind::Password) => {
                self.wrong(&at.key("auth"), "\"xoauth2\" needs a token_file or token_command");
                None
            }
            (RawRouteAuth::Login | RawRouteAuth::Plain, Kind::Token) => {
                self.wrong(&at.key("auth"), "a token goes with \"xoauth2\"");
                None
            }
        };
        Some(Login::new(mechanism, raw.username.clone(), secret))
    }

    /// The one thing that proves who the relay is, if it logs in.
    fn secret(&mut self, at: RouteNumber, raw: &RawRoute) -> Option<(Kind, Secret)> {
        let file = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let (password_file, token_file) = (file(&raw.password_file), file(&raw.token_file));
        for (name, path) in [("password_file", &password_file), ("token_file", &token_file)] {
            if let Some(path) = path {
                let _read = self.can_read(&at.key(name), path);
            }
        }
        let password = raw.password.text().map(|text| Secret::password(text.to_owned()));
        let command = (!raw.token_command.is_empty()).then(|| raw.token_command.clone());
        let passwords = [password, password_file.map(Secret::file)].into_iter().flatten();
        let tokens = [token_file.map(Secret::file), command.map(Secret::command)];
        let found = passwords.map(|secret| (Kind::Password, secret));
        let tokens = tokens.into_iter().flatten().map(|secret| (Kind::Token, secret));
        let mut found: Vec<_> = found.chain(tokens).collect();
        let problem = match (found.len(), raw.username.is_empty()) {
            (0, true) => return None,
            (1, false) => return found.pop(),
            (0, false) => "needs a password, password_file, token_file or token_command",
            (_, false) => "only one of password, password_file, token_file, token_command",
            (_, true) => "a password or token needs one",
        };
        let secrets = ["password", "password_file", "token_file", "token_command"];
        if secrets.iter().all(|name| self.source.is_certain(&at.key(name))) {
            self.wrong(&at.key("username"), problem);
        }
        None
    }
}

/// Which route is meant.
#[derive(Clone, Copy, Debug)]
struct RouteNumber {
    number: usize,
}

impl RouteNumber {
    fn key(self, name: &str) -> String {
        format!("route.{}.{name}", self.number)
    }
}

/// What proves who we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Password,
    Token,
}

/// How this next hop is talked to, if it can be.
fn requirement(
    tls: RawRouteTls,
    to: &SmartHost,
    login: Option<&Login>,
) -> Result<TlsRequirement, &'static str> {
    let start = match (tls, to) {
        (
            RawRouteTls::Opportunistic,
            SmartHost::Address(_, SUBMISSIONS) | SmartHost::Host(_, _, SUBMISSIONS),
        ) => {
            return Err(
                "TLS begins with the connection at port 465, and \"opportunistic\" begins \
                        in clear: leave tls at \"verify\" for a host, or name another port",
            );
        }
        (RawRouteTls::Opportunistic, _) => return Ok(TlsRequirement::AsPolicy),
        (_, SmartHost::Address(..)) => {
            return Err(
                "a certificate cannot be verified for an address: name the host, or set tls to \"opportunistic\"",
            );
        }
        (RawRouteTls::Implicit, SmartHost::Domain(_)) => {
            return Err("MX hosts have no port for implicit TLS: name a host and a port");
        }
        (RawRouteTls::Implicit, _) | (_, SmartHost::Host(_, _, SUBMISSIONS)) => TlsStart::Implicit,
        (RawRouteTls::Verify, _) => TlsStart::Starttls,
    };
    Ok(TlsRequirement::Proven { start, login: login.cloned() })
}

/// Reads a next hop: `host:port` and `[host]` are hosts, all else is a domain.
///
/// A port makes it a host: MX records lead to hosts at the port of SMTP (RFC 5321 §4.5.4.2).
fn smart_host(text: &str, usual_port: u16) -> Result<SmartHost, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(SmartHost::Address(address.ip(), address.port()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SmartHost::Address(address, usual_port));
    }
    let (bracketed, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (Some(host), None),
        Some((host, rest)) => (Some(host), Some(rest.strip_prefix(':').unwrap_or_default())),
        None => (None, None),
    };
    let (host, port) = match (bracketed, text.rsplit_once(':')) {
        (Some(host), _) => (host, port),
        (None, Some((host, port))) => (host, Some(port)),
        (None, None) => {
            let domain = PolicyDomain::parse(text).map_err(|error| error.to_string())?;
            return Ok(SmartHost::Domain(domain));
        }
    };
    let port = match port {
        None => usual_port,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("`{port}` is not a port"))?,
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SmartHost::Address(address, port));
    }
    let name = MxHost::parse(host).map_err(|error| error.to_string())?;
    let domain = PolicyDomain::parse(host).map_err(|error| error.to_string())?;
    Ok(SmartHost::Host(name, domain, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_and_addresses_are_told_apart() {
        for (text, expected) in [
            ("example.net", "example.net"),
            ("Example.NET.", "example.net"),
            ("[smtp.example.net]", "smtp.example.net:25"),
            ("[smtp.example.net]:587", "smtp.example.net:587"),
            ("smtp.example.net:465", "smtp.example.net:465"),
            ("192.0.2.1", "192.0.2.1:25"),
            ("[192.0.2.1]", "192.0.2.1:25"),
            ("192.0.2.1:587", "192.0.2.1:587"),
            ("[2001:db8::1]:587", "[2001:db8::1]:587"),
            ("[2001:db8::1]", "[2001:db8::1]:25"),
        ] {
            assert_eq!(smart_host(text, 25).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "[", "[]", "a b", "host:", "host:0", "host:70000", "[host]587", ":25"] {
            assert!(smart_host(text, 25).is_err(), "{text}");
        }
    }
    #[test]
    fn tls_begins_with_the_connection_at_port_465_and_with_starttls_elsewhere() {
        use RawRouteTls::{Implicit, Opportunistic, Verify};
        let implicit = "Proven { start: Implicit, login: None }";
        let starttls = "Proven { start: Starttls, login: None }";
        for (tls, next_hop, expected) in [
            (Verify, "smtp.example.net:465", Ok(implicit)),
            (Verify, "[smtp.example.net]:465", Ok(implicit)),
            (Verify, "smtp.example.net:587", Ok(starttls)),
            (Verify, "[smtp.example.net]", Ok(starttls)),
            (Verify, "example.net", Ok(starttls)),
            (Verify, "192.0.2.1:465", Err("a certificate cannot be verified for an address")),
            (Implicit, "smtp.example.net:465", Ok(implicit)),
            (Implicit, "smtp.example.net:587", Ok(implicit)),
            (Implicit, "example.net", Err("MX hosts have no port for implicit TLS")),
            (Opportunistic, "smtp.example.net:587", Ok("AsPolicy")),
            (Opportunistic, "192.0.2.1:25", Ok("AsPolicy")),
            (Opportunistic, "example.net", Ok("AsPolicy")),
            (Opportunistic, "smtp.example.net:465", Err("TLS begins with the connection")),
            (Opportunistic, "192.0.2.1:465", Err("TLS begins with the connection")),
            (Opportunistic, "[2001:db8::1]:465", Err("TLS begins with the connection")),
        ] {
            let found = requirement(tls, &smart_host(next_hop, 25).unwrap(), None);
            match (&found, expected) {
                (Ok(requirement), Ok(expected)) => assert_eq!(format!("{requirement:?}"), expected),
                (Err(problem), Err(expected)) if problem.starts_with(expected) => {}
                _ => panic!("{tls:?} {next_hop}: {found:?}"),
            }
        }
        // The usual port counts where none is named.
        let at_465 = smart_host("[smtp.example.net]", 465).unwrap();
        assert!(requirement(Opportunistic, &at_465, None).is_err());
    }
}
