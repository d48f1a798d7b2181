//! What one socket offers: the same listener may take mail from networks on one and from users on
//! another.

/// What is offered to the clients of one socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Service {
    /// Whether and how clients come under TLS.
    pub tls: TlsMode,
    /// Whether users log in.
    pub auth: AuthMode,
    /// Whether connections come through a proxy that says for whom.
    pub proxy: ProxyMode,
    /// Whether binary messages are taken.
    pub binary: BinaryMode,
}

/// Whether and how clients come under TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsMode {
    /// They do not.
    #[default]
    Off,
    /// By STARTTLS, when they like (RFC 3207).
    StartTls,
    /// From the first byte on (RFC 8314 §3).
    Implicit,
}

/// Whether users log in (RFC 4954), which is possible under TLS alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AuthMode {
    /// They cannot; hosts of listed networks submit.
    #[default]
    Off,
    /// They can, and hosts of listed networks need not.
    Optional,
    /// They must, wherever they come from.
    Required,
}

/// Whether messages without lines are taken (BINARYMIME, RFC 3030 §3).
///
/// Few hosts take such messages, and none is converted: what really is binary comes back from all
/// others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BinaryMode {
    /// They are not; chunks carry messages with lines.
    #[default]
    Withheld,
    /// They are.
    Offered,
}

/// Whether connections begin with the header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProxyMode {
    /// They do not.
    #[default]
    Direct,
    /// They do, and nobody but listed proxies may connect.
    Required,
}
