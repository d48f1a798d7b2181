"""What real clients need of the listener: with TLS, with a login, with SMTPUTF8. A scenario's name is the sentence."""

import email.message
import os
import pathlib
import shutil
import signal
import smtplib
import ssl

from internet import (
    CLIENT, IMPLICIT_PORT, PASSWORD, RELAY, RELAY_PORT, SENDER, SUBMISSION_PORT, TLS_PORT, USER, Submitting,
)
from suite import Failure, Theme, expect, run, until

scenario = Theme(Submitting)

EXIM = os.environ.get("EXIM", "exim4")


def came_with(message, protocol):
    """The relay's Received header field names the protocol (RFC 3848)."""
    expect(f"by relay.test with {protocol} id " in message, f"not by {protocol}:\n{message}")


@scenario
def postfix_starts_tls_and_checks_the_name(world):
    """relayhost with smtp_tls_security_level=secure: the certificate is the named one."""
    world.client(TLS_PORT, smtp_tls_security_level="secure", smtp_tls_secure_cert_match="relay.test")
    world.send("bob@good.test", "amaranth", through=CLIENT)
    message = world.arrives("good.test", "amaranth")
    came_with(message, "ESMTPS")
    expect("(using TLSv1.3 with cipher TLS_" in message, f"no TLS facts:\n{message}")


@scenario
def postfix_logs_in(world):
    """relayhost with a user and a password, under TLS."""
    passwords = world.folder / "passwords"
    passwords.write_text(f"[{RELAY}]:{SUBMISSION_PORT} {USER}:{PASSWORD}\n")
    world.client(
        SUBMISSION_PORT, smtp_tls_security_level="encrypt", smtp_sasl_auth_enable="yes",
        smtp_sasl_password_maps=f"texthash:{passwords}", smtp_sasl_security_options="noanonymous",
    )
    world.send("bob@good.test", "bergamot", through=CLIENT)
    came_with(world.arrives("good.test", "bergamot"), "ESMTPSA")


@scenario
def postfix_hands_over_smtputf8_mail(world):
    """An address and a subject in UTF-8 go all the way."""
    with smtplib.SMTP(SENDER, 25, local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        client.sendmail(
            "j\u00f6rg@sender.test", ["b\u00e4r@good.test"],
            "Subject: calend\u00fcla\r\nFrom: j\u00f6rg@sender.test\r\n\r\ncalendula\r\n".encode(),
            mail_options=["SMTPUTF8", "BODY=8BITMIME"],
        )
    message = world.arrives("good.test", "calendula")
    came_with(message, "UTF8SMTP")
    expect("calend\u00fcla" in message, f"the subject is not as it was:\n{message}")


@scenario
def postfix_passes_long_lines_and_dots_on(world):
    """What Postfix does to long lines is its own matter; nothing is refused, nothing is lost."""
    body = "\r\n".join(["x" * 5000, ".", "..", ".dot", "end of delphinium"])
    with smtplib.SMTP(SENDER, 25, local_hostname="client.test", timeout=30) as client:
        client.sendmail("alice@sender.test", ["bob@good.test"], f"Subject: delphinium\r\n\r\n{body}\r\n")
    message = world.arrives("good.test", "end of delphinium")
    expect("\n.\n..\n.dot\n" in message, f"the dots are not as they were:\n{message}")


@scenario
def swaks_logs_in_by_plain_and_by_login(world):
    """swaks with STARTTLS and with implicit TLS."""
    for word, port, how, mechanism in (
        ("edelweiss", SUBMISSION_PORT, "--tls", "PLAIN"), ("foxglove", SUBMISSION_PORT, "--tls", "LOGIN"),
        ("gardenia", IMPLICIT_PORT, "--tls-on-connect", "PLAIN"),
    ):
        swaks(port, how, "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD, word=word)
        came_with(world.arrives("good.test", word), "ESMTPSA")


def swaks(port, *words, word="word", sender="ann@sender.test", check=True):
    """Hands a message to the relay."""
    return run("swaks", "--server", RELAY, "--port", port, "--from", sender, "--to", "bob@good.test", "--ehlo",
               "client.test", "--header", f"Subject: {word}", *words, check=check, timeout=120)


@scenario
def who_does_not_log_in_rightly_submits_nothing(world):
    """A wrong password, no password, another's address; and the log has a line for fail2ban."""
    wrong = swaks(SUBMISSION_PORT, "--tls", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "wrong", check=False)
    expect(wrong.returncode == 28 and "535 5.7.8" in wrong.stdout, f"a wrong password:\n{wrong.stdout}{wrong.stderr}")
    bare = swaks(SUBMISSION_PORT, "--tls", check=False)
    expect("530 5.7.0" in bare.stdout, f"no password:\n{bare.stdout}{bare.stderr}")
    other = swaks(SUBMISSION_PORT, "--tls", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", PASSWORD,
                  sender="eve@elsewhere.test", check=False)
    expect("550 5.7.1" in other.stdout, f"another's address:\n{other.stdout}{other.stderr}")
    log = world.relay.log.read_text()
    expect("authentication failed peer=10.77.0" in log, f"no line for fail2ban:\n{log}")
    expect("wrong" not in log, "a password is in the log")
    expect(world.relay.queue() == [], "something was submitted")


@scenario
def msmtp_submits(world):
    """msmtp, which checks the certificate, with STARTTLS and with implicit TLS."""
    for word, port, starttls in (("hyacinth", SUBMISSION_PORT, "on"), ("iris", IMPLICIT_PORT, "off")):
        config = world.folder / f"msmtp-{port}"
        config.write_text(
            f"account default\nhost relay.test\nport {port}\nauth on\nuser {USER}\npassword {PASSWORD}\n"
            f"tls on\ntls_starttls {starttls}\ntls_trust_file {world.authority.certificate}\nfrom {USER}\n"
        )
        os.chmod(config, 0o600)
        run("msmtp", "-C", config, "bob@good.test", input=f"Subject: {word}\n\nbody\n")
        came_with(world.arrives("good.test", word), "ESMTPSA")


@scenario
def python_submits(world):
    """smtplib with STARTTLS and with implicit TLS; Date and Message-ID are added where it has none."""
    context = ssl.create_default_context(cafile=world.authority.certificate)
    for word, connect in (
        ("jasmine", lambda: smtplib.SMTP("relay.test", SUBMISSION_PORT, timeout=30)),
        ("kerria", lambda: smtplib.SMTP_SSL("relay.test", IMPLICIT_PORT, timeout=30, context=context)),
    ):
        message = email.message.EmailMessage()
        message["From"], message["To"], message["Subject"] = USER, "bob@good.test", word
        message.set_content("Gr\u00fc\u00dfe\n")
        with connect() as client:
            if word == "jasmine":
                client.starttls(context=context)
            client.login(USER, PASSWORD)
            client.send_message(message)
        arrived = world.arrives("good.test", word)
        came_with(arrived, "ESMTPSA")
        expect("\nDate: " in arrived and "\nMessage-ID: <" in arrived, f"no Date or no Message-ID:\n{arrived}")


@scenario
def curl_submits(world):
    """curl with smtp:// and --ssl-reqd, and with smtps://."""
    for word, url, more in (
        ("larkspur", f"smtp://relay.test:{SUBMISSION_PORT}", ["--ssl-reqd"]),
        ("mallow", f"smtps://relay.test:{IMPLICIT_PORT}", []),
    ):
        run("curl", "--silent", "--show-error", "--cacert", world.authority.certificate, "--user", f"{USER}:{PASSWORD}",
            "--mail-from", USER, "--mail-rcpt", "bob@good.test", "--upload-file", "-", *more, url,
            input=f"Subject: {word}\r\n\r\nbody\r\n")
        came_with(world.arrives("good.test", word), "ESMTPSA")


@scenario
def exim_relays(world):
    """Exim with a manualroute to the relay: chunks (BDAT) in clear and under TLS."""
    if shutil.which(EXIM) is None:
        raise Failure(f"{EXIM} is not there; EXIM names the program")
    spool = pathlib.Path("/tmp/sts-interop-exim")
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    os.chmod(spool, 0o777)
    for word, port in (("nasturtium", RELAY_PORT), ("oleander", TLS_PORT)):
        config = pathlib.Path("/tmp/sts-interop-exim.conf")
        config.write_text(EXIM_CONFIG.format(exim=shutil.which(EXIM), spool=spool, relay=RELAY, port=port, tls="10.77.0.4" if port == TLS_PORT else ""))
        os.chmod(config, 0o644)
        run(EXIM, "-C", config, "-odf", "-oi", "-f", "alice@sender.test", "bob@good.test",
            input=f"Subject: {word}\nFrom: alice@sender.test\n\nbody\n.\nlast\n", timeout=90)
        log = (spool / "log" / "mainlog").read_text() if (spool / "log" / "mainlog").exists() else "(no log)"
        expect(f"=> bob@good.test" in log and "Completed" in log, f"exim did not deliver:\n{log}")
        message = world.arrives("good.test", word)
        came_with(message, "ESMTPS" if port == TLS_PORT else "ESMTP")
        expect(" K " in log, f"not by BDAT:\n{log}")


EXIM_CONFIG = """primary_hostname = exim.sender.test
exim_path = {exim}
spool_directory = {spool}
log_file_path = {spool}/log/%slog
never_users =
trusted_users = root
local_interfaces = 10.77.0.5
keep_environment =
begin routers
relay:
  driver = manualroute
  transport = relay
  route_list = * {relay}
begin transports
relay:
  driver = smtp
  port = {port}
  hosts_require_tls = {tls}
  hosts_avoid_tls = ${{if eq {{{tls}}}{{}}{{*}}}}
  hosts_try_chunking = *
  tls_verify_certificates =
begin retry
* * F,1m,1s
"""


@scenario
def a_changed_certificate_is_shown_and_a_bad_one_is_not(world):
    """On SIGHUP, and by itself when the files change; what cannot be used leaves the old one in place."""
    first = shown()
    key, certificate = world.authority.issue("relay.test", "again.test")
    expect((pathlib.Path(key), pathlib.Path(certificate)) == (world.key, world.certificate), "other files")
    world.relay.child.send_signal(signal.SIGHUP)
    second = until("the new certificate", lambda: (now := shown()) != first and now)
    pathlib.Path(certificate).write_text("no certificate\n")
    until("the refusal in the log", lambda: "certificate reload failed" in world.relay.log.read_text())
    expect(shown() == second, "the bad certificate was taken")
    world.authority.issue("relay.test")
    until("the third certificate", lambda: shown() not in (first, second))


def shown():
    """The certificate that the relay shows now."""
    return ssl.get_server_certificate((RELAY, IMPLICIT_PORT), timeout=30)
