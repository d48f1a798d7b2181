//! Signatures, read and verified by the words of RFC 6376 and with nothing of the signer's.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use proptest::prelude::*;

use super::*;
use crate::{Algorithm, SignedFields};

/// The message of RFC 8463 §A.3.
const MESSAGE: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
    \r\n\
    Hi.\r\n\
    \r\n\
    We lost the game.  Are you hungry yet?\r\n\
    \r\n\
    Joe.\r\n";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_528_637_909_999)
}

fn signer(algorithm: Algorithm, domain: &str, fields: SignedFields) -> Signer {
    let key = match algorithm {
        Algorithm::Ed25519Sha256 => SigningKey::generate(algorithm),
        Algorithm::RsaSha256 => SigningKey::from_pem(include_bytes!("../../fixtures/rsa2048.pem")),
    };
    let (domain, selector) = (Domain::parse(domain).unwrap(), Selector::parse("mail").unwrap());
    Signer::new(domain, selector, key.unwrap(), fields).unwrap()
}

/// The octets that this text is the base64 of.
fn from_base64(text: &str) -> Vec<u8> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut octets = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.chars().filter(|c| *c != '=') {
        bits = bits << 6 | u32::try_from(digits.find(c).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    octets
}

/// A tag of a signature, without the blanks in it.
fn tag(field: &str, name: &str) -> String {
    let (_, value) = field.split_once(':').unwrap();
    let mut tags = value.split(';').map(|tag| tag.trim().split_once('=').unwrap());
    let value = tags.find(|(found, _)| *found == name).unwrap().1;
    value.split_ascii_whitespace().collect()
}

/// A field by RFC 6376 §3.4.2.
fn relaxed(field: &str) -> String {
    let (name, value) = field.split_once(':').unwrap();
    let words: Vec<_> = value.split([' ', '\t', '\r', '\n']).filter(|w| !w.is_empty()).collect();
    format!("{}:{}", name.trim_end().to_lowercase(), words.join(" "))
}

/// The fields of a header section.
fn fields(header: &str) -> Vec<String> {
    let mut fields = Vec::<String>::new();
    for line in header.split_inclusive("\r\n") {
        if line.starts_with([' ', '\t']) {
            fields.last_mut().unwrap().push_str(line);
        } else {
            fields.push(line.to_owned());
        }
    }
    fields
}

/// Whether a signature is one of this message, whose body is canonical as it stands.
fn verifies(signer: &Signer, signature: &str, message: &str) -> bool {
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let mut left: Vec<_> = fields(header).iter().map(|field| relaxed(field)).collect();
    let mut signed = String::new();
    for name in tag(signature, "h").split(':') {
        let prefix = format!("{}:", name.to_lowercase());
        if let Some(at) = left.iter().rposition(|field| field.starts_with(&prefix)) {
            signed += &format!("{}\r\n", left.remove(at));
        }
    }
    let empty = signature.rsplit_once("b=").unwrap().0;
    signed += &relaxed(&format!("{empty}b="));
    let value = from_base64(&tag(signature, "b"));
    let key = from_base64(&signer.key().public_key());
    let verified = match signer.key().algorithm() {
        Algorithm::Ed25519Sha256 => UnparsedPublicKey::new(&ED25519, &key)
            .verify(digest(&SHA256, signed.as_bytes()).as_ref(), &value),
        Algorithm::RsaSha256 => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key)
            .verify(signed.as_bytes(), &value),
    };
    let hash = digest(&SHA256, body.as_bytes());
    verified.is_ok() && from_base64(&tag(signature, "bh")) == hash.as_ref()
}

/// The signature of a message; its length was foretold at the end of the header section.
fn sign(signer: &Signer, message: &str) -> String {
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let mut hasher = MessageHasher::new();
    hasher.feed(format!("{header}\r\n\r\n").as_bytes());
    assert!(hasher.header_has_ended());
    let octets = signer.signature_octets(&hasher, now());
    hasher.feed(body.as_bytes());
    let signature = signer.sign(&hasher.finish(), now()).unwrap();
    assert_eq!(signature.len(), octets);
    signature
}

#[test]
fn a_message_is_signed_by_either_algorithm_and_no_octet_may_change() {
    for algorithm in [Algorithm::Ed25519Sha256, Algorithm::RsaSha256] {
        let signer = signer(algorithm, "example.com", SignedFields::of_mail());
        let signature = sign(&signer, MESSAGE);
        let canonical = MESSAGE.replace("game.  Are", "game. Are");
        assert!(verifies(&signer, &signature, &canonical), "{signature}");
        for (from, to) in [
            ("dinner", "supper"),
            ("Hi.", "Ho."),
            ("From:", "From: eve@example.net\r\nFrom:"),
            ("Subject:", "Subject: Buy\r\nSubject:"),
            ("To:", "Cc: eve@example.net\r\nTo:"),
            ("To:", "Reply-To: eve@example.net\r\nTo:"),
        ] {
            assert!(!verifies(&signer, &signature, &canonical.replacen(from, to, 1)), "{to}");
        }
        let unsigned = canonical.replace("To:", "X-New: 1\r\nTo:");
        assert!(verifies(&signer, &signature, &unsigned));
    }
}

#[test]
fn the_field_has_the_tags_of_the_rfc_and_neither_l_nor_x() {
    let signer = signer(Algorithm::RsaSha256, "Football.example.com", SignedFields::of_mail());
    let signature = sign(&signer, MESSAGE);
    for (name, value) in [
        ("v", "1"),
        ("a", "rsa-sha256"),
        ("c", "relaxed/relaxed"),
        ("d", "football.example.com"),
        ("s", "mail"),
        ("t", "1528637909"),
        ("h", "From:From:Subject:Subject:Date:Date:To:To:Cc:Reply-To:Message-ID"),
        // As RFC 8463 §A.3 has it for this body.
        ("bh", "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="),
    ] {
        assert_eq!(tag(&signature, name), value);
    }
    for absent in [" l=", " x=", " i=", " z="] {
        assert!(!signature.contains(absent), "{signature}");
    }
    assert!(signature.lines().all(|line| line.len() <= LINE_MAX), "{signature}");
    assert!(signature.ends_with("\r\n") && signature.matches("\r\n\r\n").count() == 0);
    let again = "DKIM-Signature: v=1\r\n".to_owned() + MESSAGE;
    assert_eq!(sign(&signer, &again), signature, "signatures that are there already do not matter");
}

#[test]
fn a_message_without_from_is_not_signed() {
    let signer = signer(Algorithm::Ed25519Sha256, "example.com", SignedFields::of_mail());
    for message in ["To: a@example.com\r\n\r\nFrom: x\r\n", "", "\r\nFrom: x\r\n"] {
        let hash = MessageHash::of(message.as_bytes());
        assert!(matches!(signer.sign(&hash, now()), Err(SignError::NoFrom)), "{message}");
    }
}

#[test]
fn a_signature_over_some_of_many_fields_verifies() {
    let signer = signer(Algorithm::Ed25519Sha256, "example.com", SignedFields::of_mail());
    for count in [8, 9, 10, 11, 12, 40] {
        let message = "To: a@example.net\r\n".repeat(count) + &MESSAGE.replace("  ", " ");
        assert!(verifies(&signer, &sign(&signer, &message), &message), "{count}");
    }
}

#[test]
fn a_key_signs_for_its_domain_and_those_below() {
    let signer = signer(Algorithm::Ed25519Sha256, "Example.com", SignedFields::of_mail());
    for (from, signs) in [
        ("example.com", true),
        ("a.b.EXAMPLE.com", true),
        ("badexample.com", false),
        ("com", false),
        ("example.com.evil.test", false),
    ] {
        assert_eq!(signer.signs_for(&Domain::parse(from).unwrap()), signs, "{from}");
    }
}

#[test]
fn long_names_and_long_lists_of_fields_are_folded() {
    let names = (0..49).map(|number| FieldName::parse(&format!("X-{number:060}")).unwrap());
    let from = FieldName::parse("From").unwrap();
    let fields = SignedFields::new(names.chain([from])).unwrap();
    let domain = format!("{0}.{0}.example.com", "x".repeat(60));
    let signer = signer(Algorithm::RsaSha256, &domain, fields);
    let message = (0..49).map(|n| format!("x-{n:060}: {n}\r\n")).collect::<String>() + MESSAGE;
    let signature = sign(&signer, &message.replace("  ", " "));
    assert!(verifies(&signer, &signature, &message.replace("  ", " ")));
    assert!(signature.lines().filter(|line| line.len() > LINE_MAX).count() == 1, "{signature}");
}

proptest! {
    #[test]
    fn whatever_a_header_holds_its_signature_verifies(
        header in "((From|Subject|TO|Date|Cc|X|References) ?: ?([a-z:;=\u{fc}]|\r\n |\t| ){0,12}\r\n){0,8}",
    ) {
        let signer = signer(Algorithm::Ed25519Sha256, "example.com", SignedFields::of_mail());
        let message = format!("From: a@example.com\r\n{header}\r\nHi.\r\n");
        prop_assert!(verifies(&signer, &sign(&signer, &message), &message), "{}", message);
    }
}
