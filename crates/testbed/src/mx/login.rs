//! AUTH (RFC 4954): PLAIN, LOGIN and XOAUTH2, as servers of providers take them.

use super::behaviour::{Logins, Step};
use super::dialogue::{Dialogue, StepResult};
use super::wire::Ended;

/// Answers AUTH.
pub(super) async fn auth(dialogue: &mut Dialogue, argument: &str) -> Result<(), Ended> {
    if dialogue.goes(Step::Auth).await? == StepResult::Otherwise {
        return Ok(());
    }
    let Some(logins) = dialogue.host.behaviour(|behaviour| behaviour.logins().cloned()) else {
        return dialogue.say("502 5.5.1 AUTH is not offered").await;
    };
    if dialogue.logged_in || dialogue.transaction.is_some() || dialogue.client_name.is_none() {
        return dialogue.say("503 5.5.1 AUTH comes once, after EHLO").await;
    }
    if dialogue.tls.is_none() {
        dialogue.recorder.violation("a client wanted to log in without TLS");
        return dialogue.say("538 5.7.11 not without TLS").await;
    }
    let (mechanism, initial) = match argument.split_once(' ') {
        Some((mechanism, initial)) => (mechanism.to_ascii_uppercase(), Some(initial.to_owned())),
        None => (argument.to_ascii_uppercase(), None),
    };
    if !logins.mechanisms.contains(&mechanism) {
        return dialogue.say("504 5.5.4 no such mechanism").await;
    }
    let proved = match mechanism.as_str() {
        "LOGIN" => login(dialogue, &logins).await?,
        "PLAIN" => {
            let said = response(dialogue, initial, "").await?;
            said == format!("\0{}\0{}", logins.name, logins.secret)
        }
        _ => xoauth2(dialogue, initial, &logins).await?,
    };
    if proved {
        dialogue.logged_in = true;
        dialogue.say("235 2.7.0 welcome").await
    } else {
        dialogue.say("535 5.7.8 name or secret is wrong").await
    }
}

async fn login(dialogue: &mut Dialogue, logins: &Logins) -> Result<bool, Ended> {
    let name = response(dialogue, None, "VXNlcm5hbWU6").await?;
    let secret = response(dialogue, None, "UGFzc3dvcmQ6").await?;
    Ok(name == logins.name && secret == logins.secret)
}

async fn xoauth2(
    dialogue: &mut Dialogue,
    initial: Option<String>,
    logins: &Logins,
) -> Result<bool, Ended> {
    let said = response(dialogue, initial, "").await?;
    let right = format!("user={}\x01auth=Bearer {}\x01\x01", logins.name, logins.secret);
    if said == right {
        return Ok(true);
    }
    // {"status":"401"}: the client says nothing to it, and is then refused.
    let nothing = response(dialogue, None, "eyJzdGF0dXMiOiI0MDEifQ==").await?;
    if !nothing.is_empty() {
        dialogue.recorder.violation("a refused token is answered with an empty line");
    }
    Ok(false)
}

/// What the client says, at once or to this challenge.
async fn response(
    dialogue: &mut Dialogue,
    initial: Option<String>,
    challenge: &str,
) -> Result<String, Ended> {
    let text = match initial {
        Some(initial) => initial,
        None => {
            dialogue.say(&format!("334 {challenge}")).await?;
            let line = dialogue.wire.line().await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            dialogue.recorder.command(dialogue.channel(), &line);
            line
        }
    };
    Ok(decode(&text))
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
