//! Whether the operators' page can be served as it is set.

use std::fs;

use access::Operators;
use listener::ServerTls;
use mail::in_full;
use smtp::Domain;

use crate::check::Check;
use crate::file::unreadable;
use crate::page::PageSettings;

impl Check<'_> {
    /// The operators' page, where it is at the admin address.
    pub(crate) fn page(&mut self) -> Option<PageSettings> {
        let raw = &self.raw.admin;
        let tls = self.page_tls();
        let operators = self.operators();
        let hosts = self.page_hosts();
        let idle = self.at_least_one("admin.idle", raw.idle);
        let longest_login = self.at_least_one("admin.longest_login", raw.longest_login);
        if !raw.page {
            return None;
        }
        if raw.users_file.as_os_str().is_empty() {
            let problem = "nobody could log in: set admin.users_file";
            self.wrong_with("admin.page", "admin.users_file", problem);
        }
        match raw.address {
            None => {
                let problem = "the page needs an address: set admin.address";
                self.wrong_with("admin.page", "admin.address", problem);
            }
            Some(address) if !address.ip().is_loopback() && tls.is_none() => {
                let problem =
                    "outside of loopback the page needs TLS: set admin.certificate and admin.key";
                self.wrong_with("admin.page", "admin.certificate", problem);
            }
            Some(_) => {}
        }
        let users_file = raw.users_file.clone();
        Some(PageSettings { users_file, operators, tls, hosts, idle, longest_login })
    }

    /// Who may log in.
    fn operators(&mut self) -> Operators {
        let file = &self.raw.admin.users_file;
        if file.as_os_str().is_empty() {
            return Operators::default();
        }
        let text = fs::read_to_string(file).map_err(|error| unreadable(&error));
        let read = text.and_then(|text| Operators::parse(&text).map_err(|error| error.to_string()));
        let read = read.and_then(|read| {
            if read.is_empty() { Err("nobody is listed".to_owned()) } else { Ok(read) }
        });
        let read = read.map_err(|problem| format!("{}: {problem}", file.display()));
        self.or_wrong("admin.users_file", read)
    }

    /// The names that the page answers to.
    fn page_hosts(&mut self) -> Vec<String> {
        let mut hosts = Vec::new();
        for (number, host) in self.raw.admin.hosts.iter().enumerate() {
            if Domain::parse(host).is_ok() {
                hosts.push(host.clone());
            } else {
                let location = self.source.location(&format!("admin.hosts.{number}"));
                self.wrong_at(location, "admin.hosts", &format!("`{host}` is no name of a host"));
            }
        }
        hosts
    }

    /// What is shown at the admin address.
    fn page_tls(&mut self) -> Option<ServerTls> {
        let raw = &self.raw.admin;
        match (raw.certificate.as_os_str().is_empty(), raw.key.as_os_str().is_empty()) {
            (true, true) => None,
            (false, false) if !self.can_read("admin.certificate", &raw.certificate) => None,
            (false, false) if !self.can_read("admin.key", &raw.key) => None,
            (false, false) => {
                let loaded = ServerTls::load(&raw.certificate, &raw.key).map(Some);
                self.or_wrong("admin.certificate", loaded.map_err(|error| in_full(&error)))
            }
            (true, false) => {
                let problem = "a key needs its admin.certificate";
                self.wrong_with("admin.key", "admin.certificate", problem);
                None
            }
            (false, true) => {
                let problem = "a certificate needs its admin.key";
                self.wrong_with("admin.certificate", "admin.key", problem);
                None
            }
        }
    }
}
