"""The names and policies of the domains in a world, for whichever server serves them."""


def records(hosts, enforced=(), web=None):
    """The records of domains: `hosts` has the name and address of each one's MX host; those in `enforced` have a policy at `web`."""
    lines = []
    for domain, (host, address) in hosts.items():
        lines += [f"{domain}. MX 10 {host}.", f"{host}. A {address}"]
    for domain in enforced:
        lines += [f'_mta-sts.{domain}. TXT "v=STSv1; id=1;"', f"mta-sts.{domain}. A {web}"]
    return lines


def unbound(records, *options):
    """A configuration of unbound: these records and nothing else are there, so that nobody else is asked."""
    data = [f"local-data: '{record}'" for record in records]
    lines = ['include: "/etc/unbound/unbound.conf"', "server:", *options, 'local-zone: "." static', *data]
    return "\n  ".join(lines).replace("\n  server:", "\nserver:") + "\n"


def policies(world, hosts, enforced):
    """Writes each domain's policy, which names its one MX host, and makes its policy host's certificate."""
    for domain in enforced:
        world.authority.issue(f"mta-sts.{domain}", mode=0o644)
        lines = ["version: STSv1", "mode: enforce", f"mx: {hosts[domain][0]}", "max_age: 604800"]
        world.file(f"{domain}.txt", "\r\n".join(lines) + "\r\n")


def nginx(enforced, listen, folder, work):
    """A configuration of nginx that serves what `policies` wrote below `folder`, with its own files in `work`."""
    servers = "".join(
        f"server {{ listen {listen} ssl; server_name mta-sts.{domain};\n"
        f"  ssl_certificate {folder}/authority/mta-sts.{domain}.pem;\n"
        f"  ssl_certificate_key {folder}/authority/mta-sts.{domain}.key;\n"
        f"  location = /.well-known/mta-sts.txt {{ default_type text/plain; alias {folder}/{domain}.txt; }} }}\n"
        for domain in enforced
    )
    temporary = "".join(f"{kind}_temp_path {work}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return (f"daemon off; user root; pid {work}/pid; error_log stderr;\nevents {{}}\n"
            f"http {{ access_log /dev/stdout;\n{temporary}{servers}}}\n")
