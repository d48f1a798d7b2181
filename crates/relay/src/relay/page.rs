//! The operators' page at the admin address.

use std::net::SocketAddr;

use admin::pages::logins::LoginTimes;
use admin::pages::names::HostNames;
use admin::pages::site::{Shown, Site, SiteSettings, Transport};
use admin::server::monitoring_port::PagesAtPort;
use settings::{PageSettings, Settings};

/// The page by these settings, at this address; none where there is to be none.
pub(super) fn page_of(
    settings: &Settings,
    shown: Shown,
    address: SocketAddr,
) -> Option<PagesAtPort> {
    let page = settings.page.as_ref()?;
    let transport = if page.tls.is_some() { Transport::Tls } else { Transport::Clear };
    let site = Site::new(shown, site_settings(page), transport, address.port());
    Some(PagesAtPort { site, tls: page.tls.clone() })
}

/// Who may see it, and how.
pub(super) fn site_settings(page: &PageSettings) -> SiteSettings {
    let PageSettings { operators, hosts, idle, longest_login, .. } = page;
    SiteSettings {
        names: HostNames::new(hosts.iter().cloned()),
        operators: operators.clone(),
        times: LoginTimes { idle: *idle, longest: *longest_login },
    }
}
