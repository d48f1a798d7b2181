//! Every page and act, with who may ask for it: there is no other way to one.

use access::Role;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};

use crate::pages::answer::guarded;
use crate::pages::gate::{Gate, Need, pass};
use crate::pages::site::Site;
use crate::pages::{
    activity, assets, domain, domains, exceptions, find, login, queue, queue_changes, queued,
    records, status,
};

/// A page or an act.
struct Entry {
    kind: Kind,
    path: &'static str,
    need: Need,
    answer: MethodRouter<Site>,
}

/// What an entry of the table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A form that changes something: `POST`.
    Act,
    /// A page, which changes nothing: `GET`.
    Page,
}

/// A page or an act, and who may ask for it, for whoever wants to go through all of them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Whether it changes something.
    pub kind: Kind,
    /// Its path; `{id}` stands for a queue id, `{domain}` for a domain.
    pub path: &'static str,
    /// The role that it takes; none: anybody may.
    pub role: Option<Role>,
}

/// All pages and acts.
#[must_use]
pub fn listed() -> Vec<Listed> {
    let of = |Entry { kind, path, need, .. }: Entry| Listed {
        kind,
        path,
        role: match need {
            Need::Anybody => None,
            Need::Role(role) => Some(role),
        },
    };
    table().into_iter().map(of).collect()
}

/// Whoever is logged in.
const VIEWER: Need = Need::Role(Role::Viewer);

/// Who may act.
const OPERATOR: Need = Need::Role(Role::Operator);

/// The table.
fn table() -> Vec<Entry> {
    vec![
        page("/style.css", Need::Anybody, get(assets::style)),
        page("/page.js", Need::Anybody, get(assets::script)),
        page("/favicon.ico", Need::Anybody, get(assets::no_icon)),
        page("/login", Need::Anybody, get(login::form)),
        act("/login/code", Need::Anybody, post(login::with_code)),
        act("/login/password", Need::Anybody, post(login::with_password)),
        act("/logout", VIEWER, post(login::out)),
        page("/", VIEWER, get(status::show)),
        page("/domains", VIEWER, get(domains::list)),
        page("/domains/{domain}", VIEWER, get(domain::show)),
        act("/policies/refresh", OPERATOR, post(domain::refresh)),
        page("/find", VIEWER, get(find::find)),
        page("/queue", VIEWER, get(queue::list)),
        act("/queue/confirm", OPERATOR, post(queue_changes::confirm)),
        act("/queue/change", OPERATOR, post(queue_changes::change)),
        page("/queue/{id}", VIEWER, get(queued::message)),
        page("/exceptions", VIEWER, get(exceptions::list)),
        act("/exceptions/grant", OPERATOR, post(exceptions::grant)),
        act("/exceptions/end", OPERATOR, post(exceptions::end)),
        page("/records", VIEWER, get(records::list)),
        page("/records/{id}", VIEWER, get(records::message)),
        page("/activity", VIEWER, get(activity::list)),
    ]
}

fn page(path: &'static str, need: Need, answer: MethodRouter<Site>) -> Entry {
    Entry { kind: Kind::Page, path, need, answer }
}

fn act(path: &'static str, need: Need, answer: MethodRouter<Site>) -> Entry {
    Entry { kind: Kind::Act, path, need, answer }
}

/// The pages of a site.
pub(crate) fn routes(site: &Site) -> Router {
    let mut routes = Router::new();
    for Entry { path, need, answer, .. } in table() {
        let gate = Gate { site: site.clone(), need };
        routes = routes.route(path, answer.route_layer(from_fn_with_state(gate, pass)));
    }
    routes.with_state(site.clone()).layer(from_fn(guarded))
}
