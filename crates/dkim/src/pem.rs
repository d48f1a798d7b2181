//! Keys as text (RFC 7468).

use smtp::to_base64;

/// The characters of a line of base64 (RFC 7468 §2).
const LINE: usize = 64;

/// A private key in PKCS #8 as text (RFC 7468 §10).
pub(crate) fn private_key(der: &[u8]) -> String {
    let text = to_base64(der);
    let lines = (0..text.len()).step_by(LINE).filter_map(|from| {
        let to = text.len().min(from.saturating_add(LINE));
        text.get(from..to)
    });
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n")
}
