//! Reports in every kind of file.

use std::fs;

use super::*;

/// A report with this id and number of failures.
fn report(id: &str, failures: u64) -> String {
    format!(
        r#"{{"report-id": "{id}", "organization-name": "Sender", "contact-info": "a@sender.example",
            "date-range": {{"start-datetime": "2026-11-29T00:00:00Z", "end-datetime": "2026-11-29T23:59:59Z"}},
            "policies": [{{
                "policy": {{"policy-type": "sts", "policy-domain": "example.org",
                    "policy-string": ["version: STSv1", "mode: enforce"]}},
                "summary": {{"total-successful-session-count": 5, "total-failure-session-count": {failures}}},
                "failure-details": [{{"result-type": "certificate-expired",
                    "receiving-mx-hostname": "mx.example.org", "failed-session-count": {failures}}}]
            }}]}}"#
    )
}

/// A message with the report attached.
fn message(report: &str, content_type: &str) -> String {
    format!(
        "From: a@sender.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
         report-type=\"tlsrpt\"; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
         --b\r\nContent-Type: {content_type}\r\n\r\n{report}\r\n--b--\r\n"
    )
}

#[test]
fn reports_in_files_messages_mailboxes_and_folders_are_counted_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("cur")).unwrap();
    write("a.json", report("1", 2));
    write("cur/b.eml", message(&report("2", 3), "application/tlsrpt+json"));
    let named = message(&report("4", 1), "application/octet-stream; name=\"r.json\"");
    let first = message(&report("3", 0), "application/tlsrpt+json");
    write("c.mbox", format!("From a@b Mon\n{first}\n\nFrom a@b Mon\n{named}\n"));
    write("d", report("1", 2));
    write(".hidden", "x".to_owned());
    let answer = parse(&[folder.path().as_os_str().to_owned()]);
    assert!(answer.unreadable.is_empty(), "{:?}", answer.unreadable);
    assert_eq!((answer.reports, answer.duplicates), (4, 1));
    assert_eq!(answer.ending(), Ending::Refused);
    let json = serde_json::to_value(&answer).unwrap();
    let domain = &json["domains"][0];
    assert_eq!((domain["successes"].as_u64(), domain["failures"].as_u64()), (Some(20), Some(6)));
    assert_eq!(domain["days"][0], "2026-11-29");
    assert_eq!(domain["results"][0]["hosts"]["mx.example.org"], 6);
    assert!(domain["results"][0]["advice"].as_str().unwrap().starts_with("Renew"));
}

#[test]
fn what_cannot_be_read_is_named_and_has_its_own_status() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string();
    fs::write(path("good"), report("1", 0)).unwrap();
    assert_eq!(parse(&[path("good")]).ending(), Ending::Done);
    fs::write(path("cut"), report("1", 0).split_once("policies").unwrap().0).unwrap();
    fs::write(path("mail"), "Subject: hello\r\n\r\nhello\r\n").unwrap();
    let answer = parse(&[path("good"), path("cut"), path("mail"), path("absent")]);
    assert_eq!(answer.reports, 1);
    assert_eq!(answer.ending(), Ending::Unreadable);
    assert_eq!(answer.ending().status(), 2);
    let errors: Vec<_> = answer.unreadable.iter().map(|file| file.error.as_str()).collect();
    assert!(errors[0].contains("JSON") && errors[1].contains("no TLS report"), "{errors:?}");
    assert!(errors[2].contains("No such file"), "{errors:?}");
}
