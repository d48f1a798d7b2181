//! The verdicts of OpenSSL's DANE beside ours: same records, same chain, same day.
//!
//! Both sides are the program `openssl` on the loopback interface. Without it, or with another library's in its
//! place, there is nothing to compare with: the test is left out unless it is asked for, and then it fails and
//! says so.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dane::{ReferenceNames, SecureRecords, TlsaRecord};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, NameConstraints};
use rustls::pki_types::CertificateDer;

use crate::pki::{Change, EXPIRED, Entity, HOST, NOT_YET, PLAIN, now};

/// What is missing where the test cannot run.
const NEEDED: &str = "this test needs the program openssl, version 3 (Debian's package openssl)";

/// A server that shows a chain.
struct Shows {
    child: Child,
    address: String,
}

impl Drop for Shows {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Shows {
    fn start(folder: &Path, chain: &[CertificateDer<'static>], key: &[u8]) -> Self {
        let [own, key_file, issuers] = ["own.pem", "key.der", "issuers.pem"];
        fs::write(folder.join(own), pem(folder, &chain[..1])).unwrap();
        fs::write(folder.join(key_file), key).unwrap();
        fs::write(folder.join(issuers), pem(folder, &chain[1..])).unwrap();
        let mut command = openssl(folder, &["s_server", "-www", "-accept", "127.0.0.1:0"]);
        command.args(["-cert", own, "-key", key_file, "-keyform", "DER"]);
        if chain.len() > 1 {
            command.args(["-cert_chain", issuers]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect(NEEDED);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()));
        Self { child, address: address.expect(NEEDED) }
    }

    /// Whether OpenSSL takes this server for the one that the records mean.
    fn matches(&self, folder: &Path, records: &[TlsaRecord]) -> bool {
        let day = now().as_secs().to_string();
        let mut command =
            openssl(folder, &["s_client", "-connect", &self.address, "-attime", &day]);
        command.args(["-servername", HOST, "-dane_tlsa_domain", HOST, "-verify_return_error"]);
        command.args(["-dane_ee_no_namechecks", "-no-CAfile", "-no-CApath", "-no-CAstore"]);
        for record in records {
            command.args(["-dane_tlsa_rrdata", &record.to_string()]);
        }
        let output = command.stdout(Stdio::piped()).output().expect(NEEDED);
        let said = String::from_utf8_lossy(&output.stdout);
        // A handshake that failed for another reason is no verdict.
        assert!(said.contains("Verify return code: ") || said.contains("Verification"), "{said}");
        output.status.success() && said.contains("Verification: OK")
    }
}

/// The program, which asks nothing and works in this folder.
fn openssl(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(args).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Certificates as OpenSSL's server reads several.
fn pem(folder: &Path, certificates: &[CertificateDer<'static>]) -> Vec<u8> {
    let one = |certificate: &CertificateDer<'_>| {
        fs::write(folder.join("one.der"), certificate).unwrap();
        let args = ["x509", "-inform", "DER", "-in", "one.der"];
        openssl(folder, &args).stdout(Stdio::piped()).output().expect(NEEDED).stdout
    };
    certificates.iter().flat_map(one).collect()
}

/// A server with the authorities above it, and what is shown of them.
struct Case {
    says: &'static str,
    entities: Vec<Entity>,
    shown: Vec<usize>,
}

fn case(says: &'static str, entities: Vec<Entity>, shown: &[usize]) -> Case {
    Case { says, entities, shown: shown.to_vec() }
}

/// The server, the authority above it, and the root.
fn three(root: Change, middle: Change, server: Change, name: &str) -> Vec<Entity> {
    let root = Entity::root("root", root);
    let middle = root.authority("middle", middle);
    vec![middle.server(&[name], server), middle, root]
}

fn cases() -> Vec<Case> {
    let plain = || three(PLAIN, PLAIN, PLAIN, HOST);
    let no_paths: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let no_authority: Change = |params| params.is_ca = IsCa::ExplicitNoCa;
    let for_mail: Change = |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    };
    let not_ours: Change = |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.net".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    };
    let all = &[0, 1, 2];
    vec![
        case("all is shown", plain(), all),
        case("the root is not shown", plain(), &[0, 1]),
        case("only the server's own is shown", plain(), &[0]),
        case("the middle is not shown", plain(), &[0, 2]),
        case("the root before the middle", plain(), &[0, 2, 1]),
        case("the server's is expired", three(PLAIN, PLAIN, EXPIRED, HOST), all),
        case("the middle is expired", three(PLAIN, EXPIRED, PLAIN, HOST), all),
        case("the root is expired", three(EXPIRED, PLAIN, PLAIN, HOST), all),
        case("the expired root is not shown", three(EXPIRED, PLAIN, PLAIN, HOST), &[0, 1]),
        case("the server's is not valid yet", three(PLAIN, PLAIN, NOT_YET, HOST), all),
        case("another name", three(PLAIN, PLAIN, PLAIN, "elsewhere.example.net"), all),
        case("a wildcard", three(PLAIN, PLAIN, PLAIN, "*.example.org"), all),
        case("no path below the root", three(no_paths, PLAIN, PLAIN, HOST), all),
        case("the middle is no authority", three(PLAIN, no_authority, PLAIN, HOST), all),
        case("the root is no authority", three(no_authority, PLAIN, PLAIN, HOST), all),
        case("the middle issues for mail", three(PLAIN, for_mail, PLAIN, HOST), all),
        case("the server's is for mail", three(PLAIN, PLAIN, for_mail, HOST), all),
        case("the root is limited to others", three(not_ours, PLAIN, PLAIN, HOST), all),
        case("the middle is limited to others", three(PLAIN, not_ours, PLAIN, HOST), all),
    ]
}

/// One record of each kind for each certificate, and some sets of several.
fn sets(entities: &[Entity]) -> Vec<Vec<TlsaRecord>> {
    let stranger = Entity::root("root", PLAIN);
    let kinds = [[3, 0, 1], [3, 1, 1], [2, 0, 1], [2, 1, 2], [2, 0, 0], [2, 1, 0]];
    let of_one = |entity: &Entity| kinds.map(|kind| vec![entity.record(kind)]);
    let mut sets: Vec<_> = entities.iter().chain([&stranger]).flat_map(of_one).collect();
    let [server, middle, root] = entities else { panic!("three of them") };
    sets.push(vec![stranger.record([3, 1, 1]), root.record([2, 0, 1])]);
    sets.push(vec![server.record([3, 1, 1]), middle.record([2, 0, 1])]);
    sets.push(vec![server.record([3, 1, 1]), stranger.record([3, 1, 2])]);
    sets
}

#[test]
#[ignore = "compares with the program openssl, version 3: the section interop of .ci/run has it"]
fn openssl_comes_to_the_same_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    let mut matched = 0;
    for Case { says, entities, shown } in cases() {
        let chain: Vec<_> = shown.iter().map(|&at| entities[at].certificate.clone()).collect();
        let server = Shows::start(folder.path(), &chain, entities[0].key().secret_der());
        for records in sets(&entities) {
            let names = ReferenceNames::new(HOST, &[]).unwrap();
            let secure = SecureRecords::assertion(records.clone()).unwrap();
            let ours = secure.associate(names).unwrap().judge(&chain, now());
            let theirs = server.matches(folder.path(), &records);
            matched += usize::from(theirs);
            if ours.is_ok() != theirs {
                let kinds: Vec<_> =
                    records.iter().map(|one| one.to_string()[..5].to_owned()).collect();
                faults.push(format!("{says}: {kinds:?}: ours {ours:?}, theirs {theirs}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(matched > 100, "{matched}");
}
