//! AUTH (RFC 4954): PLAIN, LOGIN and XOAUTH2, as servers of providers take them.

use super::{Session, Step, Went};
use crate::mx::behaviour::Logins;
use crate::mx::wire::Ended;

impl Session {
    /// Answers AUTH.
    pub(super) async fn auth(&mut self, argument: &str) -> Result<(), Ended> {
        if self.goes(Step::Auth).await? == Went::Otherwise {
            return Ok(());
        }
        let Some(logins) = self.host.behaviour(|behaviour| behaviour.logins().cloned()) else {
            return self.say("502 5.5.1 AUTH is not offered").await;
        };
        if self.logged_in || self.transaction.is_some() || self.client_name.is_none() {
            return self.say("503 5.5.1 AUTH comes once, after EHLO").await;
        }
        if self.tls.is_none() {
            self.recorder.violation("a client wanted to log in without TLS");
            return self.say("538 5.7.11 not without TLS").await;
        }
        let (mechanism, initial) = match argument.split_once(' ') {
            Some((mechanism, initial)) => {
                (mechanism.to_ascii_uppercase(), Some(initial.to_owned()))
            }
            None => (argument.to_ascii_uppercase(), None),
        };
        if !logins.mechanisms.contains(&mechanism) {
            return self.say("504 5.5.4 no such mechanism").await;
        }
        let proved = match mechanism.as_str() {
            "LOGIN" => self.login(&logins).await?,
            "PLAIN" => {
                let said = self.response(initial, "").await?;
                said == format!("\0{}\0{}", logins.name, logins.secret)
            }
            _ => self.xoauth2(initial, &logins).await?,
        };
        if proved {
            self.logged_in = true;
            self.say("235 2.7.0 welcome").await
        } else {
            self.say("535 5.7.8 name or secret is wrong").await
        }
    }

    async fn login(&mut self, logins: &Logins) -> Result<bool, Ended> {
        let name = self.response(None, "VXNlcm5hbWU6").await?;
        let secret = self.response(None, "UGFzc3dvcmQ6").await?;
        Ok(name == logins.name && secret == logins.secret)
    }

    async fn xoauth2(&mut self, initial: Option<String>, logins: &Logins) -> Result<bool, Ended> {
        let said = self.response(initial, "").await?;
        let right = format!("user={}\x01auth=Bearer {}\x01\x01", logins.name, logins.secret);
        if said == right {
            return Ok(true);
        }
        // {"status":"401"}: the client says nothing to it, and is then refused.
        let nothing = self.response(None, "eyJzdGF0dXMiOiI0MDEifQ==").await?;
        if !nothing.is_empty() {
            self.recorder.violation("a refused token is answered with an empty line");
        }
        Ok(false)
    }

    /// What the client says, at once or to this challenge.
    async fn response(
        &mut self,
        initial: Option<String>,
        challenge: &str,
    ) -> Result<String, Ended> {
        let text = match initial {
            Some(initial) => initial,
            None => {
                self.say(&format!("334 {challenge}")).await?;
                let line = self.wire.line().await?;
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.recorder.command(self.channel(), &line);
                line
            }
        };
        Ok(decode(&text))
    }
}

/// What BASE64 text says; what is none says nothing that anybody waits for.
fn decode(text: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut octets = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.trim_end_matches('=').chars() {
        let Some(value) = DIGITS.find(digit) else { return format!("not BASE64: {text}") };
        bits = (bits << 6) | u32::try_from(value).unwrap_or_default();
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.extend(u8::try_from((bits >> held) & 0xff));
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}
