//! `[tls_rpt]`: the reports on TLS that this relay sends.

use std::fmt::Display;
use std::net::IpAddr;

use dkim::Choice;
use mta_sts::PrivateHosts;
use reporting::ReportSettings;
use smtp::Domain;
use tls_rpt::{Destination, DomainName, MailAddress};

use crate::check::Check;
use crate::dkim_keys::DkimSettings;

impl Check<'_> {
    /// How TLS reports are sent.
    pub(crate) fn tls_reports(&mut self) -> ReportSettings {
        let raw = &self.raw.tls_rpt;
        let contact = self.unless_empty("tls_rpt.contact", &raw.contact, MailAddress::parse);
        let redirect =
            self.unless_empty("tls_rpt.redirect", &raw.redirect, str::parse::<Destination>);
        if contact.is_none() && !raw.redirect.is_empty() {
            let problem = "no report is sent: tls_rpt.contact is empty";
            self.wrong_with("tls_rpt.redirect", "tls_rpt.contact", problem);
        }
        let private_destinations = if raw.allow_private_destinations {
            PrivateHosts::Allowed
        } else {
            PrivateHosts::Refused
        };
        ReportSettings {
            contact,
            organization: raw.organization.clone(),
            send: raw.send.into(),
            spread: raw.spread,
            give_up_after: self.at_least_one("tls_rpt.give_up_after", raw.give_up_after),
            sending_addresses: self.each(
                "tls_rpt.sending_addresses",
                &raw.sending_addresses,
                |text| text.parse::<IpAddr>().map_err(|_error| "it is not an IP address"),
            ),
            verify_https: raw.verify_https.into(),
            private_destinations,
            exclude: self
                .each("tls_rpt.exclude", &raw.exclude, DomainName::parse)
                .into_iter()
                .collect(),
            redirect,
        }
    }

    /// Warns of reports that no key signs.
    pub(crate) fn warn_of_unsigned(&mut self, reports: &ReportSettings, dkim: &DkimSettings) {
        let Some(contact) = &reports.contact else { return };
        let Ok(submitter) = Domain::parse(contact.domain().as_str()) else { return };
        if matches!(dkim.table.for_reports(&submitter, self.now), Choice::NoKey) {
            self.warnings.push(format!(
                "no [[dkim]] key signs for {submitter}, the domain of tls_rpt.contact: TLS reports \
                 go by HTTPS alone"
            ));
        }
    }

    /// What a text says, unless it is empty.
    fn unless_empty<T, E: Display>(
        &mut self,
        key: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = (!text.is_empty()).then(|| parse(text))?;
        parsed.map_err(|error| self.wrong(key, &format!("`{text}`: {error}"))).ok()
    }
}
