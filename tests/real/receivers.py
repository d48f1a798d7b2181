"""Receivers of other makes, and what comes between them and the relay."""

import os
import pathlib
import select
import shutil
import socket
import threading

from programs import Postfix, Program
from suite import Failure, run

EXIM = os.environ.get("EXIM", "exim4")
OPENSMTPD = os.environ.get("OPENSMTPD", "smtpd")


class Inbox:
    """A maildir that the receiver's mail ends in, whoever it is for."""

    def __init__(self, folder, owner):
        self.folder = pathlib.Path(folder)
        for part in ("new", "cur", "tmp"):
            (self.folder / part).mkdir(parents=True)
        run("chown", "-R", owner, self.folder)

    def received(self, word):
        """The messages that contain `word`."""
        texts = (path.read_text(errors="replace") for path in sorted((self.folder / "new").glob("*")))
        return [text for text in texts if word in text]


class Exim(Program):
    """Exim as the MX: TLS or not; later@ is deferred, never@ refused, gone@ cut off, grey@ let in the second time."""

    def __init__(self, folder, name, domains, address, tls, authority):
        super().__init__("exim", folder)
        if shutil.which(EXIM) is None:
            raise Failure(f"{EXIM} is not there; EXIM names the program")
        self.inbox = Inbox(self.folder / "inbox", "Debian-exim")
        spool = self.folder / "spool"
        spool.mkdir()
        os.chmod(spool, 0o777)
        (spool / "log").mkdir()
        os.chmod(spool / "log", 0o777)
        key, certificate = authority.issue(name, mode=0o644)
        config = self.folder / "exim.conf"
        config.write_text(EXIM_CONFIG.format(
            name=name, exim=shutil.which(EXIM), spool=spool, address=address, domains=" : ".join(domains), inbox=self.inbox.folder,
            key=key, certificate=certificate, advertise="*" if tls else "",
        ))
        os.chmod(config, 0o644)
        self.spawn(EXIM, "-C", config, "-bdf", "-oP", "")
        self.up(address, 25)
        self.log = spool / "log" / "mainlog"


EXIM_CONFIG = """primary_hostname = {name}
exim_path = {exim}
spool_directory = {spool}
log_file_path = {spool}/log/%slog
log_selector = +tls_cipher +tls_peerdn +smtp_connection +dkim_verbose
smtp_accept_queue_per_connection = 0
never_users =
deliver_drop_privilege = true
local_interfaces = {address}
daemon_smtp_ports = 25
keep_environment =
tls_advertise_hosts = {advertise}
tls_certificate = {certificate}
tls_privatekey = {key}
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
queue_run_in_order
begin acl
rcpt:
  defer local_parts = later
        message = 4.2.1 come back later
  deny  local_parts = never
        message = 5.1.1 nobody of that name
  defer local_parts = gone
        condition = ${{if !exists{{{spool}/dropped}}}}
        set acl_m_once = ${{run{{/usr/bin/touch {spool}/dropped}}}}
        message = 421 4.3.2 too busy for you
  defer local_parts = grey
        condition = ${{if !exists{{{spool}/greylisted}}}}
        set acl_m_once = ${{run{{/usr/bin/touch {spool}/greylisted}}}}
        message = 4.7.1 greylisted
  accept domains = {domains}
  deny  message = 5.7.1 not here
begin routers
here:
  driver = accept
  domains = {domains}
  transport = inbox
begin transports
inbox:
  driver = appendfile
  maildir_format
  directory = {inbox}
  create_directory = false
  return_path_add
"""


class OpenSmtpd(Program):
    """OpenSMTPD as the MX, with the same addresses; a filter of its own protocol greylists grey@.

    OpenSMTPD 6.8, Debian 12's, keeps its keys in a process of their own, to which it leads OpenSSL's RSA and EC methods; OpenSSL 3
    works on a copy of the key that knows nothing of them (OpenSMTPD issue 1171, mended in its version 7). So it offers STARTTLS and no
    handshake succeeds: with an RSA or an EC key, in TLS 1.2 and 1.3, with ECDHE or RSA's key exchange, whatever `smtp ciphers` say.
    """

    def __init__(self, folder, name, domains, address, tls, authority):
        super().__init__("opensmtpd", folder)
        found = shutil.which(OPENSMTPD)
        if found is None:
            raise Failure(f"{OPENSMTPD} is not there; OPENSMTPD names the program")
        program = pathlib.Path(found)
        self.address = address
        self.prepare(program.parents[1] / "libexec/opensmtpd")
        self.inbox = Inbox(self.folder / "inbox", "nobody")
        key, certificate = authority.issue(name)
        greylist = self.folder / "greylist"
        greylist.write_text(OPENSMTPD_GREYLIST)
        os.chmod(greylist, 0o755)
        config = self.folder / "smtpd.conf"
        config.write_text(OPENSMTPD_CONFIG.format(
            key=key, certificate=certificate, greylist=greylist, address=address, tls=f"tls pki {name}" if tls else "",
            domains=", ".join(f'"{domain}"' for domain in domains), inbox=self.inbox.folder,
            **{who: f'{{ {", ".join(f"{who}@{domain}" for domain in domains)} }}' for who in ("later", "never", "gone")},
        ))
        os.chmod(config, 0o600)
        self.spawn(program, "-d", "-f", config)
        self.up(address, 25)

    @staticmethod
    def prepare(parts):
        """Makes the folders it has the names of built in, in this mount namespace alone."""
        for folder in ("/var/spool", "/var/lib", "/run"):
            run("mount", "-t", "tmpfs", "tmpfs", folder)
        pathlib.Path("/var/lib/opensmtpd/empty").mkdir(parents=True)
        os.chmod("/var/spool", 0o755)
        run("mount", "-t", "tmpfs", "tmpfs", "/usr/libexec")
        shutil.copytree(parts, "/usr/libexec/opensmtpd")

    def stop(self):
        """Stops it, and gives the folders back."""
        try:
            return super().stop()
        finally:
            for folder in ("/usr/libexec", "/run", "/var/lib", "/var/spool"):
                run("umount", "--lazy", folder, check=False)


OPENSMTPD_CONFIG = """pki mx.strict.test cert "{certificate}"
pki mx.strict.test key "{key}"
table later {later}
table never {never}
table gone {gone}
table users {{ "@" = "nobody" }}
filter later phase rcpt-to match rcpt-to <later> reject "450 4.2.1 come back later"
filter never phase rcpt-to match rcpt-to <never> reject "550 5.1.1 nobody of that name"
filter gone phase rcpt-to match rcpt-to <gone> disconnect "421 4.3.2 too busy for you"
filter grey proc-exec "{greylist}"
listen on {address} port 25 {tls} hostname mx.strict.test filter {{ later, never, gone, grey }}
action keep mda "/bin/sh -c 'cat > {inbox}/tmp/$$ && mv {inbox}/tmp/$$ {inbox}/new/$$'" virtual <users>
match from any for domain {{ {domains} }} action keep
"""

# Each sender and recipient is put off once, if the recipient is grey@. Started once, and asked line by line (smtpd-filters(7)).
OPENSMTPD_GREYLIST = """#!/bin/sh
echo 'register|filter|smtp-in|mail-from'
echo 'register|filter|smtp-in|rcpt-to'
echo 'register|ready'
seen=
while IFS='|' read -r kind version time system phase session token address; do
  if [ "$kind" != filter ]; then continue; fi
  answer=proceed
  case $phase:$address in
    mail-from:*) eval "sender_$session=\\$address" ;;
    rcpt-to:grey@* | rcpt-to:'<grey@'*)
      eval "pair=\\$sender_$session,\\$address"
      case $seen in
        *"($pair)"*) ;;
        *) seen="$seen($pair)" answer='reject|451 4.7.1 greylisted' ;;
      esac
      ;;
  esac
  echo "filter-result|$session|$token|$answer"
done
"""


class PostfixMx(Postfix):
    """Postfix as the MX, with the same addresses; a policy service greylists grey@."""

    def __init__(self, folder, name, domains, address, tls, authority):
        key, certificate = authority.issue(name)
        self.greylist = Greylist((address, 10023))
        rules = "later@ 450 4.2.1 come back later", "never@ 550 5.1.1 nobody of that name", "gone@ 421 4.3.2 too busy for you"
        folder = pathlib.Path(folder)
        folder.mkdir()
        (folder / "rules").write_text("\n".join(rules) + "\n")
        super().__init__(
            name, folder, address, virtual_mailbox_domains=" ".join(domains),
            smtpd_tls_cert_file=certificate, smtpd_tls_key_file=key, smtpd_tls_security_level="may" if tls else "none",
            smtpd_tls_received_header="yes", smtpd_relay_restrictions="reject_unauth_destination",
            smtpd_recipient_restrictions=f"check_recipient_access texthash:{folder}/rules "
                                         f"check_policy_service inet:{address}:10023",
        )
        self.inbox = self

    def stop(self):
        """Stops it, and its policy service."""
        self.greylist.close()
        return super().stop()


class Greylist:
    """A policy service of Postfix's: each sender and recipient is put off once, if the recipient is grey@."""

    def __init__(self, address):
        self.seen = set()
        self.socket = socket.create_server(address)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Takes connections until it is closed."""
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        """Answers each request: attributes, one a line, and an empty line."""
        asked = {}
        with connection, connection.makefile("rw") as stream:
            for line in stream:
                name, equals, value = line.rstrip("\n").partition("=")
                if equals:
                    asked[name] = value
                    continue
                stream.write(f"action={self.action(asked)}\n\n")
                stream.flush()
                asked = {}

    def action(self, asked):
        """What is to be done with one recipient."""
        pair = asked.get("sender"), asked.get("recipient", "")
        if not pair[1].startswith("grey@") or pair in self.seen:
            return "DUNNO"
        self.seen.add(pair)
        return "DEFER_IF_PERMIT 4.7.1 greylisted"

    def close(self):
        """Takes no more."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Cutter:
    """Stands before a receiver and cuts connections, each at another moment, until it has run out of moments.

    A step is the relay's turn: whatever it says until it waits for an answer. The greeting answers step 0. A step is cut
    before the receiver hears of it, in the middle of it, and before the relay hears the answer. What is passed on is not
    understood, so TLS is cut as well: its handshake is the step of the ClientHello, and one that begins with the relay's
    Finished and has the EHLO after it. A turn is passed on as a whole, when nothing more has come of it for a while; so what a
    receiver says without being asked, such as the tickets of TLS 1.3, does not part it in two. A change_cipher_spec alone is no
    turn: it may come as soon as the ServerHello is there, while the rest of the receiver's flight is on its way (RFC 8446 D.4).
    """

    QUIET = 0.1
    CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"

    def __init__(self, address, behind, steps):
        self.name, self.behind = "cutter", behind
        self.cuts = [(0, "answer")] + [(step, part) for step in range(1, steps) for part in ("before", "middle", "answer")]
        self.made, self.heard = [], b""
        self.socket = socket.create_server(address)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Takes one connection after the other."""
        while True:
            try:
                relay, _ = self.socket.accept()
            except OSError:
                return
            cut = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self.carry, args=(relay, cut), daemon=True).start()

    def carry(self, relay, cut):
        """Passes on what comes, until the cut is due or one of the two is gone."""
        step, turn = 0, "receiver"
        with relay, socket.create_connection(self.behind) as receiver:
            while True:
                ready, _, _ = select.select([relay, receiver], [], [])
                side = receiver if receiver in ready else relay
                words = receive(side)
                if not words:
                    return
                while side is relay and select.select([relay], [], [], self.QUIET)[0]:
                    more = receive(relay)
                    if not more:
                        break
                    words += more
                if side is relay and turn == "receiver" and words != self.CHANGE_CIPHER_SPEC:
                    step, turn = step + 1, "relay"
                if side is relay:
                    self.heard += words
                    if cut in ((step, "before"), (step, "middle")):
                        receiver.sendall(words[:len(words) // 2] if cut[1] == "middle" else b"")
                        break
                    receiver.sendall(words)
                else:
                    turn = "receiver"
                    if cut == (step, "answer"):
                        break
                    relay.sendall(words)
            self.made.append(cut)

    def tail(self):
        """What it has cut."""
        return str(self.made)

    def stop(self):
        """Takes no more."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def receive(connection):
    """What has come; nothing where the connection is at its end."""
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""
