//! The internet around the relay, in a process of its own, so that it counts for nothing.
//!
//! It says in one line where everything is, and then obeys a line of its standard input after the
//! other: a kind of host, and how many messages that has to have taken before the answer.

use std::io::{BufRead, BufReader, Write as _, stdin, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use testbed::{Offer, PolicyText, Sink, World};
use tokio::runtime::Runtime;

use crate::workload::Workload;

/// The argument with which this program is the internet.
pub(crate) const ROLE: &str = "internet";

/// How many domains there are of each kind; all of a kind have one host.
pub(crate) const DOMAINS: usize = 20;

/// How long a message may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a host is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// In clear, without a policy.
    Clear,
    /// By TLS, under an enforced policy.
    Tls,
}

impl Kind {
    const fn stem(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Tls => "tls",
        }
    }

    /// A domain of this kind.
    pub(crate) fn domain(self, number: usize) -> String {
        format!("{}{number}.test", self.stem())
    }

    const fn offer(self) -> Offer {
        match self {
            Self::Clear => Offer::Clear,
            Self::Tls => Offer::Starttls,
        }
    }
}

/// Is the internet until standard input ends.
pub(crate) fn serve() {
    Runtime::new().unwrap().block_on(async {
        let world = World::new().await;
        world.names().keep_for(Duration::from_secs(3600));
        let clear = host(&world, Kind::Clear).await;
        let tls = host(&world, Kind::Tls).await;
        let relay = SocketAddr::new(world.address(), world.smtp_port());
        let (dns, ca_file) = (world.dns_address(), world.ca_file().display().to_string());
        say(&format!("{relay} {dns} {} {ca_file}", world.https_port()));
        for line in stdin().lock().lines() {
            let line = line.unwrap();
            let (kind, messages) = line.split_once(' ').unwrap();
            let sink = if kind == Kind::Tls.stem() { &tls } else { &clear };
            let taken = sink.wait_for(messages.parse().unwrap(), PATIENCE).await;
            say(if taken.is_ok() { "taken" } else { "late" });
        }
    });
}

/// Sets up the host of one kind, and its domains.
async fn host(world: &World, kind: Kind) -> Sink {
    let sink = world.sink(&format!("mx.{}.test", kind.stem()), kind.offer()).await;
    for number in 0..DOMAINS {
        let setup = world.domain(&kind.domain(number)).mx_named(10, sink.name());
        let setup = setup.tls_rpt_record("v=TLSRPTv1; rua=mailto:tls@reports.test");
        if kind == Kind::Tls {
            setup.sts("1").policy(PolicyText::enforce([sink.name()])).await;
        }
    }
    sink
}

fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// The process that is the internet, ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Internet {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    line: String,
    /// Where the relay listens.
    pub(crate) relay: SocketAddr,
    dns: SocketAddr,
    https_port: u16,
    ca_file: PathBuf,
}

impl Internet {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::with_capacity(1024);
        answers.read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [relay, dns, https_port, ca_file] = words[..] else { panic!("{line}") };
        let (relay, dns) = (relay.parse().unwrap(), dns.parse().unwrap());
        let (https_port, ca_file) = (https_port.parse().unwrap(), PathBuf::from(ca_file));
        Self { child, orders, answers, line, relay, dns, https_port, ca_file }
    }

    /// The settings of a relay in it, with its queue in `directory`.
    pub(crate) fn settings(&self, directory: &Path, workload: Workload) -> String {
        let Self { relay, dns, https_port, ca_file, .. } = self;
        let (data_dir, smtp_port) = (directory.join("data"), relay.port());
        format!(
            "hostname = \"relay.test\"\n\
             data_dir = {data_dir:?}\n\
             listener = [{{ address = \"{relay}\" }}]\n\
             dns.servers = [\"{dns}\"]\n\
             trust.ca_file = {ca_file:?}\n\
             trust.extend = false\n\
             mta_sts.https_port = {https_port}\n\
             mta_sts.allow_private_policy_hosts = true\n\
             delivery.smtp_port = {smtp_port}\n\
             limits.messages_per_connection = 1000000\n\
             {}",
            workload.settings()
        )
    }

    /// Waits until the host of this kind has taken so many messages in all.
    pub(crate) fn wait_for(&mut self, kind: Kind, messages: usize) {
        writeln!(self.orders, "{} {messages}", kind.stem()).unwrap();
        self.line.clear();
        self.answers.read_line(&mut self.line).unwrap();
        assert_eq!(self.line, "taken\n", "{messages} messages in time");
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
