//! Tables of settings, good and bad.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::*;

mod mistakes;
mod reference;
mod timestamps;

/// The settings that a file and variables say.
fn read(file: Option<&Path>, environment: &[(&str, &str)]) -> Result<Source, String> {
    let environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Source::read(file, environment).map_err(|error| error.to_string())
}

/// The settings of an empty environment, checked at a fixed time.
fn check(toml: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    fs::write(&file, toml).unwrap();
    // The machine that runs this test need not have certificate authorities.
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/authority.pem");
    let environment = [("STS_RELAY__TRUST__CA_FILE", authority)];
    let usual = if toml.contains("[trust]") { &[][..] } else { &environment };
    let source = read(Some(&file), usual)?;
    let now = "2026-12-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
    let place = format!("{}:", file.display());
    Settings::check(&source, now).map_err(|error| error.to_string().replace(&place, ""))
}

#[test]
fn without_any_setting_only_loopback_is_served_and_trusted() {
    let settings = check("").unwrap();
    let [listening] = settings.listeners[..] else { panic!("{:?}", settings.listeners) };
    assert_eq!(listening.address, "127.0.0.1:2525".parse().unwrap());
    assert_eq!(listening.service, listener::Service::default());
    assert_eq!(settings.listener.limits, listener::Limits::default());
    assert_eq!(settings.listener.rates, listener::Rates::default());
    assert_eq!(settings.listener.timeouts, listener::Timeouts::default());
    assert_eq!(settings.data_dir, Path::new("/var/lib/sts-relay"));
    assert_eq!(settings.admin_socket, Path::new("/var/lib/sts-relay/admin.sock"));
    assert!(settings.networks.admit("127.0.0.1".parse().unwrap()).is_some());
    assert!(settings.networks.admit("192.0.2.1".parse().unwrap()).is_none());
}

#[test]
fn mail_is_kept_in_the_working_directory_only_where_there_is_no_settings_file() {
    let source = Source::read(None, []).unwrap();
    assert_eq!(source.raw().data_dir, Path::new("sts-relay-data"));
    assert_eq!(source.differences(), []);
    let variable = ("STS_RELAY__DATA_DIR".into(), "/srv/mail".into());
    let source = Source::read(None, [variable]).unwrap();
    assert_eq!(source.raw().data_dir, Path::new("/srv/mail"));
}

#[test]
fn each_listener_offers_what_is_set_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "# nobody yet\n").unwrap();
    let toml = format!(
        "[[listener]]\naddress = \"[::1]:25\"\ntls = \"starttls\"\n\
         [[listener]]\naddress = \"[::1]:465\"\ntls = \"implicit\"\nauth = \"required\"\n\
         [[listener]]\naddress = \"[::1]:10025\"\nproxy_protocol = true\nbinarymime = \"on\"\n\
         [access]\nproxies = [\"192.0.2.9\"]\nusers_file = {users:?}\n"
    );
    let settings = check(&toml).unwrap();
    let services: Vec<_> = settings.listeners.iter().map(|one| one.service).collect();
    let plain = listener::Service::default();
    assert_eq!(
        services,
        [
            listener::Service { tls: listener::TlsMode::StartTls, ..plain },
            listener::Service {
                tls: listener::TlsMode::Implicit,
                auth: listener::AuthMode::Required,
                ..plain
            },
            listener::Service {
                proxy: listener::ProxyMode::Required,
                binary: listener::BinaryMode::Offered,
                ..plain
            },
        ]
    );
}

#[test]
fn defaults_of_delivery_are_those_of_its_crate() {
    let settings = check("hostname = \"mail.example.org\"").unwrap();
    let host = smtp::Domain::parse("mail.example.org").unwrap();
    let usual = delivery::DeliverySettings::new(host);
    assert_eq!(format!("{:?}", settings.delivery), format!("{usual:?}"));
}

#[test]
fn an_exception_that_has_ended_is_told_and_refuses_nothing() {
    let toml = "[[exception]]\ndomain = \"example.org\"\nreason = \"agreed\"\nuntil = 2026-11-30\n";
    let settings = check(toml).unwrap();
    let ended = "the exception for example.org ended at 2026-11-30T00:00:00Z and has no effect";
    assert!(settings.warnings.iter().any(|warning| warning == ended), "{:?}", settings.warnings);
}

/// The text of `config/sts-relay.toml`.
fn shown() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/sts-relay.toml");
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_shown_file_uncommented_says_every_key_with_its_default() {
    let uncommented: String = shown()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let said: toml::Table = toml::from_str(&uncommented).unwrap();
    let read: RawSettings = toml::from_str(&uncommented).unwrap();
    assert_eq!(read, RawSettings::default());
    let paths =
        |table| -> Vec<_> { keys::leaves(&table).into_iter().map(|(path, _)| path).collect() };
    assert_eq!(paths(said), paths(keys::defaults()), "a key is missing in the shown file");
}

#[test]
fn the_shown_file_as_it_is_changes_nothing() {
    assert_eq!(toml::from_str::<RawSettings>(&shown()).unwrap(), RawSettings::default());
}

#[test]
fn each_crate_gets_its_own_types_as_they_are_written_and_keeps_the_rest_of_its_defaults() {
    let written = "[dns]\ndnssec = \"trust-ad\"\n[delivery]\nip_preference = \"ipv4-only\"\n\
                   [delivery.timeouts]\nquit = \"3s\"\ndata_rate = \"2KiB\"\n\
                   [submission]\nadd = [\"message-id\", \"date\"]\nbare_newlines = \"repair\"\n";
    let settings = check(written).unwrap();
    let quit = std::time::Duration::from_secs(3);
    let expected = delivery::Timeouts { quit, data_rate: 2048, ..delivery::Timeouts::default() };
    assert_eq!(settings.delivery.timeouts, expected);
    assert_eq!(settings.delivery.ip_preference, delivery::IpPreference::Ipv4Only);
    assert_eq!(settings.dns.dnssec, dns::Dnssec::TrustAd);
    let added = [listener::AddedField::MessageId, listener::AddedField::Date];
    let expected = listener::Submission {
        add: added.into(),
        bare_newlines: listener::BareNewlines::Repaired,
        ..listener::Submission::default()
    };
    assert_eq!(settings.listener.submission, expected);
}

#[test]
fn the_environment_wins_over_the_file_and_speaks_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    fs::write(&file, "[delivery]\nsmtp_port = 26\nper_domain = 3\n").unwrap();
    let name = folder.path().join("hostname");
    fs::write(&name, "mail.example.org\n").unwrap();
    let source = read(
        Some(&file),
        &[
            ("STS_RELAY__DELIVERY__SMTP_PORT", "27"),
            ("STS_RELAY__DELIVERY__RETRY__FIRST", "10m"),
            ("STS_RELAY__ACCESS__NETWORKS", "10.0.0.0/8, 192.0.2.0/24"),
            ("STS_RELAY__DNS__SERVERS", "[2001:db8::53]:53"),
            ("STS_RELAY__TRUST__EXTEND", "false"),
            ("STS_RELAY__TRUST__CA_FILE", "/etc/ca.pem"),
            ("STS_RELAY__LISTENER", "[{ address = \"0.0.0.0:25\" }]"),
            ("STS_RELAY__HOSTNAME_FILE", name.to_str().unwrap()),
            ("STS_RELAY_SERVICE_HOST", "of Kubernetes"),
        ],
    )
    .unwrap();
    let raw = source.raw();
    assert_eq!((raw.delivery.smtp_port, raw.delivery.per_domain), (27, 3));
    assert_eq!(raw.delivery.retry.first.as_secs(), 600);
    assert_eq!(raw.access.networks, ["10.0.0.0/8", "192.0.2.0/24"]);
    assert_eq!(raw.dns.servers.len(), 1);
    assert!(!raw.trust.extend);
    assert_eq!(raw.trust.ca_file, Path::new("/etc/ca.pem"));
    assert_eq!(raw.listener[0].address.to_string(), "0.0.0.0:25");
    assert_eq!(raw.hostname.as_ref().unwrap().as_str(), "mail.example.org");
    assert_eq!(
        source.location("delivery.smtp_port"),
        SettingLocation::Variable("STS_RELAY__DELIVERY__SMTP_PORT".to_owned())
    );
    let in_file = SettingLocation::File { path: file, line: 3, column: 14 };
    assert_eq!(source.location("delivery.per_domain"), in_file);
}

#[test]
fn a_list_in_the_file_that_a_variable_replaces_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    fs::write(
        &file,
        "[[listener]]\naddress = \"[::1]:25\"\n[[listener]]\naddress = \"[::1]:26\"\n",
    )
    .unwrap();
    let list = folder.path().join("listeners");
    fs::write(&list, "[{ address = \"127.0.0.1:27\" }]\n").unwrap();
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/authority.pem");
    let warnings = |environment: &[(&str, &str)]| {
        let environment = [environment, &[("STS_RELAY__TRUST__CA_FILE", authority)]].concat();
        let source = read(Some(&file), &environment).unwrap();
        let settings = Settings::check(&source, std::time::SystemTime::UNIX_EPOCH).unwrap();
        (settings.listeners.len(), settings.warnings)
    };
    let told = |warnings: &[String]| warnings.iter().any(|one| one.contains("[[listener]]"));
    let (listeners, without) = warnings(&[]);
    assert!(listeners == 2 && !told(&without), "{without:?}");
    let (listeners, with) = warnings(&[("STS_RELAY__LISTENER_FILE", list.to_str().unwrap())]);
    assert!(listeners == 1 && told(&with), "{with:?}");
    assert!(with.iter().any(|one| one.starts_with("STS_RELAY__LISTENER_FILE ")), "{with:?}");
}

#[test]
fn listeners_of_which_only_addresses_are_said_can_be_written_as_text() {
    let addresses = |source: &Source| -> Vec<String> {
        source.raw().listener.iter().map(|one| one.address.to_string()).collect()
    };
    let variable = |text| read(None, &[("STS_RELAY__LISTENER", text)]).unwrap();
    assert_eq!(addresses(&variable("0.0.0.0:25")), ["0.0.0.0:25"]);
    assert_eq!(addresses(&variable("0.0.0.0:25, [::]:25")), ["0.0.0.0:25", "[::]:25"]);
    assert_eq!(addresses(&variable("[::]:25")), ["[::]:25"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    for (text, expected) in [
        ("listener = \"0.0.0.0:25\"", &["0.0.0.0:25"][..]),
        ("listener = [\"0.0.0.0:25\", \"[::]:25\"]", &["0.0.0.0:25", "[::]:25"]),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(addresses(&read(Some(&file), &[]).unwrap()), expected, "{text}");
    }
}

#[test]
fn what_differs_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sts-relay.toml");
    fs::write(&file, "hostname = \"a.example\"\n[mta_sts]\nhttps_port = 443\n").unwrap();
    let source = read(Some(&file), &[("STS_RELAY__LOG__LEVEL", "debug")]).unwrap();
    let told: Vec<_> = source
        .differences()
        .into_iter()
        .map(|one| format!("{} = {} {}", one.key, one.value, one.location))
        .collect();
    let file = file.display();
    assert_eq!(
        told,
        [
            format!("hostname = \"a.example\" {file}:1:12"),
            "log.level = \"debug\" STS_RELAY__LOG__LEVEL".to_owned(),
        ]
    );
}

/// A `[[dkim]]` table with this key file of the tests' data, and more.
fn dkim_table(file: &str, more: &str) -> String {
    let file = format!("{}/tests-data/{file}", env!("CARGO_MANIFEST_DIR"));
    format!("[[dkim]]\ndomain = \"a.example\"\nselector = \"s\"\nkey_file = {file:?}\n{more}\n")
}

#[test]
fn a_key_signs_what_is_set_for_it() {
    let usual = check(&dkim_table("dkim-rsa.key", "")).unwrap().dkim;
    let [key] = &usual.table.keys().collect::<Vec<_>>()[..] else { panic!("{usual:?}") };
    assert_eq!(key.key().signer.record_name().as_str(), "s._domainkey.a.example");
    assert_eq!(key.key().service, dkim::KeyService::Any);
    let list = "service = \"tlsrpt\"\nheaders = [\"From\"]\nnot_before = 2026-12-24\n\
                not_after = \"2027-01-01T12:00:00Z\"";
    let settings = check(&dkim_table("dkim-rsa.key", list)).unwrap();
    let keys: Vec<_> = settings.dkim.table.keys().map(dkim::ListedKey::key).collect();
    assert_eq!(keys[0].service, dkim::KeyService::Only(dkim::Service::TlsRpt));
    let day = |text: &str| Some(text.parse::<jiff::Timestamp>().unwrap().into());
    assert_eq!(keys[0].not_before, day("2026-12-24T00:00:00Z"));
    assert_eq!(keys[0].not_after, day("2027-01-01T12:00:00Z"));
    let same = |table: &std::sync::Arc<_>| std::sync::Arc::ptr_eq(table, &settings.dkim.table);
    assert!(same(&settings.listener.signing) && same(&settings.delivery.signing));
}

#[test]
fn keys_that_cannot_sign_are_refused_with_their_place() {
    let key = |more: &str| dkim_table("dkim-rsa.key", more);
    let twice = format!("{}{}", key(""), key(""));
    for (toml, expected) in [
        (dkim_table("none.key", ""), "4:12: dkim.0.key_file: "),
        (dkim_table("authority.pem", ""), "4:12: dkim.0.key_file: "),
        (dkim_table("dkim-rsa-short.key", ""), "4:12: dkim.0.key_file: "),
        (key("").replace("\"s\"", "\"a b\""), "3:12: dkim.0.selector: character ' '"),
        (key("").replace("a.example", "1.2.3.4"), "2:10: dkim.0.domain: the last label"),
        (twice, "dkim.1.selector: another key has the record s._domainkey.a.example"),
        (key("algorithm = \"ed25519-sha256\""), "5:13: dkim.0.algorithm: the key in key_file is"),
        (key("headers = [\"To\"]"), "5:11: dkim.0.headers: From must be signed"),
        (key("headers = [\"From\", \"a b\"]"), "5:11: dkim.0.headers: `a b`: character ' '"),
        (key("headers = [\"From\", \"Received\"]"), "5:11: dkim.0.headers: Received cannot be"),
        (
            key("not_before = 2027-01-01\nnot_after = 2026-12-31"),
            "6:13: dkim.0.not_after: is not later than not_before",
        ),
        ("[[dkim]]\ndomain = \"a.example\"\n".to_owned(), "selector"),
    ] {
        let said = check(&toml).unwrap_err();
        assert!(said.contains(expected), "{toml}: {said}");
    }
    let short = check(&dkim_table("dkim-rsa-short.key", "")).unwrap_err();
    assert!(short.contains("neither Ed25519 nor RSA with 2048 to 8192 bits"), "{short}");
    let ended = check(&key("not_after = 2026-11-30")).unwrap().warnings;
    assert!(ended.iter().any(|one| one.contains("signs no more since 2026-11-30")), "{ended:?}");
}

#[test]
fn routes_that_cannot_be_meant_are_refused_with_their_place() {
    let all = "[[route]]\nrecipient = \"*\"\nnext_hop = \"smtp.example.net:587\"\n";
    let login = |more: &str| format!("{all}username = \"ann\"\n{more}");
    for (toml, expected) in [
        ("[[route]]\nnext_hop = \"example.net\"".into(), "2:12: route.0.next_hop: say whose mail"),
        ("[[route]]\nsender = \"a.example\"".into(), "1:1: route.0.next_hop: must not be empty"),
        (format!("{all}{all}"), "5:13: route.1.recipient: no mail comes here: route 0 takes all"),
        (
            "[[route]]\nrecipient = \"*.example.com\"\nnext_hop = \"[a.example]\"".into(),
            "2:13: route.0.recipient: `*.example.com`: '*' cannot stand in a host name; write",
        ),
        (
            "[[route]]\nrecipient = \"*\"\nnext_hop = \"192.0.2.1:25\"".into(),
            "3:12: route.0.next_hop: `192.0.2.1:25`: a certificate cannot be verified for an address",
        ),
        (
            "[[route]]\nrecipient = \"*\"\nnext_hop = \"example.net\"\ntls = \"implicit\"".into(),
            "3:12: route.0.next_hop: `example.net`: MX hosts have no port for implicit TLS",
        ),
        (
            "[[route]]\nrecipient = \"*\"\nnext_hop = \"a.example:465\"\ntls = \"opportunistic\""
                .into(),
            "3:12: route.0.next_hop: `a.example:465`: TLS begins with the connection at port 465",
        ),
        (login(""), "4:12: route.0.username: needs a password, password_file, token_file or"),
        (
            login("password = \"x\"\ntoken_command = [\"/t\"]"),
            "4:12: route.0.username: only one of password,",
        ),
        (
            login("password = \"x\"\ntls = \"opportunistic\""),
            "6:7: route.0.tls: a password is only sent to a host whose certificate was verified",
        ),
        (
            login("password_file = \"/nonexistent\""),
            "5:17: route.0.password_file: /nonexistent: no such file",
        ),
        (
            login("password = \"x\"\nauth = \"xoauth2\""),
            "6:8: route.0.auth: \"xoauth2\" needs a token_file or token_command",
        ),
        (
            login("token_command = [\"/t\"]\nauth = \"plain\""),
            "6:8: route.0.auth: a token goes with \"xoauth2\"",
        ),
        (format!("{all}password = \"x\""), "1:1: route.0.username: a pass"),
    ] {
        let refused = check(&toml).map(|_| ()).unwrap_err();
        assert!(refused.starts_with(expected), "expected {expected}\n     got {refused}");
    }
}

#[test]
fn a_route_that_proves_nothing_is_warned_of_and_a_secret_is_not_shown() {
    let route =
        "[[route]]\nrecipient = \"*\"\nnext_hop = \"192.0.2.1:25\"\ntls = \"opportunistic\"";
    let settings = check(route).unwrap();
    assert!(settings.warnings.iter().any(|warning| warning.contains("192.0.2.1:25")));

    let route = "[{ recipient = \"*\", next_hop = \"a.example:25\", username = \"ann\", password = \"s3cret\" }]";
    let source = read(None, &[("STS_RELAY__ROUTE", route)]).unwrap();
    let shown = format!("{:?} {:?}", source.differences(), source.raw());
    assert!(shown.contains("ann") && !shown.contains("s3cret"), "{shown}");
}
