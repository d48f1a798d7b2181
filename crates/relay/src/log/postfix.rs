//! Lines in the form of Postfix's log, for programs that read those (pflogsumm, grok patterns).
//!
//! Not there: `delays=`, for which nobody here keeps the four times.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::net::SocketAddr;

use clock::{Clock as _, SystemClock};
use jiff::Timestamp;
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::fmt::MakeWriter as _;

use super::fields::breaks_out;
use super::writer::Lines;

/// What the events for these lines are known by.
pub(super) const TARGET: &str = "maillog";

/// The fields of an event, as text.
#[derive(Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.0.insert(field.name(), text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// Writes the lines of an event to standard output.
pub(super) fn write(event: &Event<'_>, out: &Lines) {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let now = Timestamp::try_from(SystemClock.now()).unwrap_or_default();
    let name = rustix::system::uname();
    let (host, process) = (name.nodename().to_string_lossy(), std::process::id());
    for (program, line) in lines(&fields.0) {
        let line = line.replace(breaks_out, "?");
        let text = format!("{now:.6} {host} postfix/{program}[{process}]: {line}\n");
        // A log that cannot be written cannot be told.
        drop(out.make_writer_for(event.metadata()).write_all(text.as_bytes()));
    }
}

/// The lines, each with the program of Postfix that would write it.
fn lines(fields: &BTreeMap<&'static str, String>) -> Vec<(&'static str, String)> {
    let of = |name: &str| fields.get(name).map_or("", String::as_str);
    let id = of("queue_id");
    match of("message") {
        "removed" => vec![("qmgr", format!("{id}: removed"))],
        "taken" => {
            let from = bare(of("from").trim_start_matches('<').trim_end_matches('>'));
            let (size, recipients) = (of("size"), of("recipients"));
            vec![
                ("smtpd", format!("{id}: client=unknown[{}]", of("peer"))),
                (
                    "qmgr",
                    format!("{id}: from=<{from}>, size={size}, nrcpt={recipients} (queue active)"),
                ),
            ]
        }
        _ => {
            let (to, dsn, status, reply) = (bare(of("to")), of("dsn"), of("status"), of("reply"));
            let relay = relay(fields.get("mx"), fields.get("addr"));
            let delay = of("delay").parse::<f64>().unwrap_or_default();
            let line = format!(
                "{id}: to=<{to}>, relay={relay}, delay={delay:.2}, dsn={dsn}, status={status} ({reply})"
            );
            vec![("smtp", line)]
        }
    }
}

/// The host that was tried, as Postfix names it: a name, and where there was a connection or one was
/// tried, the address in brackets and the port.
fn relay(mx: Option<&String>, addr: Option<&String>) -> String {
    let mx = mx.map_or("none", String::as_str);
    match addr.and_then(|addr| addr.parse::<SocketAddr>().ok()) {
        Some(addr) => format!("{mx}[{}]:{}", addr.ip(), addr.port()),
        None => mx.to_owned(),
    }
}

/// An address that cannot end the brackets around it.
fn bare(address: &str) -> String {
    address.replace(['<', '>'], "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fields: &[(&'static str, &str)]) -> Vec<String> {
        let fields = fields.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        lines(&fields).into_iter().map(|(program, line)| format!("{program} {line}")).collect()
    }

    #[test]
    fn each_event_has_the_form_that_readers_of_postfix_know() {
        let taken = [
            ("message", "taken"),
            ("queue_id", "1m82k"),
            ("peer", "192.0.2.1"),
            ("from", "<ann@a.test>"),
            ("size", "55"),
            ("recipients", "2"),
        ];
        assert_eq!(
            written(&taken),
            [
                "smtpd 1m82k: client=unknown[192.0.2.1]",
                "qmgr 1m82k: from=<ann@a.test>, size=55, nrcpt=2 (queue active)",
            ]
        );
        let tried = [
            ("message", "tried"),
            ("queue_id", "1m82k"),
            ("to", "\"b>, status=sent\"@b.test"),
            ("delay", "1.5"),
            ("dsn", "4.4.1"),
            ("status", "deferred"),
            ("reply", "no host answers"),
        ];
        assert_eq!(
            written(&tried),
            ["smtp 1m82k: to=<\"b?, status=sent\"@b.test>, relay=none, delay=1.50, dsn=4.4.1, \
              status=deferred (no host answers)"]
        );
        for (addr, relay) in [
            ("192.0.2.1:25", "mx.b.test[192.0.2.1]:25"),
            ("[2001:db8::1]:587", "mx.b.test[2001:db8::1]:587"),
        ] {
            let reached = [("mx", "mx.b.test"), ("addr", addr)];
            let line = written(&[&tried[..], &reached].concat()).concat();
            assert!(line.contains(&format!(", relay={relay}, delay=")), "{line}");
        }
        assert_eq!(
            written(&[("message", "removed"), ("queue_id", "1m82k")]),
            ["qmgr 1m82k: removed"]
        );
    }
}
