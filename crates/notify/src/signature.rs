//! The signature of a webhook, as Standard Webhooks has it (symmetric, version 1).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use smtp::{from_base64, to_base64};

/// What stands before a secret in its usual form.
const PREFIX: &str = "whsec_";

/// The octets that a secret has at least and at most (Standard Webhooks, "Symmetric").
const OCTETS: std::ops::RangeInclusive<usize> = 24..=64;

/// What signs webhooks; it is never shown.
#[derive(Clone)]
pub struct Secret(Arc<Key>);

/// What is no secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// It is not in BASE64.
    #[error("holds no secret in BASE64, as in `echo whsec_$(openssl rand -base64 32)`")]
    NotBase64,
    /// It is too short or too long.
    #[error("holds a secret of {0} octets; it has 24 to 64")]
    Length(usize),
}

impl Secret {
    /// Reads a secret: BASE64, with or without `whsec_` before it.
    ///
    /// # Errors
    ///
    /// [`SecretError`]; it repeats nothing of what was read.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let octets = from_base64(text.strip_prefix(PREFIX).unwrap_or(text));
        let octets = octets.ok_or(SecretError::NotBase64)?;
        if !OCTETS.contains(&octets.len()) {
            return Err(SecretError::Length(octets.len()));
        }
        Ok(Self(Arc::new(Key::new(HMAC_SHA256, &octets))))
    }

    /// The value of `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        format!("v1,{}", to_base64(sign(&self.0, &signed).as_ref()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // From the reference implementations' tests.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for (text, problem) in [
            ("", SecretError::Length(0)),
            ("whsec_AAAA", SecretError::Length(3)),
            ("whsec_?", SecretError::NotBase64),
        ] {
            assert_eq!(Secret::parse(text).unwrap_err(), problem, "{text}");
        }
    }
}
